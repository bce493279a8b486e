"""Measure estimated light on environments it was not trained on, beside plain fills.

`python -m relume.training.light_evaluate [FILE …]` prints a table for each kind of plate, and puts
it into Markdown and its medians into a manifest. Each scene is judged by the members of the network
that have not seen it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from relume import weights
from relume.exposure import anchor_of
from relume.geometry.camera import Camera
from relume.image import Box, Image
from relume.light import latlong
from relume.light.estimate import Fill, guess
from relume.light.prefilter import prefilter
from relume.light.seen import View, ceiling, warp
from relume.light.types import Environment
from relume.networks.light import LightNet
from relume.training import markdown
from relume.training.light_views import scene
from relume.training.stage import environment

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

MARKS = ("<!-- light: written by light_evaluate -->", "<!-- light ends -->")

FOV = 60.0
PLATE = Box.of_size(192, 108)
TURNS = 16
"""Directions that each scene is seen in."""

ROWS = 32
"""Rows of an estimate, and of the truth that it is compared with."""

EXPONENTS = (1, 16)
SHORT = {1: "diffuse", 16: "n16"}
"""Maps that are compared; exponent 1 is the diffuse one."""

MAP_ROWS = 16

FILLS: tuple[Fill, ...] = ("network", "mirror", "mean")

KINDS = {
    "whole": "Plates that hold all their light",
    "clipped": "Plates clipped at 1.0, two and a half stops over their mean",
}


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """How far estimates of one scene are off.

    Attributes:
        errors: fill → exponent → relative RMSE of the map over the sphere, for each direction.
        stops: fill → total light over the true one, in stops, for each direction.
    """

    errors: Mapping[str, Mapping[int, Sequence[float]]]
    stops: Mapping[str, Sequence[float]]

    def error(self, fill: str, exponent: int) -> float:
        """Return the median over the directions."""
        return float(np.median(self.errors[fill][exponent]))


def unseeing(model: LightNet, name: str, known: Mapping[str, Any]) -> LightNet:
    """Return the members of a network that were not trained on a scene.

    Args:
        model: the network that ships.
        name: of the scene.
        known: its manifest.

    Raises:
        ValueError: every member has seen it.
    """
    data = known["data"]
    each = int(data["members_to_a_fold"])
    groups = [number for number, group in enumerate(data["held_out"]) if name in group]
    if groups:
        return model.take([each * number + seed for number in groups for seed in range(each)])
    if name in environment.names("test"):
        return model
    raise ValueError(f"no member has been spared {name}")


def plate_of(image: F32, degrees: float, clipped: bool, box: Box = PLATE, fov: float = FOV) -> F32:
    """Return what a level camera sees of an environment turned by some degrees.

    Args:
        image: the environment.
        degrees: as `latlong.turn` turns.
        clipped: whether the plate is exposed to middle grey and loses what is above 1.
        box: the size of the plate.
        fov: horizontal field of view.
    """
    picture = latlong.crop(image, Camera(fov), box, box, rotation=degrees)
    if not clipped:
        return picture
    level = np.float32(2.0 ** -anchor_of(picture))
    return np.minimum(picture, level)


def judge(name: str, model: LightNet, *, clipped: bool) -> Score:
    """Return the errors of every fill on one scene."""
    image, view = scene(name), View(Camera(FOV), PLATE, PLATE)
    true = _maps(latlong.resize(image, ROWS))
    solid = latlong.solid_angles(MAP_ROWS)[:, None, None]
    errors: dict[str, dict[int, list[float]]] = {f: {n: [] for n in EXPONENTS} for f in FILLS}
    stops: dict[str, list[float]] = {fill: [] for fill in FILLS}
    for turn in range(TURNS):
        plate = plate_of(image, turn * 360 / TURNS, clipped)
        here = {n: np.roll(each, turn * 2 * MAP_ROWS // TURNS, axis=1) for n, each in true.items()}
        clip = ceiling(plate)
        seen = warp(plate, view, ROWS, clip)
        for fill in FILLS:
            added = guess(seen, plate, view, np.eye(3), fill=fill, model=model, clip=clip)
            maps = _maps(seen.kept + seen.burnt + added)
            for n in EXPONENTS:
                wrong = (solid * (maps[n] - here[n]) ** 2).sum()
                errors[fill][n].append(float(np.sqrt(wrong / (solid * here[n] ** 2).sum())))
            light = [float((solid * each[1]).sum()) for each in (maps, here)]
            stops[fill].append(math.log2(light[0] / light[1]))
    return Score(errors, stops)


def _maps(pixels: F32) -> dict[int, F64]:
    around = Environment(Image(pixels, ("R", "G", "B")))
    found = prefilter(around, EXPONENTS, MAP_ROWS).specular
    return {n: found[n].astype(np.float64) for n in EXPONENTS}


def summary(scores: Mapping[str, Score]) -> dict[str, float]:
    """Return medians over scenes: of each scene's median, and (`mean_of_…`) of its mean."""
    found = {"scenes": float(len(scores))}
    for fill in FILLS:
        for n in EXPONENTS:
            middle = [score.error(fill, n) for score in scores.values()]
            whole = [float(np.mean(score.errors[fill][n])) for score in scores.values()]
            found[f"{fill}_{SHORT[n]}"] = round(float(np.median(middle)), 4)
            found[f"mean_of_{fill}_{SHORT[n]}"] = round(float(np.median(whole)), 4)
        light = [float(np.median(score.stops[fill])) for score in scores.values()]
        found[f"{fill}_stops"] = round(float(np.median(light)), 3)
    return found


def table(scores: Mapping[str, Score]) -> str:
    """Return the errors of every scene as Markdown."""
    cells = [(n, fill) for n in EXPONENTS for fill in FILLS]
    head = ["scene", *(f"{SHORT[n]}: {fill}" for n, fill in cells), "light, stops"]
    rows = []
    for name in sorted(scores):
        score = scores[name]
        marked = f"{name} (test)" if name in environment.names("test") else name
        numbers = [f"{score.error(fill, n):.2f}" for n, fill in cells]
        rows.append([marked, *numbers, f"{np.median(score.stops['network']):+.1f}"])
    middle = summary(scores)
    numbers = [f"**{middle[f'{fill}_{SHORT[n]}']:.3f}**" for n, fill in cells]
    rows.append(["**median**", *numbers, f"**{middle['network_stops']:+.1f}**"])
    return markdown.table(head, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="relume.training.light_evaluate", description=__doc__)
    parser.add_argument("files", type=Path, nargs="*", help="Markdown with markers, manifests")
    files = parser.parse_args(arguments).files
    torch.set_num_threads(1)
    known = weights.manifest("light")
    model = weights.load("light")
    assert isinstance(model, LightNet)
    names = [name for split in ("train", "val", "test") for name in environment.names(split)]
    parts, figures = [], {}
    for kind, title in KINDS.items():
        scores = {
            name: judge(name, unseeing(model, name, known), clipped=kind == "clipped")
            for name in names
        }
        parts.append(f"### {title}\n\n{table(scores)}")
        figures[kind] = summary(scores)
        print(kind, json.dumps(figures[kind]), flush=True)
    text = "\n\n".join(parts)
    print(text)
    for path in files:
        before = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            content = json.loads(before) | {"figures": figures}
            after = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        else:
            after = markdown.put(text, before, MARKS)
        path.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
