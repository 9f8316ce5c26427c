"""What ranges read is kept as long as it is asked for, within a bound, and is never out of date."""

from __future__ import annotations

from trioetcd.storage.mvcc.recent import RecentRecords


def test_what_was_kept_is_there() -> None:
    recent = RecentRecords()
    assert recent.get(1) is None
    recent.keep(1, b"one")
    assert recent.get(1) == b"one"


def test_what_nobody_asks_for_goes_and_what_is_asked_for_stays() -> None:
    recent = RecentRecords(bytes_max=20_000)
    recent.keep(1, b"asked for")
    recent.keep(2, b"not asked for")
    for rev in range(3, 1_000):
        recent.keep(rev, b"x" * 100)
        assert recent.get(1) == b"asked for"
    assert recent.get(2) is None


def test_it_stays_within_its_bound() -> None:
    recent = RecentRecords(bytes_max=20_000)
    for rev in range(1_000):
        recent.keep(rev, b"x" * 100)
    newest = next(rev for rev in range(1_000) if recent.get(rev) is not None)
    assert 920 <= newest < 970  # 80 of them, with what a record takes beside its bytes, are 20,000 bytes


def test_one_record_beyond_the_bound_is_kept_alone() -> None:
    recent = RecentRecords(bytes_max=1_000)
    recent.keep(1, b"x" * 10_000)
    assert recent.get(1) == b"x" * 10_000
    recent.keep(2, b"y" * 10_000)
    assert (recent.get(1), recent.get(2)) == (None, b"y" * 10_000)
