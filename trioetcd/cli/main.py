"""The command `trioetcd` and its subcommands.

Exit codes are etcd's: 0 for an orderly end, 1 for a configuration or a start that failed, 2 for a command line that
could not be read (with the usage).

A command's module is imported when that command is asked for: so each waits for no more than it needs.
"""

from __future__ import annotations

import platform
import sys
from importlib import import_module
from typing import Final

import click

from trioetcd import __version__
from trioetcd.config.version import API_VERSION, SERVER_VERSION

_ELSEWHERE: Final = {
    "serve": ("trioetcd.cli.serve_command", "Run one member."),
    "utl": ("trioetcd.cli.utl", "Work on a member's files, without a member."),
}
"""Commands with a module of their own, and what the list of commands says of them."""


class _Commands(click.Group):
    """The commands, here and elsewhere."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, _ = _ELSEWHERE[cmd_name]
        command: click.Command = getattr(import_module(module), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        helps = {name: command.get_short_help_str() for name, command in self.commands.items()}
        helps.update({name: text for name, (_, text) in _ELSEWHERE.items()})
        with formatter.section("Commands"):
            formatter.write_dl([(name, helps[name]) for name in self.list_commands(ctx)])


def version_lines() -> str:
    """What `--version` prints: ours, the etcd whose behaviour it follows, and what it runs on."""
    return "\n".join(
        (
            f"trioetcd Version: {__version__}",
            f"etcd Version: {SERVER_VERSION}",
            f"API Version: {API_VERSION}",
            f"Python Version: {platform.python_version()}",
            f"OS/Arch: {sys.platform}/{platform.machine()}",
        )
    )


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 # click's signature
    if wanted:
        click.echo(version_lines())
        context.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Its version."
)
def main() -> None:
    """Run and inspect trioetcd, an etcd-compatible cluster member."""


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(version_lines())
