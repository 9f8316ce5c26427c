"""Serving: flags and environment to configuration, logger and checks; then the member until a signal."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final, Protocol

import click
import trio

from trioetcd import __version__
from trioetcd.cli.garbage import settle
from trioetcd.cli.signals import stop_on_signals
from trioetcd.config import ConfigError, MemberConfig, StartRefused
from trioetcd.config.build import member_config
from trioetcd.config.sources import Settings, gather
from trioetcd.config.version import SERVER_VERSION
from trioetcd.log import Logger, make_logger, open_sink
from trioetcd.node.upkeep.file_descriptors import RESERVED_FOR_MEMBER, client_connections_max, descriptor_limit

UMASK: Final = 0o077
"""Everything a member writes is its owner's alone; LevelDB, left to itself, makes files that anyone may read."""

_START_ERRNOS: Final = frozenset(
    {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR}
)


class Run(Protocol):
    """How a member is run: calls `started()` when it serves, returns when `stop` is set and everything is closed."""

    def __call__(
        self, config: MemberConfig, *, log: Logger, stop: trio.Event, task_status: trio.TaskStatus[object]
    ) -> Awaitable[None]:
        """Run the member."""
        ...


def serve_production(flags: Mapping[str, str]) -> int:
    """Run a member in its production surroundings to its end; return the exit code."""
    return serve_member(flags, os.environ, run=_run_production_member)


def serve_member(flags: Mapping[str, str], environment: Mapping[str, str], *, run: Run) -> int:
    """Run a member to its end and return the exit code; what is wrong with its start is one line on stderr."""
    try:
        settings = gather(flags, environment)
        config = member_config(settings)
        _require_descriptors(descriptor_limit())
        os.umask(UMASK)
        log = make_logger(config.log, sink=open_sink(config.log.outputs))
    except ConfigError as error:
        return _refuse(str(error))
    _log_start(log, config, settings)
    return _run_until_stopped(config, log, run)


def _run_until_stopped(config: MemberConfig, log: Logger, run: Run) -> int:
    progress = _Progress()
    try:
        trio.run(_run_with_signals, config, log, run, progress)
    except BaseException as error:
        reasons = [_start_failure(leaf, progress) for leaf in _leaves(error)]
        if not reasons or None in reasons:
            log.critical("the member failed", exc_info=error)
            raise
        return _refuse("; ".join(filter(None, dict.fromkeys(reasons))))
    log.info("stopped", name=config.name)
    return 0


async def _run_with_signals(config: MemberConfig, log: Logger, run: Run, progress: _Progress) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_signals_task(stop.set, log))
        await run(config, log=log, stop=stop, task_status=progress)
        nursery.cancel_scope.cancel()


def _signals_task(stop: Callable[[], None], log: Logger) -> Callable[..., Awaitable[None]]:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await stop_on_signals(stop, log=log, task_status=task_status)

    return run


async def _run_production_member(
    config: MemberConfig, *, log: Logger, stop: trio.Event, task_status: trio.TaskStatus[object]
) -> None:
    """The member as it runs in production: real disk, network, clock and randomness."""
    # Imported here, so that a configuration that is refused does not wait for the whole tree to load.
    from trioetcd.cli.production import production_environment  # noqa: PLC0415 # see above
    from trioetcd.nursery_server import run_member  # noqa: PLC0415 # see above

    environment = production_environment(config, log=log)
    await run_member(config, environment=environment, stop=stop, task_status=task_status)


class _Progress:
    """A task status that notes that the member came up: what fails before that is a failed start."""

    def __init__(self) -> None:
        self.is_up = False

    def started(self, value: object = None) -> None:  # noqa: ARG002 # trio's signature
        self.is_up = True
        settle()


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group, however deep: a failure crosses several nurseries on its way here."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _start_failure(error: BaseException, progress: _Progress) -> str | None:
    """The line that tells of an expected failure of the start; None for anything else, which keeps its traceback."""
    if isinstance(error, ConfigError | StartRefused):
        return str(error)
    if isinstance(error, OSError) and error.errno in _START_ERRNOS and not progress.is_up:
        return f"cannot start: {error}"
    return None


def _require_descriptors(limit: int) -> None:
    if client_connections_max(limit) < 1:
        raise ConfigError(
            f"the limit of open files is {limit}, of which a member keeps {RESERVED_FOR_MEMBER} for itself; "
            "raise it (ulimit -n 4096) to start"
        )


def _log_start(log: Logger, config: MemberConfig, settings: Settings) -> None:
    for warning in settings.warnings:
        log.warning(warning)
    log.info(
        "starting an etcd-compatible member",
        trioetcd_version=__version__,
        etcd_version=SERVER_VERSION,
        python_version=sys.version.split()[0],
        name=config.name,
        data_dir=str(config.data_dir),
        flags=settings.given(),
    )


def _refuse(reason: str) -> int:
    click.echo(f"trioetcd: {reason}", err=True)
    return 1
