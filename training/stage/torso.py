"""Plain shoulders and a collar for heads that come without a body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from relume.training.stage.anchors import first_hit
from relume.training.stage.geometry import CLOTH, F32, Mesh
from relume.training.stage.tubes import grid_faces, solid

_SIDES = 96


def torso(skin: Mesh, neckline: float, rng: np.random.Generator, pattern: int) -> Mesh:
    """Return a jersey: a collar around the neck, shoulders, and a trunk to below the frame.

    The skin that it covers is cut away.

    Args:
        skin: the head and neck; loses the faces under the jersey.
        neckline: height of the collar's edge at the neck's side, decimetres.
        rng: draws collar, shoulders and trunk.
        pattern: index of its cloth.
    """
    angle = np.arange(_SIDES) * (2.0 * np.pi / _SIDES)
    side, front = np.sin(angle), np.cos(angle)
    slope = float(rng.uniform(0.05, 0.30))
    level = neckline - slope * front - 0.06 * np.abs(front)
    middle = np.array([0.0, 0.0, _middle(skin, neckline)], np.float32)
    ways = np.stack([side, np.zeros(_SIDES), front], axis=1).astype(np.float32)
    origins = middle + 2.0 * ways
    origins[:, 1] = level
    hit = first_hit(skin.vertices, skin.faces, origins, -ways)
    neck = np.where(np.isfinite(hit), 2.0 - hit, np.nan)
    neck = np.where(np.isfinite(neck), neck, np.nanmedian(neck))
    neck = gaussian_filter1d(np.minimum(neck, 0.95), 2.0, mode="wrap")
    width, depth = float(rng.uniform(1.95, 2.45)), float(rng.uniform(1.0, 1.3))
    power = 2.6
    edge = (np.abs(side / width) ** power + np.abs(front / depth) ** power) ** (-1.0 / power)
    rise = float(rng.choice([rng.uniform(0.03, 0.10), rng.uniform(0.2, 0.55)], p=[0.65, 0.35]))
    gap = float(rng.uniform(0.02, 0.06))
    rings: list[F32] = []

    def ring(radius: NDArray[np.floating], height: NDArray[np.floating]) -> None:
        points = middle + ways * np.asarray(radius)[:, None]
        points[:, 1] = height
        rings.append(points.astype(np.float32))

    ring(neck - 0.03, level - 0.25)
    ring(neck + gap, level - 0.10)
    ring(neck + gap, level + rise)
    ring(neck + gap + 0.035, level + rise + 0.015)
    ring(neck + gap + 0.07, level + rise)
    base = neck + gap + 0.08
    # From the collar the cloth slides down the trapezius, over the shoulder, and falls.
    steep = 0.9 + 0.9 * front**2
    for t in np.linspace(0.0, 1.0, 26):
        out = t**0.85
        drop = steep * (0.16 * (1.0 - np.exp(-6.0 * t)) + 0.26 * t + 0.42 * t**5)
        # The collar is bevelled into the shoulder.
        ring(base + (edge - base) * out, level - 0.02 - drop)
    last = rings[-1][:, 1]
    for t in np.linspace(0.05, 1.0, 24):
        swell = 1.0 + 0.05 * np.sin(np.pi * min(2.0 * t, 1.0)) * np.abs(side)
        ring(edge * swell, last + (neckline - 7.0 - last) * t)
    points = np.stack(rings)
    points = np.concatenate(
        [points[:5], gaussian_filter1d(points[5:], 1.0, axis=0, mode="nearest")]
    )
    jersey = solid(
        points.reshape(-1, 3),
        grid_faces(len(points), _SIDES, around=True)[:, ::-1],
        CLOTH,
        np.ones(3, np.float32),
        pattern=pattern,
    )
    turn = np.arctan2(skin.vertices[:, 0], skin.vertices[:, 2] - middle[2])
    edge_level = np.interp(turn % (2.0 * np.pi), angle, level, period=2.0 * np.pi)
    bare = skin.vertices[:, 1] > edge_level - 0.06
    skin.faces = skin.faces[bare[skin.faces].any(axis=1)]
    jersey.bump = float(rng.uniform(0.15, 0.5))
    return jersey


def _middle(skin: Mesh, height: float) -> float:
    """Return the z of the neck's axis at a height."""
    near = np.abs(skin.vertices[:, 1] - height) < 0.25
    return float(0.5 * (skin.vertices[near, 2].min() + skin.vertices[near, 2].max()))
