"""The member as its front ends and its metrics see it: values of now, read from the parts when they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from trioetcd.api import messages as m
from trioetcd.api.services import Rpc
from trioetcd.config.version import SERVER_VERSION, VersionInfo
from trioetcd.metrics import Metrics, RpcCalls
from trioetcd.node import task_tree
from trioetcd.node.measures import MemberMeasures
from trioetcd.node.parts import Parts
from trioetcd.node.services import Services
from trioetcd.node.upkeep.file_descriptors import descriptor_limit
from trioetcd.raft import StateType


class MemberView:
    """A `FrontendMember`: everything that is answered without a service of the API.

    `parts` is the running member itself, for tests and tools that look into it.
    """

    def __init__(self, *, parts: Parts, services: Services, metrics: Metrics, measures: MemberMeasures) -> None:
        self.parts = parts
        self._measures = measures
        self._metrics = metrics
        self.services = services

    def version(self) -> VersionInfo:
        """Versions of this program and of the cluster."""
        agreed = self.parts.machine.members.cluster_version
        return VersionInfo(etcdserver=SERVER_VERSION, etcdcluster=agreed or "not_decided")

    def active_alarms(self) -> Sequence[str]:
        """The names of the alarms that stand anywhere in the cluster."""
        return sorted({m.AlarmType(one.alarm).name for one in self.parts.machine.alarms.get()})

    def has_leader(self) -> bool:
        """Whether this member knows a leader."""
        return self.parts.leadership.has_leader

    def is_learner(self) -> bool:
        """Whether this member does not vote."""
        return self.parts.membership.is_learner

    async def probe_read(self, *, serializable: bool) -> None:
        """Read one key as a client would, permissions apart; raises `ApiError` when that fails."""
        await self.services.kv.probe(serializable=serializable)

    def count_health(self, *, ok: bool) -> None:
        """Count one answer of `/health`."""
        self._measures.count_health(ok=ok)

    def metrics_text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return self._metrics.text()

    def rpc_calls(self, rpc: Rpc) -> RpcCalls:
        """Where the calls of an RPC are counted."""
        return self._metrics.rpcs.of(rpc)

    def debug_vars(self) -> Mapping[str, object]:
        """What `/debug/vars` shows, under etcd's names; of Go's memory (`memstats`) there is none."""
        status = self.parts.raw_node.status()
        return {
            "cmdline": sys.orig_argv,
            "file_descriptor_limit": descriptor_limit(),
            "raft.status": {
                "id": f"{status.id:x}",
                "term": status.hard_state.term,
                "vote": f"{status.hard_state.vote:x}",
                "commit": status.hard_state.commit,
                "lead": f"{status.soft_state.lead:x}",
                "raftState": _STATE_NAMES[status.soft_state.state],
                "applied": self.parts.applier.applied_index,
                "progress": {
                    f"{member:x}": {
                        "match": one.match,
                        "next": one.next,
                        "state": f"State{one.state.name.capitalize()}",
                    }
                    for member, one in status.progress.items()
                },
                "leadtransferee": f"{status.lead_transferee:x}",
            },
        }

    def debug_tasks(self, *, as_json: bool) -> bytes:
        """The live tree of tasks."""
        return task_tree.render(as_json=as_json)


_STATE_NAMES = {
    StateType.FOLLOWER: "StateFollower",
    StateType.CANDIDATE: "StateCandidate",
    StateType.LEADER: "StateLeader",
    StateType.PRE_CANDIDATE: "StatePreCandidate",
}
