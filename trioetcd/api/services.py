"""Every RPC of etcd's v3 API: its messages, its streaming, its gRPC and HTTP paths. Front ends walk these rows."""

from __future__ import annotations

from typing import Final, NamedTuple

from trioetcd.api import messages as m


class Rpc(NamedTuple):
    """One RPC. `http_paths` are the paths of the JSON gateway, the first one being the documented one."""

    service: str
    name: str
    request: type
    response: type
    http_paths: tuple[str, ...]
    client_streaming: bool = False
    server_streaming: bool = False

    @property
    def grpc_path(self) -> str:
        """The path of the call over gRPC."""
        return f"/{self.service}/{self.name}"


RPCS: Final[tuple[Rpc, ...]] = (
    Rpc("etcdserverpb.KV", "Range", m.RangeRequest, m.RangeResponse, ("/v3/kv/range",)),
    Rpc("etcdserverpb.KV", "Put", m.PutRequest, m.PutResponse, ("/v3/kv/put",)),
    Rpc("etcdserverpb.KV", "DeleteRange", m.DeleteRangeRequest, m.DeleteRangeResponse, ("/v3/kv/deleterange",)),
    Rpc("etcdserverpb.KV", "Txn", m.TxnRequest, m.TxnResponse, ("/v3/kv/txn",)),
    Rpc("etcdserverpb.KV", "Compact", m.CompactionRequest, m.CompactionResponse, ("/v3/kv/compaction",)),
    Rpc(
        "etcdserverpb.Watch",
        "Watch",
        m.WatchRequest,
        m.WatchResponse,
        ("/v3/watch",),
        client_streaming=True,
        server_streaming=True,
    ),
    Rpc("etcdserverpb.Lease", "LeaseGrant", m.LeaseGrantRequest, m.LeaseGrantResponse, ("/v3/lease/grant",)),
    Rpc(
        "etcdserverpb.Lease",
        "LeaseRevoke",
        m.LeaseRevokeRequest,
        m.LeaseRevokeResponse,
        ("/v3/lease/revoke", "/v3/kv/lease/revoke"),
    ),
    Rpc(
        "etcdserverpb.Lease",
        "LeaseKeepAlive",
        m.LeaseKeepAliveRequest,
        m.LeaseKeepAliveResponse,
        ("/v3/lease/keepalive",),
        client_streaming=True,
        server_streaming=True,
    ),
    Rpc(
        "etcdserverpb.Lease",
        "LeaseTimeToLive",
        m.LeaseTimeToLiveRequest,
        m.LeaseTimeToLiveResponse,
        ("/v3/lease/timetolive", "/v3/kv/lease/timetolive"),
    ),
    Rpc(
        "etcdserverpb.Lease",
        "LeaseLeases",
        m.LeaseLeasesRequest,
        m.LeaseLeasesResponse,
        ("/v3/lease/leases", "/v3/kv/lease/leases"),
    ),
    Rpc("etcdserverpb.Cluster", "MemberAdd", m.MemberAddRequest, m.MemberAddResponse, ("/v3/cluster/member/add",)),
    Rpc(
        "etcdserverpb.Cluster",
        "MemberRemove",
        m.MemberRemoveRequest,
        m.MemberRemoveResponse,
        ("/v3/cluster/member/remove",),
    ),
    Rpc(
        "etcdserverpb.Cluster",
        "MemberUpdate",
        m.MemberUpdateRequest,
        m.MemberUpdateResponse,
        ("/v3/cluster/member/update",),
    ),
    Rpc("etcdserverpb.Cluster", "MemberList", m.MemberListRequest, m.MemberListResponse, ("/v3/cluster/member/list",)),
    Rpc(
        "etcdserverpb.Cluster",
        "MemberPromote",
        m.MemberPromoteRequest,
        m.MemberPromoteResponse,
        ("/v3/cluster/member/promote",),
    ),
    Rpc("etcdserverpb.Maintenance", "Alarm", m.AlarmRequest, m.AlarmResponse, ("/v3/maintenance/alarm",)),
    Rpc("etcdserverpb.Maintenance", "Status", m.StatusRequest, m.StatusResponse, ("/v3/maintenance/status",)),
    Rpc(
        "etcdserverpb.Maintenance",
        "Defragment",
        m.DefragmentRequest,
        m.DefragmentResponse,
        ("/v3/maintenance/defragment",),
    ),
    Rpc("etcdserverpb.Maintenance", "Hash", m.HashRequest, m.HashResponse, ("/v3/maintenance/hash",)),
    Rpc("etcdserverpb.Maintenance", "HashKV", m.HashKVRequest, m.HashKVResponse, ("/v3/maintenance/hashkv",)),
    Rpc(
        "etcdserverpb.Maintenance",
        "Snapshot",
        m.SnapshotRequest,
        m.SnapshotResponse,
        ("/v3/maintenance/snapshot",),
        server_streaming=True,
    ),
    Rpc(
        "etcdserverpb.Maintenance",
        "MoveLeader",
        m.MoveLeaderRequest,
        m.MoveLeaderResponse,
        ("/v3/maintenance/transfer-leadership",),
    ),
    Rpc(
        "etcdserverpb.Maintenance", "Downgrade", m.DowngradeRequest, m.DowngradeResponse, ("/v3/maintenance/downgrade",)
    ),
    Rpc("etcdserverpb.Auth", "AuthEnable", m.AuthEnableRequest, m.AuthEnableResponse, ("/v3/auth/enable",)),
    Rpc("etcdserverpb.Auth", "AuthDisable", m.AuthDisableRequest, m.AuthDisableResponse, ("/v3/auth/disable",)),
    Rpc("etcdserverpb.Auth", "AuthStatus", m.AuthStatusRequest, m.AuthStatusResponse, ("/v3/auth/status",)),
    Rpc("etcdserverpb.Auth", "Authenticate", m.AuthenticateRequest, m.AuthenticateResponse, ("/v3/auth/authenticate",)),
    Rpc("etcdserverpb.Auth", "UserAdd", m.AuthUserAddRequest, m.AuthUserAddResponse, ("/v3/auth/user/add",)),
    Rpc("etcdserverpb.Auth", "UserGet", m.AuthUserGetRequest, m.AuthUserGetResponse, ("/v3/auth/user/get",)),
    Rpc("etcdserverpb.Auth", "UserList", m.AuthUserListRequest, m.AuthUserListResponse, ("/v3/auth/user/list",)),
    Rpc(
        "etcdserverpb.Auth", "UserDelete", m.AuthUserDeleteRequest, m.AuthUserDeleteResponse, ("/v3/auth/user/delete",)
    ),
    Rpc(
        "etcdserverpb.Auth",
        "UserChangePassword",
        m.AuthUserChangePasswordRequest,
        m.AuthUserChangePasswordResponse,
        ("/v3/auth/user/changepw",),
    ),
    Rpc(
        "etcdserverpb.Auth",
        "UserGrantRole",
        m.AuthUserGrantRoleRequest,
        m.AuthUserGrantRoleResponse,
        ("/v3/auth/user/grant",),
    ),
    Rpc(
        "etcdserverpb.Auth",
        "UserRevokeRole",
        m.AuthUserRevokeRoleRequest,
        m.AuthUserRevokeRoleResponse,
        ("/v3/auth/user/revoke",),
    ),
    Rpc("etcdserverpb.Auth", "RoleAdd", m.AuthRoleAddRequest, m.AuthRoleAddResponse, ("/v3/auth/role/add",)),
    Rpc("etcdserverpb.Auth", "RoleGet", m.AuthRoleGetRequest, m.AuthRoleGetResponse, ("/v3/auth/role/get",)),
    Rpc("etcdserverpb.Auth", "RoleList", m.AuthRoleListRequest, m.AuthRoleListResponse, ("/v3/auth/role/list",)),
    Rpc(
        "etcdserverpb.Auth", "RoleDelete", m.AuthRoleDeleteRequest, m.AuthRoleDeleteResponse, ("/v3/auth/role/delete",)
    ),
    Rpc(
        "etcdserverpb.Auth",
        "RoleGrantPermission",
        m.AuthRoleGrantPermissionRequest,
        m.AuthRoleGrantPermissionResponse,
        ("/v3/auth/role/grant",),
    ),
    Rpc(
        "etcdserverpb.Auth",
        "RoleRevokePermission",
        m.AuthRoleRevokePermissionRequest,
        m.AuthRoleRevokePermissionResponse,
        ("/v3/auth/role/revoke",),
    ),
    Rpc("v3lockpb.Lock", "Lock", m.LockRequest, m.LockResponse, ("/v3/lock/lock",)),
    Rpc("v3lockpb.Lock", "Unlock", m.UnlockRequest, m.UnlockResponse, ("/v3/lock/unlock",)),
    Rpc("v3electionpb.Election", "Campaign", m.CampaignRequest, m.CampaignResponse, ("/v3/election/campaign",)),
    Rpc("v3electionpb.Election", "Proclaim", m.ProclaimRequest, m.ProclaimResponse, ("/v3/election/proclaim",)),
    Rpc("v3electionpb.Election", "Leader", m.LeaderRequest, m.LeaderResponse, ("/v3/election/leader",)),
    Rpc(
        "v3electionpb.Election",
        "Observe",
        m.LeaderRequest,
        m.LeaderResponse,
        ("/v3/election/observe",),
        server_streaming=True,
    ),
    Rpc("v3electionpb.Election", "Resign", m.ResignRequest, m.ResignResponse, ("/v3/election/resign",)),
)
