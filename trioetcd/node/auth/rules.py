"""THE TABLE: what each RPC asks of its caller while auth is on. What has no row is refused, always.

What a request of keys, leases, users or roles needs stands in `storage.auth.access`, with one row for each kind of
request, because apply asks there too. Here stands who asks there, and when.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Rule(Enum):
    """When a call is decided. The permissions meant are those of `storage.auth.access`."""

    OPEN = "anybody may"
    USER = "any user may; decided before the service sees the call"
    ROOT = "users with the root role may; decided before the service sees the call"
    ROOT_IN_RAW = "as ROOT, but what refuses is told in words that etcd forgot to translate"
    BEFORE = "the request's permissions, before the service sees the call"
    READ = "the request's permissions, by the service before it reads and again before the answer leaves"
    APPLY = "the request's permissions, where all members decide alike: when it is applied"
    WITHIN = "the permissions of the reads, writes and watches that the service is made of"


# etcd 3.5.1 asks nothing of many of these; the rules are those of the releases that closed the holes (CVE-2026-33413).
RULES: Final[dict[str, Rule]] = {
    "/etcdserverpb.KV/Range": Rule.READ,
    "/etcdserverpb.KV/Put": Rule.APPLY,
    "/etcdserverpb.KV/DeleteRange": Rule.APPLY,
    "/etcdserverpb.KV/Txn": Rule.APPLY,  # one that only reads is checked by the service, as Range is
    "/etcdserverpb.KV/Compact": Rule.APPLY,
    "/etcdserverpb.Watch/Watch": Rule.WITHIN,  # each watcher of a stream by itself
    "/etcdserverpb.Lease/LeaseGrant": Rule.BEFORE,
    "/etcdserverpb.Lease/LeaseRevoke": Rule.APPLY,
    "/etcdserverpb.Lease/LeaseKeepAlive": Rule.BEFORE,
    "/etcdserverpb.Lease/LeaseTimeToLive": Rule.BEFORE,  # and the keys of the answer, which are the leader's
    "/etcdserverpb.Lease/LeaseLeases": Rule.READ,
    "/etcdserverpb.Cluster/MemberAdd": Rule.ROOT,
    "/etcdserverpb.Cluster/MemberRemove": Rule.ROOT,
    "/etcdserverpb.Cluster/MemberUpdate": Rule.ROOT,
    "/etcdserverpb.Cluster/MemberList": Rule.USER,
    "/etcdserverpb.Cluster/MemberPromote": Rule.ROOT,
    "/etcdserverpb.Maintenance/Alarm": Rule.BEFORE,
    "/etcdserverpb.Maintenance/Status": Rule.USER,
    "/etcdserverpb.Maintenance/Defragment": Rule.ROOT_IN_RAW,
    "/etcdserverpb.Maintenance/Hash": Rule.ROOT_IN_RAW,
    "/etcdserverpb.Maintenance/HashKV": Rule.ROOT_IN_RAW,
    "/etcdserverpb.Maintenance/Snapshot": Rule.ROOT_IN_RAW,
    "/etcdserverpb.Maintenance/MoveLeader": Rule.ROOT,
    "/etcdserverpb.Maintenance/Downgrade": Rule.ROOT,
    "/etcdserverpb.Auth/AuthEnable": Rule.APPLY,
    "/etcdserverpb.Auth/AuthDisable": Rule.APPLY,
    "/etcdserverpb.Auth/AuthStatus": Rule.READ,
    "/etcdserverpb.Auth/Authenticate": Rule.OPEN,
    "/etcdserverpb.Auth/UserAdd": Rule.APPLY,
    "/etcdserverpb.Auth/UserGet": Rule.READ,
    "/etcdserverpb.Auth/UserList": Rule.READ,
    "/etcdserverpb.Auth/UserDelete": Rule.APPLY,
    "/etcdserverpb.Auth/UserChangePassword": Rule.APPLY,
    "/etcdserverpb.Auth/UserGrantRole": Rule.APPLY,
    "/etcdserverpb.Auth/UserRevokeRole": Rule.APPLY,
    "/etcdserverpb.Auth/RoleAdd": Rule.APPLY,
    "/etcdserverpb.Auth/RoleGet": Rule.READ,
    "/etcdserverpb.Auth/RoleList": Rule.READ,
    "/etcdserverpb.Auth/RoleDelete": Rule.APPLY,
    "/etcdserverpb.Auth/RoleGrantPermission": Rule.APPLY,
    "/etcdserverpb.Auth/RoleRevokePermission": Rule.APPLY,
    "/v3lockpb.Lock/Lock": Rule.WITHIN,
    "/v3lockpb.Lock/Unlock": Rule.WITHIN,
    "/v3electionpb.Election/Campaign": Rule.WITHIN,
    "/v3electionpb.Election/Proclaim": Rule.WITHIN,
    "/v3electionpb.Election/Leader": Rule.WITHIN,
    "/v3electionpb.Election/Observe": Rule.WITHIN,
    "/v3electionpb.Election/Resign": Rule.WITHIN,
}
