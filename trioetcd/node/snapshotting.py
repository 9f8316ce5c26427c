"""Snapshots of this member's state: taken by count, sent to a member that is too far behind, received from a leader.

The state is the engine itself. A snapshot *file* only says up to which entry the engine stands for the log, so that
the log before it may be released; a snapshot that is *sent* is a consistent view of the engine at its own applied
index; one that is *received* is built as an engine aside and swapped in whole:

    built aside, verified, synced --> snapshot file, marker in the WAL --> swapped in, state rebuilt from it

A crash between any two steps is put right at the next start (`bootstrap`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trioetcd.log import Logger
from trioetcd.raft.types import HardState, Message, Snapshot, SnapshotMetadata
from trioetcd.storage.engine import View
from trioetcd.storage.engine_folder import EngineFolder, Receiver
from trioetcd.storage.engine_transfer import write_engine
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.raft_log import RaftLog
from trioetcd.storage.snapshots import SnapshotFiles
from trioetcd.storage.wal import WalSnapshot, WriteAheadLog


class OutgoingSnapshot:
    """A view of the engine on its way to another member."""

    def __init__(self, *, message: Message, view: View) -> None:
        self.message = message
        self._view = view

    def chunks(self) -> Iterator[bytes]:
        """The engine in framed, checksummed slices."""
        return write_engine(self._view)

    def close(self) -> None:
        """Let the view go."""
        self._view.close()


class Snapshotter:
    """Takes, sends, receives and installs snapshots."""

    def __init__(
        self,
        *,
        engine_folder: EngineFolder,
        files: SnapshotFiles,
        wal: WriteAheadLog,
        raft_log: RaftLog,
        machine: StateMachine,
        snapshot_count: int,
        catchup_entries: int,
        last_index: int,
        log: Logger,
    ) -> None:
        self._engine_folder = engine_folder
        self._files = files
        self._wal = wal
        self._raft_log = raft_log
        self._machine = machine
        self._snapshot_count = snapshot_count
        self._catchup_entries = catchup_entries
        self._last_index = last_index  # of the newest snapshot file
        self._log = log

    @property
    def is_due(self) -> bool:
        """Whether `snapshot_count` entries were applied since the last snapshot."""
        return self._machine.applied.index - self._last_index > self._snapshot_count

    def take_if_due(self) -> None:
        """Take a snapshot if one is due, and release the log before it. Writes the log, so the driver calls it.

        The barrier comes first: the engine's own log is not synced write by write, so before the entries that could
        redo its tail are given up, one synced write makes everything up to here durable.
        """
        if not self.is_due:
            return
        applied = self._machine.applied
        self._machine.durable_barrier()
        metadata = SnapshotMetadata(applied.conf_state, applied.index, applied.term)
        self._files.save(metadata)
        self._wal.save_snapshot(WalSnapshot(applied.index, applied.term, applied.conf_state))
        self._raft_log.create_snapshot(applied.index, applied.conf_state)
        self._last_index = applied.index
        self._log.info("saved snapshot", snapshot_index=applied.index, snapshot_term=applied.term)
        self._release_log(applied.index)
        self._engine_folder.discard_passed(applied.index)

    def _release_log(self, index: int) -> None:
        """Give up entries, but for the last ones: a follower that is a little behind is spared a whole snapshot."""
        self._wal.release_to(index)
        compact_index = index - self._catchup_entries
        if compact_index >= self._raft_log.first_index():
            self._raft_log.compact(compact_index)
            self._log.info("compacted Raft logs", compact_index=compact_index)

    def open_outgoing(self, message: Message) -> OutgoingSnapshot:
        """A view of the state as it is now, and the message that names its position (newer than what was asked)."""
        position, view = self._machine.view()
        metadata = SnapshotMetadata(position.conf_state, position.index, position.term)
        return OutgoingSnapshot(message=replace(message, snapshot=Snapshot(metadata)), view=view)

    def open_incoming(self, message: Message) -> Receiver:
        """A place for the engine that a leader sends; it is kept aside until `install`.

        The core passes over one that the log overtook on its way. So those go with the next that comes, or when the
        next snapshot is taken.
        """
        assert message.snapshot is not None
        self._engine_folder.discard_passed(self._machine.applied.index)
        return self._engine_folder.receive(message.snapshot.metadata.index)

    def save_received(self, metadata: SnapshotMetadata, hard_state: HardState) -> None:
        """The core took a received snapshot: record that, so that a restart finds it."""
        self._files.save(metadata)
        marker = WalSnapshot(metadata.index, metadata.term, metadata.conf_state)
        self._wal.save_snapshot(marker, hard_state=hard_state)
        self._last_index = metadata.index

    def install(self, metadata: SnapshotMetadata) -> None:
        """Swap the received engine in and rebuild the state from it."""
        self._log.info("applying snapshot", snapshot_index=metadata.index, applied_index=self._machine.applied.index)
        self._machine.close()
        self._engine_folder.swap_in(metadata.index)
        self._machine.reload(self._engine_folder.open(create=False))
        position = self._machine.applied
        if position.index != metadata.index:
            raise RuntimeError(
                f"the installed engine is at index {position.index}, its snapshot at {metadata.index}: "
                "the state and the log do not belong together"
            )
        self._wal.release_to(metadata.index)
        self._log.info("applied snapshot", snapshot_index=metadata.index, revision=self._machine.store.revision)
