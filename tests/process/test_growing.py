"""Real processes: one member grows to three, one of them as a learner, and the first one is removed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conformance.servers import Server, command_of, free_ports, lone_member, member_flags, running
from tests.process.client import Refused, b64, call, everything, put

pytestmark = pytest.mark.process

MEMBER = "/v3/cluster/member"
SECONDS_MAX = 20.0
AT_ONCE = ("--strict-reconfig-check=false",)  # or each change would wait until all have been connected for 5 s


def joining(directory: Path, name: str, member: dict[str, object], others: list[Server]) -> Server:
    """A member that was added, with the flags that an operator gives it; not started."""
    (client_port,) = free_ports(1)
    (peer_url,) = member["peerURLs"]  # type: ignore[misc] # JSON
    peer_port = int(peer_url.rpartition(":")[2])
    initial = ",".join(f"{one.name}=http://127.0.0.1:{one.peer_port}" for one in others)
    flags = member_flags(
        name=name,
        data_dir=directory / name,
        client_port=client_port,
        peer_port=peer_port,
        initial_cluster=f"{initial},{name}={peer_url}",
    )
    return Server(
        kind="trioetcd",
        command=[*command_of("trioetcd"), *flags, "--initial-cluster-state=existing", *AT_ONCE],
        directory=directory,
        client_port=client_port,
        peer_port=peer_port,
        name=name,
        log_path=directory / f"{name}.log",
    )


def when_it_may(server: Server, path: str, body: dict[str, object]) -> dict[str, object]:
    """Ask until the cluster is healthy, and the learner ready, for the change."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            return call(server, f"{MEMBER}/{path}", body, seconds_max=10.0)
        except Refused as refused:
            not_yet = ("unhealthy cluster", "in sync with leader", "not enough started")
            if time.monotonic() > deadline or not any(words in str(refused) for words in not_yet):
                raise
        time.sleep(0.1)


def add(directory: Path, servers: list[Server], *, is_learner: bool = False) -> Server:
    """Add a member through the one that is newest, and start it."""
    (port,) = free_ports(1)
    body = {"peerURLs": [f"http://127.0.0.1:{port}"], "isLearner": is_learner}
    answer = when_it_may(servers[-1], "add", body)
    server = joining(directory, f"m{len(servers) + 1}", answer["member"], servers)  # type: ignore[arg-type] # JSON
    servers.append(server)
    server.spawn()
    return server


def ids_by_name(server: Server) -> dict[str, str]:
    return {one.get("name", ""): one["ID"] for one in call(server, f"{MEMBER}/list", {})["members"]}


def put_when_led(server: Server, key: str, value: str) -> None:
    """Put until it is taken: what a leader that goes was passed is lost, and a promotion arrives a moment later."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            call(server, "/v3/kv/put", {"key": b64(key), "value": b64(value)}, seconds_max=0.5)
            return
        except (OSError, Refused):
            assert time.monotonic() < deadline, server.log_tail()


def wait_for_keys(server: Server, count: int) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not (server.exit_code() is None and len(keys_of(server)) == count):
        assert time.monotonic() < deadline, f"{server.name} has not {count} keys\n{server.log_tail()}"
        time.sleep(0.05)


def keys_of(server: Server) -> dict[str, tuple[str, int]]:
    try:
        return everything(server)[1]
    except OSError:  # it is still starting
        return {}


def test_one_grows_to_three_and_one_goes(tmp_path: Path) -> None:
    first = lone_member("trioetcd", tmp_path, extra=AT_ONCE)
    servers = [first]
    with running(first):
        try:
            put(first, "before", "1")
            second = add(tmp_path, servers)
            wait_for_keys(second, 1)
            third = add(tmp_path, servers, is_learner=True)
            wait_for_keys(third, 1)
            with pytest.raises(Refused, match="rpc not supported for learner"):
                put(third, "early", "2")
            learner_id = next(
                one["ID"] for one in call(second, f"{MEMBER}/list", {})["members"] if one.get("isLearner")
            )
            when_it_may(second, "promote", {"ID": learner_id})
            put_when_led(third, "after", "3")
            when_it_may(third, "remove", {"ID": ids_by_name(third)["m1"]})
            assert first.process is not None
            assert first.process.wait(SECONDS_MAX) == 0
            put_when_led(second, "later", "4")
            for server in (second, third):
                wait_for_keys(server, 3)
                assert set(ids_by_name(server)) == {"m2", "m3"}
            first.spawn()
            assert first.process.wait(SECONDS_MAX) == 1
            assert "permanently removed from its cluster" in first.log_tail()
        finally:
            for server in servers[1:]:
                server.stop()
