"""`relume host`: put relume into an application, look whether it is in place, take it away."""

from __future__ import annotations

from pathlib import Path

import click

from relume.errors import Exit
from relume.hosts import install as hosts
from relume.hosts.cli.app import debug_option, example

_folder = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Folder to use; where the application looks by default.",
)
_name = click.argument("name", type=click.Choice(list(hosts.HOSTS)))


@click.group(epilog=example("relume host install client --dir tools"))
@debug_option
def command() -> None:
    """Put relume into an application, or take it away again."""


@command.command(epilog=example("relume host install client --dir tools"))
@_name
@_folder
@debug_option
def install(name: str, folder: Path | None) -> None:
    """Write what the application NAME needs, and say what was written."""
    host = hosts.find(name)
    place, written = hosts.install(name, folder)
    for path in written:
        click.echo(path)
    click.echo(f"{host.title}: {len(written)} file{'s' * (len(written) != 1)} in {place}.")
    if host.after:
        click.echo(host.after)


@command.command(epilog=example("relume host uninstall client --dir tools"))
@_name
@_folder
@debug_option
def uninstall(name: str, folder: Path | None) -> None:
    """Remove what `relume host install NAME` wrote, and nothing else."""
    removed, kept = hosts.uninstall(name, folder)
    for path in removed:
        click.echo(path)
    for path in kept:
        click.echo(f"{path} was changed since, so it stays.")
    click.echo(f"{hosts.find(name).title}: removed.")


@command.command(epilog=example("relume host check client"))
@_name
@_folder
@debug_option
def check(name: str, folder: Path | None) -> int:
    """Say whether the application NAME has what it needs, and whether the worker answers."""
    place, problems = hosts.problems(name, folder)
    problems += hosts.worker_problems()
    for problem in problems:
        click.echo(problem)
    if not problems:
        click.echo(f"{hosts.find(name).title}: in place in {place}; the worker answers.")
    return Exit.VERIFICATION if problems else Exit.DONE
