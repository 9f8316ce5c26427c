"""The core's values in the words of the transcripts."""

from __future__ import annotations

from collections.abc import Iterable

from trioetcd.raft import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    NO_NODE,
    Compacted,
    ConfChange,
    ConfChangeSingle,
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    ProposalDropped,
    RaftError,
    ReadState,
    Ready,
    Snapshot,
    SnapshotOutOfDate,
    StepLocalMessage,
    StepPeerNotFound,
    Unavailable,
    decode_conf_change_entry,
)

_LETTERS = {
    ConfChangeType.ADD_NODE: "v",
    ConfChangeType.REMOVE_NODE: "r",
    ConfChangeType.UPDATE_NODE: "u",
    ConfChangeType.ADD_LEARNER_NODE: "l",
}
_TYPES = {letter: change for change, letter in _LETTERS.items()}

_REFUSALS: dict[type[RaftError], str] = {
    ProposalDropped: "raft proposal dropped",
    StepLocalMessage: "raft: cannot step raft local message",
    StepPeerNotFound: "raft: cannot step as peer not found",
    Compacted: "requested index is unavailable due to compaction",
    Unavailable: "requested entry at index is unavailable",
    SnapshotOutOfDate: "requested index is older than the existing snapshot",
}

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"} | {
    '"': '\\"',
    "\\": "\\\\",
}


def refusal(error: RaftError) -> str:
    return _REFUSALS.get(type(error), str(error))


def camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def message_type_name(message: Message) -> str:
    return "Msg" + camel(message.type.name)


def quoted(data: bytes) -> str:
    """Bytes between quotes, what cannot be printed escaped."""
    return '"' + "".join(map(_quoted_character, data.decode(errors="surrogateescape"))) + '"'


def _quoted_character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def conf_changes(text: str) -> list[ConfChangeSingle]:
    """Changes from their letters and members, as `v1 l2 r3 u4`; ValueError with the words for what is wrong."""
    singles = []
    for token in text.split():
        if len(token) < 2:
            raise ValueError(f"unknown token {token}")
        if token[0] not in _TYPES:
            raise ValueError(f"unknown input: {token}")
        if not token[1:].isdecimal():
            raise ValueError(f'strconv.ParseUint: parsing "{token[1:]}": invalid syntax')
        singles.append(ConfChangeSingle(_TYPES[token[0]], int(token[1:])))
    return singles


def entry(e: Entry) -> str:
    if e.type == EntryType.NORMAL:
        text = quoted(e.data)
    else:
        change = decode_conf_change_entry(e)
        singles = (change,) if isinstance(change, ConfChange) else change.changes
        text = " ".join(f"{_LETTERS[single.type]}{single.node_id}" for single in singles)
    return f"{e.term}/{e.index} Entry{camel(e.type.name)} {text}".rstrip()


def entries(many: Iterable[Entry]) -> list[str]:
    return [entry(e) for e in many]


def hard_state(state: HardState) -> str:
    vote = f" Vote:{state.vote}" if state.vote else ""
    return f"Term:{state.term}{vote} Commit:{state.commit}"


def _members(members: Iterable[int]) -> str:
    return "[" + " ".join(map(str, members)) + "]"


def conf_state(state: ConfState) -> str:
    return (
        f"Voters:{_members(state.voters)} VotersOutgoing:{_members(state.voters_outgoing)} "
        f"Learners:{_members(state.learners)} LearnersNext:{_members(state.learners_next)} "
        f"AutoLeave:{str(state.auto_leave).lower()}"
    )


def snapshot(s: Snapshot) -> str:
    return f"Index:{s.metadata.index} Term:{s.metadata.term} ConfState:{conf_state(s.metadata.conf_state)}"


def _target(member: int) -> str:
    names = {NO_NODE: "None", LOCAL_APPEND_THREAD: "AppendThread", LOCAL_APPLY_THREAD: "ApplyThread"}
    return names.get(member, f"{member:x}")


def message(m: Message) -> str:
    return "\n".join(_message_lines(m))


def _message_lines(m: Message) -> list[str]:
    head = (
        f"{_target(m.from_)}->{_target(m.to)} {message_type_name(m)} Term:{m.term} Log:{m.log_term}/{m.index}"
        + (f" Rejected (Hint: {m.reject_hint})" if m.reject else "")
        + (f" Commit:{m.commit}" if m.commit else "")
        + (f" Vote:{m.vote}" if m.vote else "")
    )
    lines = [head]
    described = entries(m.entries)
    if len(described) == 1:
        lines[-1] += f" Entries:[{described[0]}]"
    elif described:
        lines[-1] += " Entries:["
        lines += ["  " + text for text in described] + ["]"]
    if m.snapshot is not None and not m.snapshot.is_empty:
        lines.append("  Snapshot: " + snapshot(m.snapshot))
    if m.responses:
        lines[-1] += " Responses:["
        lines += ["  " + line for response in m.responses for line in _message_lines(response)] + ["]"]
    return lines


def _read_states(states: Iterable[ReadState]) -> str:
    return " ".join(f"{{{state.index} {_members(state.request_context)}}}" for state in states)


def ready(rd: Ready) -> str:
    lines: list[str] = []
    if rd.soft_state is not None:
        lines.append(f"Lead:{rd.soft_state.lead} State:State{camel(rd.soft_state.state.name)}")
    if rd.hard_state is not None:
        lines.append("HardState " + hard_state(rd.hard_state))
    if rd.read_states:
        lines.append(f"ReadStates [{_read_states(rd.read_states)}]")
    if rd.entries:
        lines += ["Entries:", *entries(rd.entries)]
    if rd.snapshot is not None:
        lines.append("Snapshot " + snapshot(rd.snapshot))
    if rd.committed_entries:
        lines += ["CommittedEntries:", *entries(rd.committed_entries)]
    if rd.messages:
        lines += ["Messages:", *map(message, rd.messages)]
    if not lines:
        return "<empty Ready>"
    return "\n".join([f"Ready MustSync={str(rd.must_sync).lower()}:", *lines])
