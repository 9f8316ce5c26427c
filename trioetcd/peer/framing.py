"""What travels between members, as bytes.

A frame is one msgpack array; a WebSocket message or a pipeline's body is one frame:

    frame    [version = 1, [message, ...]]                    no message at all: the link's heartbeat
    message  [type, to, from, term, log_term, index, commit, vote, reject, reject_hint, context, entries, snapshot]
    entries  [[term, index, type, data], ...]
    snapshot nil, or [[[voters, learners, voters_outgoing, learners_next, auto_leave], index, term], data]

Fields are positional, so that nothing but values is on the wire, and named tuples are packed as they are. Decoding
is strict: another version, a field too many or of another type, a number outside 0..2^64-1, a message that a member
only ever sends to itself, or a byte left over make the whole frame `DamagedFrame`. It allocates in proportion to
what arrived: no array may claim more members than the frame has bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import msgpack

from trioetcd.raft.types import ConfState, Entry, EntryType, Message, MessageType, Snapshot, SnapshotMetadata

FRAME_VERSION: Final = 1

FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
"""No frame is larger, on either side. A message is about 1 MiB of entries, or one entry of `--max-request-bytes`."""

FRAME_BYTES_TARGET: Final = 1024 * 1024
"""Messages are gathered into a frame until it is about this large."""

ARRAY_LENGTH_MAX: Final = 262_144
"""Far above the entries in a message of 1 MiB; keeps what a small hostile frame can make us allocate small."""

_UINT64_MAX: Final = 2**64 - 1
_MESSAGE_OVERHEAD_BYTES: Final = 64
_ENTRY_OVERHEAD_BYTES: Final = 24

LOCAL_TYPES: Final = frozenset(
    {
        MessageType.HUP,
        MessageType.BEAT,
        MessageType.UNREACHABLE,
        MessageType.SNAP_STATUS,
        MessageType.CHECK_QUORUM,
        MessageType.STORAGE_APPEND,
        MessageType.STORAGE_APPEND_RESP,
        MessageType.STORAGE_APPLY,
        MessageType.STORAGE_APPLY_RESP,
        MessageType.FORGET_LEADER,
    }
)
"""What a core is told by its own member only; from another member it would be an attack or a fault."""

_WIRE_TYPES: Final = {int(kind): kind for kind in MessageType if kind not in LOCAL_TYPES}
_ENTRY_TYPES: Final = {int(kind): kind for kind in EntryType}

_T = TypeVar("_T")


class DamagedFrame(Exception):
    """What arrived is not a frame of this version. Nothing of it may be used."""


def message_size(message: Message) -> int:
    """About how many bytes a message takes in a frame; never less than half of it."""
    size = _MESSAGE_OVERHEAD_BYTES + len(message.context)
    for entry in message.entries:
        size += len(entry.data) + _ENTRY_OVERHEAD_BYTES
    if message.snapshot is not None:
        size += len(message.snapshot.data) + _MESSAGE_OVERHEAD_BYTES
    return size


def encode_frame(messages: Sequence[Message]) -> bytes:
    """One frame of these messages, in their order. `responses`, which are local, do not travel."""
    frame: bytes = msgpack.packb((FRAME_VERSION, [_fields_of(message) for message in messages]))
    return frame


HEARTBEAT_FRAME: Final = encode_frame(())


def decode_frame(data: bytes) -> list[Message]:
    """The messages of one frame; raises `DamagedFrame`, saying what was expected and what came."""
    if len(data) > FRAME_BYTES_MAX:
        raise DamagedFrame(f"a frame of {len(data)} bytes is larger than the {FRAME_BYTES_MAX} bytes that are allowed")
    try:
        frame = msgpack.unpackb(
            data,
            use_list=False,
            max_array_len=min(len(data), ARRAY_LENGTH_MAX),
            max_map_len=0,
            max_str_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise DamagedFrame(f"a frame of {len(data)} bytes is not msgpack of the expected kind: {error}") from error
    version, messages = _array(frame, 2, "frame")
    if version != FRAME_VERSION:
        raise DamagedFrame(f"a frame of version {version!r} came; this member reads version {FRAME_VERSION} only")
    return [_message(fields) for fields in _typed(messages, tuple, "messages")]


def _fields_of(message: Message) -> tuple[object, ...]:
    return (
        message.type,
        message.to,
        message.from_,
        message.term,
        message.log_term,
        message.index,
        message.commit,
        message.vote,
        message.reject,
        message.reject_hint,
        message.context,
        message.entries,
        message.snapshot,
    )


def _message(fields: object) -> Message:
    (kind, to, from_, term, log_term, index, commit, vote, reject, reject_hint, context, entries, snapshot) = _array(
        fields, 13, "message"
    )
    # Positional, and the type found by a table: this runs once a message of the append stream.
    return Message(
        _one_of(_WIRE_TYPES, kind, "type of message"),
        _uint(to),
        _uint(from_),
        _uint(term),
        _uint(log_term),
        _uint(index),
        tuple([_entry(entry) for entry in _typed(entries, tuple, "entries")]),
        _uint(commit),
        _uint(vote),
        None if snapshot is None else _snapshot(snapshot),
        _typed(reject, bool, "reject"),
        _uint(reject_hint),
        _typed(context, bytes, "context"),
    )


def _entry(fields: object) -> Entry:
    term, index, kind, data = _array(fields, 4, "entry")
    return Entry(
        _uint(term), _uint(index), _one_of(_ENTRY_TYPES, kind, "type of entry"), _typed(data, bytes, "data of an entry")
    )


def _snapshot(fields: object) -> Snapshot:
    metadata, data = _array(fields, 2, "snapshot")
    conf_state, index, term = _array(metadata, 3, "metadata of a snapshot")
    *groups, auto_leave = _array(conf_state, 5, "configuration")
    voters, learners, outgoing, learners_next = (_ids(group) for group in groups)
    configuration = ConfState(voters, learners, outgoing, learners_next, _typed(auto_leave, bool, "auto_leave"))
    position = SnapshotMetadata(configuration, _uint(index), _uint(term))
    return Snapshot(position, _typed(data, bytes, "data of a snapshot"))


def _ids(group: object) -> tuple[int, ...]:
    return tuple(_uint(member) for member in _typed(group, tuple, "members"))


def _uint(value: object) -> int:
    # bool is an int to Python, but not on the wire.
    if type(value) is not int or not 0 <= value <= _UINT64_MAX:
        raise DamagedFrame(f"a number from 0 to 2^64-1 was expected, {value!r:.100} came")
    return value


def _typed(value: object, kind: type[_T], what: str) -> _T:
    if type(value) is not kind:
        raise DamagedFrame(f"{what}: {kind.__name__} was expected, {type(value).__name__} came")
    return value


def _array(value: object, length: int, what: str) -> tuple[object, ...]:
    if type(value) is not tuple or len(value) != length:
        raise DamagedFrame(f"{what}: an array of {length} fields was expected, {value!r:.100} came")
    return value


def _one_of(table: dict[int, _T], value: object, what: str) -> _T:
    if type(value) is not int or value not in table:
        raise DamagedFrame(f"{what}: one of {sorted(table)} was expected, {value!r:.100} came")
    return table[value]
