"""`python -m trioetcd` is `trioetcd`."""

from __future__ import annotations

from trioetcd.cli import main

main()
