"""Alarms: which member raised which. While one stands, apply refuses what `machine.py` says."""

from __future__ import annotations

from typing import Final

from trioetcd.api import messages as m
from trioetcd.storage.engine import Reader
from trioetcd.storage.schema import ALARM_PREFIX, id_key, prefix_end, unsigned_id
from trioetcd.storage.writes import PendingWrites

_TYPE_BYTES: Final = 1
_TYPES: Final = frozenset((int(m.AlarmType.NOSPACE), int(m.AlarmType.CORRUPT)))


class Alarms:
    """The set of (alarm, member). Changed only by apply."""

    def __init__(self, *, engine: Reader, writes: PendingWrites) -> None:
        self._writes = writes
        self._raised: dict[tuple[int, int], None] = {}  # (alarm, member ID)
        for key, _ in engine.range(ALARM_PREFIX, prefix_end(ALARM_PREFIX)):
            prefix = key[: len(ALARM_PREFIX) + _TYPE_BYTES]
            self._raised[prefix[-1], unsigned_id(prefix, key)] = None
        self._refresh()

    def _refresh(self) -> None:
        types = {alarm for alarm, _ in self._raised}
        self.any: bool = bool(types)
        self.no_space: bool = m.AlarmType.NOSPACE in types
        self.corrupt: bool = m.AlarmType.CORRUPT in types

    def get(self, alarm: int = m.AlarmType.NONE) -> list[m.AlarmMember]:
        """Who raised `alarm`; with NONE, all alarms."""
        wanted = sorted(one for one in self._raised if alarm in (m.AlarmType.NONE, one[0]))
        return [m.AlarmMember(memberID=member_id, alarm=kind) for kind, member_id in wanted]

    def is_raised(self, member_id: int, alarm: int) -> bool:
        """Whether that member's alarm stands."""
        return (alarm, member_id) in self._raised

    def activate(self, member_id: int, alarm: int) -> list[m.AlarmMember]:
        """Raise an alarm (again, perhaps). NONE, and a number that stands for none, raise nothing."""
        if alarm not in _TYPES:
            return []
        self._raised[alarm, member_id] = None
        self._writes.put(self._key(member_id, alarm), b"")
        self._refresh()
        return [m.AlarmMember(memberID=member_id, alarm=alarm)]

    def deactivate(self, member_id: int, alarm: int) -> list[m.AlarmMember]:
        """Take an alarm back; nothing if it was not raised."""
        if (alarm, member_id) not in self._raised:
            return []
        del self._raised[alarm, member_id]
        self._writes.delete(self._key(member_id, alarm))
        self._refresh()
        return [m.AlarmMember(memberID=member_id, alarm=alarm)]

    @staticmethod
    def _key(member_id: int, alarm: int) -> bytes:
        return id_key(ALARM_PREFIX + bytes((alarm,)), member_id)

    def digest_parts(self) -> list[object]:
        """What all members must agree on."""
        return [list(one) for one in sorted(self._raised)]
