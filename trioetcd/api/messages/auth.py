"""The Auth service: users, roles, permissions, tokens."""

from __future__ import annotations

from enum import IntEnum

from trioetcd.api.messages.common import ResponseHeader
from trioetcd.api.schema import boolean, bytes_, enum, enumeration, message, nested, string, uint64


@enum("authpb.Permission.Type")
class PermissionType(IntEnum):
    """What is permitted."""

    READ = 0
    WRITE = 1
    READWRITE = 2


@message("authpb.UserAddOptions")
class UserAddOptions:
    """How a user is added."""

    no_password: bool = boolean(1)


@message("authpb.User")
class User:
    """A user as it is stored."""

    name: bytes = bytes_(1)
    password: bytes = bytes_(2)
    roles: list[str] = string(3, repeated=True)
    options: UserAddOptions | None = nested(4, lambda: UserAddOptions)


@message("authpb.Permission")
class Permission:
    """What a role may do to a key or a range of keys."""

    permType: int = enumeration(1, PermissionType)
    key: bytes = bytes_(2)
    range_end: bytes = bytes_(3)


@message("authpb.Role")
class Role:
    """A role as it is stored."""

    name: bytes = bytes_(1)
    keyPermission: list[Permission] = nested(2, lambda: Permission, repeated=True)


@message("etcdserverpb.AuthEnableRequest")
class AuthEnableRequest:
    """What Auth.AuthEnable is asked."""


@message("etcdserverpb.AuthDisableRequest")
class AuthDisableRequest:
    """What Auth.AuthDisable is asked."""


@message("etcdserverpb.AuthStatusRequest")
class AuthStatusRequest:
    """What Auth.AuthStatus is asked."""


@message("etcdserverpb.AuthenticateRequest")
class AuthenticateRequest:
    """What Auth.Authenticate is asked."""

    name: str = string(1)
    password: str = string(2, secret=True)


@message("etcdserverpb.AuthUserAddRequest")
class AuthUserAddRequest:
    """What Auth.UserAdd is asked."""

    name: str = string(1)
    password: str = string(2, secret=True)
    options: UserAddOptions | None = nested(3, lambda: UserAddOptions)
    hashedPassword: str = string(4, secret=True)


@message("etcdserverpb.AuthUserGetRequest")
class AuthUserGetRequest:
    """What Auth.UserGet is asked."""

    name: str = string(1)


@message("etcdserverpb.AuthUserDeleteRequest")
class AuthUserDeleteRequest:
    """What Auth.UserDelete is asked."""

    name: str = string(1)


@message("etcdserverpb.AuthUserChangePasswordRequest")
class AuthUserChangePasswordRequest:
    """What Auth.UserChangePassword is asked."""

    name: str = string(1)
    password: str = string(2, secret=True)
    hashedPassword: str = string(3, secret=True)


@message("etcdserverpb.AuthUserGrantRoleRequest")
class AuthUserGrantRoleRequest:
    """What Auth.UserGrantRole is asked."""

    user: str = string(1)
    role: str = string(2)


@message("etcdserverpb.AuthUserRevokeRoleRequest")
class AuthUserRevokeRoleRequest:
    """What Auth.UserRevokeRole is asked."""

    name: str = string(1)
    role: str = string(2)


@message("etcdserverpb.AuthRoleAddRequest")
class AuthRoleAddRequest:
    """What Auth.RoleAdd is asked."""

    name: str = string(1)


@message("etcdserverpb.AuthRoleGetRequest")
class AuthRoleGetRequest:
    """What Auth.RoleGet is asked."""

    role: str = string(1)


@message("etcdserverpb.AuthUserListRequest")
class AuthUserListRequest:
    """What Auth.UserList is asked."""


@message("etcdserverpb.AuthRoleListRequest")
class AuthRoleListRequest:
    """What Auth.RoleList is asked."""


@message("etcdserverpb.AuthRoleDeleteRequest")
class AuthRoleDeleteRequest:
    """What Auth.RoleDelete is asked."""

    role: str = string(1)


@message("etcdserverpb.AuthRoleGrantPermissionRequest")
class AuthRoleGrantPermissionRequest:
    """What Auth.RoleGrantPermission is asked."""

    name: str = string(1)
    perm: Permission | None = nested(2, lambda: Permission)


@message("etcdserverpb.AuthRoleRevokePermissionRequest")
class AuthRoleRevokePermissionRequest:
    """What Auth.RoleRevokePermission is asked."""

    role: str = string(1)
    key: bytes = bytes_(2)
    range_end: bytes = bytes_(3)


@message("etcdserverpb.AuthEnableResponse")
class AuthEnableResponse:
    """What Auth.AuthEnable answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AuthDisableResponse")
class AuthDisableResponse:
    """What Auth.AuthDisable answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AuthStatusResponse")
class AuthStatusResponse:
    """What Auth.AuthStatus answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    enabled: bool = boolean(2)
    authRevision: int = uint64(3)


@message("etcdserverpb.AuthenticateResponse")
class AuthenticateResponse:
    """What Auth.Authenticate answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    token: str = string(2, secret=True)


@message("etcdserverpb.AuthUserAddResponse")
class AuthUserAddResponse:
    """What Auth.UserAdd answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AuthUserGetResponse")
class AuthUserGetResponse:
    """What Auth.UserGet answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    roles: list[str] = string(2, repeated=True)


@message("etcdserverpb.AuthUserDeleteResponse")
class AuthUserDeleteResponse:
    """What Auth.UserDelete answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AuthUserChangePasswordResponse")
class AuthUserChangePasswordResponse:
    """What Auth.UserChangePassword answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AuthUserGrantRoleResponse")
class AuthUserGrantRoleResponse:
    """What Auth.UserGrantRole answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AuthUserRevokeRoleResponse")
class AuthUserRevokeRoleResponse:
    """What Auth.UserRevokeRole answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AuthRoleAddResponse")
class AuthRoleAddResponse:
    """What Auth.RoleAdd answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AuthRoleGetResponse")
class AuthRoleGetResponse:
    """What Auth.RoleGet answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    perm: list[Permission] = nested(2, lambda: Permission, repeated=True)


@message("etcdserverpb.AuthRoleListResponse")
class AuthRoleListResponse:
    """What Auth.RoleList answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    roles: list[str] = string(2, repeated=True)


@message("etcdserverpb.AuthUserListResponse")
class AuthUserListResponse:
    """What Auth.UserList answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    users: list[str] = string(2, repeated=True)


@message("etcdserverpb.AuthRoleDeleteResponse")
class AuthRoleDeleteResponse:
    """What Auth.RoleDelete answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AuthRoleGrantPermissionResponse")
class AuthRoleGrantPermissionResponse:
    """What Auth.RoleGrantPermission answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AuthRoleRevokePermissionResponse")
class AuthRoleRevokePermissionResponse:
    """What Auth.RoleRevokePermission answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
