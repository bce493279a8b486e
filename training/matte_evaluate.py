"""Measure the matting network on people, places and light that no training has seen."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from relume.exposure import anchor_of
from relume.image import Image
from relume.matting.metrics import MatteError, matte_error
from relume.matting.network import estimate_matte
from relume.matting.trimap import trimap_from_mask
from relume.networks.matte import MatteNet
from relume.training.lights import TO_WORKING
from relume.training.matte_backgrounds import Backgrounds
from relume.training.matte_batches import Composer, Scene, SceneOptions
from relume.training.matte_subjects import Subject, Subjects
from relume.training.matte_views import stage_backgrounds, stage_subjects
from relume.training.stage.dataset import list_views

F32 = NDArray[np.float32]

FIGURES = ("sad", "mad", "mse", "grad", "conn")

ONE_PERSON = SceneOptions(people=(0.0, 1.0, 0.0), plates=0.0)
"""Scenes to measure on: one person each, or MAD would mostly count empty pictures."""


def ellipse(height: int, width: int) -> F32:
    """Return the trivial matte: an ellipse where portraits have head and shoulders."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u = (x + 0.5) / width - 0.5
    v = (y + 0.5) / height - 0.75
    inside: F32 = ((u / 0.3) ** 2 + (v / 0.55) ** 2 < 1).astype(np.float32)
    return inside


def evaluate(model: MatteNet, scenes: Sequence[Scene]) -> dict[str, float]:
    """Return mean figures of the matte, and of what it is compared with.

    Args:
        model: the network.
        scenes: composites with their truth.

    Returns:
        `sad`, `mad`, `mse`, `grad`, `conn` as in `relume.matting.metrics`; the same with the
        prefix `ellipse_` for the trivial matte, `coarse_` without the refiner, `guided_` with a
        trimap (the truth ± 1.5 % of the long side), `hint_` for that trimap taken as a matte;
        `views`; and `missed`, the share of scenes in which nobody was found.
    """
    rows: dict[str, list[MatteError]] = {}
    missed = 0
    for scene in scenes:
        truth = scene.alpha.numpy()
        rgb = np.ascontiguousarray(scene.plate.permute(1, 2, 0).numpy())
        plate = Image(rgb, ("R", "G", "B"))
        anchor = anchor_of(rgb)
        wide = 0.015 * max(truth.shape)
        guide = trimap_from_mask(Image(truth, ("A",)), wide, wide)
        result = estimate_matte(plate, anchor, None, model)
        missed += result.empty
        mattes = {
            "": result.matte,
            "coarse_": estimate_matte(plate, anchor, None, model, refine=False).matte,
            "guided_": estimate_matte(plate, anchor, guide, model).matte,
            "hint_": guide,
            "ellipse_": Image(ellipse(*truth.shape), ("A",)),
        }
        for name, matte in mattes.items():
            rows.setdefault(name, []).append(matte_error(matte.pixels[:, :, 0], truth))
    figures = {
        f"{name}{key}": round(float(np.mean([getattr(row, key) for row in part])), 4)
        for name, part in rows.items()
        for key in FIGURES
    }
    return {"views": len(scenes), **figures, "missed": missed / max(1, len(scenes))}


def empty_scenes(
    model: MatteNet, backgrounds: Backgrounds, count: int, size: tuple[int, int]
) -> float:
    """Return the share of pictures without a person in which the network sees one."""
    composer = Composer(
        Subjects(_nobody, lambda: 0),
        backgrounds,
        options=SceneOptions(people=(1.0, 0.0, 0.0), plates=0.0),
    )
    seen = 0
    for index in range(count):
        scene = composer.scene(np.random.default_rng([77, index]), *size)
        rgb = np.ascontiguousarray(scene.plate.permute(1, 2, 0).numpy())
        result = estimate_matte(Image(rgb, ("R", "G", "B")), anchor_of(rgb), None, model)
        seen += not result.empty
    return seen / max(1, count)


def _nobody(index: int, rng: np.random.Generator) -> Subject:
    raise LookupError("there is nobody in these scenes")


def stage_scenes(
    lit: Path, assets: Path, split: str, count: int, size: tuple[int, int]
) -> list[Scene]:
    """Return composites of a split's own people over its own places."""
    composer = Composer(
        stage_subjects(lit, split=split, drawn=0.0),
        stage_backgrounds(assets, split),
        options=ONE_PERSON,
    )
    return [composer.scene(np.random.default_rng([99, k]), *size) for k in range(count)]


def cycles_scenes(folder: Path, assets: Path, count: int, size: tuple[int, int]) -> list[Scene]:
    """Return composites of path-traced people, whose alpha another renderer made.

    Args:
        folder: `.npz` files with alpha H×W, foreground K×H×W×3 straight linear Rec. 709, labels.
        assets: for the backgrounds, which are those of the test split.
        count: number of scenes.
        size: height and width.
    """
    paths = list_views(folder.parent, folder.name)

    def render(index: int, rng: np.random.Generator) -> Subject:
        with np.load(paths[index], allow_pickle=False) as stored:
            pictures = stored["foreground"]
            picture = pictures[int(rng.integers(len(pictures)))].astype(np.float32) @ TO_WORKING.T
            alpha = stored["alpha"]
            cover = alpha.astype(np.float32) / (65535.0 if alpha.dtype == np.uint16 else 1.0)
            planar = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)
            return Subject(
                torch.from_numpy(planar),
                torch.from_numpy(np.ascontiguousarray(cover, np.float32)),
                torch.from_numpy(np.ascontiguousarray(stored["labels"].astype(np.uint8))),
            )

    people = Subjects(render, lambda: len(paths), drawn=0.0)
    composer = Composer(people, stage_backgrounds(assets, "test"), options=ONE_PERSON)
    return [composer.scene(np.random.default_rng([98, k]), *size) for k in range(count)]


def main() -> None:
    """Run the command line."""
    from relume import weights

    parser = argparse.ArgumentParser(prog="relume.training.matte_evaluate", description=__doc__)
    parser.add_argument("lit", type=Path, help="folder of lit views (relume.training.lit)")
    parser.add_argument("assets", type=Path)
    parser.add_argument("--cycles", type=Path, help="folder of path-traced views")
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--size", type=int, default=512)
    given = parser.parse_args()
    model = weights.load("matte")
    assert isinstance(model, MatteNet)
    print(json.dumps(report(model, given), indent=2))


def report(model: MatteNet, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return every figure that the manifest quotes, by the set they were measured on."""
    size = (given.size, given.size)
    scenes = stage_scenes(given.lit, given.assets, given.split, given.count, size)
    places = stage_backgrounds(given.assets, given.split)
    found = evaluate(model, scenes)
    found["seen_in_empty"] = empty_scenes(model, places, given.count, size)
    out = {f"stage_{given.split}": found}
    if given.cycles is not None:
        traced = cycles_scenes(given.cycles, given.assets, given.count, size)
        out["cycles"] = evaluate(model, traced)
    return out


if __name__ == "__main__":
    main()
