"""What is stored of users, roles and auth as a whole. Values are msgpack, fields in the order of the declarations."""

from __future__ import annotations

from typing import NamedTuple

import msgpack

from trioetcd.storage.schema import AUTH_ROLE_PREFIX, AUTH_USER_PREFIX

ROOT_USER = "root"
ROOT_ROLE = "root"


class User(NamedTuple):
    """A user. `password_hash` is bcrypt's, as it came through the log; empty, no password fits."""

    name: str
    password_hash: bytes = b""
    no_password: bool = False
    roles: tuple[str, ...] = ()  # sorted, each once

    @property
    def is_root(self) -> bool:
        """Whether the user may do everything, whatever its name is."""
        return ROOT_ROLE in self.roles


class Grant(NamedTuple):
    r"""What a role may do: a `PermissionType` on a key, or on [key, range_end), where an end of `\0` is none."""

    kind: int
    key: bytes
    range_end: bytes = b""


class Role(NamedTuple):
    """A role and its grants, in the order of their keys."""

    name: str
    grants: tuple[Grant, ...] = ()


def user_key(name: str) -> bytes:
    """Where the engine has a user."""
    return AUTH_USER_PREFIX + name.encode()


def role_key(name: str) -> bytes:
    """Where the engine has a role."""
    return AUTH_ROLE_PREFIX + name.encode()


def encode_record(record: User | Role) -> bytes:
    """The value stored for a user or a role."""
    packed: bytes = msgpack.packb(record)
    return packed


def decode_user(raw: bytes) -> User:
    """A user from its stored value."""
    return User(*msgpack.unpackb(raw, use_list=False))


def decode_role(raw: bytes) -> Role:
    """A role from its stored value."""
    name, grants = msgpack.unpackb(raw, use_list=False)
    return Role(name, tuple(Grant(*grant) for grant in grants))
