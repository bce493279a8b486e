"""How good the networks are on people they were not trained on, as their manifests say.

`python bench/quality.py --write FILE …` puts the tables between the markers of Markdown files.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from relume import weights
from relume.errors import RelumeError
from relume.nodes.registry import REGISTRY
from relume.training.groups import group_table
from relume.training.markdown import put, table

LOGS = Path(__file__).resolve().parents[1] / "docs" / "training"
MARKS = ("<!-- quality: written by `make docs` -->", "<!-- quality ends -->")


class Measure(NamedTuple):
    """A row: a figure of a manifest, and the figure of a trivial answer to the same question."""

    network: str
    label: str
    unit: str
    figure: str
    trivial_figure: str
    trivial: str


MEASURES = (
    Measure("matte", "matte, MAD × 1e3", "", "mad", "ellipse_mad", "an ellipse"),
    Measure("matte", "matte with a trimap", "", "guided_mad", "hint_mad", "the trimap itself"),
    Measure("normals", "normals", "°", "normals_degrees", "flat_degrees", "towards the camera"),
    Measure(
        "normals",
        "normals of skin",
        "°",
        "normals_degrees_skin",
        "flat_degrees_skin",
        "towards the camera",
    ),
    Measure("albedo", "albedo, RMSE", "", "albedo_rmse", "mean_colour_rmse", "mean of training"),
    Measure(
        "albedo",
        "albedo after one gain, RMSE",
        "",
        "albedo_rmse_scaled",
        "plate_rmse_scaled",
        "the plate, likewise",
    ),
    Measure("transport", "relight, PSNR", " dB", "relight_psnr", "unlit_copy_psnr", "the plate"),
    Measure(
        "transport",
        "relight with the light of the set known",
        " dB",
        "calibrated_psnr",
        "unlit_copy_psnr",
        "the plate",
    ),
    Measure(
        "express",
        "normals, fast profile",
        "°",
        "fast_normals_degrees",
        "flat_degrees",
        "towards the camera",
    ),
    Measure(
        "express",
        "albedo, fast profile, RMSE",
        "",
        "fast_albedo_rmse",
        "mean_colour_rmse",
        "mean of training",
    ),
    Measure("express", "relight, fast profile", " dB", "fast_psnr", "unlit_copy_psnr", "the plate"),
    Measure(
        "transport", "relight by unet, PSNR", " dB", "unet_psnr", "unlit_copy_psnr", "the plate"
    ),
    Measure(
        "transport",
        "relight with true normals and albedo",
        " dB",
        "true_form_transport_psnr",
        "true_lambert_psnr",
        "Lambert with the same",
    ),
    Measure(
        "transport",
        "relight by unet with true normals and albedo",
        " dB",
        "true_form_unet_psnr",
        "true_lambert_psnr",
        "Lambert with the same",
    ),
)
SETS = {"stage_test": "light stage, test split", "cycles": "path-traced in Cycles"}


def manifests() -> dict[str, dict[str, Any]]:
    """Return the manifest of every network a node reads."""
    names = dict.fromkeys(name for node in REGISTRY.values() for name in node.weights)
    return {name: weights.manifest(name) for name in names}


def tables(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the tables of quality and of the networks as Markdown."""
    parts = []
    for kind, title in SETS.items():
        rows = []
        for measure in MEASURES:
            figures = found[measure.network]["figures"].get(kind, {})
            if {measure.figure, measure.trivial_figure} <= set(figures):
                numbers = (figures[measure.figure], figures[measure.trivial_figure])
                shown = [f"{number:.3g}{measure.unit}" for number in numbers]
                rows.append([measure.label, *shown, measure.trivial])
        if rows:
            parts.append(table([title, "relume", "trivial answer", "which is"], rows))
    rows = [
        [name, f"{m['parameters'] / 1e6:.2f} M", f"{m['bytes'] / 1e6:.1f} MB", f"{m['steps']:,}"]
        for name, m in found.items()
    ]
    parts.append(table(["network", "parameters", "size", "steps trained"], rows))
    return "\n\n".join(parts)


def by_group(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the tables of relighting by skin tone and by contrast of the light."""
    parts = []
    for kind, title in SETS.items():
        figures = found["transport"]["figures"].get(kind, {})
        if any(key.startswith("tone_") for key in figures):
            parts += [f"By group, {title}:", group_table(figures)]
    return "\n\n".join(parts)


def written(document: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a document with its tables renewed; all but the README show groups too."""
    parts = [tables(found)]
    if not document.startswith("# relume\n"):
        parts += [by_group(found), f"The two renderers, trained alike:\n\n{renderers()}"]
    text = "\n\n".join(filter(None, parts))
    return put(text, document, MARKS)


def renderers() -> str:
    """Return the table of the two renderers, trained alike, from the logs of the runs."""
    rows = []
    for name in ("transport", "neural"):
        log = LOGS / f"compare_{name}.jsonl"
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        last = next(line for line in reversed(lines) if "val_psnr" in line)
        apart = f"{100 * last['val_superposition']:.2g} %" if "val_superposition" in last else "0"
        count = weights.manifest(name)["parameters"]
        rows.append(
            [
                f"`{'unet' if name == 'neural' else name}`",
                f"{count / 1e6:.2f} M",
                f"{last['step']}",
                f"{last['seconds'] / 60:.0f}",
                f"{last['val_psnr']:.2f} dB",
                apart,
            ]
        )
        if name == "transport":
            lambert = f"{last['val_lambert_true_psnr']:.2f} dB"
    rows.append(["Lambert, nothing learnt", "0", "0", "0", lambert, "0"])
    head = ["renderer", "parameters", "steps", "minutes", "PSNR", "error of a sum of two lights"]
    return table(head, rows)


def main(arguments: Sequence[str]) -> int:
    try:
        found = manifests()
    except RelumeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if arguments[:1] != ["--write"]:
        print(tables(found), by_group(found), sep="\n\n")
        return 0
    for name in arguments[1:]:
        path = Path(name)
        path.write_text(written(path.read_text(encoding="utf-8"), found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
