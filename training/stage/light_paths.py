"""What light does before it reaches a surface: visibility, and one bounce."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from relume.training.stage.environment import harmonics
from relume.training.stage.geometry import F32, HAIR, unit
from relume.training.stage.surface import Scene, Surface, cast, shade_points

_CLEARANCE = 0.006
"""Visibility rays start this far off the surface, decimetres."""

_COSINE = np.array([1.0, *[2.0 / 3.0] * 3, *[0.25] * 5], np.float32)
"""The clamped cosine's harmonics over π, order 2 (Ramamoorthi and Hanrahan 2001)."""


def light_paths(
    scene: Scene, points: Surface, normals: F32, directions: F32, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], F32]:
    """Trace every direction from every point.

    Args:
        scene: the scene.
        points: P points of its surface.
        normals: P×3, those of the pixels.
        directions: D×3 unit vectors, spread evenly over the sphere.
        rng: lifts the rays that start on hair.

    Returns:
        the visibility bits, P×D/8, and the bounce transport, P×9×3.
    """
    origins = _origins(scene, points, normals, rng)
    hair = points.labels == HAIR
    low = np.where(hair, -0.55, 0.0)[:, None]
    cosine = normals @ directions.T
    wanted = cosine > low
    visible = np.zeros(wanted.shape, bool)
    transport = _second_hits(scene)
    bounce = np.zeros((len(origins), 27), np.float32)
    solid = 4.0 * np.pi / len(directions) / np.pi
    block = 16384
    for start in range(0, len(origins), block):
        rows, columns = np.nonzero(wanted[start : start + block])
        found = cast(scene, origins[start + rows], directions[columns])
        triangle = found["primID"]
        free = triangle < 0
        visible[start + rows[free], columns[free]] = True
        rows, columns, triangle = rows[~free], columns[~free], triangle[~free]
        weight = np.maximum(cosine[start + rows, columns], 0.0) * solid
        size = (min(block, len(origins) - start), len(transport))
        paths = csr_array((weight.astype(np.float32), (rows, triangle)), shape=size)
        bounce[start : start + block] = paths @ transport
    return np.packbits(visible, axis=1), bounce.reshape(-1, 9, 3)


def _origins(scene: Scene, points: Surface, normals: F32, rng: np.random.Generator) -> F32:
    """Return where visibility rays start.

    On surfaces the point is lifted onto the tangent planes of its triangle's vertices, so that
    facets do not shade themselves (Hanika 2021, "Hacking the Shadow Terminator"). On hair it is
    lifted by a random few millimetres: strands are translucent and scatter light past neighbours.
    """
    corners = scene.faces[points.triangle]
    lifted = np.zeros_like(points.points)
    for k in range(3):
        n = scene.normals[corners[:, k]]
        n = n * np.where(np.einsum("rc,rc->r", n, points.geometric) < 0, -1.0, 1.0)[:, None]
        above = np.einsum("rc,rc->r", points.points - scene.vertices[corners[:, k]], n)
        lifted -= (points.weights[:, k] * np.minimum(above, 0.0))[:, None] * n
    hair = points.labels == HAIR
    lifted[hair] = 0.0
    lift = np.where(hair, rng.uniform(0.02, 0.09, len(hair)), _CLEARANCE).astype(np.float32)
    way = np.where(hair[:, None], normals, points.geometric)
    return np.asarray(points.points + lifted + way * lift[:, None], np.float32)


def _second_hits(scene: Scene) -> F32:
    """Return each triangle's reflected radiance as a function of the environment, F×27.

    Its albedo times the unshadowed irradiance to order 2, dimmed for the shadow it stands in.
    """
    faces = scene.faces
    count = len(faces)
    corner = np.arange(count, dtype=np.int32)
    third = np.full((count, 3), 1.0 / 3.0, np.float32)
    solid = scene.part < _first_hair(scene)
    albedo = scene.colour[faces[:, 0]].copy()
    normals = scene.normals[faces[:, 0]].copy()
    if solid.any():
        index = corner[solid]
        mean = unit(scene.normals[faces[index]].mean(axis=1))
        found = shade_points(scene, index, third[solid], mean)
        albedo[solid], normals[solid] = found.albedo, mean
    shadow = np.where(solid, 0.6, 0.35).astype(np.float32)
    radiance = harmonics(normals) * _COSINE * shadow[:, None]
    return np.asarray((radiance[:, :, None] * albedo[:, None, :]).reshape(count, 27), np.float32)


def _first_hair(scene: Scene) -> int:
    labels = [mesh.label for mesh in scene.subject.meshes]
    return labels.index(HAIR) if HAIR in labels else len(labels)
