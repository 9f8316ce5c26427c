from __future__ import annotations

from pathlib import Path

import pytest

from tests.raft.traces.__main__ import main
from tests.raft.traces.runner import check, compare, rewrite, transcripts
from tests.raft.traces.transcript import Case, parse, without_log

FOLDER = Path(__file__).parent / "transcripts"
PATHS = list(transcripts([FOLDER]))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_transcript(path: Path) -> None:
    failure = check(path)
    assert failure is None, str(failure)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_rewriting_a_transcript_that_holds_changes_nothing(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_text(path.read_text())
    rewrite(copy)
    assert copy.read_text() == path.read_text()


def test_log_lines_are_left_out_on_both_sides() -> None:
    case = Case(1, "campaign", (), "", "INFO 1 became leader\n> 1 handling Ready\n  DEBUG more")
    assert not compare(case, "> 1 handling Ready")
    assert compare(case, "> 2 handling Ready")
    assert without_log("INFO x") == without_log("ok") == "ok"


def test_double_fences_and_continued_lines_are_read_and_written() -> None:
    text = "# head\nvote cfg=(1,\\\n 2) \n----\n----\nfirst\n\nlast\n----\n----\n\nvote\nin\n----\nout\n\n# tail\n"
    transcript = parse(text)
    assert [case.expected for case in transcript.cases] == ["first\n\nlast", "out"]
    assert transcript.cases[0].arguments[0].values == ("1", "2")
    assert transcript.cases[1].input == "in"
    assert transcript.rewritten(["first\n\nlast", "out"]) == text


SPOILED = "vote cfg=(1) votes=(y)\n----\nVoteLost\n"


def test_runner_counts_and_tells_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.txt").write_text(SPOILED.replace("Lost", "Won"))
    (tmp_path / "spoiled.txt").write_text(SPOILED)
    (tmp_path / "cut.txt").write_text("vote\n")
    monkeypatch.setattr("sys.argv", ["traces", str(tmp_path)])
    assert main() == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "1 passed, 2 failed"
    assert "spoiled.txt:1: vote" in out
    assert "+VoteWon" in out
    monkeypatch.setattr("sys.argv", ["traces", str(tmp_path / "good.txt")])
    assert main() == 0


def test_rewrite_flag_writes_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "spoiled.txt"
    path.write_text(SPOILED)
    monkeypatch.setattr("sys.argv", ["traces", "--rewrite", str(path)])
    assert main() == 0
    assert path.read_text() == SPOILED.replace("Lost", "Won")
