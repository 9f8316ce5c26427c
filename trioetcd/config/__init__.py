"""Configuration: flags and environment in, one checked `MemberConfig` out. Imports nothing else of ours.

`flags` is the table of every flag; `sources` settles who gave each its value, `file` reads a file of them; `build`
turns the text into a `MemberConfig`; `member` holds that and its rules; `url` and `values` read single values.
"""

from __future__ import annotations

from trioetcd.config.errors import ConfigError, StartRefused
from trioetcd.config.member import HttpEngine, InitialMember, LogConfig, MemberConfig, parse_initial_cluster
from trioetcd.config.url import Url, join_urls, parse_url, parse_urls, same_urls

__all__ = [
    "ConfigError",
    "HttpEngine",
    "InitialMember",
    "LogConfig",
    "MemberConfig",
    "StartRefused",
    "Url",
    "join_urls",
    "parse_initial_cluster",
    "parse_url",
    "parse_urls",
    "same_urls",
]
