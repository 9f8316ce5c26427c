"""An engine arrives as it was sent, or not at all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioetcd.storage.engine import LevelEngine, MemoryEngine
from trioetcd.storage.engine_transfer import EngineReceiver, TransferDamage, read_engine, write_engine


def filled(pairs: int, *, size: int = 100, seed: int = 1) -> MemoryEngine:
    rng = random.Random(seed)
    engine = MemoryEngine()
    engine.write([(rng.randbytes(6), rng.randbytes(size)) for _ in range(pairs)])
    return engine


def test_a_leveldb_is_rebuilt_pair_by_pair(tmp_path: Path) -> None:
    source = LevelEngine.open(tmp_path / "source", create=True)
    source.write(list(filled(3000).range(b"", None)))
    receiver = EngineReceiver(path=tmp_path / "copy")
    with source.view() as view:
        source.write([(b"later", b"1")])
        pieces = list(write_engine(view))
        wanted = list(view.range(b"", None))
    assert len(pieces) > 4
    stream = b"".join(pieces)
    for start in range(0, len(stream), 10_001):
        receiver.feed(stream[start : start + 10_001])
    total = receiver.finish()
    assert (total.pairs, total.size_bytes) == (3000, 3000 * 106)
    copy = LevelEngine.open(tmp_path / "copy", create=False)
    assert list(copy.range(b"", None)) == wanted
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "copy").iterdir())
    copy.close()
    source.close()
    with pytest.raises(FileExistsError, match="remove it"):
        EngineReceiver(path=tmp_path / "copy")


@given(pairs=st.dictionaries(st.binary(max_size=4), st.binary(max_size=100)), piece=st.integers(1, 300))
@settings(deadline=None)
def test_any_content_in_pieces_of_any_size(pairs: dict[bytes, bytes], piece: int) -> None:
    source, copy = MemoryEngine(), MemoryEngine()
    source.write(list(pairs.items()))
    stream = b"".join(write_engine(source))
    total = read_engine((stream[n : n + piece] for n in range(0, len(stream), piece)), copy)
    assert total.pairs == len(pairs)
    assert list(copy.range(b"", None)) == sorted(pairs.items())


def test_a_value_larger_than_a_slice_is_a_slice_of_its_own() -> None:
    source, copy = MemoryEngine(), MemoryEngine()
    source.write([(b"a", bytes(200_000)), (b"b", b"")])
    read_engine(write_engine(source), copy)
    assert list(copy.range(b"", None)) == list(source.range(b"", None))


def test_every_flipped_byte_is_noticed() -> None:
    stream = bytearray(b"".join(write_engine(filled(10, size=10))))
    for offset in range(len(stream)):
        stream[offset] ^= 0x01
        with pytest.raises(TransferDamage):
            read_engine([bytes(stream)], MemoryEngine())
        stream[offset] ^= 0x01


def test_every_shorter_stream_is_noticed() -> None:
    stream = b"".join(write_engine(filled(10, size=10)))
    for size in range(len(stream)):
        with pytest.raises(TransferDamage, match="stopped before its end"):
            read_engine([stream[:size]], MemoryEngine())
    with pytest.raises(TransferDamage, match="behind the end"):
        read_engine([stream + b"x"], MemoryEngine())
    with pytest.raises(TransferDamage, match="behind the end"):
        read_engine([stream, b"x"], MemoryEngine())


def test_a_slice_lost_or_sent_twice_is_noticed() -> None:
    pieces = list(write_engine(filled(3000)))
    for wrong in (pieces[:2] + pieces[3:], pieces[:3] + pieces[2:], [*pieces[:1], pieces[2], pieces[1], *pieces[3:]]):
        with pytest.raises(TransferDamage, match="checksum"):
            read_engine(wrong, MemoryEngine())


def test_a_huge_length_is_refused_before_it_is_waited_for() -> None:
    stream = b"".join(write_engine(filled(1)))
    with pytest.raises(TransferDamage, match="is announced"):
        read_engine([stream[:8] + b"\xff\xff\xff\xff" + stream[12:17]], MemoryEngine())


def test_an_aborted_receiver_leaves_nothing(tmp_path: Path) -> None:
    receiver = EngineReceiver(path=tmp_path / "copy")
    pieces = list(write_engine(filled(2000)))
    receiver.feed(pieces[0] + pieces[1])
    with pytest.raises(TransferDamage, match="stopped before its end"):
        receiver.finish()
    receiver.abort()
    assert not (tmp_path / "copy").exists()
