"""Before a leader stops it hands leadership over, so that the cluster does not wait for an election timeout."""

from __future__ import annotations

import trio

from trioetcd.log import Logger
from trioetcd.node.driver import RaftDriver
from trioetcd.node.leadership import Leadership
from trioetcd.node.protocols import Transport
from trioetcd.raft import RawNode


async def hand_over_leadership(
    *,
    raw_node: RawNode,
    driver: RaftDriver,
    leadership: Leadership,
    transport: Transport,
    timeout_seconds: float,
    log: Logger,
) -> None:
    """Transfer leadership to the connected voter that has the most of the log, and wait until another leads.

    Returns at once when this member does not lead or nobody is there; gives up after `timeout_seconds`.
    """
    if not leadership.is_leader:
        return
    connected = {peer.id for peer in transport.status().peers if peer.active}
    status = raw_node.status()
    candidates = [(status.progress[one].match, one) for one in status.config.voters if one in connected]
    if not candidates:
        return
    _, target = max(candidates)
    log.info("handing leadership over", to=f"{target:x}")
    with trio.move_on_after(timeout_seconds):
        await _wait_taken_over(driver, leadership, target)
        log.info("handed leadership over", to=f"{leadership.lead:x}")
        return
    log.warning("leadership was not taken over in time", to=f"{target:x}", timeout_seconds=timeout_seconds)


async def _wait_taken_over(driver: RaftDriver, leadership: Leadership, target: int) -> None:
    """Ask for the transfer whenever this member leads, until another one does."""
    while True:
        changed = leadership.changed
        if leadership.is_leader:
            driver.transfer_leadership(target)
        elif leadership.has_leader:
            return
        await changed.wait()
