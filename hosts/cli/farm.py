"""`relume farm`: jobs, checks, shots and reports for the render farm."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from relume.errors import Exit, UsageError
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.options import device_option, job_options, several

if TYPE_CHECKING:
    from relume.graph import Graph


@click.group()
@debug_option
def command() -> None:
    """Jobs, checks, shots and reports for the render farm."""


set_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NODE.KNOB=VALUE",
    help="Set a knob of the graph; may be repeated.",
)
range_options = several(
    click.option("--frames", metavar="RANGE", help="Frames: 1001-1100, 1001-1100x2, 1001,1005."),
    click.option("--shot", metavar="FIRST-LAST", help="The whole shot.  [default: the graph's]"),
)


@command.command(
    epilog=example(
        "relume farm verify relit.####.exr --frames 1001-1100",
        "relume farm verify --graph comp.json --shot 1001-1100 --json",
    )
)
@click.argument("out", required=False, type=click.Path())
@range_options
@click.option("--graph", type=click.Path(), help="Graph that should have made the files.")
@set_option
@click.option("--allow-jumps", is_flag=True, help="Let frames pass that stand out, as flashes do.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@debug_option
def verify(
    out: str | None,
    frames: str | None,
    shot: str | None,
    graph: str | None,
    changes: tuple[str, ...],
    allow_jumps: bool,
    as_json: bool,
) -> int:
    """Check that the frames of OUT are all there, whole, alike, finite and relume's.

    With --graph also that they are what the graph would write now; OUT is then whatever it writes.
    Frames that stand out from their neighbours are a wrong frame or a flicker. Ends with 5 if
    anything is wrong.
    """
    from relume.hosts.farm.graphs import load, outputs
    from relume.hosts.farm.verify import Verification, existing, verify

    if not out and not graph:
        raise UsageError("there is nothing to check", way_out="Name OUT.####.exr, or --graph")
    if changes and not graph:
        raise UsageError("--set has no effect without --graph")
    document = load(graph, changes, shot) if graph else None
    wanted = _wanted(frames, shot, document)
    patterns = [out] if out else list(outputs(document).values()) if document else []
    found: list[Verification] = []
    for pattern in patterns:
        there = wanted or existing(pattern)
        current = _current(document, pattern, there) if document else None
        found.append(verify(pattern, there, fingerprint=current, allow_jumps=allow_jumps))
    if as_json:
        click.echo(json.dumps([result.to_json() for result in found], indent=2))
    else:
        for result in found:
            _tell(result)
    return Exit.VERIFICATION if any(result.problems for result in found) else Exit.DONE


def _wanted(frames: str | None, shot: str | None, graph: Graph | None) -> tuple[int, ...]:
    """Return the frames that options or a graph's shot ask for, or none."""
    from relume.frames import Shot
    from relume.hosts.farm.graphs import shot_frames
    from relume.media.sequence import parse_frames

    if frames:
        return parse_frames(frames)
    if shot:
        whole = Shot.parse(shot)
        return tuple(range(whole.first, whole.last + 1))
    return shot_frames(graph) if graph else ()


def _current(graph: Graph, pattern: str, frames: Sequence[int]) -> Callable[[int], str]:
    """Return what tells the fingerprint that a frame of a sequence should carry."""
    from relume.hosts.farm.graphs import evaluator_of, output_of

    node, evaluator = output_of(graph, pattern), evaluator_of(graph, frames)
    return lambda frame: evaluator.fingerprint(node, frame)


def _tell(result: Any) -> None:
    from relume.media.sequence import format_frames

    for problem in result.problems:
        click.echo(f"{result.pattern}: {problem}", err=True)
    for name, held in result.passes.items():
        mean = " ".join("-" if value is None else f"{value:.4g}" for value in held["mean"])
        low, high = (f"{held[k]:.4g}" if held[k] is not None else "-" for k in ("min", "max"))
        click.echo(f"{name}: mean {mean}, from {low} to {high}, flicker {held['flicker']:.2%}")
    count = len(result.problems)
    verdict = f"{count} problem{'s' * (count > 1)}" if count else "nothing wrong"
    frames = format_frames(result.frames)
    click.echo(f"{result.pattern}: frames {frames}, {verdict}.")


@command.command(
    epilog=example(
        "relume farm bundle comp.json --frames 1001-1100 --out job",
        "relume farm local job",
        "deadline bundle submit job",
    )
)
@click.argument("graph", type=click.Path())
@range_options
@set_option
@click.option("--out", type=click.Path(), required=True, help="Folder of the bundle; a new one.")
@click.option("--name", help="What the scheduler calls the job.  [default: the graph's name]")
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Frames a task renders.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
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


