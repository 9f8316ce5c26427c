"""An engine as a stream of bytes, as a leader sends it to a member whose log is too far behind.

    magic   "teng0001"
    slices  of sorted pairs, about 64 KiB each
    end     what there was in all

    slice and end, integers little-endian:
    offset  size  field
         0     4  length  of the body
         4     4  crc     CRC-32C of kind and body, begun with the crc of the slice before: lost and swapped slices show
         8     1  kind    1 a slice, 2 the end
         9     n  body    msgpack: of a slice [key, value, key, value, ...], of the end [pairs, bytes, SHA-256]

`bytes` counts keys and values; the SHA-256 is of everything before the end. Keys ascend over the whole stream. A
receiver trusts nothing: a length is bounded before it is waited for, and an engine without its end is no engine.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack

from trioetcd.storage.engine import Engine, LevelEngine, Reader, remove_engine, restrict_modes
from trioetcd.storage.filesystem import OsFileSystem
from trioetcd.storage.wal_record import crc32c, pack

_MAGIC: Final = b"teng0001"
_HEADER: Final = struct.Struct("<IIB")
_KIND_OFFSET: Final = 8
_SLICE, _END = 1, 2
SLICE_BYTES: Final = 64 << 10
SLICE_BYTES_MAX: Final = 64 << 20
"""A slice holds one pair at least, however large; none is larger than this."""


class TransferDamage(Exception):
    """The stream is not an engine as it was sent. What came so far is to be thrown away."""


class TransferTotal(NamedTuple):
    """What a whole stream held."""

    pairs: int
    size_bytes: int
    sha256: bytes


def write_engine(source: Reader) -> Iterator[bytes]:
    """Iterate over the stream of an engine or a view, in pieces of about 64 KiB; a view, if writes go on meanwhile."""
    digest = hashlib.sha256(_MAGIC)
    yield _MAGIC
    crc = pairs = total = 0
    for flat in _slices(source):
        piece, crc = _frame(_SLICE, pack(flat), crc)
        digest.update(piece)
        pairs += len(flat) // 2
        total += sum(map(len, flat))
        yield piece
    piece, _ = _frame(_END, pack((pairs, total, digest.digest())), crc)
    yield piece


def stream_sizes(source: Reader) -> Iterator[int]:
    """Iterate over the sizes of the pieces that `write_engine` would make of the same source."""
    yield len(_MAGIC)
    pairs = total = 0
    for flat in _slices(source):
        pairs += len(flat) // 2
        total += sum(map(len, flat))
        yield _HEADER.size + len(pack(flat))
    yield _HEADER.size + len(pack((pairs, total, bytes(hashlib.sha256().digest_size))))


class TransferReader:
    """Takes a stream in pieces of any size and gives out its pairs; sans I/O."""

    def __init__(self) -> None:
        self.total: TransferTotal | None = None  # Set when the whole stream was read and verified.
        self._buffer = bytearray()
        self._digest = hashlib.sha256(_MAGIC)
        self._started = False
        self._crc = 0
        self._pairs = 0
        self._bytes = 0
        self._last_key: bytes | None = None

    def feed(self, data: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
        """Iterate over the slices that are complete now; `TransferDamage` at the first fault."""
        self._buffer += data
        if not self._started and not self._start():
            return
        while (body := self._next_frame()) is not None:
            yield body

    def _start(self) -> bool:
        if len(self._buffer) < len(_MAGIC):
            return False
        if not self._buffer.startswith(_MAGIC):
            raise TransferDamage(f"a stream begins with {_MAGIC!r}, this one with {bytes(self._buffer[:8])!r}")
        del self._buffer[: len(_MAGIC)]
        self._started = True
        return True

    def _next_frame(self) -> list[tuple[bytes, bytes]] | None:
        if self.total is not None and self._buffer:
            raise TransferDamage("there are bytes behind the end of the stream")
        if len(self._buffer) < _HEADER.size:
            return None
        length, crc, kind = _HEADER.unpack_from(self._buffer)
        if kind not in (_SLICE, _END) or length > SLICE_BYTES_MAX:
            raise TransferDamage(f"a slice of kind {kind} and {length} bytes is announced after {self._pairs} pairs")
        if len(self._buffer) < _HEADER.size + length:
            return None
        frame = bytes(self._buffer[: _HEADER.size + length])
        del self._buffer[: len(frame)]
        if crc32c(self._crc, frame[_KIND_OFFSET:]) != crc:
            raise TransferDamage(f"the checksum of the slice after {self._pairs} pairs does not match")
        self._crc = crc
        if kind == _SLICE:
            return self._take_slice(frame)
        self._take_end(frame)
        return None

    def _take_slice(self, frame: bytes) -> list[tuple[bytes, bytes]]:
        flat = _unpack(frame)
        if len(flat) % 2 or not all(type(item) is bytes for item in flat):
            raise TransferDamage(f"the slice after {self._pairs} pairs holds something else than pairs of bytes")
        keys = flat[::2]
        before = [self._last_key, *keys] if self._last_key is not None else keys
        if any(former >= latter for former, latter in pairwise(before)):
            raise TransferDamage(f"the keys of the slice after {self._pairs} pairs do not ascend")
        self._last_key = keys[-1] if keys else self._last_key
        self._digest.update(frame)
        self._pairs += len(keys)
        self._bytes += sum(map(len, flat))
        return list(zip(keys, flat[1::2], strict=True))

    def _take_end(self, frame: bytes) -> None:
        counted = TransferTotal(self._pairs, self._bytes, self._digest.digest())
        announced = tuple(_unpack(frame))
        if announced != counted:
            raise TransferDamage(f"the stream ends with {announced[:2]} pairs and bytes, and {counted[:2]} came")
        self.total = counted
        if self._buffer:
            raise TransferDamage("there are bytes behind the end of the stream")


class EngineReceiver:
    """Builds a `LevelEngine` at `path`, where there must be none, from a stream. Ends with `finish` or `abort`."""

    def __init__(self, *, path: Path) -> None:
        if path.exists():
            raise FileExistsError(f"an engine is to be received at {path}, where there is something already: remove it")
        self._path = path
        self._reader = TransferReader()
        self._engine = LevelEngine.open(path, create=True)

    def feed(self, data: bytes) -> None:
        """Take the next bytes; writes at most what they complete. `TransferDamage`, or `EngineDamage` of the disk."""
        for pairs in self._reader.feed(data):
            self._engine.write(pairs)
        if (close := self._engine.let_go()) is not None:  # Nobody else looks after an engine that is not in use.
            close()

    def finish(self) -> TransferTotal:
        """Verify that all has come; the engine is closed and durable on return. `TransferDamage` if not."""
        total = _completed(self._reader)
        self._engine.write([], sync=True)
        self._engine.close()
        restrict_modes(self._path)
        OsFileSystem().sync_directory(self._path)
        return total

    def abort(self) -> None:
        """Remove everything; may be called at any time before `finish` has returned, and after it failed."""
        self._engine.close()
        remove_engine(self._path)


def read_engine(pieces: Iterable[bytes], engine: Engine) -> TransferTotal:
    """Read a whole stream into an empty engine of any kind; not synced. After `TransferDamage` it is half filled."""
    reader = TransferReader()
    for piece in pieces:
        for pairs in reader.feed(piece):
            engine.write(pairs)
    return _completed(reader)


def _completed(reader: TransferReader) -> TransferTotal:
    if reader.total is None:
        raise TransferDamage("the stream stopped before its end")
    return reader.total


def _slices(source: Reader) -> Iterator[list[bytes]]:
    flat: list[bytes] = []
    size = 0
    for key, value in source.range(b"", None):
        flat += (key, value)
        size += len(key) + len(value)
        if size >= SLICE_BYTES:
            yield flat
            flat, size = [], 0
    if flat:
        yield flat


def _frame(kind: int, body: bytes, previous: int) -> tuple[bytes, int]:
    crc = crc32c(previous, bytes([kind]) + body)
    return _HEADER.pack(len(body), crc, kind) + body, crc


def _unpack(frame: bytes) -> Any:
    try:
        items = msgpack.unpackb(frame[_HEADER.size :])
    except ValueError as error:
        raise TransferDamage(f"a slice whose checksum holds cannot be read: {error}") from error
    if not isinstance(items, list):
        raise TransferDamage("a slice whose checksum holds is not a list")
    return items
