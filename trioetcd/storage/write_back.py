"""Letting the disk begin to write what is in the page cache: Linux's `sync_file_range`, which Python does not have.

It starts the writing of a range's dirty pages and does not wait for it. (`posix_fadvise` with DONTNEED starts it as
well, but then tries to drop the pages, and for those that are being written it may wait for every processor.)
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE


def _find_hint() -> Callable[[int, int, int, int], int] | None:
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
        function.restype = ctypes.c_int
    return function


_HINT: Final = _find_hint()


def begin_writing(descriptor: int, offset: int, size_bytes: int) -> None:
    """Let the disk begin with a range of a file, where the system can; elsewhere the next sync does it all.

    Whether it worked does not matter: whatever goes wrong with the writing, the sync that follows tells.
    """
    if _HINT is not None:
        _HINT(descriptor, offset, size_bytes, _WRITE)
