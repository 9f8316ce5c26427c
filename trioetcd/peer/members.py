"""The members as JSON between members: what `/members` answers, and a promotion that was asked for over there.

    [{"id":1,"peerURLs":["http://h:2380"],"name":"m1","clientURLs":["http://h:2379"],"isLearner":true}]

These are etcd's names. IDs are numbers here (clients get them as text), `isLearner` is left out when it is false.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from trioetcd.storage.members import Member


class BadMembers(ValueError):
    """These bytes are no list of members."""


def encode_members(members: Iterable[Member]) -> bytes:
    """The members as an array in JSON, with a newline at its end."""
    rows = [
        {"id": one.id, "peerURLs": list(one.peer_urls), "name": one.name, "clientURLs": list(one.client_urls)}
        | ({"isLearner": True} if one.is_learner else {})
        for one in members
    ]
    return orjson.dumps(rows) + b"\n"


def decode_members(data: bytes) -> tuple[Member, ...]:
    """What `encode_members` made, or a member of etcd; unknown fields are passed over. Raises `BadMembers`."""
    try:
        rows = orjson.loads(data)
    except ValueError as error:
        raise BadMembers(f"members are an array in JSON, not {data[:80]!r}") from error
    if not isinstance(rows, list):
        raise BadMembers(f"members are an array in JSON, not {data[:80]!r}")
    return tuple(_member(row) for row in rows)


def _member(row: object) -> Member:
    if not isinstance(row, dict) or type(number := row.get("id")) is not int:
        raise BadMembers(f"a member is an object with a number as its id, not {row!r:.80}")
    name = row.get("name", "")
    if not isinstance(name, str):
        raise BadMembers(f"the name of a member is text, not {name!r:.80}")
    return Member(number, name, _urls(row.get("peerURLs")), _urls(row.get("clientURLs")), row.get("isLearner") is True)


def _urls(value: object) -> tuple[str, ...]:
    """URLs; Go writes a list without any as null."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        raise BadMembers(f"URLs of a member are a list of texts, not {value!r:.80}")
    return tuple(value)
