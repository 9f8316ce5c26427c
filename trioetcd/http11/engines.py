"""The two engines by their names."""

from __future__ import annotations

from trioetcd.http11.parser import Engine, RequestParser
from trioetcd.http11.second_look import SecondLook


def make_parser(engine: Engine, *, head_bytes_max: int) -> RequestParser:
    """The parser of an engine, which is imported only when it is used, with Go's judgement on what it refuses."""
    return SecondLook(_make_engine(engine, head_bytes_max=head_bytes_max), head_bytes_max=head_bytes_max)


def _make_engine(engine: Engine, *, head_bytes_max: int) -> RequestParser:
    if engine == "httptools":
        from trioetcd.http11.httptools_engine import HttptoolsParser  # noqa: PLC0415 # the other engine stays unloaded

        return HttptoolsParser(head_bytes_max=head_bytes_max)
    from trioetcd.http11.h11_engine import H11Parser  # noqa: PLC0415 # the other engine stays unloaded

    return H11Parser(head_bytes_max=head_bytes_max)
