"""`relume farm verify` and `relume farm report`: what a sequence is, told and shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from relume.errors import Exit, UsageError
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.options import range_options, set_option

if TYPE_CHECKING:
    from relume.graph import Graph


@click.command(
    epilog=example(
        "relume farm verify relit.####.exr --frames 1001-1100",
        "relume farm verify --graph comp.json --shot 1001-1100 --json",
    )
)
@click.argument("out", required=False, type=click.Path())
@range_options
@click.option(
    "--graph", type=click.Path(), metavar="FILE", help="Graph that should have made the files."
)
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


@click.command(
    epilog=example(
        "relume farm report relit.####.exr --plate plate.####.exr --log frames.jsonl \\",
        "--html report.html",
    )
)
@click.argument("out", type=click.Path())
@range_options
@click.option("--html", required=True, type=click.Path(dir_okay=False), help="Page to write.")
@click.option("--plate", type=click.Path(), metavar="FILE", help="Plate to wipe against.")
@click.option(
    "--log", "log_file", type=click.Path(), metavar="FILE", help="Log of `relume run --log`."
)
@click.option(
    "--samples",
    type=click.IntRange(min=1, max=100),
    metavar="N",
    default=6,
    show_default=True,
    help="Frames to show, beside those that stand out.",
)
@click.option(
    "--graph", type=click.Path(), metavar="FILE", help="Graph that should have made the files."
)
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
