"""`relume farm bundle`, `local` and `task`: a render as a job of a scheduler."""

from __future__ import annotations

from typing import Any

import click

from relume.errors import UsageError
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.farm_check import verify
from relume.hosts.cli.options import device_option, range_options, set_option


@click.command(
    epilog=example(
        "relume farm bundle comp.json --frames 1001-1100 --out job",
        "relume farm local job",
        "deadline bundle submit job",
    )
)
@click.argument("graph", type=click.Path())
@range_options
@set_option
@click.option(
    "--out",
    type=click.Path(),
    metavar="FOLDER",
    required=True,
    help="Folder of the bundle; a new one.",
)
@click.option(
    "--name", metavar="NAME", help="What the scheduler calls the job.  [default: the graph's name]"
)
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    metavar="N",
    default=10,
    show_default=True,
    help="Frames a task renders.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    default=1,
    show_default=True,
    help="Threads of a task; the same number gives the same bits.",
)
@click.option("--overwrite", is_flag=True, help="Tasks replace files relume did not write.")
@click.option("--allow-jumps", is_flag=True, help="Let frames pass that stand out, as flashes do.")
@debug_option
def bundle(
    graph: str,
    frames: str | None,
    shot: str | None,
    changes: tuple[str, ...],
    out: str,
    name: str | None,
    **plan: Any,
) -> None:
    """Write an Open Job Description bundle that renders GRAPH and then verifies the frames.

    The bundle stores the shot, the exposure anchor and the number of threads, so that every task
    gives the same pixels; its folders are parameters that a scheduler maps.
    """
    from pathlib import Path

    from relume.hosts.cli.frames import check_tokens, frames_of
    from relume.hosts.farm.bundle import Plan, write_bundle
    from relume.hosts.farm.graphs import load
    from relume.media.sequence import format_frames
    from relume.nodes.registry import REGISTRY
    from relume.render import sinks

    document = load(graph, changes, shot)
    wanted = frames_of(document, frames or "")
    check_tokens(document, sinks(document, REGISTRY), wanted)
    title = name or Path(graph).stem
    missing = write_bundle(document, wanted, out, Plan(title, **plan))
    if missing:
        click.echo(
            f"Warning: files of the graph are not there yet at {format_frames(missing)}.", err=True
        )
    click.echo(f"{out}: frames {format_frames(wanted)}.")


@click.command(epilog=example("relume farm task graph.json --frames 1001-1010:2 --threads 1"))
@click.argument("graph", type=click.Path())
@click.option(
    "--frames",
    required=True,
    metavar="RANGE",
    help="Frames as Open Job Description writes them: 1001-1010:2,1020.",
)
@set_option
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", default=1, help="Threads to use."
)
@click.option("--overwrite", is_flag=True, help="Replace files relume did not write.")
@click.option("--verify", "check", is_flag=True, help="Verify what was rendered instead.")
@click.option(
    "--jumps",
    type=click.Choice(("refuse", "allow")),
    default="refuse",
    help="Whether frames that stand out pass the verification.",
)
@click.option(
    "--expect",
    default="",
    metavar="NAME=DIGEST,…",
    help="What this machine must have: version, OCIO configuration, weights.",
)
@device_option
@debug_option
@click.pass_context
def task(
    context: click.Context,
    graph: str,
    frames: str,
    changes: tuple[str, ...],
    threads: int,
    overwrite: bool,
    check: bool,
    jumps: str,
    expect: str,
    device: str,
) -> int:
    """Do one task of the bundle that GRAPH lies in; a scheduler calls this.

    Frames that are whole and current already are left alone, so a task may be sent again.
    """
    from relume.hosts.cli.job import Job
    from relume.hosts.farm import machine
    from relume.hosts.farm.graphs import evaluator_of, load
    from relume.hosts.farm.openjd import from_range
    from relume.media.sequence import format_frames

    numbers = from_range(frames)
    wanted = format_frames(numbers)
    document = load(graph, changes)
    if expect:
        machine.check(expect, evaluator_of(document, numbers, threads))
    if check:
        code: int = context.invoke(
            verify, graph=graph, changes=changes, frames=wanted, allow_jumps=jumps == "allow"
        )
        return code
    job = Job(
        frames=wanted, threads=threads, overwrite=overwrite, skip_existing=True, device=device
    )
    return job.carry_out(document)


@click.command(epilog=example("relume farm local job", "relume farm local job -p Threads=2"))
@click.argument("bundle", type=click.Path())
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the job; may be repeated.",
)
@debug_option
def local(bundle: str, parameters: tuple[str, ...]) -> int:
    """Run the job in BUNDLE on this computer, as a scheduler would; needs the extra [farm]."""
    from relume.hosts.farm.local_job import run_bundle

    changes = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not equals:
            raise UsageError(f"'{parameter}' sets no parameter", way_out="Write -p Name=value")
        changes[name] = value
    return run_bundle(bundle, changes)
