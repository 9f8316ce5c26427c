"""Users, roles, whether auth is on, and the revision: in memory as in the engine. Rules are elsewhere."""

from __future__ import annotations

from typing import Final

import msgpack

from trioetcd.storage.auth.key_ranges import Permitted, permitted_by
from trioetcd.storage.auth.records import (
    Role,
    User,
    decode_role,
    decode_user,
    encode_record,
    role_key,
    user_key,
)
from trioetcd.storage.engine import Reader
from trioetcd.storage.schema import AUTH_CONFIG, AUTH_ROLE_PREFIX, AUTH_USER_PREFIX, prefix_end
from trioetcd.storage.writes import PendingWrites

FIRST_REVISION: Final = 1
"""etcd's revision of an auth store in which nothing was ever changed."""


class AuthState:
    """What is replicated of auth. Every change goes through here, so that the engine and the caches follow."""

    def __init__(self, *, engine: Reader, writes: PendingWrites) -> None:
        self._writes = writes
        self._permitted: dict[str, Permitted] = {}  # of users as they were asked for; dropped at every change
        self.enabled: bool = False
        self.revision: int = FIRST_REVISION
        raw = engine.get(AUTH_CONFIG)
        if raw is not None:
            self.enabled, self.revision = msgpack.unpackb(raw)
        self.users: dict[str, User] = {
            user.name: user
            for user in (decode_user(raw) for _, raw in engine.range(AUTH_USER_PREFIX, prefix_end(AUTH_USER_PREFIX)))
        }
        self.roles: dict[str, Role] = {
            role.name: role
            for role in (decode_role(raw) for _, raw in engine.range(AUTH_ROLE_PREFIX, prefix_end(AUTH_ROLE_PREFIX)))
        }

    def put_user(self, user: User) -> None:
        """Add a user, or put it in the place of the one of its name."""
        self.users[user.name] = user
        self._writes.put(user_key(user.name), encode_record(user))

    def delete_user(self, name: str) -> None:
        """Delete a user that is there."""
        del self.users[name]
        self._writes.delete(user_key(name))

    def put_role(self, role: Role) -> None:
        """Add a role, or put it in the place of the one of its name."""
        self.roles[role.name] = role
        self._writes.put(role_key(role.name), encode_record(role))

    def delete_role(self, name: str) -> None:
        """Delete a role that is there."""
        del self.roles[name]
        self._writes.delete(role_key(name))

    def set_enabled(self, *, enabled: bool) -> None:
        """Turn auth on or off; the revision stays."""
        self.enabled = enabled
        self._store_config()

    def next_revision(self) -> None:
        """Count a change. What was decided before it is decided again."""
        self.revision += 1
        self._permitted.clear()
        self._store_config()

    def _store_config(self) -> None:
        self._writes.put(AUTH_CONFIG, msgpack.packb((self.enabled, self.revision)))

    def permitted(self, user: User) -> Permitted:
        """The keys that a user may read and write by its roles; roles that are gone give nothing."""
        found = self._permitted.get(user.name)
        if found is None:
            roles = (self.roles.get(name) for name in user.roles)
            found = permitted_by(grant for role in roles if role is not None for grant in role.grants)
            self._permitted[user.name] = found
        return found

    def digest_parts(self) -> list[object]:
        """What all members must agree on, in an order they agree on."""
        return [self.enabled, self.revision, sorted(self.users.items()), sorted(self.roles.items())]
