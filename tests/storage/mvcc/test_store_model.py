"""The store against a model that remembers every revision whole; restarts and crashes in between change nothing."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.storage.machine import Committed, StateMachine
from trioetcd.storage.memory_engine import MemoryEngine
from trioetcd.storage.mvcc.records import decode_record
from trioetcd.storage.requests import Proposal, RaftRequest, decode_proposal, encode_proposal

KEYS = [b"a", b"b", b"bb", b"c", b"d"]
keys = st.sampled_from(KEYS)
ends = st.sampled_from([b"", b"b", b"c", b"\0"])
values = st.sampled_from([b"", b"x", b"y"])

State = dict[bytes, m.KeyValue]


def in_range(key: bytes, start: bytes, end: bytes) -> bool:
    if not end:
        return key == start
    return start <= key and (end == b"\0" or key < end)


class Model:
    """Every revision's whole state. Slow, and plainly right."""

    def __init__(self) -> None:
        self.states: list[State] = [{}, {}]  # revision 1 is the empty store
        self.compacted = -1

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def write(self, changes: list[tuple[bytes, bytes | None]]) -> int:
        """Changes of one request, in order; None deletes. Returns how many keys were deleted."""
        state, deleted, changed = dict(self.states[-1]), 0, False
        main = self.revision + 1
        for key, value in changes:
            before = state.pop(key, None)
            if value is not None:
                create, version = (before.create_revision, before.version + 1) if before else (main, 1)
                state[key] = m.KeyValue(key, create, main, version, value, 0)
                changed = True
            elif before is not None:
                deleted += 1
                changed = True
        if changed:
            self.states.append(dict(sorted(state.items())))
        return deleted

    def range(self, start: bytes, end: bytes, revision: int) -> list[m.KeyValue]:
        return [kv for key, kv in self.states[revision].items() if in_range(key, start, end)]


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.engine = MemoryEngine()
        self.machine = StateMachine.open(engine=self.engine)
        self.model = Model()

    def do(self, op: object) -> object:
        index = self.machine.applied.index + 1
        proposal = decode_proposal(encode_proposal(Proposal(index, (RaftRequest(op),))))
        results: list[object] = []
        self.machine.apply([Committed(index, 1, proposal)], tell=lambda _, found: results.extend(found))
        return results[0]

    @rule(key=keys, value=values)
    def put(self, key: bytes, value: bytes) -> None:
        response = self.do(m.PutRequest(key=key, value=value, prev_kv=True))
        before = self.model.states[-1].get(key)
        self.model.write([(key, value)])
        assert response == m.PutResponse(m.ResponseHeader(revision=self.model.revision), before)

    @rule(key=keys, end=ends)
    def delete(self, key: bytes, end: bytes) -> None:
        response = self.do(m.DeleteRangeRequest(key=key, range_end=end, prev_kv=True))
        before = self.model.range(key, end, self.model.revision)
        self.model.write([(kv.key, None) for kv in before])
        header = m.ResponseHeader(revision=self.model.revision)
        assert response == m.DeleteRangeResponse(header, len(before), before)

    @rule(changes=st.lists(st.tuples(keys, st.none() | values), max_size=4, unique_by=lambda one: one[0]))
    def txn(self, changes: list[tuple[bytes, bytes | None]]) -> None:
        ops = [
            m.RequestOp(request_delete_range=m.DeleteRangeRequest(key=key))
            if value is None
            else m.RequestOp(request_put=m.PutRequest(key=key, value=value))
            for key, value in changes
        ]
        everything = m.RequestOp(request_range=m.RangeRequest(key=b"\0", range_end=b"\0"))
        response = self.do(m.TxnRequest(success=[*ops, everything]))
        self.model.write(changes)
        assert isinstance(response, m.TxnResponse)
        assert response.header == m.ResponseHeader(revision=self.model.revision)
        seen = response.responses[-1].response_range
        assert seen is not None
        assert seen.kvs == self.model.range(b"\0", b"\0", self.model.revision)

    @rule(key=keys, end=ends, back=st.integers(-1, 8), limit=st.integers(0, 2))
    def range(self, key: bytes, end: bytes, back: int, limit: int) -> None:
        revision = max(self.model.revision - back, 0)
        request = m.RangeRequest(key=key, range_end=end, revision=revision, limit=limit)
        at = revision or self.model.revision
        if not self.model.compacted <= at <= self.model.revision:
            with pytest.raises(ApiError) as caught:
                self.machine.store.range(request)
            late = at > self.model.revision
            assert caught.value == ApiError.of(ErrorKind.FUTURE_REV if late else ErrorKind.COMPACTED)
            return
        response = self.machine.store.range(request)
        kvs = self.model.range(key, end, at)
        more = 0 < limit < len(kvs)
        assert response == m.RangeResponse(None, kvs[:limit] if more else kvs, more, len(kvs))

    @rule(back=st.integers(-1, 5), slice_keys=st.integers(0, 3))
    def compact(self, back: int, slice_keys: int) -> None:
        revision = self.model.revision - back
        response = self.do(m.CompactionRequest(revision=revision))
        if revision <= self.model.compacted:
            assert response == ApiError.of(ErrorKind.COMPACTED)
        elif revision > self.model.revision:
            assert response == ApiError.of(ErrorKind.FUTURE_REV)
        else:
            assert response == m.CompactionResponse(m.ResponseHeader(revision=self.model.revision))
            self.model.compacted = revision
            if slice_keys:
                self.machine.store.compaction.step(slice_keys)

    @rule()
    def finish_compaction(self) -> None:
        """What compaction leaves on disk is what etcd's rules leave."""
        hash_before = self.machine.store.hash_kv()
        while self.machine.store.compaction.step(1):
            pass
        assert self.machine.store.hash_kv() == hash_before
        assert self.machine.store.compaction.finished_revision == self.model.compacted
        first = max(self.model.compacted, 0)
        alive = {(kv.key, kv.mod_revision) for kv in self.model.states[first].values()} if first else set()
        stored = [(kv.key, kv.mod_revision) for kv in self.records() if kv.mod_revision < first]
        assert set(stored) == {one for one in alive if one[1] < first}

    def records(self) -> list[m.KeyValue]:
        return [decode_record(raw) for _, raw in self.machine.store.records(0, self.model.revision)]

    @rule()
    def restart(self) -> None:
        """A start from the engine alone goes on where the last run was, a compaction under way included."""
        digest, applied = self.machine.digest(), self.machine.applied
        self.machine = StateMachine.open(engine=self.engine)
        assert self.machine.applied == applied
        assert self.machine.digest() == digest

    @invariant()
    def revisions_agree(self) -> None:
        if hasattr(self, "model"):
            assert self.machine.store.revision == self.model.revision
            assert self.machine.store.compact_revision == self.model.compacted


StoreMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestStoreModel = StoreMachine.TestCase
