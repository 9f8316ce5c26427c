"""From a configuration and a data directory to a member that can run: what was there is recovered, what is new is made.

    data-dir/
      trioetcd-format       whose directory this is, and in which format; written before anything else
      lock                  held while a member runs
      member/db             the engine (and its neighbours, see storage.engine_folder)
      member/snap           snapshot files
      member/wal            the write-ahead log, unless --wal-dir says otherwise

Never starts as if empty: a directory that is someone else's, a log without its engine, an engine without its log, a
damaged file of either are refused with a line that names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import msgpack

from trioetcd.config import MemberConfig, StartRefused
from trioetcd.log import Logger
from trioetcd.node.environment import Environment
from trioetcd.node.joining import Joining
from trioetcd.node.ownership import check_owner, write_owner
from trioetcd.node.protocols import PeerInfo
from trioetcd.raft import encode_conf_change
from trioetcd.raft.types import ConfChange, ConfChangeType, Entry, EntryType, HardState, SnapshotMetadata
from trioetcd.storage.engine import Engine, EngineDamage
from trioetcd.storage.filesystem import DirectoryInUse, DiskFailure
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.members import Member, compute_cluster_id, compute_member_id, encode_member_context
from trioetcd.storage.raft_log import RaftLog
from trioetcd.storage.snapshots import SnapshotFiles
from trioetcd.storage.wal import WalContents, WalDamage, WalSnapshot, WriteAheadLog, read_markers

BOOTSTRAP_TERM = 1  # etcd's: the entries that name the first members are of term 1, the first election makes term 2


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """The parts of a member as they were found, or made."""

    member_id: int
    cluster_id: int
    initial_peers: tuple[PeerInfo, ...]
    """Whom to talk to before the log has named the members."""
    joins_as_learner: bool
    """Whether this member is a learner before the log has named it."""
    wal: WriteAheadLog
    raft_log: RaftLog
    hard_state: HardState
    snapshot: SnapshotMetadata
    snapshot_files: SnapshotFiles
    machine: StateMachine

    @property
    def knows_nobody(self) -> bool:
        """Whether it has joined and ended before its log named it; or is alone, which its log has yet to tell."""
        return not self.initial_peers and not self.machine.members.knows(self.member_id)

    def told_members(self, members: Sequence[Member]) -> Recovered:
        """The same, with what others tell of who is in the cluster."""
        own = next((one for one in members if one.id == self.member_id), None)
        return replace(
            self,
            initial_peers=_peers_of(members, self.member_id),
            joins_as_learner=own is not None and own.is_learner,
        )


@contextmanager
def recover(config: MemberConfig, environment: Environment, joining: Joining | None = None) -> Iterator[Recovered]:
    """Recover or make the member of `config`; its files are closed at the end, and its directory held until then.

    `joining` is for a member that has no log yet and joins a cluster that is there.

    Raises `StartRefused` with one line for everything that an operator can put right.
    """
    with ExitStack() as stack:
        try:
            recovered = _recover(config, environment, joining, stack)
        except OSError as error:
            raise StartRefused(
                f"{error.filename or config.data_dir} cannot be used for the data: {error.strerror or error}; "
                "give a --data-dir that this user can make and write to"
            ) from error
        except (DirectoryInUse, DiskFailure, EngineDamage, WalDamage) as error:
            raise StartRefused(str(error)) from error
        yield recovered


def _recover(config: MemberConfig, environment: Environment, joining: Joining | None, stack: ExitStack) -> Recovered:
    filesystem, log = environment.filesystem, environment.log
    check_owner(filesystem, config.data_dir)
    filesystem.make_directory(config.data_dir)
    stack.enter_context(filesystem.lock(config.data_dir))
    write_owner(filesystem, config.data_dir)
    filesystem.make_directory(config.data_dir / "member")
    snapshot_files = SnapshotFiles(fs=filesystem, directory=config.snapshot_directory)
    members = initial_members(config) if joining is None else list(joining.members)
    found = WriteAheadLog.exists(filesystem, config.wal_directory)
    if found:
        log.info("already initialized as member before, starting as etcd member", name=config.name)
        wal, contents, snapshot = _open_log(config, environment, snapshot_files)
        stack.callback(wal.close)
        engine = _open_engine(environment, snapshot)
    else:
        engine = _make_engine(config, environment, stack)
        wal, contents, snapshot = _make_log(config, environment, members, joining)
        stack.callback(wal.close)
    member_id, cluster_id, has_joined = msgpack.unpackb(contents.metadata)
    machine = StateMachine.open(engine=engine)
    stack.callback(machine.close)
    if machine.members.is_removed(member_id):
        raise StartRefused(
            f"member {member_id:x} ({config.name}) has been permanently removed from its cluster: delete "
            f"{config.data_dir}, and add the member anew if it is to come back"
        )
    if not (has_joined or contents.hard_state.term or contents.entries or snapshot.index):
        contents = _write_first_entries(wal, contents, members)
    hard_state, raft_log = _log_of(config, contents, snapshot, machine)
    _tidy(environment, snapshot_files)
    log.info(
        "recovered member" if found else "made a new member",
        data_dir=str(config.data_dir),
        member_id=f"{member_id:x}",
        cluster_id=f"{cluster_id:x}",
        applied_index=machine.applied.index,
        revision=machine.store.revision,
    )
    return Recovered(
        member_id=member_id,
        cluster_id=cluster_id,
        initial_peers=_initial_peers(members, member_id, is_known=joining is not None or not has_joined),
        joins_as_learner=joining is not None and joining.own.is_learner,
        wal=wal,
        raft_log=raft_log,
        hard_state=hard_state,
        snapshot=snapshot,
        snapshot_files=snapshot_files,
        machine=machine,
    )


def _initial_peers(members: Sequence[Member], member_id: int, *, is_known: bool) -> tuple[PeerInfo, ...]:
    """The others, as far as IDs can be known without the log: not those of a cluster that was joined earlier."""
    return _peers_of(members, member_id) if is_known else ()


def _peers_of(members: Sequence[Member], member_id: int) -> tuple[PeerInfo, ...]:
    return tuple(PeerInfo(one.id, one.peer_urls) for one in members if one.id != member_id)


def has_log(config: MemberConfig, environment: Environment) -> bool:
    """Whether this member has run before."""
    try:
        return WriteAheadLog.exists(environment.filesystem, config.wal_directory)
    except WalDamage as error:
        raise StartRefused(str(error)) from error


def own_member(config: MemberConfig, members: Sequence[Member]) -> Member:
    """This member among those of `--initial-cluster`; a `MemberConfig` is checked to be there."""
    own_urls = sorted(str(url) for url in config.initial_advertise_peer_urls)
    return next(one for one in members if sorted(one.peer_urls) == own_urls)


def initial_members(config: MemberConfig) -> list[Member]:
    """The members of a new cluster, in the order of their IDs, which is that of their first entries."""
    members = []
    for one in config.initial_members:
        urls = tuple(str(url) for url in one.peer_urls)
        identity = compute_member_id(urls, config.initial_cluster_token)
        members.append(Member(id=identity, name=one.name, peer_urls=urls, client_urls=(), is_learner=False))
    return sorted(members, key=lambda member: member.id)


def encode_identity(member_id: int, cluster_id: int, *, has_joined: bool = False) -> bytes:
    """What a log holds of whose it is. That of a member that has joined does not begin with the first members."""
    packed: bytes = msgpack.packb((member_id, cluster_id, has_joined))
    return packed


def _make_engine(config: MemberConfig, environment: Environment, stack: ExitStack) -> Engine:
    """An empty engine, for a member that has no log yet. One with a state in it is not ours to throw away."""
    engine = environment.engine_folder.open(create=True)
    applied = StateMachine.open(engine=engine).applied
    if applied.index:
        engine.close()
        raise StartRefused(
            f"the database in {config.data_dir / 'member'} has entries up to {applied.index}, but there is no "
            f"write-ahead log in {config.wal_directory}: give --wal-dir as it was, or restore the log"
        )
    stack.callback(engine.close)
    return engine


def _make_log(
    config: MemberConfig, environment: Environment, members: Sequence[Member], joining: Joining | None
) -> tuple[WriteAheadLog, WalContents, SnapshotMetadata]:
    if joining is None:
        metadata = encode_identity(own_member(config, members).id, compute_cluster_id([one.id for one in members]))
    else:
        metadata = encode_identity(joining.own.id, joining.cluster_id, has_joined=True)
    wal = WriteAheadLog.create(
        fs=environment.filesystem,
        directory=config.wal_directory,
        metadata=metadata,
        segment_bytes=environment.wal_segment_bytes,
    )
    return wal, WalContents(metadata, HardState(), []), SnapshotMetadata()


def _write_first_entries(wal: WriteAheadLog, contents: WalContents, members: Sequence[Member]) -> WalContents:
    """The log of a new cluster begins with one committed configuration change a member, alike on all of them."""
    entries = []
    for index, member in enumerate(members, 1):
        change = ConfChange(ConfChangeType.ADD_NODE, member.id, encode_member_context(member))
        entries.append(Entry(BOOTSTRAP_TERM, index, EntryType.CONF_CHANGE, encode_conf_change(change)))
    hard_state = HardState(term=BOOTSTRAP_TERM, commit=len(entries))
    wal.append(hard_state, entries)
    wal.sync()
    return contents._replace(hard_state=hard_state, entries=entries)


def _open_log(
    config: MemberConfig, environment: Environment, snapshot_files: SnapshotFiles
) -> tuple[WriteAheadLog, WalContents, SnapshotMetadata]:
    markers = read_markers(environment.filesystem, config.wal_directory)
    snapshot = snapshot_files.load_newest(markers) or SnapshotMetadata()
    start = WalSnapshot(snapshot.index, snapshot.term, snapshot.conf_state)
    try:
        wal, contents = WriteAheadLog.open(fs=environment.filesystem, directory=config.wal_directory, start=start)
    except WalDamage as error:
        if not snapshot_files.damaged:
            raise
        damaged = ", ".join(map(str, snapshot_files.damaged))
        raise StartRefused(f"{damaged}: the checksum does not match, and without it: {error}") from error
    _log_found(environment.log, contents, snapshot)
    return wal, contents, snapshot


def _log_found(log: Logger, contents: WalContents, snapshot: SnapshotMetadata) -> None:
    if contents.torn is not None:
        log.warning("cut off the torn tail of the write-ahead log, left by a crash", torn=str(contents.torn))
    log.info(
        "read the write-ahead log",
        snapshot_index=snapshot.index,
        entries=len(contents.entries),
        term=contents.hard_state.term,
        commit=contents.hard_state.commit,
    )


def _open_engine(environment: Environment, snapshot: SnapshotMetadata) -> Engine:
    """The engine that goes with the log; a swap that a crash interrupted is brought to its end first."""
    folder = environment.engine_folder
    if folder.has_received(snapshot.index):
        environment.log.info("finishing the installation of a received snapshot", snapshot_index=snapshot.index)
        folder.swap_in(snapshot.index)
    return folder.open(create=False)


def _tidy(environment: Environment, snapshot_files: SnapshotFiles) -> None:
    """Put aside what the start could do without; not before it is sure to come about."""
    for path in snapshot_files.damaged:
        environment.log.warning("a damaged snapshot file is passed over; the log has what it stood for", file=str(path))
    snapshot_files.tidy()
    # Of received states that are not in use a newer one was taken, or a crash came before the log had its marker.
    environment.engine_folder.discard_received()


def _log_of(
    config: MemberConfig, contents: WalContents, snapshot: SnapshotMetadata, machine: StateMachine
) -> tuple[HardState, RaftLog]:
    """The log as the core will read it. What is applied was committed, even where the commit index was lost."""
    applied = machine.applied
    last_index = contents.entries[-1].index if contents.entries else snapshot.index
    if not snapshot.index <= applied.index <= last_index:
        raise StartRefused(
            f"the database in {config.data_dir / 'member'} is at entry {applied.index}, the write-ahead log in "
            f"{config.wal_directory} has {snapshot.index} to {last_index}: they do not "
            "belong together; restore both from one copy, or remove this member and add it anew"
        )
    hard_state = contents.hard_state._replace(commit=max(contents.hard_state.commit, applied.index))
    # The core starts at the applied entry, so it is given the configuration as of that one.
    start = snapshot._replace(conf_state=applied.conf_state)
    return hard_state, RaftLog(hard_state=hard_state, snapshot=start, entries=contents.entries)
