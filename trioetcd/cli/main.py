"""The command `trioetcd` and its subcommands.

Exit codes are etcd's: 0 for an orderly end, 1 for a configuration or a start that failed, 2 for a command line that
could not be read (with the usage).
"""

from __future__ import annotations

import platform
import sys

import click

from trioetcd import __version__
from trioetcd.cli.serve import serve
from trioetcd.cli.utl import utl
from trioetcd.config.version import API_VERSION, SERVER_VERSION


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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Its version."
)
def main() -> None:
    """Run and inspect trioetcd, an etcd-compatible cluster member."""


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(version_lines())


main.add_command(serve)
main.add_command(utl)
