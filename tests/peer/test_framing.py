from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trioetcd.peer import framing
from trioetcd.peer.framing import DamagedFrame, decode_frame, encode_frame
from trioetcd.raft.types import ConfState, Entry, EntryType, Message, MessageType, Snapshot, SnapshotMetadata

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure

ids = st.integers(0, 2**64 - 1)
groups = st.lists(ids, max_size=3).map(tuple)
entries = st.builds(Entry, ids, ids, st.sampled_from(EntryType), st.binary(max_size=40))
snapshots = st.builds(
    Snapshot,
    st.builds(SnapshotMetadata, st.builds(ConfState, groups, groups, groups, groups, st.booleans()), ids, ids),
    st.binary(max_size=10),
)
messages = st.builds(
    Message,
    type=st.sampled_from([kind for kind in MessageType if kind not in framing.LOCAL_TYPES]),
    to=ids,
    from_=ids,
    term=ids,
    log_term=ids,
    index=ids,
    entries=st.lists(entries, max_size=3).map(tuple),
    commit=ids,
    vote=ids,
    snapshot=st.none() | snapshots,
    reject=st.booleans(),
    reject_hint=ids,
    context=st.binary(max_size=10),
    responses=st.just(()),
)


@relaxed
@given(st.lists(messages, max_size=4))
def test_what_was_encoded_is_decoded(batch: list[Message]) -> None:
    assert decode_frame(encode_frame(batch)) == batch


@relaxed
@given(st.lists(messages, min_size=1, max_size=2), st.data())
def test_a_damaged_frame_is_refused_or_still_well_formed(batch: list[Message], data: st.DataObject) -> None:
    frame = bytearray(encode_frame(batch))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode_frame(bytes(frame))
    except DamagedFrame:
        return
    assert encode_frame(decoded)


@relaxed
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_name_or_read(data: bytes) -> None:
    with contextlib.suppress(DamagedFrame):
        decode_frame(data)


def test_truncated_and_prolonged_frames_are_refused() -> None:
    frame = encode_frame([Message(MessageType.APP, 1, 2, entries=(Entry(1, 1, data=b"x" * 50),))])
    for end in range(len(frame)):
        with pytest.raises(DamagedFrame):
            decode_frame(frame[:end])
    with pytest.raises(DamagedFrame):
        decode_frame(frame + b"\x00")


def fields(**changes: object) -> tuple[object, ...]:
    values: dict[str, object] = dict.fromkeys(
        ("type", "to", "from_", "term", "log_term", "index", "commit", "vote", "reject", "hint", "context"), 0
    )
    values |= {"type": 3, "reject": False, "context": b"", "entries": (), "snapshot": None}
    return tuple((values | changes).values())


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (msgpack.packb((2, ())), "version 2"),
        (msgpack.packb((True, ())), None),
        (msgpack.packb((1, (), 3)), "array of 2 fields"),
        (msgpack.packb([1, {}]), "tuple was expected"),
        (msgpack.packb((1, {"a": 1})), "msgpack"),
        (msgpack.packb((1, (fields()[:-1],))), "13 fields"),
        (msgpack.packb((1, (fields(term=-1),))), "2\\^64-1"),
        (msgpack.packb((1, (fields(term=1.5),))), "2\\^64-1"),
        (msgpack.packb((1, (fields(term=True),))), "2\\^64-1"),
        (msgpack.packb((1, (fields(reject=1),))), "bool was expected"),
        (msgpack.packb((1, (fields(context="text"),))), "msgpack"),
        (msgpack.packb((1, (fields(type=int(MessageType.HUP)),))), "type of message"),
        (msgpack.packb((1, (fields(type=99),))), "type of message"),
        (msgpack.packb((1, (fields(entries=((1, 1, 9, b""),)),))), "type of entry"),
        (msgpack.packb((1, (fields(entries=((1, 1, 0, None),)),))), "data of an entry"),
        (msgpack.packb((1, (fields(snapshot=((), b"")),))), "metadata"),
        (b"\xdd\xff\xff\xff\xff", "msgpack"),
        (b"\x92\x01" + b"\xdd\x00\x00\x00\x05" * 2000, "msgpack"),
    ],
)
def test_refusals_name_what_was_wrong(frame: bytes, reason: str | None) -> None:
    if reason is None:
        assert decode_frame(frame) == []  # `True == 1`: harmless in a version
        return
    with pytest.raises(DamagedFrame, match=reason):
        decode_frame(frame)


def test_a_frame_over_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "FRAME_BYTES_MAX", 10)
    with pytest.raises(DamagedFrame, match="larger than the 10 bytes"):
        decode_frame(encode_frame([Message(MessageType.APP, entries=(Entry(1, 1, data=b"x" * 50),))]))


@relaxed
@given(messages)
def test_the_estimated_size_is_near_the_real_one(message: Message) -> None:
    real = len(encode_frame([message]))
    assert framing.message_size(message) >= real / 3
