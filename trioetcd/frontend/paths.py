"""Paths as Go's ServeMux sees them: percent-decoded, and sent elsewhere when they are not clean."""

from __future__ import annotations

import posixpath
import re
from html import escape
from typing import Final
from urllib.parse import quote, unquote_to_bytes

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNESCAPED_IN_PATH: Final = "/$&+,:;=@-_.~"  # Go: net/url, shouldEscape for a path


class BadPathError(ValueError):
    """A path whose percent-encoding is broken."""


def decode_path(path: str) -> str:
    """The path that is routed: `/v3/kv%2Frange` is `/v3/kv/range`."""
    if "%" not in path:
        return path if path.isascii() else path.encode("latin-1").decode("utf-8", "surrogateescape")
    if _BAD_ESCAPE.search(path):
        raise BadPathError(f"a percent sign in the path {path!r} is not followed by two hexadecimal digits")
    return unquote_to_bytes(path.encode("latin-1")).decode("utf-8", "surrogateescape")


def clean_path(path: str) -> str:
    """The path without `//`, `.` and `..`; one that differs from it is answered with a redirect."""
    if not path:
        return "/"
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def location(path: str, query: str) -> str:
    """A Location field's value."""
    encoded = quote(path.encode("utf-8", "surrogateescape"), safe=_UNESCAPED_IN_PATH)
    return f"{encoded}?{query}" if query else encoded


def redirect_body(target: str) -> bytes:
    """What Go writes for readers of a redirect."""
    return f'<a href="{escape(target).replace("&#x27;", "&#39;")}">Moved Permanently</a>.\n\n'.encode()
