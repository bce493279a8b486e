"""Measure the relighting networks on people and light they have never seen.

`python -m relume.training.evaluate STAGE [--cycles FOLDER]` prints one table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from relume.encoding import encode
from relume.exposure import anchor_of
from relume.geometry.normals import estimate_normals
from relume.image import DATA, Image
from relume.light.prefilter import prefilter
from relume.light.types import Environment, LightMaps
from relume.reflectance.albedo import estimate_albedo
from relume.shading.analyse import analyse_transport
from relume.shading.calibrate import calibrate
from relume.shading.express import analyse_fast
from relume.shading.neural import neural_relight
from relume.shading.relight import relight
from relume.shading.types import EXPONENTS, Transport
from relume.training.evaluate_table import table
from relume.training.groups import FIGURES, GROUPS, features, grouped
from relume.training.lights import TO_WORKING
from relume.training.lit import working
from relume.training.oracles import fitted, lambert, phong
from relume.training.stage import environment, lighting
from relume.training.stage.dataset import list_views, read_view
from relume.training.stage.geometry import SKIN

F32 = NDArray[np.float32]

NAMES = ("normals", "albedo", "transport", "express", "neural")
MEAN_ALBEDO = (0.260, 0.223, 0.201)
"""The mean of the training views' albedo, ACEScg: the answer of one who has not looked."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A person with known form and colour, seen under two lights. Colours are ACEScg.

    Attributes:
        alpha: H×W.
        normals: H×W×3.
        albedo: H×W×3.
        labels: H×W, 1 is skin.
        plate: H×W×3 straight, under the first light.
        truth: H×W×3 straight, under the second.
        lights: both environments, h×2h×3.
        fitted: H×W×3 straight: albedo and specular as they are, diffuse light and shadow as a
            transport of order 3 holds them; None where the true transport is not known.
    """

    alpha: F32
    normals: F32
    albedo: F32
    labels: NDArray[np.uint8]
    plate: F32
    truth: F32
    lights: tuple[F32, F32]
    fitted: F32 | None = None


def stage_cases(root: Path, split: str = "test", limit: int | None = None) -> Iterator[Case]:
    """Yield held-out views of the light stage under held-out environments."""
    names = environment.names(split)
    for number, path in enumerate(list_views(root, split)[:limit]):
        view = working(read_view(path))
        rng = np.random.default_rng([2021, number])
        lights = []
        for name in rng.permutation(len(names))[:2]:
            image = environment.rotated(environment.read(names[int(name)]), rng.uniform(0, 360))
            lights.append(np.asarray(image @ TO_WORKING.T, np.float32))
        ready = lighting.prepare(view)
        plate, truth = (lighting.relit(ready, image) for image in lights)
        yield Case(
            view.alpha,
            view.normals,
            view.albedo,
            view.labels,
            plate.picture,
            truth.picture,
            (lights[0], lights[1]),
            fitted(ready, lights[1]) + truth.specular,
        )


def cycles_cases(root: Path, limit: int | None = None) -> Iterator[Case]:
    """Yield path-traced views, each under its first and second light."""
    for path in sorted(root.glob("[!.]*.npz"))[:limit]:
        with np.load(path, allow_pickle=False) as stored:
            pictures = stored["foreground"].astype(np.float32) @ TO_WORKING.T
            lights = [
                np.asarray(
                    environment.rotated(environment.read(str(name)), float(turn)) @ TO_WORKING.T,
                    np.float32,
                )
                for name, turn in zip(stored["environment"], stored["rotation"], strict=True)
            ]
            alpha = stored["alpha"].astype(np.float32)
            if alpha.max() > 1.5:
                alpha /= 65535.0
            if len(pictures) < 2:
                continue
            yield Case(
                alpha,
                stored["normals"].astype(np.float32),
                stored["albedo"].astype(np.float32) @ TO_WORKING.T,
                stored["labels"],
                pictures[0],
                pictures[1],
                (lights[0], lights[1]),
            )


def evaluate(cases: Iterable[Case], models: Mapping[str, nn.Module]) -> dict[str, float]:
    """Return mean figures over cases.

    Angles are in degrees; albedo errors are linear RMSE, absolute and after the one gain a
    picture that fits best; relights are PSNR in dB of log₂(1 + 16x)/log₂ 65 over alpha > 0.99, at
    the exposure that brings the true picture to middle grey.

    Args:
        cases: what to measure on.
        models: `normals`, `albedo`, `transport`, and `express` and `neural` where they shall be
            measured too.
    """
    rows = [_measure(case, models) for case in cases]
    figures = {
        key: float(np.mean([row[key] for row in rows if np.isfinite(row[key])]))
        for key in (rows[0] if rows else {})
        if any(np.isfinite(row[key]) for row in rows)
    }
    figures = {key: value for key, value in figures.items() if key not in (*GROUPS, *FIGURES)}
    return {"views": float(len(rows)), **figures, **grouped(rows)}


def _measure(case: Case, models: Mapping[str, nn.Module]) -> dict[str, float]:
    alpha = case.alpha
    solid = alpha > 0.99
    skin = solid & (case.labels == SKIN)
    behind = _behind(case.lights[0], alpha.shape)
    stops = anchor_of(case.plate * alpha[..., None] + behind * (1 - alpha[..., None]))
    foreground = Image(case.plate, ("R", "G", "B"))
    matte = Image(alpha, ("A",))
    normals = estimate_normals(foreground, matte, stops, models["normals"])
    albedo = estimate_albedo(foreground, matte, normals, stops, models["albedo"])
    transport = analyse_transport(foreground, matte, normals, albedo, stops, models["transport"])

    true_normals = Image(case.normals, ("X", "Y", "Z"), colour=DATA)
    true_albedo = Image(case.albedo, ("R", "G", "B"))
    exact = replace(transport, normals=true_normals, albedo=true_albedo)
    flat = np.zeros_like(case.normals)
    flat[..., 2] = 1.0
    mean = np.broadcast_to(np.array(MEAN_ALBEDO, np.float32), case.albedo.shape)
    own = np.broadcast_to(case.albedo[solid].mean(0), case.albedo.shape)
    light = maps(case.lights[1])
    gain = 0.18 / max(float(case.truth[solid].mean()), 1e-9)

    def quality(picture: F32) -> float:
        found, truth = encode(picture[solid] * gain), encode(case.truth[solid] * gain)
        error = float(np.mean((found.astype(np.float64) - truth) ** 2))
        return -10.0 * float(np.log10(max(error, 1e-12)))

    def drawn(normals: Image, albedo: Image) -> F32:
        lights, model = {"key": light}, models["neural"]
        found = neural_relight(foreground, matte, normals, albedo, stops, lights, model)
        return _straight(found.relit)

    unet = {
        name: quality(drawn(*planes))
        for name, planes in (
            ("unet_psnr", (normals, albedo)),
            ("true_form_unet_psnr", (true_normals, true_albedo)),
        )
        if "neural" in models
    }
    fast = {}
    if "express" in models:
        found = analyse_fast(foreground, matte, stops, models["express"])
        colour = found.albedo.pixels
        fast = {
            "fast_normals_degrees": _degrees(found.normals.pixels, case.normals, solid),
            "fast_normals_degrees_skin": _degrees(found.normals.pixels, case.normals, skin),
            "fast_albedo_rmse": _rmse(colour, case.albedo, solid),
            "fast_albedo_rmse_scaled": _rmse(
                _scaled(colour, case.albedo, solid), case.albedo, solid
            ),
            "fast_psnr": quality(render(found.transport, light)),
        }
    copy = case.plate * np.float32(2.0**stops / gain)
    relit = render(transport, light)
    # Where the HDRI of the set is at hand.
    known = calibrate(transport, maps(case.lights[0])).transport
    return {
        **features(relit, case.truth, case.albedo, solid, skin, gain),
        "below_zero": _below_zero(transport, solid),
        "normals_degrees": _degrees(normals.pixels, case.normals, solid),
        "normals_degrees_skin": _degrees(normals.pixels, case.normals, skin),
        "flat_degrees": _degrees(flat, case.normals, solid),
        "flat_degrees_skin": _degrees(flat, case.normals, skin),
        "albedo_rmse": _rmse(albedo.pixels, case.albedo, solid),
        "calibrated_albedo_rmse": _rmse(known.albedo.pixels, case.albedo, solid),
        "calibrated_psnr": quality(render(known, light)),
        "albedo_rmse_scaled": _rmse(_scaled(albedo.pixels, case.albedo, solid), case.albedo, solid),
        "mean_colour_rmse": _rmse(mean, case.albedo, solid),
        "own_mean_colour_rmse": _rmse(own, case.albedo, solid),
        "plate_rmse_scaled": _rmse(_scaled(case.plate, case.albedo, solid), case.albedo, solid),
        "relight_psnr": quality(relit),
        "relight_lambert_psnr": quality(render(lambert(transport), light)),
        "unlit_copy_psnr": quality(copy),
        "true_lambert_psnr": quality(render(lambert(exact), light)),
        "true_phong_psnr": quality(render(phong(exact), light)),
        "true_form_transport_psnr": quality(
            render(
                analyse_transport(
                    foreground, matte, true_normals, true_albedo, stops, models["transport"]
                ),
                light,
            )
        ),
        "fitted_psnr": np.nan if case.fitted is None else quality(case.fitted),
        **fast,
        **unet,
    }


def maps(light: F32) -> LightMaps:
    """Return the light maps of an h×2h×3 ACEScg environment."""
    return prefilter(Environment(Image(light, ("R", "G", "B"))), EXPONENTS)


def render(transport: Transport, light: LightMaps) -> F32:
    """Return H×W×3: the straight picture of a transport under a light, as the Relight node does."""
    return _straight(relight(transport, {"key": light}, passes=False).relit)


def _straight(relit: Image) -> F32:
    """Return H×W×3 of a premultiplied picture."""
    return np.asarray(relit.pixels[..., :3] / np.maximum(relit.pixels[..., 3:], 1e-6))


def _below_zero(transport: Transport, solid: NDArray[np.bool_]) -> float:
    """Return the share of pixels below −0.001 under single far lamps, at a mean of middle grey."""
    shares = []
    for u, v in ((0.1, 0.4), (0.3, 0.3), (0.5, 0.3), (0.7, 0.4), (0.9, 0.5)):
        lamp = np.zeros((64, 128, 3), np.float32)
        lamp[int(v * 64), int(u * 128)] = 1000.0
        picture = render(transport, maps(lamp))[solid]
        level = max(float(picture.mean()), 1e-9)
        shares.append(float((picture.min(-1) * (0.18 / level) < -1e-3).mean()))
    return float(np.mean(shares))


def _behind(light: F32, shape: tuple[int, ...]) -> F32:
    """Return H×W×3: what of the light a 40° lens sees behind the subject, soft."""
    height = light.shape[0]
    half = max(1, round(height * 20 / 180))
    patch = light[height // 2 - half : height // 2 + half, height - half : height + half]
    planes = torch.from_numpy(patch.transpose(2, 0, 1).copy())[None]
    size = (shape[0], shape[1])
    soft = torch.nn.functional.interpolate(planes, size, mode="bilinear", align_corners=True)
    return np.asarray(soft[0].permute(1, 2, 0).numpy())


def _degrees(found: F32, truth: F32, where: NDArray[np.bool_]) -> float:
    if not where.any():
        return float("nan")
    a, b = found[where].astype(np.float64), truth[where].astype(np.float64)
    a, b = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-9) for v in (a, b))
    return float(np.degrees(np.arccos(np.clip((a * b).sum(1), -1, 1))).mean())


def _rmse(found: F32, truth: F32, where: NDArray[np.bool_]) -> float:
    return float(np.sqrt(np.mean((found[where].astype(np.float64) - truth[where]) ** 2)))


def _scaled(found: F32, truth: F32, where: NDArray[np.bool_]) -> F32:
    a, b = found[where].astype(np.float64), truth[where].astype(np.float64)
    return np.asarray(found * (a * b).sum() / max(float((a * a).sum()), 1e-12), np.float32)


def report(
    stage: Path,
    models: Mapping[str, nn.Module],
    cycles: Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Evaluate on the stage's test split and on path-traced views, and print tables."""
    found: dict[str, Any] = {"stage_test": evaluate(stage_cases(stage), models)}
    if cycles is not None and any(cycles.glob("[!.]*.npz")):
        found["cycles"] = evaluate(cycles_cases(cycles), models)
    for name, figures in found.items():
        say(f"\n{name}: {table(figures)}")
    return found


def main() -> None:
    """Run the command line."""
    from relume import weights

    parser = argparse.ArgumentParser(prog="relume.training.evaluate", description=__doc__)
    parser.add_argument("stage", type=Path, help="folder of the light stage's splits")
    parser.add_argument("--cycles", type=Path, help="folder of path-traced views")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    found = report(given.stage, {name: weights.load(name) for name in NAMES}, given.cycles)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
