"""The auth store in the state machine: restarts, snapshots, tokens, and who is told to drop them."""

from __future__ import annotations

from tests.storage.auth.asking import HASHED, READ, READWRITE, do, enable, get, grant, new_machine, now, put, refused
from trioetcd.api import messages as m
from trioetcd.storage.auth.store import AuthStore
from trioetcd.storage.internal_ops import TokenGranted
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.memory_engine import MemoryEngine

OTHER_HASH = "JDJhJDA1JA=="


class Heard:
    """Listens as the keeper of tokens does."""

    def __init__(self, auth: AuthStore) -> None:
        self.all: list[object] = []
        auth.on_enabled = lambda: self.all.append("enabled")
        auth.on_disabled = lambda: self.all.append("disabled")
        auth.on_user_changed = self.all.append
        auth.on_token_granted = lambda name, token: self.all.append((name, token))

    def take(self) -> list[object]:
        heard, self.all[:] = list(self.all), []
        return heard


def copy_of(machine: StateMachine) -> MemoryEngine:
    """The engine that a member has which received this one's snapshot."""
    engine = MemoryEngine()
    _, view = machine.view()
    with view:
        engine.write(list(view.range(b"", None)))
    return engine


def change_password(name: str, hashed: str = OTHER_HASH) -> m.AuthUserChangePasswordRequest:
    return m.AuthUserChangePasswordRequest(name=name, hashedPassword=hashed)


def set_up() -> StateMachine:
    machine = new_machine()
    enable(machine, u=[(READ, b"a", b"c"), (READWRITE, b"x", b"\0")], gone=[], other=[])
    do(machine, m.AuthUserAddRequest(name="np", options=m.UserAddOptions(no_password=True)), "root")
    return machine


def test_a_restart_decides_as_before() -> None:
    machine = set_up()
    again = StateMachine.open(engine=copy_of(machine))
    assert again.digest() == machine.digest()
    assert again.auth.enabled
    for one in (machine, again):
        assert one.auth.status() == m.AuthStatusResponse(enabled=True, authRevision=15)
        assert refused(do(one, put(b"y"), "u")) == ""
        assert refused(do(one, put(b"a"), "u")) == "PERMISSION_DENIED"
        assert refused(do(one, put(b"a"))) == "USER_EMPTY"
        assert refused(do(one, put(b"a"), "root")) == ""
        one.auth.check_op(now(one, "u"), get(b"a", b"c"))
        assert one.auth.password_hash("u") == b"$2a$04$"
    assert again.digest() == machine.digest()


def test_the_digest_knows_of_every_change() -> None:
    machine = new_machine()
    changes = [
        m.AuthUserAddRequest(name="root", hashedPassword=HASHED),
        m.AuthUserGrantRoleRequest(user="root", role="root"),
        m.AuthRoleAddRequest(name="r"),
        grant("r", READ, b"k"),
        grant("r", READWRITE, b"k"),
        change_password("root"),
        m.AuthEnableRequest(),
    ]
    digests = [machine.digest()]
    for change in changes:
        do(machine, change, "root" if machine.auth.enabled else "")
        digests.append(machine.digest())
        assert StateMachine.open(engine=copy_of(machine)).digest() == digests[-1]
    assert len(set(digests)) == len(digests)


def test_the_keeper_of_tokens_is_told_when_they_end() -> None:
    machine = set_up()
    heard = Heard(machine.auth)
    steps: list[tuple[object, list[object]]] = [
        (m.AuthEnableRequest(), []),
        (change_password("u"), ["u"]),
        (change_password("nobody"), []),
        (m.AuthRoleDeleteRequest(role="of-u"), []),
        (m.AuthUserRevokeRoleRequest(name="other", role="of-other"), []),
        (m.AuthUserDeleteRequest(name="gone"), ["gone"]),
        (m.AuthUserDeleteRequest(name="root"), []),
        (m.AuthDisableRequest(), ["disabled"]),
        (m.AuthDisableRequest(), []),
        (m.AuthEnableRequest(), ["enabled"]),
    ]
    for request, expected in steps:
        do(machine, request, "root")
        assert heard.take() == expected, request


def test_a_token_is_granted_with_the_index_of_its_entry() -> None:
    machine = new_machine()
    asked = TokenGranted(name="u", simple_token="abc")
    assert refused(do(machine, asked)) == "AUTH_NOT_ENABLED"
    enable(machine, u=[])
    do(machine, m.AuthUserAddRequest(name="np", options=m.UserAddOptions(no_password=True)), "root")
    heard = Heard(machine.auth)
    granted = do(machine, asked)
    assert granted == m.AuthenticateResponse(m.ResponseHeader(revision=1), f"abc.{machine.applied.index}")
    assert heard.take() == [("u", granted.token)]
    assert do(machine, TokenGranted(name="u")).token == ""
    assert refused(do(machine, TokenGranted(name="np", simple_token="abc"))) == "AUTH_FAILED"
    assert refused(do(machine, TokenGranted(name="nobody", simple_token="abc"))) == "AUTH_FAILED"
    assert heard.take() == []


def test_a_snapshot_keeps_the_listeners_and_ends_the_tokens_of_who_changed() -> None:
    behind, ahead = set_up(), set_up()
    heard = Heard(behind.auth)
    do(ahead, change_password("u"), "root")
    do(ahead, m.AuthUserDeleteRequest(name="gone"), "root")
    do(ahead, m.AuthUserDeleteRequest(name="np"), "root")
    do(ahead, m.AuthUserAddRequest(name="np", hashedPassword=HASHED), "root")
    behind.reload(copy_of(ahead))
    assert sorted(map(str, heard.take())) == ["gone", "np", "u"]
    assert behind.digest() == ahead.digest()
    do(behind, change_password("other"), "root")
    assert heard.take() == ["other"]


def test_a_snapshot_that_turns_auth_on_or_off_is_told_of() -> None:
    machine, enabled = new_machine(), set_up()
    heard = Heard(machine.auth)
    machine.reload(copy_of(enabled))
    assert heard.take() == ["enabled"]
    assert refused(do(machine, put(b"k"))) == "USER_EMPTY"
    do(enabled, m.AuthDisableRequest(), "root")
    machine.reload(copy_of(enabled))
    assert heard.take() == ["disabled"]
    assert refused(do(machine, put(b"k"))) == ""
