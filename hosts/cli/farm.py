"""`relume farm`: jobs, checks, shots and reports for the render farm."""

from __future__ import annotations

import json
from typing import Any

import click

from relume.errors import Exit, UsageError
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.options import several


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
    from relume.frames import Shot
    from relume.hosts.farm.graphs import evaluator_of, load, output_of, outputs, shot_frames
    from relume.hosts.farm.verify import Verification, existing, verify
    from relume.media.sequence import parse_frames

    if not out and not graph:
        raise UsageError("there is nothing to check", way_out="Name OUT.####.exr, or --graph")
    if changes and not graph:
        raise UsageError("--set has no effect without --graph")
    document = load(graph, changes, shot) if graph else None
    wanted = parse_frames(frames) if frames else ()
    if not wanted and shot:
        whole = Shot.parse(shot)
        wanted = tuple(range(whole.first, whole.last + 1))
    if not wanted and document is not None:
        wanted = shot_frames(document)
    patterns = [out] if out else list(outputs(document).values()) if document else []
    found: list[Verification] = []
    for pattern in patterns:
        there = wanted or existing(pattern)
        current = None
        if document is not None:
            node, evaluator = output_of(document, pattern), evaluator_of(document, there)
            current = lambda frame, n=node, e=evaluator: e.fingerprint(n, frame)  # noqa: E731
        found.append(verify(pattern, there, fingerprint=current, allow_jumps=allow_jumps))
    if as_json:
        click.echo(json.dumps([result.to_json() for result in found], indent=2))
    else:
        for result in found:
            _tell(result)
    return Exit.VERIFICATION if any(result.problems for result in found) else Exit.DONE


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
