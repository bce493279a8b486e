"""A look-at sheet: what the networks are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relume.training.stage import environment as envs
from relume.training.stage.dataset import View, list_views, read_view
from relume.training.stage.geometry import unit
from relume.training.stage.lighting import prepare, relit

F32 = NDArray[np.float32]


def background(env: F32, view: View) -> F32:
    """Return what the camera sees of an environment behind the subject, H×W×3."""
    height, width = view.alpha.shape
    fov = float(view.meta.get("fov", 40.0))  # type: ignore[arg-type]
    scale = 2.0 * np.tan(np.radians(fov) / 2.0) / height
    row, column = np.mgrid[0:height, 0:width]
    rays = np.stack(
        [
            (column + 0.5 - 0.5 * width) * scale,
            (0.5 * height - row - 0.5) * scale,
            -np.ones((height, width)),
        ],
        axis=-1,
    )
    rays = unit(rays.reshape(-1, 3).astype(np.float32))
    return envs.lookup(env, rays).reshape(height, width, 3)


def exposure(picture: F32, alpha: F32) -> float:
    """Return the factor that brings the subject's mean to middle grey (an anchor for looking)."""
    weight = alpha[..., None]
    mean = float((picture * weight).sum() / max(3.0 * float(weight.sum()), 1e-6))
    return 0.20 / max(mean, 1e-6)


def sheet_row(view: View, lights: list[tuple[str, float]]) -> F32:
    """Return one view as a row: alpha, normals, albedo, and relit under each light, display values.

    Args:
        view: the view.
        lights: names of environments and their rotation in degrees.
    """
    tiles = [
        np.repeat(view.alpha[..., None], 3, axis=2),
        np.where(view.alpha[..., None] > 0, 0.5 + 0.5 * view.normals, 0.0),
        np.clip(view.albedo, 0, 1) ** (1 / 2.2),
    ]
    ready = prepare(view)
    for name, turn in lights:
        env = envs.rotated(envs.read(name), turn)
        picture = relit(ready, env).picture
        alpha = view.alpha[..., None]
        over = picture * alpha + background(env, view) * (1.0 - alpha)
        over = over * exposure(picture, view.alpha)
        tiles.append(np.clip(over / (1.0 + 0.25 * np.maximum(over, 0)), 0, 1) ** (1 / 2.2))
    return np.concatenate(tiles, axis=1).astype(np.float32)


def write_preview(root: Path | str, split: str, out: Path | str, first: int, count: int) -> None:
    """Draw views of a split as a PNG sheet.

    Args:
        root: folder of the data set.
        split: train, val or test.
        out: PNG file.
        first: position of the first view drawn.
        count: how many rows.
    """
    import OpenImageIO as oiio

    names = envs.names(split)
    rows = []
    for number, path in enumerate(list_views(root, split)[first : first + count]):
        rng = np.random.default_rng([first, number])
        lights = [(str(rng.choice(names)), float(rng.uniform(0, 360))) for _ in range(3)]
        rows.append(sheet_row(read_view(path), lights))
    sheet = np.concatenate(rows, axis=0)
    spec = oiio.ImageSpec(sheet.shape[1], sheet.shape[0], 3, oiio.UINT8)
    target = oiio.ImageBuf(spec)
    target.set_pixels(oiio.ROI(), np.ascontiguousarray(sheet))
    target.write(str(out))
