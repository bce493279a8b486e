"""Meshes, smooth normals and the noise that gives surfaces detail."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

SKIN, HAIR, CLOTH, OTHER = 1, 2, 3, 4
"""Labels of the surfaces; 0 is background, 4 is eyes, teeth and mouth."""


@dataclass(slots=True, eq=False)
class Mesh:
    """A triangle mesh with everything a shading point interpolates.

    Attributes:
        vertices: V×3 positions in decimetres.
        faces: F×3 vertex indices.
        normals: V×3 unit smooth normals.
        uv: V×2 texture coordinates, v up.
        rest: V×3 positions before morphs and pose, so that patterns stay on the surface.
        colour: V×3 linear albedo, multiplied by the texture if there is one.
        tangents: V×3 unit fibre directions, zero on surfaces.
        label: what the surface is (SKIN, HAIR, CLOTH, OTHER).
        texture: h×w×3 linear albedo, or None.
        pattern: index of the subject's cloth pattern, −1 for none.
        bump: amplitude of the wrinkles' slope.
    """

    vertices: F32
    faces: I32
    normals: F32
    uv: F32
    rest: F32
    colour: F32
    label: int
    tangents: F32 | None = None
    texture: F32 | None = None
    pattern: int = -1
    bump: float = 0.0


def unit(v: NDArray[np.floating]) -> F32:
    """Return vectors scaled to unit length along the last axis; zero stays zero."""
    length = np.sqrt(np.einsum("...c,...c->...", v, v))[..., None]
    return np.asarray(v / np.maximum(length, 1e-12), np.float32)


def smooth_normals(vertices: F32, faces: I32) -> F32:
    """Return area-weighted unit vertex normals."""
    corners = vertices[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(area[:, c], 3), minlength=len(vertices))
            for c in range(3)
        ],
        axis=1,
    )
    return unit(normals.astype(np.float32))


def smoothstep(low: float, high: float, x: F32) -> F32:
    """Return the cubic ramp from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def rotation(yaw: float, pitch: float, roll: float) -> F32:
    """Return the rotation R_y(yaw) · R_x(pitch) · R_z(roll), angles in degrees."""
    y, x, z = np.radians([yaw, pitch, roll])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return np.asarray(ry @ rx @ rz, np.float32)


@lru_cache(maxsize=2)
def _noise_volume(seed: int) -> F32:
    """Return a periodic 64³ volume of smooth noise with zero mean and unit variance."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal((64, 64, 64)), 1.1, mode="wrap")
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def noise(points: F32, scale: float, seed: int = 0) -> F32:
    """Return smooth noise at points, features about `scale` wide, zero mean, unit variance."""
    shift = np.random.default_rng(seed).uniform(0, 64, 3)
    at = points.T.astype(np.float64) * (3.0 / scale) + shift[:, None]
    found = ndimage.map_coordinates(_noise_volume(0), at, order=1, mode="grid-wrap")
    return np.asarray(found, np.float32)


def noise_slope(points: F32, scale: float, seed: int = 0) -> F32:
    """Return the gradient of `noise` times `scale` (so its size does not depend on the scale)."""
    step = scale / 3.0
    middle = noise(points, scale, seed)
    columns = []
    for axis in range(3):
        moved = points.copy()
        moved[:, axis] += step
        columns.append((noise(moved, scale, seed) - middle) * 3.0)
    return np.stack(columns, axis=1)


def split_corners(faces: I32, uv_faces: I32) -> tuple[I32, I32, I32]:
    """Give each (vertex, texture coordinate) pair a vertex of its own.

    Returns:
        the new faces, and for each new vertex its old vertex and its texture coordinate.
    """
    pairs = np.stack([faces.ravel(), uv_faces.ravel()], axis=1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    return (
        inverse.reshape(faces.shape).astype(np.int32),
        unique[:, 0].astype(np.int32),
        unique[:, 1].astype(np.int32),
    )


def components(count: int, faces: I32) -> I32:
    """Return the connected part each of `count` vertices belongs to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.concatenate([faces[:, 0], faces[:, 1]])
    columns = np.concatenate([faces[:, 1], faces[:, 2]])
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int32)
