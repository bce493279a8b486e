"""Where a head is: what glasses, hats and hands are placed by, whichever kit it comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from relume.training.stage.geometry import F32, I32, Mesh, unit


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """Points of a posed head, decimetres.

    Attributes:
        head: 3×3, columns are the head's left, up and forward.
        skull: centre of the skull.
        eyes: centre between the eyes.
        eyeballs: 2×3 centres of the eyes, the head's left first.
        ears: 2×3 points where an ear's upper edge meets the head, left first.
        eye: radius of an eyeball.
    """

    head: F32
    skull: F32
    eyes: F32
    eyeballs: F32
    ears: F32
    eye: float

    def local(self, points: F32) -> F32:
        """Return points in the head's frame about the point between the eyes."""
        return np.asarray((points - self.eyes) @ self.head, np.float32)

    def world(self, points: F32) -> F32:
        """Return points of the head's frame about the point between the eyes in the subject's."""
        return np.asarray(points @ self.head.T + self.eyes, np.float32)


class Clearance:
    """How far points are off a surface, by its nearest vertex.

    Args:
        skin: the surface.
    """

    def __init__(self, skin: Mesh) -> None:
        self._tree = cKDTree(skin.vertices)
        self._points, self._normals = skin.vertices, skin.normals

    def above(self, points: F32) -> tuple[F32, F32]:
        """Return the height of P points over the surface and the P×3 normals below them."""
        found = self._tree.query(points)
        distance, nearest = np.asarray(found[0]), np.asarray(found[1])
        normals = self._normals[nearest]
        height = np.einsum("pc,pc->p", points - self._points[nearest], normals)
        # Beside an open edge, such as the cut through a neck, nothing is inside.
        beside = (height < 0.0) & (height > -0.6 * distance) & (distance > 0.1)
        return np.where(beside, distance, height).astype(np.float32), normals

    def lifted(self, points: F32, gap: float, rounds: int = 2) -> F32:
        """Return points moved along the surface's normals until they are `gap` above it."""
        for _ in range(rounds):
            height, normals = self.above(points)
            points = points + normals * np.maximum(gap - height, 0.0)[:, None]
        return np.asarray(points, np.float32)


def first_hit(vertices: F32, faces: I32, origins: F32, directions: F32) -> F32:
    """Return the distance along unit rays to the first surface they meet, infinity for none."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    TriangleMesh(
        scene, np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32)
    )
    found = scene.run(
        np.ascontiguousarray(origins, np.float32),
        np.ascontiguousarray(directions, np.float32),
        output=True,
    )
    return np.where(found["primID"] >= 0, found["tfar"], np.inf).astype(np.float32)


def outward(points: F32, centre: F32) -> tuple[F32, F32]:
    """Return the unit directions from a centre to points, and the distances."""
    way = points - centre
    return unit(way), np.linalg.norm(way, axis=-1).astype(np.float32)
