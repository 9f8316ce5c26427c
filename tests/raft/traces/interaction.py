"""The commands of interaction transcripts: a table of what each does to a group of members."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from tests.raft.traces import describe
from tests.raft.traces.group import ELECTION_TICK, HEARTBEAT_TICK, Group, Member, Options, Refused
from tests.raft.traces.transcript import Argument, Case, TranscriptError, parse_line
from trioetcd.raft import (
    NO_LIMIT,
    ConfChange,
    ConfChangeTransition,
    ConfChangeV2,
    ConfState,
    Message,
    MessageType,
    RaftError,
    ReadOnlyOption,
)

_T = TypeVar("_T")

Arguments = Sequence[Argument]

_LOG_LEVELS = ("debug", "info", "warn", "error", "fatal", "none")
_TRANSITIONS = {
    "auto": ConfChangeTransition.AUTO,
    "implicit": ConfChangeTransition.JOINT_IMPLICIT,
    "explicit": ConfChangeTransition.JOINT_EXPLICIT,
}
_READ_ONLY = {"safe": ReadOnlyOption.SAFE, "lease-based": ReadOnlyOption.LEASE_BASED}
_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


class Interaction:
    """Executes the cases of one transcript, one after another."""

    def __init__(self) -> None:
        self._group = Group()

    def __call__(self, case: Case) -> str:
        group = self._group
        group.lines = []
        error = self._execute(case)
        if error is not None and group.quiet:
            return error
        if error is not None:
            group.lines.append(error)
        return "\n".join(group.lines) or "ok"

    def _execute(self, case: Case) -> str | None:
        """Carry out the command and those in its input lines; what refused it, else None."""
        if case.command == "propose-conf-change":
            return self._refusal(partial(_propose_conf_change, self._group, case.arguments, case.input))
        commands = [(case.command, case.arguments), *map(parse_line, case.input.splitlines())]
        errors = [self._refusal(partial(self._command, *command)) for command in commands]
        return "\n".join(error for error in errors if error is not None) or None

    def _refusal(self, run: Callable[[], None]) -> str | None:
        try:
            run()
        except RaftError as error:
            return describe.refusal(error)
        except Refused as error:
            return str(error)
        return None

    def _command(self, command: str, arguments: Arguments) -> None:
        if command not in _COMMANDS:
            raise Refused("unknown command")
        _COMMANDS[command](self._group, arguments)


# -- arguments --------------------------------------------------------------------------------------------------------


def _numbers(arguments: Arguments) -> list[int]:
    """The positional arguments."""
    return [_number(argument.key) for argument in arguments if not argument.values]


def _number(text: str) -> int:
    if not text.isdecimal():
        raise TranscriptError(f"{text!r} is not a number")
    return int(text)


def _members(group: Group, arguments: Arguments) -> list[Member]:
    return [group.member(number) for number in _numbers(arguments)]


def _first(group: Group, arguments: Arguments) -> Member:
    return group.member(_number(arguments[0].key))


def _named(arguments: Arguments) -> dict[str, list[str]]:
    """The values of the arguments that have any, by key; those of a repeated key together."""
    named: dict[str, list[str]] = {}
    for argument in arguments:
        if argument.values:
            named.setdefault(argument.key, []).extend(argument.values)
    return named


def _one_of(choices: dict[str, _T], text: str, refusal: str) -> _T:
    if text not in choices:
        raise Refused(refusal)
    return choices[text]


def _boolean(text: str) -> bool:
    return _one_of(_BOOLEANS, text.lower(), f'strconv.ParseBool: parsing "{text}": invalid syntax')


# -- commands that set the stage --------------------------------------------------------------------------------------


def _add_nodes(group: Group, arguments: Arguments) -> None:
    named = _named(arguments[1:])
    state = ConfState(
        voters=tuple(map(_number, named.pop("voters", []))), learners=tuple(map(_number, named.pop("learners", [])))
    )
    index = _number(named.pop("index", ["0"])[-1])
    content = named.pop("content", [""])[-1].encode()
    options: Options = {}
    for key, values in named.items():
        if key not in _OPTIONS:
            raise Refused(f"unknown option {key}")
        _OPTIONS[key](options, values[-1])
    group.add(_number(arguments[0].key), state, index, content, options)


def _set_inflight(options: Options, value: str) -> None:
    options["max_inflight_msgs"] = _number(value)


def _set_async(options: Options, value: str) -> None:
    options["async_storage_writes"] = _boolean(value)


def _set_pre_vote(options: Options, value: str) -> None:
    options["pre_vote"] = _boolean(value)


def _set_check_quorum(options: Options, value: str) -> None:
    options["check_quorum"] = _boolean(value)


def _set_committed_size(options: Options, value: str) -> None:
    options["max_committed_size_per_ready"] = min(_number(value), NO_LIMIT)


def _set_no_validation(options: Options, value: str) -> None:
    options["disable_conf_change_validation"] = _boolean(value)


def _set_read_only(options: Options, value: str) -> None:
    options["read_only_option"] = _one_of(_READ_ONLY, value, f'invalid read-only option "{value}"')


def _set_step_down(options: Options, value: str) -> None:
    options["step_down_on_removal"] = _boolean(value)


_OPTIONS: dict[str, Callable[[Options, str], None]] = {
    "inflight": _set_inflight,
    "async-storage-writes": _set_async,
    "prevote": _set_pre_vote,
    "checkquorum": _set_check_quorum,
    "max-committed-size-per-ready": _set_committed_size,
    "disable-conf-change-validation": _set_no_validation,
    "read-only": _set_read_only,
    "step-down-on-removal": _set_step_down,
}


def _log_level(group: Group, arguments: Arguments) -> None:
    _set_log_level(group, arguments[0].key)


def _set_log_level(group: Group, level: str) -> None:
    if level.lower() not in _LOG_LEVELS:
        raise Refused(f"log levels must be either of [{' '.join(_LOG_LEVELS).upper()}]")
    group.quiet = level.lower() == "none"


def _set_randomized_election_timeout(group: Group, arguments: Arguments) -> None:
    _first(group, arguments).node.set_election_timeout(_number(_named(arguments)["timeout"][0]))


def _breakpoint(_group: Group, _arguments: Arguments) -> None:
    """A mark for people who debug a transcript."""


# -- commands that members are given ----------------------------------------------------------------------------------


def _campaign(group: Group, arguments: Arguments) -> None:
    _first(group, arguments).node.campaign()


def _propose(group: Group, arguments: Arguments) -> None:
    if len(arguments) != 2 or arguments[1].values:
        raise TranscriptError(f"expected a member and one word to propose, got {arguments}")
    _first(group, arguments).node.propose(arguments[1].key.encode())


def _propose_conf_change(group: Group, arguments: Arguments, text: str) -> None:
    named = _named(arguments[1:])
    unknown = named.keys() - {"v1", "transition"}
    if unknown:
        raise Refused(f"unknown command {unknown.pop()}")
    word = named.get("transition", ["auto"])[-1]
    transition = _one_of(_TRANSITIONS, word, f"unknown transition {word}")
    try:
        singles = describe.conf_changes(text)
    except ValueError as error:
        raise Refused(str(error)) from error
    change: ConfChange | ConfChangeV2 = ConfChangeV2(tuple(singles), transition)
    if _boolean(named.get("v1", ["false"])[-1]):
        if len(singles) != 1 or transition != ConfChangeTransition.AUTO:
            raise Refused("v1 conf change can only have one operation and no transition")
        change = ConfChange(singles[0].type, singles[0].node_id)
    _first(group, arguments).node.propose_conf_change(change)


def _tick_election(group: Group, arguments: Arguments) -> None:
    _tick(_first(group, arguments), ELECTION_TICK)


def _tick_heartbeat(group: Group, arguments: Arguments) -> None:
    _tick(_first(group, arguments), HEARTBEAT_TICK)


def _tick_times(group: Group, arguments: Arguments) -> None:
    _tick(_first(group, arguments), _number(arguments[1].key))


def _tick(member: Member, count: int) -> None:
    for _ in range(count):
        member.node.tick()


def _transfer_leadership(group: Group, arguments: Arguments) -> None:
    named = _named(arguments)
    source, target = (group.member(_number(named[key][0])) for key in ("from", "to"))
    source.node.transfer_leader(target.id)


def _forget_leader(group: Group, arguments: Arguments) -> None:
    _first(group, arguments).node.forget_leader()


def _report_unreachable(group: Group, arguments: Arguments) -> None:
    members = _members(group, arguments)
    if len(members) != 2:
        raise Refused("must specify exactly two node indexes: node on which to report, and reported node")
    members[0].node.report_unreachable(members[1].id)


def _compact(group: Group, arguments: Arguments) -> None:
    _first(group, arguments).storage.compact(_number(arguments[1].key))
    _raft_log(group, arguments)


def _send_snapshot(group: Group, arguments: Arguments) -> None:
    source, target = _members(group, arguments)
    message = Message(
        MessageType.SNAP,
        to=target.id,
        from_=source.id,
        term=source.node.basic_status().hard_state.term,
        snapshot=source.storage.snapshot(),
    )
    group.messages.append(message)
    group.print(describe.message(message))


# -- commands that let members work -----------------------------------------------------------------------------------


def _deliver_msgs(group: Group, arguments: Arguments) -> None:
    named = _named(arguments)
    to, dropped = _numbers(arguments), list(map(_number, named.get("drop", [])))
    if set(to) & set(dropped):
        raise TranscriptError(f"can't both deliver and drop messages to {set(to) & set(dropped)}")
    message_type = named["type"][-1] if "type" in named else None
    known = ["Msg" + describe.camel(kind.name) for kind in MessageType]
    if message_type is not None and message_type not in known:
        raise TranscriptError(f"unknown message type {message_type}")
    count = 0
    for argument in arguments:
        if not argument.values:
            count += group.deliver(_number(argument.key), message_type)
        elif argument.key == "drop":
            count += sum(group.drop(_number(member), message_type) for member in argument.values)
    if count == 0:
        group.print("no messages")


def _each(work: Callable[[Group, Member], None], doing: str) -> Callable[[Group, Arguments], None]:
    """Let members work in turn; with a heading for each if there are several."""

    def command(group: Group, arguments: Arguments) -> None:
        members = _members(group, arguments)
        for member in members:
            with group.headed(f"{member.id} {doing}" if len(members) > 1 else None):
                work(group, member)

    return command


def _stabilize(group: Group, arguments: Arguments) -> None:
    members = _members(group, arguments) or group.members
    level = _named(arguments).get("log-level")
    was_quiet = group.quiet
    if level:
        _set_log_level(group, level[-1])
    try:
        group.stabilize(members)
    finally:
        group.quiet = was_quiet


# -- commands that show something -------------------------------------------------------------------------------------


def _raft_log(group: Group, arguments: Arguments) -> None:
    storage = _first(group, arguments).storage
    first, last = storage.first_index(), storage.last_index()
    if last < first:
        group.print(f"log is empty: first index={first}, last index={last}")
    else:
        group.print("\n".join(describe.entries(storage.entries(first, last + 1, NO_LIMIT))))


def _raft_state(group: Group, _arguments: Arguments) -> None:
    for member in group.members:
        status = member.node.status()
        voter = "(Voter)" if member.id in status.config.voters else "(Non-Voter)"
        lead, state = status.soft_state
        group.print(f"{member.id}: State{describe.camel(state.name)} {voter} Term:{status.hard_state.term} Lead:{lead}")


def _status(group: Group, arguments: Arguments) -> None:
    for member, progress in _first(group, arguments).node.status().progress.items():
        group.print(f"{member}: {progress}")


_COMMANDS: dict[str, Callable[[Group, Arguments], None]] = {
    "_breakpoint": _breakpoint,
    "add-nodes": _add_nodes,
    "campaign": _campaign,
    "compact": _compact,
    "deliver-msgs": _deliver_msgs,
    "forget-leader": _forget_leader,
    "log-level": _log_level,
    "process-append-thread": _each(Group.process_append, "processing append thread"),
    "process-apply-thread": _each(Group.process_apply, "processing apply thread"),
    "process-ready": _each(Group.process_ready, "handling Ready"),
    "propose": _propose,
    "raft-log": _raft_log,
    "raft-state": _raft_state,
    "report-unreachable": _report_unreachable,
    "send-snapshot": _send_snapshot,
    "set-randomized-election-timeout": _set_randomized_election_timeout,
    "stabilize": _stabilize,
    "status": _status,
    "tick": _tick_times,
    "tick-election": _tick_election,
    "tick-heartbeat": _tick_heartbeat,
    "transfer-leadership": _transfer_leadership,
}
