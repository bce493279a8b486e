"""Options that several commands share, and the promise that none of them is silently ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from relume.hosts.cli.knob_options import knob_option, knobs_of
from relume.nodes.read import Read
from relume.nodes.recipes import PROFILES, Plate
from relume.nodes.write import Write

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False)


def several(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return one decorator of several options, which help lists in this order."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


plate_options = several(
    knob_option(Read, "colour", "--input-space", on="plate"),
    click.option(
        "--matte", type=FILE, help="Finished matte to use instead of relume's: matte.A, A or R."
    ),
    click.option(
        "--mask",
        type=FILE,
        help="Rough mask of the subject, filled in white on black; where it is sure, it wins.",
    ),
    click.option(
        "--clean-plate", type=FILE, help="The same view without the subject; it need not match."
    ),
    click.option(
        "--steady", is_flag=True, help="Take flicker out of the matte, over this frame and three."
    ),
    click.option(
        "--proxy",
        type=click.IntRange(min=1, max=64),
        metavar="N",
        default=1,
        show_default=True,
        help="Work at 1/N of the size.",
    ),
)
"""What is known about a plate."""

write_options = several(
    click.option(
        "--out",
        "write__file",
        type=FILE,
        required=True,
        help="File to write, relit.exr, or sequence, relit.####.exr.",
    ),
    knob_option(Write, "colour", "--output-space", on="write"),
    knob_option(Write, "depth", "--depth", on="write"),
    knob_option(Write, "compression", "--compression", on="write"),
)
"""The file that is written."""

pass_option = knob_option(Write, "passes", "--passes", on="write")

set_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NODE.KNOB=VALUE",
    help="Set a knob; may be repeated. A value that changes over time is written as its keys: "
    '{"keys": [[1001, 0], [1100, 2]], "interp": "linear"}.',
)
"""What is other than in a graph's document."""

frame_options = several(
    click.option(
        "--frames",
        metavar="RANGE",
        help="Frames to render: 1001-1100, 1001-1100x2, 1001,1005.  "
        "[default: every frame there is]",
    ),
    click.option(
        "--shot",
        metavar="FIRST-LAST",
        help="The whole shot, whatever part of it is rendered.  "
        "[default: from the first frame there is to the last]",
    ),
)
"""Which frames."""

range_options = several(
    click.option("--frames", metavar="RANGE", help="Frames: 1001-1100, 1001-1100x2, 1001,1005."),
    click.option("--shot", metavar="FIRST-LAST", help="The whole shot.  [default: the graph's]"),
)
"""Which frames, where nothing says which there are."""

job_options = several(
    click.option("--overwrite", is_flag=True, help="Also replace files relume did not write."),
    click.option(
        "--skip-existing",
        is_flag=True,
        help="Leave a file alone if it is whole and would come out the same.",
    ),
    click.option("--fail-fast", is_flag=True, help="Stop at the first frame that fails."),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="Threads to use; the same number gives the same bits.  [default: every core]",
    ),
    click.option(
        "--cache",
        type=click.Path(file_okay=False),
        metavar="FOLDER",
        help="Keep results in this folder for the next run.",
    ),
    click.option("--print-graph", is_flag=True, help="Print the graph instead of rendering it."),
)
"""How to render, whatever the graph."""

farm_options = several(
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Render in N processes of this machine, one thread each unless --threads says more. "
        "One that is killed is replaced, and its frames are rendered again.",
    ),
    click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Render on a Dask cluster: tls://scheduler:8786. Needs the extra [cluster].",
    ),
    click.option(
        "--chunk",
        type=click.IntRange(min=1),
        metavar="N",
        help="Frames to hand to a worker at a time; without --jobs or --cluster, to render before "
        "the memory is emptied. The pixels are the same.",
    ),
    click.option(
        "--retries",
        type=click.IntRange(min=0),
        metavar="N",
        help="How often a frame that could not be read or written, or that killed its worker, is "
        "tried again, after all others.  [default: 2 with --jobs or --cluster, else 0]",
    ),
    click.option(
        "--max-memory",
        type=click.FloatRange(min=0.0, min_open=True),
        metavar="GIB",
        help="Memory that each process may hold; kept results are dropped before a frame fails.",
    ),
    click.option(
        "--log",
        type=FILE,
        metavar="FILE",
        help="Append a line of JSON for each frame to this file.",
    ),
)
"""How to render many frames."""

profile_option = click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="best",
    show_default=True,
    help="How to analyse the subject: fast is one look of one network, to try things out.",
)

device_option = click.option(
    "--device",
    default="cpu",
    show_default=True,
    envvar="RELUME_DEVICE",
    show_envvar=True,
    metavar="DEVICE",
    help="Where networks run: cpu, cuda, cuda:1, mps.",
)

render_options = several(frame_options, job_options, farm_options, device_option)
"""Which frames, and how and where they are rendered."""


def plate_of(plate: str, options: Mapping[str, Any]) -> Plate:
    """Return the plate that an argument and `plate_options` describe."""
    return Plate(
        picture={"file": plate, **knobs_of(options, "plate")},
        matte=options.get("matte"),
        trimap=options.get("trimap"),
        mask=options.get("mask"),
        clean_plate=options.get("clean_plate"),
        method=options.get("method") or "network",
        model=knobs_of(options, "model") or None,
        steady=options["steady"],
        profile=options.get("profile") or "best",
        proxy=options["proxy"],
    )


def refuse(options: Mapping[str, Any], reason: str, *names: str) -> None:
    """Refuse options that would have no effect.

    Args:
        options: the values of the command's options.
        reason: why they would have none, as the end of a sentence.
        names: the parameters; one that the user left out is none.

    Raises:
        click.UsageError: one of them was given.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in names and options[parameter.name] is not None:
            raise click.UsageError(f"{parameter.opts[0]} has no effect {reason}.", context)
