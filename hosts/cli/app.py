"""The command group: names and one line each, everything else loaded when it is wanted."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass

import click
from typing_extensions import override

COMMANDS = {
    "relight": "Relight the people in a plate.",
    "matte": "Pull a matte, with the foreground's own colour.",
    "defocus": "Blur the background behind the people in a plate.",
    "normals": "Estimate the normals of the people in a plate.",
    "albedo": "Estimate their albedo.",
    "light": "Convolve an environment into the maps that shade a subject.",
    "analyse": "Estimate the light transport of a plate, to relight it later.",
    "shade": "Relight an analysed plate; no network runs.",
    "view": "Drag the light around the head in the browser.",
    "run": "Render a graph.",
    "farm": "Jobs, checks, shots and reports for the render farm.",
    "publish": "Check a sequence, and copy it to a version of its own.",
    "worker": "Render for applications on this computer.",
    "host": "Put relume into an application, or take it away again.",
    "graph": "Make, check, show and compare graphs.",
    "nodes": "List the nodes, or describe one.",
    "metrics": "Measure how far a matte is from the truth.",
    "doctor": "Say what is installed and whether it works.",
    "demo": "Relight a photograph under three light rigs.",
    "train": "Train and judge the networks.",
}
"""Command → its line in `relume --help`; the command lives in the module of its name."""


@dataclass(slots=True)
class Session:
    """What one call of the command knows from beginning to end.

    Attributes:
        debug: whether errors come with a traceback.
    """

    debug: bool = False


class Commands(click.Group):
    """The subcommands, imported one by one so that `relume --help` stays quick."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"relume.hosts.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"Did you mean '{near[0]}'?" if near else "`relume --help` lists them."
            raise click.UsageError(f"There is no command '{args[0]}'. {hint}", ctx)
        return super().resolve_command(ctx, args)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _remember(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    session = ctx.find_object(Session)
    if value and session is not None:
        session.debug = True


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_remember,
    help="Show where in the code an error comes from.",
)


def _version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from relume import __version__

        click.echo(f"relume {__version__}")
        ctx.exit()


def example(*lines: str) -> str:
    """Return the epilogue of a command's help: lines to type, kept as they are."""
    first, *others = lines
    return "\b\n" + "\n".join([f"Example:  {first}", *(f"          {line}" for line in others)])


@click.group(
    cls=Commands,
    epilog=example(
        "relume demo",
        "relume relight portrait.png --light rig:rembrandt --out portrait.exr",
        "relume relight --help",
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@debug_option
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Print the version and stop.",
)
def relume() -> None:
    """Relight people in film plates and pull their mattes.

    Pictures come and go as OpenEXR or whatever OpenImageIO reads, in the colour space they say
    they are in. A sequence is written with its frame as `####` or `%04d`.

    Exit codes: 0 done, 2 wrong usage, 3 input missing or unreadable, 4 some frames failed, 5
    verification failed, 130 cancelled.
    """
