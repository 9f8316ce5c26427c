"""The command line: `trioetcd serve`, `trioetcd version`. From flags and environment to a running member."""

from __future__ import annotations

from trioetcd.cli.main import main

__all__ = ["main"]
