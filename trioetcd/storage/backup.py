"""A snapshot in a file, as an operator saved it: the stream of the Snapshot call, byte for byte.

    the engine's stream (engine_transfer)     which has checksums and an end of its own
    SHA-256 of it                             32 bytes; missing when what was saved broke off just there

Nothing is taken on trust: a file is read to its end (`summarise`) before anything is made of it (`read_stream`).
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

import google_crc32c

from trioetcd.storage.engine_transfer import TransferDamage, TransferReader
from trioetcd.storage.mvcc.revision import main_of, revision_of_record
from trioetcd.storage.schema import REVISION_PREFIX

DIGEST_BYTES: Final = 32
_READ_BYTES: Final = 1 << 20


class BackupDamage(Exception):
    """The file is not a snapshot as it was saved."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used: {reason}")


class BackupSummary(NamedTuple):
    """What a file holds.

    `hash` is of all keys and values, `total_keys` how many of them there are, `revision` the newest; `size_bytes` is
    the file's, and `stream_bytes` what of it is the engine's stream.
    """

    hash: int
    revision: int
    total_keys: int
    size_bytes: int
    stream_bytes: int


def summarise(path: Path, *, check_hash: bool = True) -> BackupSummary:
    """Read a file through and verify it. Raises `BackupDamage` and `OSError`.

    Without `check_hash` the SHA-256 at the end may be missing or wrong; the stream's own checksums count all the same.
    """
    size_bytes = path.stat().st_size
    counter, digest = _Counter(), sha256()
    try:
        for data in read_stream(path, size_bytes - DIGEST_BYTES):
            digest.update(data)
            counter.take(data)
        with path.open("rb") as file:
            file.seek(max(size_bytes - DIGEST_BYTES, 0))
            trailer = file.read()
        if not counter.is_whole:
            counter.take(trailer)  # whole all the same, if it ends here
            trailer = b""
    except TransferDamage as damage:
        raise BackupDamage(path, f"{damage}; save it anew") from damage
    if not counter.is_whole:
        raise BackupDamage(path, "it breaks off before its end; save it anew")
    if check_hash:
        _check_digest(path, trailer, digest.digest())
    return BackupSummary(counter.crc, counter.revision, counter.pairs, size_bytes, size_bytes - len(trailer))


def read_stream(path: Path, stream_bytes: int) -> Iterator[bytes]:
    """Iterate over the first bytes of a file, so many of them."""
    with path.open("rb") as file:
        left = stream_bytes
        while left > 0 and (data := file.read(min(_READ_BYTES, left))):
            left -= len(data)
            yield data


class _Counter:
    """Takes a stream and keeps what is told of it."""

    def __init__(self) -> None:
        self.crc = self.revision = self.pairs = 0
        self._reader = TransferReader()

    @property
    def is_whole(self) -> bool:
        return self._reader.total is not None

    def take(self, data: bytes) -> None:
        for pairs in self._reader.feed(data):
            for key, value in pairs:
                self.crc = google_crc32c.extend(google_crc32c.extend(self.crc, key), value)
            self.pairs += len(pairs)
            records = [key for key, _ in pairs if key.startswith(REVISION_PREFIX)]
            if records:
                self.revision = main_of(revision_of_record(records[-1]))


def _check_digest(path: Path, trailer: bytes, digest: bytes) -> None:
    if not trailer:
        raise BackupDamage(path, "the SHA-256 at its end is missing; save it anew, or give --skip-hash-check")
    if trailer != digest:
        raise BackupDamage(path, f"its SHA-256 is {digest.hex()}, and it says {trailer.hex()}; save it anew")
