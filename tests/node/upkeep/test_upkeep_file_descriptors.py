from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from trioetcd.config import LogConfig
from trioetcd.log import LogSink, make_logger, null_logger
from trioetcd.node.upkeep.file_descriptors import (
    DescriptorMonitor,
    DescriptorStatus,
    client_connections_max,
    descriptor_limit,
    read_descriptors,
)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_open_descriptors_are_counted(pipe: tuple[int, int]) -> None:
    before = read_descriptors()
    more = [os.dup(pipe[0]) for _ in range(5)]
    assert read_descriptors().used == before.used + 5
    for descriptor in more:
        os.close(descriptor)
    assert before.limit == descriptor_limit()


def test_short_is_80_percent() -> None:
    assert not DescriptorStatus(used=799, limit=1000).is_short
    assert DescriptorStatus(used=800, limit=1000).is_short


def test_clients_get_what_the_member_does_not_keep() -> None:
    assert client_connections_max(1024) == 874
    assert client_connections_max(150) < 1


async def test_a_warning_every_ten_minutes_while_short(autojump_clock: MockClock, pipe: tuple[int, int]) -> None:
    readings = iter([DescriptorStatus(1, 1000), DescriptorStatus(1, 1000), DescriptorStatus(900, 1000)])
    log = make_logger(LogConfig(), sink=LogSink(descriptors=[pipe[1]]))
    monitor = DescriptorMonitor(log=log, read=lambda: next(readings))
    async with trio.open_nursery() as nursery:
        await nursery.start(monitor.run)
        await trio.sleep(601)
        nursery.cancel_scope.cancel()
    assert monitor.status() == DescriptorStatus(900, 1000)
    (line,) = os.read(pipe[0], 4096).splitlines()
    event = json.loads(line)
    assert (event["level"], event["used"], event["limit"]) == ("warn", 900, 1000)


async def test_a_monitor_reads_this_process_by_default() -> None:
    assert DescriptorMonitor(log=null_logger()).status().used > 0
