"""Curves of training runs, drawn from their logs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relume.errors import InputError
from relume.training.trainer import LOG

PANELS = 4
"""Panels of a run: the loss, and the first figures of its validation."""

Curve = tuple[list[int], list[float]]


def read(path: Path) -> dict[str, Curve]:
    """Return the figures of a log over its steps, by name.

    Args:
        path: a log of JSON lines, as `relume.training.trainer` writes it.

    Returns:
        steps and values of each figure; of a step that was taken twice, after a run that was
        killed, what came last.

    Raises:
        InputError: a line is no JSON object, or the log has no figures.
    """
    found: dict[str, dict[int, float]] = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = _line(path, number, text)
        step = line.get("step")
        if not isinstance(step, int):
            continue
        for key, value in line.items():
            if isinstance(value, (int, float)) and key not in ("step", "seconds"):
                found.setdefault(key, {})[step] = float(value)
    if not found:
        raise InputError(
            f"{path} has no figures", way_out="Give the log of a run that has taken some steps"
        )
    return {key: (sorted(at), [at[k] for k in sorted(at)]) for key, at in found.items()}


def _line(path: Path, number: int, text: str) -> Mapping[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if not isinstance(line, dict):
        raise InputError(
            f"line {number} of {path} is no JSON object", way_out="Give a log of a training run"
        )
    return line


def logs(folder: Path) -> list[Path]:
    """Return the logs below a folder of runs, or the file itself.

    Raises:
        InputError: there are none.
    """
    if folder.is_file():
        return [folder]
    found = sorted([*folder.glob(f"*/{LOG}"), *folder.glob("*.jsonl")])
    if not found:
        raise InputError(f"there is no log of a run in {folder}", way_out="Train a network first")
    return found


def draw(paths: Sequence[Path], out: Path) -> None:
    """Draw logs as a PNG, one row each: the loss on a logarithmic scale, then the validation.

    Args:
        paths: logs.
        out: PNG to write.

    Raises:
        InputError: see `read`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from relume.files import replacing

    runs = [(path, read(path)) for path in paths]
    figure = Figure(figsize=(3.2 * PANELS, 2.2 * len(runs)), dpi=80, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    grid = figure.subplots(len(runs), PANELS, squeeze=False)
    for row, (path, curves) in zip(grid, runs, strict=True):
        # A flat reference is no figure of the run.
        shown = [key for key in curves if key.startswith("val_") and len(set(curves[key][1])) > 1]
        keys = ["loss"] * ("loss" in curves) + shown
        for axes, key in zip(row, keys, strict=False):
            steps, values = curves[key]
            axes.plot(steps, values, linewidth=1.0, marker="." if len(steps) < 40 else None)
            axes.set_title(f"{_name(path)}: {key.removeprefix('val_')}", fontsize=9)
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.3)
            if key == "loss" and min(values) > 0:
                axes.set_yscale("log")
        for axes in row[len(keys) :]:
            axes.set_axis_off()
    with replacing(out) as partial:
        canvas.print_png(str(partial))  # type: ignore[no-untyped-call]


def _name(path: Path) -> str:
    return path.parent.name if path.name == LOG else path.stem
