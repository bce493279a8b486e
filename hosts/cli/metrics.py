"""`relume metrics`: how far a matte is from the truth."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from relume.errors import Exit, InputError, RelumeError, UsageError
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.options import FILE
from relume.matting.metrics_shot import (
    METRICS,
    UNKNOWN,
    WHOLE,
    Errors,
    FrameErrors,
    ShotErrors,
    mean_errors,
    rows,
)
from relume.media.sequence import existing_frames, is_sequence, parse_frames

NAMES = {"sad": "SAD", "mse": "MSE", "mad": "MAD", "grad": "Grad", "conn": "Conn", "dtssd": "dtSSD"}


@click.command(
    epilog=example(
        "relume metrics matte.####.exr truth.####.exr --trimap trimap.####.exr --csv errors.csv",
        "relume metrics matte.exr truth.png --limit mad=6",
    ),
)
@click.argument("matte", type=FILE)
@click.argument("truth", type=FILE)
@click.option("--trimap", type=FILE, default="", help="Measure its unknown region as well.")
@click.option("--frames", metavar="RANGE", help="Frames to measure.  [default: those of MATTE]")
@click.option(
    "--offset",
    type=int,
    default=0,
    metavar="FRAMES",
    help="Added to the frame to find the truth and the trimap.",
)
@click.option("--csv", "table", type=FILE, help="Write a line for each frame and region.")
@click.option("--plot", type=FILE, help="Draw the errors over the shot, as an SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print frames and means as JSON.")
@click.option(
    "--limit",
    "limits",
    metavar="METRIC=VALUE",
    multiple=True,
    help="Fail with exit code 5 where the mean of the whole picture exceeds this; may be repeated.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@debug_option
def command(
    matte: str,
    truth: str,
    trimap: str,
    frames: str | None,
    offset: int,
    table: str | None,
    plot: str | None,
    as_json: bool,
    limits: Sequence[str],
    overwrite: bool,
) -> int:
    """Measure how far MATTE is from TRUTH: matte.A, A or R of files or sequences.

    SAD, Grad and Conn are sums in thousands and grow with the picture; MSE and MAD are means times
    1000, dtSSD times 100. Definitions and scales are those that papers print.
    """
    allowed = [_limit(text) for text in limits]
    for file in filter(None, (table, plot)):
        if Path(file).exists() and not overwrite:
            raise UsageError(f"{file} exists", way_out="Choose another name, or --overwrite")
    if plot and Path(plot).suffix.lower() != ".svg":
        raise UsageError(f"a plot cannot be written as {plot}", way_out="Give a name in .svg")
    wanted = _frames(frames, matte, truth, offset)
    shot = ShotErrors(matte, truth, trimap, offset)
    measured: list[FrameErrors] = []
    failures: list[RelumeError] = []
    for frame in wanted:
        try:
            measured.append(shot.measure(frame))
        except RelumeError as error:
            failures.append(error.locate(frame=frame if len(wanted) > 1 else None))
    if not measured:
        raise failures[0]
    mean = mean_errors(measured)
    if as_json:
        click.echo(json.dumps(_document(measured, mean), indent=2))
    else:
        click.echo(_text(measured, mean), nl=False)
    if table:
        Path(table).write_text(_csv(measured), encoding="utf-8", newline="")
    if plot:
        from relume.hosts.cli.metrics_plot import drawing

        Path(plot).write_text(drawing(measured), encoding="utf-8")
    for failure in failures:
        click.echo(f"Error: {failure}", err=True)
    too_large = [(name, value) for name, value in allowed if getattr(mean[WHOLE], name) > value]
    for name, value in too_large:
        found = getattr(mean[WHOLE], name)
        click.echo(f"Error: {NAMES[name]} is {found:.4g}, more than {value:g}.", err=True)
    if failures:
        return Exit.FRAMES_FAILED
    return Exit.VERIFICATION if too_large else Exit.DONE


def _frames(asked: str | None, matte: str, truth: str, offset: int) -> Sequence[int]:
    """Return the frames to measure: those asked for, else those of the first sequence."""
    if asked:
        return parse_frames(asked)
    for name, shift in ((matte, 0), (truth, offset)):
        if is_sequence(name) and not Path(name).is_file():
            found = [frame - shift for frame in existing_frames(name)]
            if not found:
                raise InputError(f"there is no frame of {name}", way_out="Check the path")
            return found
    return [1]


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        if name.lower() in METRICS:
            return name.lower(), float(value)
    except ValueError:
        pass
    raise UsageError(
        f"{text!r} is no limit",
        way_out=f"Give metric=value, the metric one of {', '.join(METRICS)}",
    )


def _text(frames: Sequence[FrameErrors], mean: dict[str, Errors]) -> str:
    """Return a table: the frames of a shot, and their mean."""
    head = ["frame", "region", *NAMES.values()]
    lines = [[str(frame), region, *_figures(errors)] for frame, region, errors in rows(frames)]
    if len(frames) > 1:
        lines += [["mean", region, *_figures(errors)] for region, errors in mean.items()]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    out = io.StringIO()
    for line in [head, *lines]:
        cells = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        out.write("  ".join(cells) + "\n")
    return out.getvalue()


def _figures(errors: Errors) -> list[str]:
    return [f"{getattr(errors, name):.4f}" for name in METRICS]


def _csv(frames: Sequence[FrameErrors]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["frame", "region", *METRICS])
    for frame, region, errors in rows(frames):
        writer.writerow([frame, region, *(repr(getattr(errors, name)) for name in METRICS)])
    return out.getvalue()


def _document(frames: Sequence[FrameErrors], mean: dict[str, Errors]) -> dict[str, Any]:
    def plain(regions: dict[str, Errors]) -> dict[str, Any]:
        return {name: asdict(regions[name]) for name in (WHOLE, UNKNOWN) if name in regions}

    return {
        "frames": [{"frame": entry.frame, **plain(entry.regions)} for entry in frames],
        "mean": plain(mean),
    }
