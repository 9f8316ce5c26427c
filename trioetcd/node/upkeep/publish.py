"""After its start a member tells the cluster, through the log, its name and where clients reach it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from trioetcd.api.errors import ApiError
from trioetcd.log import Logger
from trioetcd.node.proposals import Proposals
from trioetcd.storage.internal_ops import MemberAttributes
from trioetcd.storage.requests import RaftRequest

RETRY_SECONDS: Final = 0.5


async def publish(
    *,
    proposals: Proposals,
    member_id: int,
    name: str,
    client_urls: Sequence[str],
    log: Logger,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Publish until it is done; then return. Cancelling leaves it to the next start."""
    task_status.started()
    request = RaftRequest(MemberAttributes(member_id=member_id, name=name, client_urls=list(client_urls)))
    while True:
        try:
            await proposals.submit(request)
        except ApiError as error:
            log.warning("failed to publish local member to cluster", error=error.message)
            await trio.sleep(RETRY_SECONDS)
        else:
            log.info("published local member to cluster", member_id=f"{member_id:x}", name=name)
            return
