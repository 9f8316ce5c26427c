"""Logging: events as data, rendered once, one line each.

A logger is made here and passed to the parts as a collaborator; nothing logs through a global. Its look is that of
etcd's zap, which operators and their tools read:

    {"level":"info","ts":"2026-11-21T08:58:18.011Z","logger":"raft","msg":"lost leader","term":7}

Fields are keyword arguments; their underscores become dashes, as etcd writes them. A message below the level costs one
call of an empty method. A line that cannot be written (a full disk, a closed pipe) is counted, never raised: a member
that serves does not end because nobody can read its log.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, cast

import orjson
import structlog
from structlog.typing import FilteringBoundLogger, Processor

from trioetcd.config import ConfigError, LogConfig

Logger = FilteringBoundLogger
"""What a part is given: `debug`, `info`, `warning`, `error`, `critical`, each with a message and fields, and `bind`."""

LEVELS: Final = {"debug": 10, "info": 20, "warn": 30, "error": 40, "panic": 50, "fatal": 50}
_STANDARD_OUTPUTS: Final = {"stdout": 1, "stderr": 2}
_LEVEL_NAMES: Final = {"warning": "warn", "critical": "fatal", "exception": "error"}


class LogSink:
    """The descriptors that lines go to. `lost_lines` counts those that at least one of them did not take."""

    def __init__(self, *, descriptors: Iterable[int]) -> None:
        self._descriptors = tuple(descriptors)
        self.lost_lines = 0

    def msg(self, line: bytes) -> None:
        """Write one line to every descriptor, whole: a single write each."""
        for descriptor in self._descriptors:
            try:
                os.write(descriptor, line)
            except OSError:
                self.lost_lines += 1

    debug = info = warning = error = critical = exception = fatal = warn = log = msg


def open_sink(outputs: Iterable[str]) -> LogSink:
    """A sink for `stderr`, `stdout` and paths of files, which are appended to. Raises `ConfigError` for a bad path."""
    return LogSink(descriptors=[_open_output(output) for output in outputs])


def make_logger(config: LogConfig, *, sink: LogSink, now: Callable[[], datetime] | None = None) -> Logger:
    """The logger that the configuration describes. `now` is the wall clock of the `ts` field, in UTC."""
    render = _render_json if config.format == "json" else _render_console
    wrapped = structlog.wrap_logger(
        sink,
        processors=[structlog.processors.format_exc_info, _stamp(now or _utc_now), render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[config.level]),
        cache_logger_on_first_use=False,
        context_class=dict,
    )
    return cast("Logger", wrapped.bind())


def null_logger() -> Logger:
    """A logger that says nothing, for tests and tools."""
    return make_logger(LogConfig(level="fatal"), sink=LogSink(descriptors=()))


class Throttle:
    """Holds a line that repeats to one in an interval, for each key, and counts what it held back.

        if (held_back := throttle.admit(("cluster id", remote))) is not None:
            log.warning("request of another cluster refused", remote=remote, held_back=held_back)

    `clock` is monotonic, in seconds (`trio.current_time`). At most `keys_max` keys are remembered: the one that was
    admitted longest ago goes first, and so what strangers send cannot grow it.
    """

    def __init__(self, *, interval_seconds: float, clock: Callable[[], float], keys_max: int = 1024) -> None:
        self._interval = interval_seconds
        self._clock = clock
        self._keys_max = keys_max
        self._admitted: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def admit(self, key: Hashable) -> int | None:
        """None when the key was admitted less than an interval ago, else how many were held back since."""
        now = self._clock()
        last, held_back = self._admitted.get(key, (float("-inf"), 0))
        if now - last < self._interval:
            self._admitted[key] = (last, held_back + 1)
            return None
        self._admitted[key] = (now, 0)
        self._admitted.move_to_end(key)
        if len(self._admitted) > self._keys_max:
            self._admitted.popitem(last=False)
        return held_back


def _open_output(output: str) -> int:
    if output in _STANDARD_OUTPUTS:
        return _STANDARD_OUTPUTS[output]
    try:
        return os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"--log-outputs={output} cannot be opened ({error.strerror}); name a file that can"
        ) from error


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _stamp(now: Callable[[], datetime]) -> Processor:
    """Bring an event into zap's order: level, ts, logger, msg, then the fields as they came."""

    def stamp(_sink: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        ordered: dict[str, Any] = {
            "level": _LEVEL_NAMES.get(method, method),
            "ts": now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        if (logger := event.pop("logger", None)) is not None:
            ordered["logger"] = logger
        ordered["msg"] = event.pop("event", "")
        for name, value in event.items():
            ordered[name if "_" not in name else name.replace("_", "-")] = value
        return ordered

    return stamp


def _render_json(_sink: Any, _method: str, event: MutableMapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(event, default=_plain, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # what it is too strict for: integers above 64 bits, text that is not Unicode (a path's bytes)
        return json.dumps(event, default=_plain, separators=(",", ":")).encode() + b"\n"


def _render_console(_sink: Any, _method: str, event: MutableMapping[str, Any]) -> bytes:
    """`ts level logger: msg name=value`, an exception's traceback on lines of its own."""
    traceback = event.pop("exception", None)
    head = f"{event.pop('ts')} {event.pop('level'):<5} "
    logger = event.pop("logger", None)
    words = [head + (f"{logger}: " if logger else "") + str(event.pop("msg"))]
    words.extend(f"{name}={_console_value(value)}" for name, value in event.items())
    line = "  ".join(words)
    text = f"{line}\n{traceback}\n" if traceback else f"{line}\n"
    return text.encode("utf-8", "backslashreplace")


def _console_value(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=_plain).decode()
    return text if text and text.isprintable() and not set(text) & set(' "=') else repr(text)


def _plain(value: Any) -> Any:
    """What JSON has no form for: bytes as text, collections as lists, the rest as it prints itself."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
