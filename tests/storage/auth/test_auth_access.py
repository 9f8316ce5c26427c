"""Who may do what: at every depth, on every key that a request would reveal or change, and nobody by default."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.storage.auth.asking import (
    READ,
    READWRITE,
    WRITE,
    delete,
    do,
    enable,
    get,
    nested,
    new_machine,
    now,
    put,
    refused,
    txn,
)
from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError
from trioetcd.storage import requests
from trioetcd.storage.auth import access
from trioetcd.storage.auth.access import AuthInfo
from trioetcd.storage.internal_ops import AlarmRaised, ClusterVersionSet, LeaseExpired, LeasesRemaining, TokenGranted
from trioetcd.storage.machine import StateMachine

RANGE_END = b"n"


@pytest.fixture
def machine() -> StateMachine:
    """`reader` reads and `writer` writes [k, n), `both` does both, `all` has everything without being root."""
    machine = new_machine()
    for lease_id, keys in ((1, [b"k1"]), (2, [b"k1x", b"secret"]), (3, [])):
        do(machine, m.LeaseGrantRequest(ID=lease_id, TTL=100))
        for key in keys:
            do(machine, put(key, lease=lease_id))
    enable(
        machine,
        reader=[(READ, b"k", RANGE_END)],
        writer=[(WRITE, b"k", RANGE_END)],
        both=[(READWRITE, b"k", RANGE_END)],
        all=[(READWRITE, b"\0", b"\0")],
    )
    return machine


def verdict(machine: StateMachine, user: str, op: object) -> str:
    """What `check_op` says, for one who asks with a token of now."""
    info = now(machine, user) if user else None
    try:
        machine.auth.check_op(info, op)
    except ApiError as refusal:
        return refused(refusal)
    return ""


def allowed(machine: StateMachine, op: object) -> list[str]:
    """The users who may, in the order of their powers; all others are refused by name."""
    users = ["", "reader", "writer", "both", "all", "root"]
    verdicts = {user: verdict(machine, user, op) for user in users}
    for user, found in verdicts.items():
        assert found in ("", "PERMISSION_DENIED" if user else "USER_EMPTY")
    return [user or "nobody" for user in users if not verdicts[user]]


READERS = ["reader", "both", "all", "root"]
WRITERS = ["writer", "both", "all", "root"]
BOTH = ["both", "all", "root"]
ALL = ["all", "root"]
EVERYBODY = ["reader", "writer", "both", "all", "root"]

KEY_OPS: list[tuple[object, list[str]]] = [
    (get(b"k"), READERS),
    (get(b"k", RANGE_END), READERS),
    (get(b"k", b"n\0"), ALL),
    (get(b"k", b"\0"), ALL),
    (get(b"j"), ALL),
    (put(b"k"), WRITERS),
    (put(RANGE_END), ALL),
    (put(b"k", prev_kv=True), BOTH),
    (put(b"k", lease=1), WRITERS),
    (put(b"k", lease=2), ALL),
    (put(b"k", lease=3), WRITERS),
    (put(b"k", lease=404), WRITERS),
    (delete(b"k", RANGE_END), WRITERS),
    (delete(b"k", b"\0"), ALL),
    (delete(b"k", RANGE_END, prev_kv=True), BOTH),
]


@pytest.mark.parametrize("depth", [None, 0, 1, 7])
@pytest.mark.parametrize(("op", "who"), KEY_OPS)
def test_keys_are_for_those_who_were_granted_them_at_every_depth(
    machine: StateMachine, op: object, who: list[str], depth: int | None
) -> None:
    assert allowed(machine, op if depth is None else nested(op, depth)) == who
    if depth is not None:
        assert allowed(machine, txn(failure=(nested(op, depth),))) == who


def guard(key: bytes, range_end: bytes = b"") -> m.TxnRequest:
    return m.TxnRequest(compare=[m.Compare(key=key, range_end=range_end)])


def test_a_guard_reads(machine: StateMachine) -> None:
    assert allowed(machine, guard(b"k", RANGE_END)) == READERS
    assert allowed(machine, guard(b"k", b"\0")) == ALL
    assert allowed(machine, txn(guard(b"k"))) == READERS
    assert allowed(machine, txn(txn(guard(b"secret")))) == ALL


def test_a_transaction_needs_all_that_its_parts_need(machine: StateMachine) -> None:
    assert allowed(machine, txn(get(b"k"), put(b"k"))) == BOTH
    assert allowed(machine, txn(get(b"k"), failure=(put(b"k"),))) == BOTH
    assert allowed(machine, txn(get(b"k"), txn(put(b"secret")))) == ALL
    assert allowed(machine, txn()) == ["nobody", *EVERYBODY]  # as in etcd: it tells the revision, and that is all


def test_a_watch_reads_the_range_as_it_is_asked_for(machine: StateMachine) -> None:
    for key, range_end, who in (
        (b"k", b"", READERS),
        (b"k", RANGE_END, READERS),
        (b"k", b"\0", ALL),
        (b"", b"", ALL),
        (b"", b"\0", ALL),
        (b"", RANGE_END, ALL),
    ):
        assert allowed(machine, m.WatchCreateRequest(key=key, range_end=range_end)) == who


def test_a_lease_is_for_those_who_may_write_or_read_what_hangs_on_it(machine: StateMachine) -> None:
    ops: list[tuple[object, list[str]]] = [
        (m.LeaseGrantRequest(ID=9, TTL=9), EVERYBODY),
        (m.LeaseRevokeRequest(ID=1), WRITERS),
        (m.LeaseRevokeRequest(ID=2), ALL),
        (m.LeaseRevokeRequest(ID=3), EVERYBODY),
        (m.LeaseRevokeRequest(ID=404), EVERYBODY),
        (m.LeaseKeepAliveRequest(ID=1), WRITERS),
        (m.LeaseKeepAliveRequest(ID=2), ALL),
        (m.LeaseTimeToLiveRequest(ID=1), EVERYBODY),
        (m.LeaseTimeToLiveRequest(ID=1, keys=True), READERS),
        (m.LeaseTimeToLiveRequest(ID=2, keys=True), ALL),
        (m.LeaseTimeToLiveRequest(ID=3, keys=True), EVERYBODY),
        (m.LeaseLeasesRequest(), ALL),
    ]
    for op, who in ops:
        assert allowed(machine, op) == who, op


def test_administration_is_roots(machine: StateMachine) -> None:
    asked: list[object] = [
        m.CompactionRequest(revision=1),
        m.AlarmRequest(action=m.AlarmAction.ACTIVATE),
        m.AlarmRequest(action=m.AlarmAction.DEACTIVATE),
        m.AlarmRequest(action=7),
        m.AuthStatusRequest(),
        m.AuthUserListRequest(),
        m.AuthRoleListRequest(),
        m.AuthUserGetRequest(name="nobody"),
        m.AuthRoleGetRequest(role="root"),
        m.AuthUserChangePasswordRequest(name="reader"),
        *(op() for op in requests._OPERATIONS.values() if op.__name__.startswith("Auth")),
    ]
    for op in asked:
        assert allowed(machine, op) == ["root"], op
    assert allowed(machine, m.AlarmRequest(action=m.AlarmAction.GET)) == EVERYBODY


def test_users_see_themselves_and_their_roles(machine: StateMachine) -> None:
    assert allowed(machine, m.AuthUserGetRequest(name="reader")) == ["reader", "root"]
    assert allowed(machine, m.AuthUserGetRequest(name="")) == ["nobody", "root"]  # to hear that there is none
    assert allowed(machine, m.AuthRoleGetRequest(role="of-reader")) == ["reader", "root"]


def test_what_has_no_rule_is_refused_even_to_root(machine: StateMachine) -> None:
    for user in ("", "all", "root"):
        assert verdict(machine, user, object()) == "PERMISSION_DENIED"


def test_everything_that_can_be_in_the_log_has_a_rule() -> None:
    missing = [op.__name__ for op in requests._OPERATIONS.values() if op not in access.RULES]
    assert missing == []


def test_members_need_no_user(machine: StateMachine) -> None:
    own: Iterable[object] = (
        ClusterVersionSet(version="3.5.0"),
        LeaseExpired(term=1, lease_id=1),
        AlarmRaised(member_id=1, alarm=m.AlarmType.CORRUPT),
        TokenGranted(name="root", simple_token="t"),
        LeasesRemaining(term=1, checkpoints=[]),
    )
    for op in own:
        assert refused(do(machine, op)) == "", op


def test_root_and_all_with_its_role_may_everything(machine: StateMachine) -> None:
    do(machine, m.AuthUserGrantRoleRequest(user="reader", role="root"), "root")
    assert verdict(machine, "reader", delete(b"\0", b"\0", prev_kv=True)) == ""
    assert verdict(machine, "reader", m.AuthUserListRequest()) == ""
    do(machine, m.AuthUserRevokeRoleRequest(name="reader", role="root"), "root")
    assert verdict(machine, "reader", m.AuthUserListRequest()) == "PERMISSION_DENIED"


def test_an_old_revision_is_refused_where_keys_are_at_stake(machine: StateMachine) -> None:
    old = machine.auth.revision
    do(machine, m.AuthRoleAddRequest(name="new"), "root")
    for op in (put(b"k"), delete(b"k"), txn(get(b"k")), m.LeaseRevokeRequest(ID=1)):
        assert refused(do(machine, op, "root", old)) == "AUTH_OLD_REVISION"
    assert refused(do(machine, m.AuthRoleAddRequest(name="newer"), "root", old)) == ""
    assert refused(do(machine, m.LeaseGrantRequest(ID=9, TTL=9), "reader", old)) == ""
    assert refused(do(machine, put(b"k"), "root", old + 3)) == ""


def test_a_user_that_is_gone_may_nothing(machine: StateMachine) -> None:
    gone = AuthInfo("ghost", machine.auth.revision)
    for op, refusal in (
        (put(b"k"), "PERMISSION_DENIED"),
        (m.LeaseGrantRequest(ID=9, TTL=9), "PERMISSION_DENIED"),
        (m.AuthUserListRequest(), "USER_NOT_FOUND"),
        (m.AuthUserGetRequest(name="root"), "USER_NOT_FOUND"),
    ):
        with pytest.raises(ApiError) as caught:
            machine.auth.check_op(gone, op)
        assert refused(caught.value) == refusal
    with pytest.raises(ApiError, match="user name not found"):
        machine.auth.check_root(gone)
    with pytest.raises(ApiError, match="permission denied"):
        machine.auth.check_user(gone)


def test_a_role_that_goes_takes_its_grants_with_it(machine: StateMachine) -> None:
    assert verdict(machine, "reader", get(b"k")) == ""
    do(machine, m.AuthRoleRevokePermissionRequest(role="of-reader", key=b"k", range_end=RANGE_END), "root")
    assert verdict(machine, "reader", get(b"k")) == "PERMISSION_DENIED"
    assert verdict(machine, "both", get(b"k")) == ""
    do(machine, m.AuthRoleDeleteRequest(role="of-both"), "root")
    do(machine, m.AuthRoleAddRequest(name="of-both"), "root")
    assert verdict(machine, "both", get(b"k")) == "PERMISSION_DENIED"


def test_while_auth_is_off_everybody_may_everything() -> None:
    machine = new_machine()
    machine.auth.check_op(None, m.AuthUserListRequest())
    machine.auth.check_root(None)
    machine.auth.check_user(None)
    assert refused(do(machine, put(b"k"))) == ""


def test_what_apply_refuses_changes_nothing(machine: StateMachine) -> None:
    digest = machine.digest()
    for op in (put(b"secret"), delete(b"secret"), txn(put(b"k"), put(b"secret")), m.AuthRoleAddRequest(name="x")):
        assert refused(do(machine, op, "writer")) == "PERMISSION_DENIED"
        assert refused(do(machine, op)) == "USER_EMPTY"
    assert machine.digest() == digest


def test_an_alarm_is_told_of_before_a_refusal(machine: StateMachine) -> None:
    do(machine, m.AlarmRequest(action=m.AlarmAction.ACTIVATE, alarm=m.AlarmType.NOSPACE), "root")
    assert refused(do(machine, put(b"secret"), "reader")) == "NO_SPACE"
    assert refused(do(machine, put(b"secret"))) == "NO_SPACE"


def test_an_alarm_opens_no_door(machine: StateMachine) -> None:
    """While one stands, etcd 3.5.1 applies what it does not refuse for the alarm without a look at who asks."""
    do(machine, m.AlarmRequest(action=m.AlarmAction.ACTIVATE, alarm=m.AlarmType.NOSPACE), "root")
    for op in (delete(b"secret"), m.AuthRoleAddRequest(name="mine")):
        assert refused(do(machine, op)) == "USER_EMPTY"
        assert refused(do(machine, op, "reader")) == "PERMISSION_DENIED"
