"""`trioetcd utl`: work on files, without a member. The commands, flags and outputs are those of `etcdutl`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import click

BAD_ARGUMENTS: Final = 128
"""etcdutl's exit code for a command line that it cannot read."""


class _Group(click.Group):
    """A group that ends as etcdutl does when the command line cannot be read."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.show()
            ctx.exit(BAD_ARGUMENTS)


@click.group(cls=_Group)
def utl() -> None:
    """Work on a member's files, without a member."""


@utl.group(cls=_Group)
def snapshot() -> None:
    """Look at snapshots, and make members from them."""


# What the commands do is imported when it is done, so that no other command waits for storage to load.


@snapshot.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-w", "--write-out", type=click.Choice(["simple", "json", "table"]), default="simple", show_default=True)
def status(file: Path, write_out: str) -> None:
    """Read FILE through and tell its hash, newest revision, number of keys and size."""
    from trioetcd.cli.snapshot_files import EXPECTED, describe  # noqa: PLC0415 # see above

    try:
        click.echo(describe(file, write_out))
    except EXPECTED as error:
        raise click.ClickException(str(error)) from error


@snapshot.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="default", show_default=True, help="The name of the member that is made.")
@click.option("--data-dir", default="", help="Its data directory. The default is NAME.trioetcd.")
@click.option("--wal-dir", default="", help="Its write-ahead log, when not in the data directory.")
@click.option("--initial-cluster", default="", help="All members: NAME=URL,... The default is this one alone.")
@click.option("--initial-cluster-token", default="etcd-cluster", show_default=True, help="Keeps clusters apart.")
@click.option(
    "--initial-advertise-peer-urls", default="http://localhost:2380", show_default=True, help="Its peer URLs."
)
@click.option("--skip-hash-check", is_flag=True, help="Take a file whose SHA-256 is missing or wrong.")
def restore(file: Path, *, skip_hash_check: bool, **settings: str) -> None:
    """Make the data directory of a member of a new cluster from FILE.

    Every member of the new cluster is made so, from the same FILE; then they are started, with the same flags.
    """
    from trioetcd.cli.serve import UMASK  # noqa: PLC0415 # see above
    from trioetcd.cli.snapshot_files import EXPECTED, restore_file  # noqa: PLC0415 # see above

    os.umask(UMASK)
    flags = {name.replace("_", "-"): text for name, text in settings.items()}
    try:
        restore_file(file, skip_hash_check=skip_hash_check, flags=flags)
    except EXPECTED as error:
        raise click.ClickException(str(error)) from error
