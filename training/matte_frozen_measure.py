"""Mattes of the frozen split against the truth, by what help was given."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume import weights
from relume.encoding import encode
from relume.exposure import measure_anchor
from relume.image import DATA, Image
from relume.matting.closed_form import closed_form_matte
from relume.matting.metrics import MatteError, matte_error
from relume.matting.network import estimate_matte
from relume.matting.planes import around
from relume.matting.plate_matte import plate_matte
from relume.matting.trimap import trimap_from_mask
from relume.training import markdown
from relume.training.matte_frozen_scenes import Take, takes

F32 = NDArray[np.float32]

ALONE, KNOWN = "nothing given", "clean plate, PlateMatte"

METHODS = (
    ALONE,
    "clean plate, network alone",
    KNOWN,
    "trimap, network",
    "tight trimap, closed form",
    "solid mask",
)

LOOSE, TIGHT = 8.0, 3.0
"""Pixels by which trimaps of the truth are doubtful on either side; the unknown region is the loose
one's."""

WORST = 3
"""Scenes a method that `--look` shows."""

MARKS = ("<!-- frozen: written by relume.training.matte_frozen -->", "<!-- frozen ends -->")


def mattes(scene: Take, model: Any, wanted: Sequence[str] = METHODS) -> dict[str, F32]:
    """Return H×W mattes of a scene by method, with the calls that the nodes make."""
    plate, clean = scene.plate, scene.clean_plate
    anchor = measure_anchor(plate)
    truth = plate.like(scene.truth[..., None], ("A",), colour=DATA, alpha="none")
    found: dict[str, F32] = {}

    def keep(name: str, work: Callable[[], Image]) -> None:
        if name in wanted:
            found[name] = work().take("A")[:, :, 0]

    keep(ALONE, lambda: estimate_matte(plate, anchor, None, model).matte)
    if {METHODS[1], KNOWN} & set(wanted):
        known = plate_matte(plate, clean, anchor, None, model)
        behind = known.aligned.clean_plate if known.used else None
        keep(
            METHODS[1],
            lambda: estimate_matte(plate, anchor, None, model, clean_plate=behind).matte,
        )
        keep(KNOWN, lambda: known.matte)
    loose, tight = (trimap_from_mask(truth, wide, wide) for wide in (LOOSE, TIGHT))
    keep(METHODS[3], lambda: estimate_matte(plate, anchor, loose, model).matte)
    keep(METHODS[4], lambda: closed_form_matte(plate, tight, anchor).matte)
    keep(METHODS[5], lambda: truth.like((truth.pixels > 0.5).astype(np.float32), ("A",)))
    return found


def errors(alpha: F32, truth: F32) -> dict[str, dict[str, float]]:
    """Return the figures of a matte on the whole frame and in the unknown region."""
    mask = Image(truth[..., None], ("A",), DATA)
    unknown = trimap_from_mask(mask, LOOSE, LOOSE).pixels[..., 0] == 0.5
    # Where both mattes are 0 there is nothing to add up.
    box = around((alpha > 0) | (truth > 0), 16) or (slice(None), slice(None))
    near, real = alpha[box], truth[box]
    share = near.size / alpha.size

    def scaled(error: MatteError, by: float) -> dict[str, float]:
        values = asdict(error)
        return {**values, "mad": values["mad"] * by, "mse": values["mse"] * by}

    out = {"whole": scaled(matte_error(near, real), share)}
    if unknown[box].any():
        out["unknown"] = scaled(matte_error(near, real, unknown[box]), 1.0)
    return out


