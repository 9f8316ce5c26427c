"""The version of the cluster: the lowest of its members', of whatever form those come in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trioetcd.config.version import MIN_CLUSTER_VERSION
from trioetcd.log import null_logger
from trioetcd.node.upkeep.versions import VersionMonitor

OWN = 1


class Asked:
    """Proposals that only take notes."""

    def __init__(self) -> None:
        self.versions: list[str] = []

    async def submit(self, request: Any) -> None:
        self.versions.append(request.op.version)


def monitor(asked: Asked, current: str | None, *others: str | None) -> VersionMonitor:
    members = [SimpleNamespace(id=number) for number in range(OWN, OWN + 1 + len(others))]
    peers = [SimpleNamespace(id=number, version=version) for number, version in enumerate(others, OWN + 1)]
    machine = SimpleNamespace(members=SimpleNamespace(cluster_version=current, members=lambda: members))
    return VersionMonitor(
        machine=machine,  # type: ignore[arg-type] # what the monitor looks at
        transport=SimpleNamespace(status=lambda: SimpleNamespace(peers=peers)),  # type: ignore[arg-type]
        leadership=SimpleNamespace(member_id=OWN),  # type: ignore[arg-type]
        proposals=asked,  # type: ignore[arg-type]
        log=null_logger(),
    )


@pytest.mark.parametrize(
    ("current", "others", "decided"),
    [
        (None, ("3.5.1", "3.4.20"), "3.4.0"),
        ("3.4.0", ("3.5.1", "3.5.33"), "3.5.0"),
        ("3.5.0", ("3.4.1", "3.5.1"), None),
        (None, ("3.5.1", None), MIN_CLUSTER_VERSION),
        ("3.4.0", ("3.5.1", None), None),
        (None, ("3.5.0-rc.1", "3.6.0-alpha.0"), "3.5.0"),
        ("3.4.0", ("3.5.x", "3.6"), None),
        (None, ("\xff", "3.5.1"), MIN_CLUSTER_VERSION),
    ],
)
async def test_the_version_that_is_decided(
    current: str | None, others: tuple[str | None, ...], decided: str | None
) -> None:
    asked = Asked()
    await monitor(asked, current, *others)._raise_version()
    assert asked.versions == ([] if decided is None else [decided])
