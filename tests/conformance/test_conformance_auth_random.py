"""Random users, roles, grants and requests, in lock step on etcd and on trioetcd. A seed makes its sequence."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conformance.cases import Call, Case, Step, case, delete, get, op_delete, op_get, op_put, put, txn
from tests.conformance.pair import running_pair
from tests.conformance.servers import etcd_binary
from tests.conformance.test_conformance_auth import SERVER_FLAGS, auth, by, grant, login, revoke

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(etcd_binary() is None, reason="no etcd to compare with"),
]

SETUP = (
    *(put(key) for key in ("a", "b", "c", "d")),
    *(auth("user/add", name=name, password="one") for name in ("ann", "bob")),
    *(auth("role/add", name=name) for name in ("r", "s")),
    auth("user/add", name="root", password="root"),
    auth("user/grant", user="root", role="root"),
    auth("enable"),
    login("root", "root", "ROOT"),
)
USERS = ("ann", "bob", "cy")
ROLES = ("r", "s", "t")
KEYS = ("a", "a1", "b", "c", "d", "")
ENDS = ("", "", "", "\0", "b", "c", "d", "a1", "e")
KINDS = ("READ", "WRITE", "READWRITE")


class Generator:
    """Steps of one seed. Callers are named by what their token is saved under."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def steps(self, count: int) -> tuple[Step, ...]:
        return tuple(self._step() for _ in range(count))

    def _step(self) -> Step:
        pick = self._random.choice
        if self._random.random() < 0.15:
            user = pick(USERS)
            return login(user, pick(("one", "one", "two")), user.upper())
        caller = pick(("ROOT", "ROOT", "ANN", "BOB", "CY", "ANN", "BOB", "CY", None))
        call = self._change() if self._random.random() < 0.45 else self._request()
        return call if caller is None else by(caller, call)[0]

    def _change(self) -> Call:
        pick = self._random.choice
        user, role, key, end, kind = pick((*USERS, "root")), pick((*ROLES, "root")), pick(KEYS), pick(ENDS), pick(KINDS)
        makers = (
            lambda: auth("user/add", name=pick(USERS), password=pick(("one", "two"))),
            lambda: auth("user/add", name=pick(USERS), password="one"),
            lambda: auth("user/delete", name=pick(USERS)) if self._random.random() < 0.3 else auth("user/list"),
            lambda: auth("user/changepw", name=pick(USERS), password=pick(("one", "one", "two"))),
            lambda: auth("user/grant", user=user, role=role),
            lambda: auth("user/grant", user=pick(USERS), role=pick(ROLES)),
            lambda: auth("user/revoke", name=user, role=role),
            lambda: auth("user/get", name=user),
            lambda: auth("role/add", name=role),
            lambda: auth("role/delete", role=role) if self._random.random() < 0.3 else auth("role/list"),
            lambda: auth("role/get", role=role),
            lambda: grant(role, kind, key, end),
            lambda: grant(pick(ROLES), kind, key, end),
            lambda: grant(pick(ROLES), kind, key, end),
            lambda: revoke(role, key, end),
            lambda: auth("status"),
        )
        return pick(makers)()

    def _request(self) -> Call:
        pick = self._random.choice
        key, end, prev_kv = pick(KEYS), pick(ENDS), self._random.random() < 0.3
        if end != "\0" and end <= key:  # what etcd says of a range without keys depends on the shape of its tree
            end = ""
        ops = [pick((op_get, op_put, op_delete))(pick(KEYS[:-1])) for _ in range(self._random.randint(0, 2))]
        makers = (
            lambda: get(key, end),
            lambda: get(key, end, serializable=True),
            lambda: put(key, prev_kv=prev_kv),
            lambda: delete(key, end, prev_kv=prev_kv),
            lambda: txn(success=tuple(ops[:1]), failure=tuple(ops[1:])),
        )
        return pick(makers)()


@pytest.mark.parametrize("seed", range(2))
def test_random_sequences_come_out_the_same(tmp_path: Path, seed: int) -> None:
    sequence: Case = case(f"seed {seed}", *SETUP, *Generator(seed).steps(150))
    with running_pair(tmp_path, extra=SERVER_FLAGS) as pair:
        pair.check(sequence)
