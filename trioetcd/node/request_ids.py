"""Request IDs that no other member and no earlier run of this one has used (etcd's idutil).

    | member id, low 16 bits | start time in ms, low 40 bits | counter, 8 bits |

The counter runs over into the time, which is ahead of it as long as there are fewer than 256,000 requests a second.
"""

from __future__ import annotations

_COUNTER_BITS = 8
_TIME_BITS = 40


class RequestIds:
    """Hands out IDs, one higher each time. `wall_seconds` is the time of the start."""

    def __init__(self, *, member_id: int, wall_seconds: float) -> None:
        prefix = (member_id & 0xFFFF) << (_TIME_BITS + _COUNTER_BITS)
        suffix = (int(wall_seconds * 1000) & ((1 << _TIME_BITS) - 1)) << _COUNTER_BITS
        self._prefix = prefix
        self._suffix = suffix

    def next(self) -> int:
        """The next ID, below 2**64."""
        self._suffix = (self._suffix + 1) & ((1 << (_TIME_BITS + _COUNTER_BITS)) - 1)
        return self._prefix | self._suffix
