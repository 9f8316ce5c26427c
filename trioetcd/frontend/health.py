"""`/health`, `/livez` and `/readyz`, with etcd's checks, words and order."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from trioetcd.api.errors import ApiError
from trioetcd.frontend.member import FrontendMember

_ALARM_REASONS: Final = {"NOSPACE": "ALARM NOSPACE", "CORRUPT": "ALARM CORRUPT"}


class Answer(NamedTuple):
    """A page's answer: whether all is well, and the text."""

    ok: bool
    body: bytes


class HealthPage:
    """`/health`: alarms, then the leader, then a read; `serializable=true` asks about this member alone."""

    def __init__(self, member: FrontendMember) -> None:
        self._member = member

    async def answer(self, query: str) -> Answer:
        """Check, and say what is wrong first."""
        options = parse_qs(query, keep_blank_values=True)
        serializable = options.get("serializable", [""])[0] == "true"
        reason = await self._reason(excluded=options.get("exclude", []), serializable=serializable)
        self._member.count_health(ok=not reason)
        text = json.dumps({"health": "false" if reason else "true", "reason": reason}, separators=(",", ":"))
        return Answer(not reason, text.encode() if not reason else text.encode() + b"\n")

    async def _reason(self, *, excluded: Sequence[str], serializable: bool) -> str:
        for alarm in self._member.active_alarms():
            if alarm not in excluded:
                return _ALARM_REASONS.get(alarm, "ALARM UNKNOWN")
        if not serializable and not self._member.has_leader():
            return "RAFT NO LEADER"
        try:
            await self._member.probe_read(serializable=serializable)
        except ApiError as error:
            return f"RANGE ERROR:{error.message}"
        return ""


class Check(NamedTuple):
    """One named check: the text of what is wrong, or nothing."""

    name: str
    failure: Callable[[FrontendMember], Awaitable[str]]


async def _data_corruption(member: FrontendMember) -> str:
    return "alarm activated: CORRUPT" if "CORRUPT" in member.active_alarms() else ""


async def _serializable_read(member: FrontendMember) -> str:
    return await _read_failure(member, serializable=True)


async def _linearizable_read(member: FrontendMember) -> str:
    return await _read_failure(member, serializable=False)


async def _non_learner(member: FrontendMember) -> str:
    return "not supported for learner" if member.is_learner() else ""


async def _read_failure(member: FrontendMember, *, serializable: bool) -> str:
    try:
        await member.probe_read(serializable=serializable)
    except ApiError as error:
        return error.message
    return ""


LIVEZ: Final = (Check("serializable_read", _serializable_read),)
"""A member that has lost its quorum is alive: a restart would not help it."""

READYZ: Final = (
    Check("data_corruption", _data_corruption),
    Check("serializable_read", _serializable_read),
    Check("linearizable_read", _linearizable_read),
    Check("non_learner", _non_learner),
)


class ChecksPage:
    """`/livez`, `/readyz`, and each of their checks by itself."""

    def __init__(self, member: FrontendMember, checks: Sequence[Check]) -> None:
        self._member = member
        self._checks = checks

    async def answer(self, query: str) -> Answer:
        """Run the checks that are not excluded; `verbose` lists them also when all is well."""
        options = parse_qs(query, keep_blank_values=True)
        excluded = options.get("exclude", [])
        lines: list[str] = []
        ok = True
        for check in self._checks:
            if check.name in excluded:
                continue
            failure = await check.failure(self._member)
            lines.append(f"[-]{check.name} failed: {failure}\n" if failure else f"[+]{check.name} ok\n")
            ok = ok and not failure
        report = "".join(lines)
        if not ok:
            return Answer(ok, report.encode() + b"\n")
        return Answer(ok, (report + "ok\n" if "verbose" in options else "ok\n").encode())
