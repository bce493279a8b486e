"""`relume farm shots`: every shot of an edit from one graph."""

from __future__ import annotations

from typing import Any

import click

from relume.errors import Exit, UsageError
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.options import device_option, farm_options, job_options, set_option


@click.command(
    epilog=example(
        "relume farm shots reel1.otio --graph comp.json --handles 8 --list",
        "relume farm shots reel1.edl --rate 24 --graph comp.json --overrides shots.json",
    )
)
@click.argument("timeline", type=click.Path())
@click.option(
    "--graph", required=True, type=click.Path(), metavar="FILE", help="Graph of every shot."
)
@click.option(
    "--handles",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    show_default=True,
    help="Frames to render around the cut, where the plate has them.",
)
@click.option(
    "--overrides", type=click.Path(), metavar="FILE", help='JSON: {"sh010": {"node.knob": value}}.'
)
@click.option("--only", multiple=True, metavar="SHOT", help="Render this shot; may be repeated.")
@click.option("--rate", type=float, metavar="FPS", help="Frames a second of an EDL.  [default: 24]")
@click.option(
    "--plate-node",
    metavar="NAME",
    default="plate",
    show_default=True,
    help="Node that reads a shot's plate.",
)
@click.option("--list", "listing", is_flag=True, help="List the shots instead of rendering them.")
@set_option
@job_options
@farm_options
@device_option
@debug_option
def shots(
    timeline: str,
    graph: str,
    handles: int,
    overrides: str | None,
    only: tuple[str, ...],
    rate: float | None,
    plate_node: str,
    listing: bool,
    changes: tuple[str, ...],
    **options: Any,
) -> int:
    """Render every clip of TIMELINE from one graph; needs the extra [farm].

    The graph's plate is what a clip points at, or its own file where that says {shot}; its output
    says {shot}. Nothing is rendered unless every shot can be.
    """
    from relume.hosts.cli.job import Job
    from relume.hosts.farm import shots as edit
    from relume.hosts.farm.graphs import load

    document = load(graph, changes)
    clips = edit.read_clips(timeline, rate)
    names = [clip.name for clip in clips]
    for name in only:
        if name not in names:
            raise UsageError(f"there is no shot '{name}'", way_out=f"There are {', '.join(names)}")
    wanted = [clip for clip in clips if not only or clip.name in only]
    if not wanted:
        raise UsageError(f"{timeline} has no clip", way_out="Export its video tracks")
    own = edit.read_overrides(overrides, names) if overrides else {}
    edit.check_outputs(document, wanted)
    planned = []
    for clip in wanted:
        plate = edit.plate_of(document, clip, plate_node)
        frames = edit.range_of(clip, plate, handles)
        mine = own.get(clip.name)
        made = edit.graph_of(document, clip, frames.whole, plate, plate_node, mine)
        planned.append((clip.name, frames, made))
    codes = []
    for name, frames, made in planned:
        before, after = frames.handles()
        clamped = "" if min(before, after) == handles else ", all the plate has"
        click.echo(f"{name}: {frames.cut}, handles {before} and {after}{clamped}")
        if not listing:
            job = Job.of({**options, "frames": str(frames.whole)})
            codes.append(job.carry_out(made))
            if codes[-1] == Exit.CANCELLED:
                return Exit.CANCELLED
    if not any(codes):
        return Exit.DONE
    return codes[0] if len(set(codes)) == 1 else Exit.FRAMES_FAILED


# There is a graph for each shot: --list says what would be rendered.
shots.params = [parameter for parameter in shots.params if parameter.name != "print_graph"]
