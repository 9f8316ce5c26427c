"""Hashes of the state, made in slices while requests go on."""

from __future__ import annotations

import google_crc32c
import msgpack
import trio

from trioetcd.api.errors import ApiError
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.mvcc.hash import HashKv, KvHasher


async def hash_keys(machine: StateMachine, revision: int) -> HashKv:
    """Hash the keys as of a revision, 0 being now; begin anew when a snapshot replaced the state meanwhile.

    Raises COMPACTED and FUTURE_REV.
    """
    while True:
        store = machine.store
        hasher = KvHasher(store, revision)
        while hasher.step():
            await trio.lowlevel.checkpoint()
            if machine.store is not store:
                break
        else:
            return hasher.result()


async def hash_state(machine: StateMachine) -> int:
    """Hash everything replicated, as it is at one moment: the same on all members that have applied the same.

    etcd hashes the pages of its database, which differ from member to member in what is not replicated. Here it is the
    keys, and what the machine packs of all the rest.
    """
    while True:
        rest, revision = machine.pack_without_keys(), machine.store.revision
        try:
            keys = await hash_keys(machine, revision)
        except ApiError:
            await trio.lowlevel.checkpoint()
            continue  # history up to that revision was given up meanwhile: the state has moved on
        return int(google_crc32c.extend(google_crc32c.value(rest), msgpack.packb(keys)))
