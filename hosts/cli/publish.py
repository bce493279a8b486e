"""`relume publish`: check a sequence, and copy it to a version of its own."""

from __future__ import annotations

from typing import Any

import click

from relume.errors import UsageError
from relume.hosts.cli.app import Session, debug_option, example


def _folder(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from relume.hosts.farm.publishing import PLUGINS

        click.echo(PLUGINS)
        ctx.exit()


@click.command(
    epilog=example(
        "relume publish relit.####.exr --to /show/sh010/publish --name relight \\",
        "--cut 1009-1092 --handles 8 --rate 24 --size 1920x1080",
    )
)
@click.argument("out", type=click.Path())
@click.option(
    "--to",
    required=True,
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Folder of versions.",
)
@click.option(
    "--name", metavar="NAME", required=True, help="What it is called; TO/NAME/v001 is a version."
)
@click.option(
    "--number",
    "version",
    type=click.IntRange(min=1),
    metavar="N",
    default=None,
    help="Number of the version.  [default: the next]",
)
@click.option("--cut", metavar="FIRST-LAST", help="The cut; all its frames must be there.")
@click.option(
    "--handles", type=click.IntRange(min=0), metavar="N", default=0, help="Frames around the cut."
)
@click.option("--rate", metavar="FPS", help="Frame rate the files must say: 24, 24000/1001.")
@click.option(
    "--depth",
    type=click.Choice(("half", "float")),
    default="half",
    show_default=True,
    help="Bits of a channel.",
)
@click.option("--colour", metavar="ID", help="Colour space the files must be in: lin_ap1_scene.")
@click.option("--size", metavar="WxH", help="Size the frames must have.")
@click.option(
    "--pixel-aspect", type=float, metavar="RATIO", help="Width of a pixel over its height."
)
@click.option(
    "--graph", type=click.Path(), metavar="FILE", help="Graph that should have made the files."
)
@click.option(
    "--plugins",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    metavar="FOLDER",
    help="Further folder of pyblish plug-ins; those in PYBLISHPLUGINPATH take part as well.",
)
@click.option(
    "--target", "targets", metavar="NAME", multiple=True, help="Target of pyblish beside default."
)
@click.option(
    "--plugin-folder",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_folder,
    help="Print the folder of relume's own plug-ins, for PYBLISHPLUGINPATH, and stop.",
)
@debug_option
def command(
    out: str,
    size: str | None,
    folders: tuple[str, ...],
    targets: tuple[str, ...],
    **options: Any,
) -> int:
    """Check the frames of OUT, and copy them to a new version with a thumbnail and a manifest.

    Nothing is published unless every validator agrees; ends with 5 if one does not. The version
    appears complete or not at all, and the frames of OUT stay where they are.
    """
    from relume.hosts.farm.publishing import Request, publish

    given = {key: value for key, value in options.items() if value is not None}
    if size:
        given["size"] = _size(size)
    request = Request(file=out, **given)
    _ = request.frames, request.fraction  # a range or rate that is none is refused at once
    session = click.get_current_context().find_object(Session) or Session()
    outcome = publish(request, folders=folders, targets=targets, debug=session.debug)
    for plugin, why in outcome.refusals:
        click.echo(f"{plugin}: {why}", err=True)
    if outcome.folder:
        click.echo(f"{outcome.folder}: published.")
    else:
        count = len(outcome.refusals)
        click.echo(f"Nothing was published: {count} check{'s' * (count > 1)} failed.", err=True)
    return outcome.code


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().replace("×", "x").partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UsageError(f"'{text}' is no size", way_out="Write it as 1920x1080")
    return int(width), int(height)
