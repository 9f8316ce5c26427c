"""The flags of the table as click options, read as Go reads flags: one dash or two, `--flag value`, `--flag=value`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import click

from trioetcd.config.errors import ConfigError, NotServedError
from trioetcd.config.flags import AUTH, CLUSTERING, FLAGS, MEMBER, OPERATION, Flag, Kind, Standing
from trioetcd.config.values import check

_SECTIONS: Final = (("Member", MEMBER), ("Clustering", CLUSTERING), ("Auth", AUTH), ("Operation", OPERATION))


class FlagOption(click.Option):
    """One flag. It has no default for click: what nobody gives is settled in `trioetcd.config.sources`."""

    def __init__(self, flag: Flag) -> None:
        bare: dict[str, Any] = {"flag_value": "true"} if flag.kind is Kind.BOOLEAN else {}
        super().__init__(
            [f"--{flag.name}", f"-{flag.name}", _attribute(flag.name)],
            type=str,
            default=None,
            is_flag=False,
            **bare,
            help=flag.help,
            hidden=flag.standing is not Standing.SERVED,
            callback=_checked(flag),
        )
        self.flag = flag

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:  # noqa: ARG002 # click's signature
        """One line of help, of which the single-dash form is no part."""
        if self.hidden:
            return None
        values = "|".join(self.flag.choices) or self.flag.kind.value
        default = f" [{self.flag.default}]" if self.flag.default else ""
        return f"--{self.flag.name} {values}", f"{self.flag.help}{default}"


class ServeCommand(click.Command):
    """A command whose options are the table, and whose help shows them in its sections."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, and every refusal shows the usage (click leaves it out for a value that is missing)."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The served flags by section; what else it takes, below."""
        for title, flags in _SECTIONS:
            names = {flag.name for flag in flags}
            options = [option for option in self.params if isinstance(option, FlagOption) and option.flag.name in names]
            _write_section(title, options, ctx, formatter)
        if (help_option := self.get_help_option(ctx)) is not None:
            _write_section("Other", [help_option], ctx, formatter)


def flag_options() -> list[click.Parameter]:
    """An option for every flag of the table, served or not: those that are not are refused by name later."""
    return [FlagOption(flag) for flag in FLAGS.values()]


def given_flags(parameters: dict[str, Any]) -> dict[str, str]:
    """The flags that the command line gave, by name, of what click hands to the command."""
    return {flag.name: text for flag in FLAGS.values() if (text := parameters[_attribute(flag.name)]) is not None}


def _attribute(name: str) -> str:
    return "flag_" + name.replace("-", "_")


def _checked(flag: Flag) -> Any:
    def callback(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
        if text is not None:
            try:
                check(flag, text)
            except NotServedError:
                return text  # no fault of the command line: refused when the configuration is made
            except ConfigError as error:
                raise click.BadParameter(str(error), ctx=context, param=option, param_hint=f"--{flag.name}") from error
        return text

    return callback


def _write_section(
    title: str, options: Iterable[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
    with formatter.section(title):
        formatter.write_dl(records)
