"""Where a log ends in a broken record, tell a crash from damage.

A crash leaves sectors of 512 bytes that were written whole or not at all, in any order, and in a preallocated file
a sector that was not written still holds what it held: zeros behind the end of the log. A write may also stop at any
byte. So a crash can explain a broken record only if

- a sector that it lies in is zero, as far as it does not lie before the record, or
- the file is zero from somewhere within the record to its very end,

and if nothing behind it proves that it had been synced (`durable` in `wal_record.py`). What a crash can explain was
never acknowledged and is cut off; everything else is damage, and the log refuses.

One case stays open to doubt: rot in the very last synced record, if that record also has a whole sector of zeros
for data. No other record speaks for it, and it is taken for a crash.
"""

from __future__ import annotations

from typing import Final

from trioetcd.storage.wal_record import HEADER_BYTES, RecordInvalid, decode_record

SECTOR_BYTES: Final = 512
_STRIDE: Final = 8
_ZEROS: Final = bytes(64 << 10)


def written_end(data: bytes) -> int:
    """The offset behind the last byte that is not zero."""
    end = len(data)
    while end:
        chunk = data[max(end - len(_ZEROS), 0) : end]
        if chunk != _ZEROS[: len(chunk)]:
            return end - len(chunk) + len(chunk.rstrip(b"\0"))
        end -= len(chunk)
    return 0


def what_damaged(data: bytes, offset: int, fault: RecordInvalid, *, seed: int) -> str | None:
    """Say why the fault at `offset` is damage; None if a crash explains it and the log may be cut there."""
    end_of_data = written_end(data)
    witness = _find_witness(data, offset, end_of_data, seed)
    if witness is not None:
        return f"{fault.what}, and the record at offset {witness} was written when this one had been synced"
    # Behind the body stands the end mark, which is never zero; a header alone tells nothing of what follows it.
    last = offset + HEADER_BYTES - 1 if fault.body_end is None else fault.body_end
    if end_of_data <= last or _sector_missing(data, offset, last + 1):
        return None
    return f"{fault.what}, and no crash leaves such bytes"


def _sector_missing(data: bytes, offset: int, region_end: int) -> bool:
    start = offset
    while start < region_end:
        sector_end = min(start - start % SECTOR_BYTES + SECTOR_BYTES, len(data))
        if not any(data[start:sector_end]):
            return True
        start = sector_end
    return False


def _find_witness(data: bytes, offset: int, end_of_data: int, seed: int) -> int | None:
    for candidate in range(offset + _STRIDE, end_of_data, _STRIDE):
        if data[candidate : candidate + 4] == b"\0\0\0\0":
            continue
        try:
            record = decode_record(data, candidate, seed=seed, previous=None)
        except (RecordInvalid, ValueError):
            continue
        if offset < record.durable <= candidate:
            return candidate
    return None
