"""Why a member does not start."""

from __future__ import annotations


class ConfigError(Exception):
    """The member cannot start as configured. The message is one line: what was wrong, what was expected, what to do."""


class NotServedError(ConfigError):
    """It is well said and etcd would take it; this version does not have it."""


class StartRefused(Exception):  # a refusal for the operator to handle, no error of the program
    """The member cannot start on what it found: a foreign directory, damage, a taken port. One line, as above."""
