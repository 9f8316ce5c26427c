"""What configuration refuses."""

from __future__ import annotations


class ConfigError(Exception):
    """The member cannot start as configured. The message is one line: what was wrong, what was expected, what to do."""
