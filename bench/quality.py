"""How good the networks are on people they were not trained on, as their manifests say.

`python bench/quality.py --write FILE …` puts the tables between the markers of Markdown files.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from relume import weights
from relume.nodes.registry import REGISTRY

BEGIN, END = "<!-- quality: written by `make docs` -->", "<!-- quality ends -->"


class Measure(NamedTuple):
    """A row: a figure of a manifest, and the figure of doing next to nothing."""

    key: str
    label: str
    unit: str
    trivial_key: str
    trivial: str


MEASURES = (
    Measure("mad", "matte, MAD × 1e3", "", "ellipse_mad", "an ellipse"),
    Measure("normals_degrees", "normals, mean angle", "°", "flat_degrees", "facing the camera"),
    Measure("albedo_rmse", "albedo, RMSE", "", "mean_colour_rmse", "the mean colour"),
    Measure("relight_psnr", "relight, PSNR", " dB", "unlit_copy_psnr", "the plate as it is"),
)
SETS = {"stage_test": "light stage, test split", "cycles": "path-traced in Cycles"}


def manifests() -> dict[str, dict[str, Any]]:
    """Return the manifest of every network a node reads."""
    names = dict.fromkeys(name for node in REGISTRY.values() for name in node.weights)
    return {name: weights.manifest(name) for name in names}


def tables(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the tables of quality and of the networks as Markdown."""
    parts = []
    for kind in dict.fromkeys(kind for manifest in found.values() for kind in manifest["figures"]):
        figures: dict[str, float] = {}
        for manifest in found.values():
            figures = {**manifest["figures"].get(kind, {}), **figures}
        rows = [
            [
                m.label,
                f"{figures[m.key]:.3g}{m.unit}",
                f"{figures[m.trivial_key]:.3g}{m.unit}",
                m.trivial,
            ]
            for m in MEASURES
            if m.key in figures
        ]
        head = [
            f"{SETS.get(kind, kind)}, {figures['views']:.0f} views",
            "relume",
            "trivial",
            "which is",
        ]
        parts.append(_table(head, rows))
    rows = [
        [name, f"{m['parameters'] / 1e6:.2f} M", f"{m['bytes'] / 1e6:.1f} MB", f"{m['steps']:,}"]
        for name, m in found.items()
    ]
    parts.append(_table(["network", "parameters", "size", "steps trained"], rows))
    return "\n\n".join(parts)


def put(text: str, into: str) -> str:
    """Return a document with the text between its markers."""
    before, begin, rest = into.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: Sequence[str]) -> int:
    text = tables(manifests())
    if arguments[:1] != ["--write"]:
        print(text)
        return 0
    for name in arguments[1:]:
        path = Path(name)
        path.write_text(put(text, path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
