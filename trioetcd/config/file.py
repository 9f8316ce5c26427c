"""`--config-file`: every setting from one YAML file, as etcd reads it (server/embed/config.go, `configYAML`).

Keys are the names of flags. Numbers, truth values and texts must be written as what they are; a duration is a whole
number of nanoseconds. Some flags are in groups of their own, or spelled otherwise:

    client-transport-security: {cert-file, key-file, client-cert-file, client-key-file, client-cert-auth,
                                trusted-ca-file, auto-tls, allowed-cn, allowed-hostname}
    peer-transport-security:   the same, for the flags that begin with `peer-`
    socket-options:            {reuse-port, reuse-address}
    experimental-snapshot-catch-up-entries

With a file every flag and variable has no effect, as there. A key that is none of these is a warning; etcd is silent.
An empty text counts as none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from trioetcd.config.errors import ConfigError
from trioetcd.config.flags import FLAGS, Flag, Kind, Standing
from trioetcd.config.values import check

_GROUPS: Final = {
    "client-transport-security": {
        "allowed-hostname": "client-cert-allowed-hostname",
        **{name: name for name in ("cert-file", "key-file", "client-cert-file", "client-key-file")},
        **{name: name for name in ("client-cert-auth", "trusted-ca-file", "auto-tls")},
    },
    "peer-transport-security": {
        "allowed-cn": "peer-cert-allowed-cn",
        "allowed-hostname": "peer-cert-allowed-hostname",
        **{name: f"peer-{name}" for name in ("cert-file", "key-file", "client-cert-file", "client-key-file")},
        **{name: f"peer-{name}" for name in ("client-cert-auth", "trusted-ca-file", "auto-tls")},
    },
    "socket-options": {"reuse-port": "socket-reuse-port", "reuse-address": "socket-reuse-address"},
}
_SPELLED_OTHERWISE: Final = {"experimental-snapshot-catch-up-entries": "experimental-snapshot-catchup-entries"}
_EXPECTED: Final = {
    Kind.TEXT: "a text, in quotes where it looks like something else",
    Kind.URLS: "a text with URLs, separated by commas",
    Kind.INTEGER: "a whole number",
    Kind.BOOLEAN: "true or false",
    Kind.DURATION: "a whole number of nanoseconds",
}


def read_config_file(content: bytes, *, path: str, warnings: list[str]) -> Iterator[tuple[Flag, str, str]]:
    """The flag, text and origin of each setting. Raises `ConfigError` for what is no YAML or not of a flag's kind."""
    for key, value in _entries(content, path):
        origin = f"{key} in {path}"
        flag = FLAGS.get(_flag_name(key))
        if flag is None or flag.name == "config-file":
            warnings.append(f"{origin} is not a setting and has no effect")
        elif value is not None and value != "":
            text = _text(flag, value, origin)
            try:
                check(flag, text)
            except ConfigError as error:
                raise ConfigError(f"{origin}: {error}") from error
            yield flag, text, origin


def _entries(content: bytes, path: str) -> Iterator[tuple[str, Any]]:
    """Keys and values, those of groups as `group.key`."""
    try:
        document = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"--config-file={path} cannot be read as YAML: {reason}") from error
    for key, value in _mapping(document, path).items():
        if key in _GROUPS:
            for inner, member in _mapping(value, f"{key} in {path}").items():
                yield f"{key}.{inner}", member
        else:
            yield str(key), value


def _mapping(value: Any, where: str) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected `flag: value` lines, found {_what_it_is(value)}")
    return value


def _flag_name(key: str) -> str:
    group, _, inner = key.rpartition(".")
    return _GROUPS[group].get(inner, key) if group in _GROUPS else _SPELLED_OTHERWISE.get(key, key)


def _text(flag: Flag, value: Any, origin: str) -> str:
    """The value as the flag of the command line would have it."""
    if isinstance(value, list) and flag.kind is Kind.TEXT and all(isinstance(one, str) for one in value):
        return ",".join(value)  # log-outputs, cipher-suites, allowed-cn
    if type(value) is bool and (flag.kind is Kind.BOOLEAN or flag.standing is not Standing.SERVED):
        return "true" if value else "false"
    if type(value) is int and (flag.kind is Kind.INTEGER or flag.standing is not Standing.SERVED):
        return str(value)
    if type(value) is int and flag.kind is Kind.DURATION:
        return f"{value}ns"
    if isinstance(value, str) and flag.kind in (Kind.TEXT, Kind.URLS):
        return value
    raise ConfigError(f"{origin} is {_what_it_is(value)}; expected {_EXPECTED[flag.kind]}")


def _what_it_is(value: Any) -> str:
    names = {
        bool: "a truth value",
        int: "a number",
        float: "a fraction",
        str: "a text",
        list: "a list",
        dict: "a group",
    }
    return names.get(type(value), "neither text nor number")
