"""Where settings come from: the command line over `TRIOETCD_*` over `ETCD_*` over the defaults; or a file alone.

What etcd does differently: it ends when a flag and a variable give the same setting. Here the flag wins and a warning
says so. An empty variable counts as none, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from trioetcd.config.errors import ConfigError
from trioetcd.config.flags import FLAGS, Flag, Standing
from trioetcd.config.values import check

PREFIXES: Final = ("TRIOETCD_", "ETCD_")
_FLAGS_BY_VARIABLE: Final = {flag.variable: flag for flag in FLAGS.values()}


class Setting(NamedTuple):
    """The text of one setting and who gave it: `--name`, `ETCD_NAME`, or `default`."""

    text: str
    origin: str

    @property
    def is_given(self) -> bool:
        """Whether somebody gave it, be it the default value."""
        return self.origin != "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The setting of every served flag, and what the operator should hear about how they came to be."""

    values: Mapping[str, Setting]
    warnings: tuple[str, ...]

    def text(self, name: str) -> str:
        """The text of one flag's setting."""
        return self.values[name].text

    def is_given(self, name: str) -> bool:
        """Whether somebody gave this flag a value."""
        return self.values[name].is_given

    def given(self) -> dict[str, str]:
        """What somebody gave, by flag name: "the flags in force"."""
        return {name: setting.text for name, setting in self.values.items() if setting.is_given}


def gather(
    flags: Mapping[str, str], environment: Mapping[str, str], *, read: Callable[[Path], bytes] = Path.read_bytes
) -> Settings:
    """Settle every flag from what the command line gave (by flag name) and from the environment.

    When one of them names a `--config-file`, all comes from that, as with etcd; `read` gives its content.

    Raises `ConfigError` for a flag that this version does not have, for a value of the environment or the file that
    its flag does not take, and for a file that cannot be read; values of the command line have been checked where they
    were read.
    """
    warnings: list[str] = []
    candidates = [*_of_environment(environment, warnings), *_of_command_line(flags)]
    if files := [setting for flag, setting in candidates if flag.name == "config-file" and setting.text]:
        candidates = _of_file(files[-1], read, candidates, warnings)
    values = {flag.name: Setting(flag.default, "default") for flag in FLAGS.values()}
    for flag, setting in candidates:
        before = values[flag.name]
        if before.is_given and before.text != setting.text:
            warnings.append(f"{setting.origin}={setting.text} wins over {before.origin}={before.text}")
        values[flag.name] = setting
    _refuse_what_is_not_served(values)
    warnings.extend(_ignored(values))
    served = {name: values[name] for name, flag in FLAGS.items() if flag.standing is Standing.SERVED}
    return Settings(values=served, warnings=tuple(warnings))


def _of_command_line(flags: Mapping[str, str]) -> Iterable[tuple[Flag, Setting]]:
    return [(FLAGS[name], Setting(text, f"--{name}")) for name, text in flags.items()]


def _of_environment(environment: Mapping[str, str], warnings: list[str]) -> Iterable[tuple[Flag, Setting]]:
    """What the environment gives, the winning prefix last."""
    found = []
    for prefix in reversed(PREFIXES):
        for variable in sorted(name for name in environment if name.startswith(prefix)):
            text, flag = environment[variable], _FLAGS_BY_VARIABLE.get(variable.removeprefix(prefix))
            if flag is None:
                warnings.append(f"the environment variable {variable} is not one of a flag and has no effect")
            elif text:
                _check_variable(flag, text, variable)
                found.append((flag, Setting(text, variable)))
    return found


def _of_file(
    file: Setting, read: Callable[[Path], bytes], others: Iterable[tuple[Flag, Setting]], warnings: list[str]
) -> list[tuple[Flag, Setting]]:
    try:
        content = read(Path(file.text))
    except OSError as error:
        raise ConfigError(f"{file.origin}={file.text} cannot be read: {error.strerror or error}") from error
    ignored = sorted({setting.origin for flag, setting in others if flag.name != "config-file"})
    if ignored:
        warnings.append(f"{file.origin}={file.text} is given, so these have no effect: {', '.join(ignored)}")
    from trioetcd.config.file import read_config_file  # noqa: PLC0415 # few use a file, and a parser of YAML loads slowly

    settings = read_config_file(content, path=file.text, warnings=warnings)
    return [(flag, Setting(text, origin)) for flag, text, origin in settings]


def _check_variable(flag: Flag, text: str, variable: str) -> None:
    try:
        check(flag, text)
    except ConfigError as error:
        raise ConfigError(f"environment variable {variable}: {error}") from error


def _refuse_what_is_not_served(values: Mapping[str, Setting]) -> None:
    for name, setting in values.items():
        flag = FLAGS[name]
        if flag.standing is Standing.LATER and setting.text != flag.default:
            what = f"{setting.origin}={setting.text}" if setting.text else setting.origin
            raise ConfigError(f"{what}: etcd has the flag --{name}, this version does not; leave it out to start")


def _ignored(values: Mapping[str, Setting]) -> Iterable[str]:
    return [
        f"{setting.origin} is a flag of etcd's that has no effect here"
        for name, setting in values.items()
        if setting.is_given and FLAGS[name].standing is Standing.IGNORED
    ]
