"""Procedural skin for FaceKit heads: melanin and blood painted where the face wants them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from relume.training.stage import ict
from relume.training.stage.anchors import first_hit
from relume.training.stage.geometry import F32, noise, smoothstep
from relume.training.stage.skin import Complexion, base_colour

F64 = NDArray[np.float64]

_MELANIN = np.array([0.74, 1.0, 1.14])
"""Absorbance of melanin in R, G, B, relative: the mean step between the skin tones."""
_BLOOD = np.array([0.05, 0.34, 0.28])
_LIPS = np.array(
    [
        *[(-2.55, -3.50), (-1.75, -2.85), (-0.75, -2.45), (0.0, -2.62), (0.75, -2.45)],
        *[(1.75, -2.85), (2.55, -3.50), (1.8, -4.02), (1.03, -4.28), (0.0, -4.36)],
        *[(-1.03, -4.28), (-1.8, -4.02)],
    ]
)
"""Outline of the neutral head's lips from the front, centimetres."""


@lru_cache(maxsize=2)
def places(size: int = 512) -> tuple[F32, NDArray[np.bool_]]:
    """Return where on the undeformed head each texel of the skin's picture lies.

    Returns:
        size×2·size×3 positions in decimetres, texels beside the islands taking their nearest
        one's, and which texels are inside an island.
    """
    obj = ict.mesh()
    own = obj.faces.max(axis=1) < ict.SKIN_VERTICES
    faces, uv_faces = obj.faces[own], obj.uv_faces[own]
    flat = np.zeros((len(uv_faces) * 3, 3), np.float32)
    flat[:, :2] = (obj.uv * np.array([0.5, 1.0], np.float32))[uv_faces.ravel()]
    corners = np.arange(len(flat), dtype=np.int32).reshape(-1, 3)
    row, column = np.mgrid[0:size, 0 : 2 * size]
    origin = np.stack(
        [(column + 0.5) / (2 * size), 1.0 - (row + 0.5) / size, np.ones(row.shape)], axis=-1
    )
    origins = origin.reshape(-1, 3).astype(np.float32)
    down = np.broadcast_to(np.array([0, 0, -1], np.float32), origins.shape)
    triangle, weights = _hits(flat, corners, origins, down)
    inside = triangle >= 0
    found = np.zeros((len(origins), 3), np.float32)
    hit = triangle[inside]
    found[inside] = np.einsum("pk,pkc->pc", weights[inside], obj.vertices[faces[hit]])
    nearest = cKDTree(origins[inside][:, :2]).query(origins[~inside][:, :2])[1]
    found[~inside] = found[inside][np.asarray(nearest)]
    return found.reshape(size, 2 * size, 3), inside.reshape(size, 2 * size)


