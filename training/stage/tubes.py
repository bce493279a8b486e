"""Solid shapes made on the spot: tubes along a path, lofts over rings, boxes and balls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relume.training.stage.geometry import F32, I32, Mesh, smooth_normals, unit

Real = NDArray[np.floating] | float
"""A number, or one for each place."""


def grid_faces(rows: int, columns: int, *, around: bool, closed: bool = False) -> I32:
    """Return the triangles of a rows×columns grid of vertices.

    They face a viewer who sees columns run to the right and rows upwards.

    Args:
        rows: how many rows.
        columns: vertices of a row.
        around: whether the last column meets the first.
        closed: whether the last row meets the first.
    """
    i, j = np.meshgrid(
        np.arange(rows if closed else rows - 1),
        np.arange(columns if around else columns - 1),
        indexing="ij",
    )
    below, beside = (i + 1) % rows, (j + 1) % columns
    a, b = i * columns + j, i * columns + beside
    c, d = below * columns + j, below * columns + beside
    quads = np.stack([np.stack([a, b, c], -1), np.stack([b, d, c], -1)], axis=2)
    return np.asarray(quads.reshape(-1, 3), np.int32)


def solid(vertices: F32, faces: I32, label: int, colour: F32, *, pattern: int = -1) -> Mesh:
    """Return a mesh with smooth normals in one colour, or one colour a vertex."""
    points = np.asarray(vertices, np.float32)
    return Mesh(
        vertices=points,
        faces=faces,
        normals=smooth_normals(points, faces),
        uv=np.zeros((len(points), 2), np.float32),
        rest=points.copy(),
        colour=np.broadcast_to(colour, (len(points), 3)).astype(np.float32).copy(),
        label=label,
        pattern=pattern,
    )


def tube(
    path: F32,
    wide: Real,
    deep: Real,
    facing: F32,
    *,
    closed: bool,
    sides: int = 10,
    power: float = 2,
) -> tuple[F32, I32]:
    """Return a tube along a path.

    Args:
        path: K×3 points.
        wide: half-width, or K of them, across the path, perpendicular to `facing`.
        deep: half-width, or K of them, along `facing`.
        facing: K×3 or 3, a direction that the section's depth lies along.
        closed: whether the path is a loop; ends of an open one are drawn to a point.
        sides: vertices around.
        power: 2 is an ellipse, higher ones are boxes with round corners.
    """
    path = np.asarray(path, np.float32)
    if closed:
        tangent = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    else:
        tangent = np.gradient(path, axis=0)
    tangent = unit(tangent)
    depth = np.broadcast_to(facing, path.shape)
    depth = unit(depth - tangent * np.einsum("kc,kc->k", depth, tangent)[:, None])
    across = np.cross(tangent, depth)
    angle = np.arange(sides) * (2.0 * np.pi / sides)
    cos, sin = (np.sign(t) * np.abs(t) ** (2.0 / power) for t in (np.cos(angle), np.sin(angle)))
    w = np.broadcast_to(wide, len(path)).astype(np.float32).copy()
    d = np.broadcast_to(deep, len(path)).astype(np.float32).copy()
    if not closed:
        w[[0, -1]], d[[0, -1]] = 1e-4, 1e-4
        path = path.copy()
        # The caps are flat: the pointed ring lies in the plane of its neighbour.
        path[0], path[-1] = path[1] - 1e-3 * tangent[1], path[-2] + 1e-3 * tangent[-2]
    points = (
        path[:, None]
        + across[:, None] * (w[:, None] * cos[None])[..., None]
        + depth[:, None] * (d[:, None] * sin[None])[..., None]
    )
    faces = grid_faces(len(path), sides, around=True, closed=closed)[:, ::-1]
    return points.reshape(-1, 3).astype(np.float32), faces


def lathe(profile: F32, sides: int = 40) -> tuple[F32, I32]:
    """Return the surface that K×2 points (radius, height) sweep around the y axis."""
    angle = np.arange(sides) * (2.0 * np.pi / sides)
    radius, height = profile.T
    points = np.stack(
        [
            radius[:, None] * np.sin(angle),
            np.broadcast_to(height[:, None], (len(profile), sides)),
            radius[:, None] * np.cos(angle),
        ],
        axis=-1,
    )
    faces = grid_faces(len(profile), sides, around=True)
    return points.reshape(-1, 3).astype(np.float32), faces


def ball(radius: float, sides: int = 40) -> tuple[F32, I32]:
    """Return a sphere."""
    angle = np.linspace(0.0, np.pi, sides // 2)
    profile = radius * np.stack([np.maximum(np.sin(angle), 1e-4), np.cos(angle)], axis=1)
    return lathe(profile[::-1].astype(np.float32), sides)


def box(width: float, height: float, depth: float, radius: float) -> tuple[F32, I32]:
    """Return a slab with rounded corners in its face, its middle at the origin, facing +Z."""
    angle = np.linspace(0.0, 2.0 * np.pi, 33)[:-1]
    corner = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    offset = np.sign(corner + 1e-9) * (0.5 * np.array([width, height]) - radius)
    outline = corner * radius + offset
    bevel = min(0.25 * depth, 0.5 * radius)
    rings = [
        (0.02, -0.5 * depth),
        (0.96, -0.5 * depth),
        (1.0, -0.5 * depth + bevel),
        (1.0, 0.5 * depth - bevel),
        (0.96, 0.5 * depth),
        (0.02, 0.5 * depth),
    ]
    points = np.stack(
        [np.concatenate([outline * s, np.full((32, 1), z)], axis=1) for s, z in rings]
    )
    return points.reshape(-1, 3).astype(np.float32), grid_faces(len(rings), 32, around=True)
