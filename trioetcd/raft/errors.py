"""Two kinds of failure, never mixed: what a caller may meet and handle, and what must never happen.

A `RaftError` is a refusal: the core's state is unchanged and the caller goes on. A `RaftInvariantError` says that
the algorithm's own rules do not hold any more (a bug here, or storage that lost what it had promised to keep); the
member must stop, because every further step could acknowledge what is not there.
"""

from __future__ import annotations


class RaftError(Exception):
    """The base of every refusal: nothing was changed, the caller decides what follows."""


class ProposalDropped(RaftError):
    """The proposal was not appended and was not forwarded: propose again later, or elsewhere."""


class StepLocalMessage(RaftError):
    """A message that only this member may send to itself arrived from outside: drop it."""


class StepPeerNotFound(RaftError):
    """A response arrived from a member that the active configuration does not know: drop it."""


class ConfChangeRefused(RaftError):
    """A configuration change that does not follow from the active configuration. `str()` is the reason."""


class ConfChangeMalformed(RaftError):
    """The bytes of a configuration change do not decode. `str()` says at which byte and why."""


class ConfigInvalid(RaftError, ValueError):
    """A `Config` whose values contradict each other or lie outside their range."""


class StorageError(RaftError):
    """The base of what a `LogStorage` answers when it does not have what it is asked for."""


class Compacted(StorageError):
    """The index lies before the first one that is kept: a snapshot stands for it."""


class Unavailable(StorageError):
    """The index lies after the last one that is stored."""


class SnapshotOutOfDate(StorageError):
    """The given snapshot is not newer than the one that is kept."""


class SnapshotTemporarilyUnavailable(StorageError):
    """A snapshot is being made: ask again after a while."""


class RaftInvariantError(Exception):
    """The algorithm's rules were broken; the message carries the numbers. Stop the member, never continue."""
