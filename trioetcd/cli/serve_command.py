"""`trioetcd serve`: its flags and its help, which load fast; what it does is imported when it is done."""

from __future__ import annotations

from typing import Any

import click

from trioetcd.cli import garbage
from trioetcd.cli.options import ServeCommand, flag_options, given_flags


@click.command(
    cls=ServeCommand, params=flag_options(), context_settings={"help_option_names": ["-h", "-help", "--help"]}
)
@click.pass_context
def serve(context: click.Context, /, **parameters: Any) -> None:
    """Run one member.

    Flags have etcd's names and meanings, with one dash or two. Each has an environment variable, TRIOETCD_NAME or
    ETCD_NAME for --name; a flag wins over it.
    """
    garbage.collect_rarely()
    from trioetcd.cli.serve import serve_production  # noqa: PLC0415 # it loads Trio, which help does not need

    context.exit(serve_production(given_flags(parameters)))
