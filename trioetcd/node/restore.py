"""A data directory is made from a snapshot: for a member of a new cluster that begins with an old one's state.

    data directory, marked as ours --> engine received aside and put in place --> given to the new members
        --> snapshot file --> write-ahead log with the member's and the cluster's IDs, and that snapshot's marker

That is what a start finds after a member has installed a snapshot, so a start has nothing to learn about restoring.
The log is written last: a directory in which this was interrupted is refused at a start, as one whose log is gone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgpack

from trioetcd.config import MemberConfig, StartRefused
from trioetcd.log import Logger
from trioetcd.node.bootstrap import encode_identity, initial_members, own_member
from trioetcd.node.ownership import write_owner
from trioetcd.raft.types import HardState, SnapshotMetadata
from trioetcd.storage.engine_folder import EngineFolder
from trioetcd.storage.filesystem import FileSystem
from trioetcd.storage.machine import AppliedPosition, StateMachine
from trioetcd.storage.members import Member, compute_cluster_id
from trioetcd.storage.snapshots import SnapshotFiles
from trioetcd.storage.wal import WalSnapshot, WriteAheadLog
from trioetcd.storage.wal_segment import SEGMENT_BYTES

_RECEIVED_INDEX: Final = 0
"""Under which the engine is received: nothing counts on the name."""

_UNREADABLE: Final = (LookupError, TypeError, ValueError, struct.error, msgpack.UnpackException)
"""What records raise that no member has written."""


class Restored(NamedTuple):
    """What was made. `revision` is the newest of the keys."""

    member_id: int
    cluster_id: int
    revision: int


def restore(
    stream: Iterable[bytes],
    *,
    config: MemberConfig,
    filesystem: FileSystem,
    engine_folder: EngineFolder,
    log: Logger,
    wal_segment_bytes: int = SEGMENT_BYTES,
) -> Restored:
    """Make the data directory of the member of `config` from an engine's stream; all of it is durable on return.

    All members of the new cluster are made so, each with a configuration of its own, from the same stream. Raises
    `StartRefused` when there is something in the way, and what the disk and the stream raise.
    """
    _refuse_what_is_there(config, filesystem)
    filesystem.make_directory(config.data_dir)
    with filesystem.lock(config.data_dir):
        write_owner(filesystem, config.data_dir)
        filesystem.make_directory(config.data_dir / "member")
        _receive(stream, engine_folder)
        members = initial_members(config)
        position, revision = _regroup(engine_folder, members, config.data_dir)
        own_id, cluster_id = own_member(config, members).id, compute_cluster_id([one.id for one in members])
        snapshots = SnapshotFiles(fs=filesystem, directory=config.snapshot_directory)
        snapshots.save(SnapshotMetadata(position.conf_state, position.index, position.term))
        wal = WriteAheadLog.create(
            fs=filesystem,
            directory=config.wal_directory,
            metadata=encode_identity(own_id, cluster_id),
            segment_bytes=wal_segment_bytes,
        )
        marker = WalSnapshot(position.index, position.term, position.conf_state)
        wal.save_snapshot(marker, hard_state=HardState(term=position.term, commit=position.index))
        wal.close()
    log.info(
        "restored snapshot",
        data_dir=str(config.data_dir),
        member_id=f"{own_id:x}",
        cluster_id=f"{cluster_id:x}",
        revision=revision,
    )
    return Restored(own_id, cluster_id, revision)


def _refuse_what_is_there(config: MemberConfig, filesystem: FileSystem) -> None:
    for directory in (config.data_dir, config.wal_directory):
        if filesystem.list_directory(directory):
            raise StartRefused(
                f'data-dir "{directory}" not empty or could not be read: '
                "a snapshot is restored to a directory that is empty, or does not exist yet"
            )


def _receive(stream: Iterable[bytes], engine_folder: EngineFolder) -> None:
    receiver = engine_folder.receive(_RECEIVED_INDEX)
    for data in stream:
        receiver.feed(data)
    receiver.finish()
    engine_folder.swap_in(_RECEIVED_INDEX)


def _regroup(engine_folder: EngineFolder, members: list[Member], data_dir: Path) -> tuple[AppliedPosition, int]:
    engine = engine_folder.open(create=False)
    try:
        machine = StateMachine.open(engine=engine)
        return machine.regroup(members), machine.store.revision
    except _UNREADABLE as error:  # the checksums hold, so it was written like this
        raise StartRefused(
            f"what the snapshot holds is not the state of a member ({type(error).__name__}: {error}): save one anew, "
            f"and remove {data_dir}, which is half made"
        ) from error
    finally:
        engine.close()