def measure(given: argparse.Namespace) -> None:
    """Measure, print, and write tables into the documents that are named."""
    if given.weights is not None:
        os.environ[weights.VARIABLE] = str(given.weights)
    model = weights.load("matte")
    wanted = [name for name in METHODS if not given.methods or name in given.methods]
    rows: list[dict[str, Any]] = []
    worst: dict[str, list[tuple[float, str]]] = {name: [] for name in wanted}
    shown: dict[tuple[str, str], Path] = {}
    for scene in takes(given.folder, given.only):
        found = mattes(scene, model, wanted)
        row: dict[str, Any] = {"scene": scene.name, "strand": scene.strand}
        for name, alpha in found.items():
            row[name] = errors(alpha, scene.truth)
            mad = row[name]["whole"]["mad"]
            worst[name] = sorted([*worst[name], (mad, scene.name)], reverse=True)[:WORST]
            if given.look is not None and (mad, scene.name) in worst[name]:
                shown[name, scene.name] = look(given.look, name, scene, alpha)
        rows.append(row)
        figures = "  ".join(f"{row[name]['whole']['mad']:.2f}" for name in found)
        print(f"{scene.name}: {figures}", flush=True)
    if given.rows is not None:
        given.rows.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    text = report(rows, wanted, weights.digest("matte"))
    print(f"\n{text}")
    for (name, scene_name), path in shown.items():
        if scene_name not in {known for _, known in worst[name]}:
            path.unlink()
    for name, scenes in worst.items():
        print(f"worst, {name}: " + "; ".join(f"{scene} {mad:.2f}" for mad, scene in scenes))
    for path in given.write:
        renewed = markdown.put(text, path.read_text(encoding="utf-8"), MARKS)
        path.write_text(renewed, encoding="utf-8")


def report(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str], digest: str) -> str:
    """Return the tables of all scenes and of those with strand hair, and if a plate helps."""
    strand = [row for row in rows if row["strand"]]
    parts = [
        f"Means over {len(rows)} scenes of 1920×1080, {len(strand)} of them of people with loose "
        f"strands of hair, by the weights {digest[:12]}:",
        table(rows, wanted),
        "The scenes with strand hair alone:",
        table(strand, wanted),
    ]
    for name in wanted[1:3]:
        if ALONE in wanted and "clean" in name:
            better = [row[name]["whole"]["mad"] < row[ALONE]["whole"]["mad"] for row in rows]
            share = f"{sum(better)} of {len(rows)} scenes ({100 * np.mean(better):.0f} %)"
            parts.append(f"{name[0].upper()}{name[1:]}: better than with nothing on {share}.")
    return "\n\n".join(parts)


def table(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> str:
    """Return means as a table in Markdown, in the units that papers print."""
    head = ["what is given", "MAD", "MSE", "Grad", "Conn", "SAD"]
    head += [f"unknown {name}" for name in ("MAD", "MSE", "Grad", "Conn")]
    lines = []
    for name in wanted:
        line = [name]
        for region, keys in (
            ("whole", ("mad", "mse", "grad", "conn", "sad")),
            ("unknown", ("mad", "mse", "grad", "conn")),
        ):
            for key in keys:
                line.append(f"{np.mean([row[name][region][key] for row in rows]):.2f}")
        lines.append(line)
    return markdown.table(head, lines)


def look(folder: Path, name: str, scene: Take, alpha: F32) -> Path:
    """Write plate, matte, truth and error of a scene, two by two at full size."""
    import OpenImageIO as oiio

    folder.mkdir(parents=True, exist_ok=True)
    grey = encode(scene.plate.rgb * np.float32(2.0 ** measure_anchor(scene.plate)))
    panes = [np.repeat(a[..., None], 3, -1) for a in (alpha, scene.truth)]
    apart = alpha - scene.truth
    signed = np.stack((apart.clip(0), np.zeros_like(apart), (-apart).clip(0)), -1)
    sheet = np.vstack((np.hstack((grey * 1.4, panes[0])), np.hstack((panes[1], signed * 3.0))))
    picture = oiio.ImageBuf(np.ascontiguousarray(np.clip(sheet, 0, 1), np.float32))
    path = folder / f"{name} {scene.name}.png".replace(" ", "_")
    picture.write(str(path), oiio.UINT8)
    return path