def _hits(
    vertices: F32, faces: NDArray[np.int32], origins: F32, directions: F32
) -> tuple[NDArray[np.int32], F32]:
    """Return the triangle that each ray hits first, −1 for none, and the weights there."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    TriangleMesh(scene, vertices, faces)
    found = scene.run(origins, np.ascontiguousarray(directions), output=True)
    u, v = found["u"], found["v"]
    return (
        np.asarray(found["primID"], np.int32),
        np.stack([1.0 - u - v, u, v], axis=1).astype(np.float32),
    )


def texture(complexion: Complexion, rng: np.random.Generator, size: int = 512) -> F32:
    """Paint one person's skin.

    Args:
        complexion: tone, blood, freckles and lips; `source` is not used.
        rng: draws how much of each mark the person has.
        size: rows of the picture, half its columns.

    Returns:
        size×2·size×3 linear Rec. 709 albedo for the coordinates of `ict.skin_mesh`.
    """
    at = places(size)[0].reshape(-1, 3)
    x, y, z = ((at - ict.ORIGIN) * np.float32(10.0)).T
    seed = int(rng.integers(1 << 30))
    contrast = complexion.detail

    def spot(cx: float, cy: float, cz: float, radius: float) -> F32:
        return np.asarray(
            np.exp(-((np.abs(x) - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / radius**2), np.float32
        )

    melanin = 0.05 * noise(at, 0.9, seed) + 0.03 * noise(at, 0.22, seed + 1)
    melanin += float(rng.uniform(0.02, 0.06)) * noise(at, 0.05, seed + 2)
    blood = 0.10 * noise(at, 0.5, seed + 3) + 0.08 * noise(at, 0.12, seed + 4)
    blood += float(rng.uniform(0.04, 0.14)) * noise(at, 0.035, seed + 5)
    # Cheeks, the nose's tip, the chin and the ears hold more blood.
    blush = float(rng.uniform(0.2, 0.9))
    blood += blush * (spot(4.2, 0.2, 9.2, 2.2) + 0.8 * spot(0.0, 0.3, 12.4, 1.4))
    blood += blush * (0.35 * spot(0.0, -6.6, 10.2, 1.6) + 0.8 * (spot(8.4, 1.2, -0.2, 2.4)))
    # The lids and the hollow below the eyes are darker and bluer.
    hollow = float(rng.uniform(0.05, 0.35))
    melanin += hollow * (spot(2.9, 1.9, 9.0, 1.3) + 0.5 * spot(3.1, 4.5, 9.2, 1.3))
    blood += 0.9 * hollow * spot(2.6, 2.2, 9.0, 1.2) + 0.5 * spot(1.85, 3.2, 9.1, 0.45)
    absorbance = melanin[:, None] * _MELANIN * 1.1 + blood[:, None] * _BLOOD * (
        1.0 - 0.45 * complexion.tone
    )
    if complexion.freckles > 0.0:
        absorbance += _freckles(at, x, y, z, complexion, rng)[:, None] * _MELANIN
    absorbance += _moles(at, rng)[:, None] * _MELANIN
    base = base_colour(complexion.tone, complexion.blood)
    albedo = base * np.exp(-contrast * absorbance)
    lips = _lips(x, y, z)[:, None]
    # Lips carry blood and, on dark skin, their own melanin.
    natural = base * np.exp(-(0.25 * _MELANIN + float(rng.uniform(0.9, 1.7)) * _BLOOD))
    fleck = np.exp(0.10 * noise(at, 0.04, seed + 6))[:, None]
    painted = natural * (1.0 - complexion.lips) + np.array(complexion.lip_colour) * complexion.lips
    albedo = albedo * (1.0 - lips) + painted * fleck * lips
    # The inside of the mouth and the nostrils is red and dark.
    deep = smoothstep(0.0, 1.0, (_mouth_bag(x, y, z)).astype(np.float32))[:, None]
    albedo = albedo * (1.0 - deep) + np.array([0.22, 0.065, 0.055]) * deep
    return np.asarray(np.clip(albedo, 0.004, 0.92), np.float32).reshape(size, 2 * size, 3)


def _lips(x: F32, y: F32, z: F32) -> F32:
    """Return how much of a lip is at points of the neutral head, 0…1."""
    outline = np.roll(_LIPS, -1, axis=0)
    near = (np.abs(x) < 3.4) & (y > -5.2) & (y < -1.8) & (z > 8.8)
    p = np.stack([x[near], y[near]], axis=1).astype(np.float64)
    nearest = np.full(len(p), np.inf)
    inside = np.zeros(len(p), bool)
    for a, b in zip(_LIPS, outline, strict=True):
        edge = b - a
        t = np.clip(((p - a) @ edge) / (edge @ edge), 0.0, 1.0)
        nearest = np.minimum(nearest, np.linalg.norm(p - a - t[:, None] * edge, axis=1))
        crosses = (a[1] > p[:, 1]) != (b[1] > p[:, 1])
        inside ^= crosses & (p[:, 0] < a[0] + (p[:, 1] - a[1]) * edge[0] / (edge[1] + 1e-12))
    found = np.zeros(len(x), np.float32)
    signed = np.where(inside, nearest, -nearest)
    found[near] = smoothstep(-0.12, 0.10, signed.astype(np.float32))
    return found


def _mouth_bag(x: F32, y: F32, z: F32) -> F32:
    """Return the depth behind the lips of points of the neutral head, about 0…1 and more."""
    front = 11.2 - 0.16 * x**2
    inside = (np.abs(x) < 3.6) & (y > -6.0) & (y < -0.6)
    return np.where(
        inside, np.clip((front - 0.9 - z) / 0.8, 0, 1) * (z < 10.6) * _behind(x, y, z), 0.0
    )


def _behind(x: F32, y: F32, z: F32) -> F32:
    """Return 1 where a point lies behind the face's outer surface at its place."""
    depth = _surface()
    column = np.clip(((x + 10.0) * 12.8).astype(int), 0, 255)
    row = np.clip(((y + 10.0) * 12.8).astype(int), 0, 255)
    return np.asarray(depth[row, column] - z > 0.5, np.float32)


@lru_cache(maxsize=1)
def _surface() -> F32:
    """Return a 256² map of the neutral head's foremost z over −10…10 cm in x and y."""
    obj = ict.mesh()
    grid = (np.arange(256) + 0.5) / 12.8 - 10.0
    gy, gx = np.meshgrid(grid, grid, indexing="ij")
    origins = np.stack([gx, gy, np.full(gx.shape, 30.0)], axis=-1).reshape(-1, 3)
    down = np.broadcast_to(np.array([0, 0, -1], np.float32), origins.shape)
    own = obj.faces[obj.faces.max(axis=1) < ict.SKIN_VERTICES]
    vertices = (obj.vertices - ict.ORIGIN) * np.float32(10.0)
    return 30.0 - first_hit(vertices, own, origins.astype(np.float32), down).reshape(256, 256)


def _freckles(
    at: F32, x: F32, y: F32, z: F32, complexion: Complexion, rng: np.random.Generator
) -> F32:
    """Return the pigment of freckles over the nose and the cheeks."""
    weight = np.exp(-(((y - 1.0) / 2.4) ** 2) - (x / 5.0) ** 2) * (z > 6.5)
    return _dots(at, weight, int(700 * complexion.freckles) + 60, (0.006, 0.013), 0.7, rng)


def _moles(at: F32, rng: np.random.Generator) -> F32:
    """Return the pigment of a few moles."""
    weight = np.ones(len(at))
    return _dots(at, weight, int(rng.integers(0, 14)) + 1, (0.008, 0.020), 1.2, rng)


def _dots(
    at: F32,
    weight: NDArray[np.floating],
    count: int,
    radius: tuple[float, float],
    strength: float,
    rng: np.random.Generator,
) -> F32:
    centres = at[rng.choice(len(at), count, p=weight / weight.sum())]
    sizes = rng.uniform(*radius, count)
    depths = strength * rng.uniform(0.3, 1.0, count)
    away, nearest = cKDTree(centres).query(at, distance_upper_bound=3.0 * radius[1])
    hit = np.isfinite(away)
    found = np.zeros(len(at), np.float32)
    own = np.asarray(nearest)[hit]
    found[hit] = depths[own] * np.exp(-((np.asarray(away)[hit] / sizes[own]) ** 2))
    return found