@command.command(epilog=example("relume farm task graph.json --frames 1001-1010:2 --threads 1"))
@click.argument("graph", type=click.Path())
@click.option(
    "--frames",
    required=True,
    metavar="RANGE",
    help="Frames as Open Job Description writes them: 1001-1010:2,1020.",
)
@set_option
@click.option("--threads", type=click.IntRange(min=1), default=1, help="Threads to use.")
@click.option("--overwrite", is_flag=True, help="Replace files relume did not write.")
@click.option("--verify", "check", is_flag=True, help="Verify what was rendered instead.")
@click.option(
    "--jumps",
    type=click.Choice(("refuse", "allow")),
    default="refuse",
    help="Whether frames that stand out pass the verification.",
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
    device: str,
) -> int:
    """Do one task of the bundle that GRAPH lies in; a scheduler calls this.

    Frames that are whole and current already are left alone, so a task may be sent again.
    """
    from relume.hosts.cli.job import Job
    from relume.hosts.farm.graphs import load
    from relume.hosts.farm.openjd import from_range
    from relume.media.sequence import format_frames

    wanted = format_frames(from_range(frames))
    if check:
        code: int = context.invoke(
            verify, graph=graph, changes=changes, frames=wanted, allow_jumps=jumps == "allow"
        )
        return code
    job = Job(
        frames=wanted, threads=threads, overwrite=overwrite, skip_existing=True, device=device
    )
    return job.carry_out(load(graph, changes))


@command.command(epilog=example("relume farm local job", "relume farm local job -p Threads=2"))
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


@command.command(
    epilog=example(
        "relume farm shots reel1.otio --graph comp.json --handles 8 --list",
        "relume farm shots reel1.edl --rate 24 --graph comp.json --overrides shots.json",
    )
)
@click.argument("timeline", type=click.Path())
@click.option("--graph", required=True, type=click.Path(), help="Graph of every shot.")
@click.option(
    "--handles",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Frames to render around the cut, where the plate has them.",
)
@click.option("--overrides", type=click.Path(), help='JSON: {"sh010": {"node.knob": value}}.')
@click.option("--only", multiple=True, metavar="SHOT", help="Render this shot; may be repeated.")
@click.option("--rate", type=float, help="Frames a second of an EDL.  [default: 24]")
@click.option(
    "--plate-node", default="plate", show_default=True, help="Node that reads a shot's plate."
)
@click.option("--list", "listing", is_flag=True, help="List the shots instead of rendering them.")
@set_option
@job_options
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


@command.command(
    epilog=example(
        "relume farm report relit.####.exr --plate plate.####.exr --log frames.jsonl \\",
        "--html report.html",
    )
)
@click.argument("out", type=click.Path())
@range_options
@click.option("--html", required=True, type=click.Path(dir_okay=False), help="Page to write.")
@click.option("--plate", type=click.Path(), help="Plate to wipe against.")
@click.option("--log", "log_file", type=click.Path(), help="Log of `relume run --log`.")
@click.option(
    "--samples",
    type=click.IntRange(min=1, max=100),
    default=6,
    show_default=True,
    help="Frames to show, beside those that stand out.",
)
@click.option("--graph", type=click.Path(), help="Graph that should have made the files.")
@set_option
@debug_option
def report(
    out: str,
    frames: str | None,
    shot: str | None,
    html: str,
    plate: str | None,
    log_file: str | None,
    samples: int,
    graph: str | None,
    changes: tuple[str, ...],
) -> int:
    """Write a page about OUT that needs nothing but itself.

    It shows frames with a wipe between plate, matte and picture, what every pass holds and how
    much it flickers, where the time went, and what is wrong. Ends with 0 whatever it shows.
    """
    from relume.hosts.farm.graphs import load
    from relume.hosts.farm.report import read_log, write_report
    from relume.hosts.farm.verify import existing

    if changes and not graph:
        raise UsageError("--set has no effect without --graph")
    document = load(graph, changes, shot) if graph else None
    wanted = _wanted(frames, shot, document)
    log = read_log(log_file) if log_file else None
    found = write_report(
        out,
        html,
        frames=wanted,
        plate=plate or "",
        log=log,
        fingerprint=_current(document, out, wanted or existing(out)) if document else None,
        samples=samples,
    )
    count = len(found.problems) + (len(log.failures) if log else 0)
    click.echo(f"{html}: {count} problem{'s' * (count != 1)}.")
    return Exit.DONE
