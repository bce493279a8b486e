"""The camera a plate was filmed with: field of view, where it looks, and rays through pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.errors import InputError, UsageError
from relume.image import Box

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FOV = 40.0
"""Horizontal field of view, in degrees, where nobody says."""


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera.

    Camera space is +X right, +Y up, +Z towards the camera, so the camera looks along −Z. With a
    camera wired, environments are fixed to its world instead of to the picture.

    Attributes:
        fov: horizontal field of view of the display window in degrees, 0 < fov < 180.
        to_world: 3×3 float64 rotation, camera space to world space; identity if not given.
    """

    fov: float = FOV
    to_world: F64 = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not 0.0 < self.fov < 180.0:
            raise UsageError(
                f"a camera's field of view lies between 0 and 180 degrees, not {self.fov:g}"
            )
        rotation = np.eye(3) if self.to_world is None else np.array(self.to_world, np.float64)
        if rotation.shape != (3, 3) or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4):
            raise UsageError("a camera's orientation is a 3×3 rotation")
        rotation.flags.writeable = False
        object.__setattr__(self, "to_world", rotation)

    @classmethod
    def from_world_to_camera(cls, matrix: Any, fov: float = FOV) -> Camera:
        """Return the camera of a `worldToCamera` matrix.

        Args:
            matrix: 16 numbers or 4×4 as OpenEXR stores them: points are row vectors, the
                translation is the last row. A matrix that mirrors (negative determinant) is from
                a renderer whose cameras look along +Z, as RenderMan's do; its z is flipped.
                Scale is ignored, since light comes from infinitely far away.
            fov: horizontal field of view in degrees.

        Raises:
            InputError: the matrix is not 4×4, not finite or singular.
        """
        try:
            full = np.asarray(matrix, np.float64).reshape(4, 4)
        except (TypeError, ValueError):
            raise InputError("worldToCamera is not a 4×4 matrix") from None
        # Transposed, points are columns: p_camera = turn · p_world.
        turn = full[:3, :3].T
        determinant = np.linalg.det(turn) if np.isfinite(turn).all() else 0.0
        if abs(determinant) < 1e-12:
            raise InputError("worldToCamera cannot be inverted")
        if determinant < 0:
            turn = np.diag((1.0, 1.0, -1.0)) @ turn
        # The nearest rotation: scale and shear of the matrix do not move light at infinity.
        left, _, right = np.linalg.svd(turn)
        return cls(fov, (left @ right).T)

    @classmethod
    def from_json(cls, document: Any, frame: int) -> Camera:
        """Return the camera of a frame.

        Args:
            document: parsed JSON: `{"fov": 40, "worldToCamera": [16 numbers]}`, both optional,
                and `"frames": {"1001": {…}}` whose entries override them.
            frame: the frame.

        Raises:
            InputError: the document is something else or has no such frame.
        """
        if not isinstance(document, Mapping):
            raise InputError('a camera file holds an object such as {"fov": 40}')
        values = dict(document)
        frames = values.pop("frames", None)
        if frames is not None:
            if not isinstance(frames, Mapping) or not isinstance(frames.get(str(frame)), Mapping):
                raise InputError(
                    f"the camera file has no frame {frame}",
                    way_out='Add it under "frames", or leave "frames" out for a still camera',
                )
            values |= frames[str(frame)]
        unknown = sorted(set(values) - {"fov", "worldToCamera"})
        if unknown:
            raise InputError(f"a camera has no '{unknown[0]}'; it has fov and worldToCamera")
        fov = values.get("fov", FOV)
        if not isinstance(fov, int | float) or isinstance(fov, bool):
            raise InputError(f"a camera's fov is a number of degrees, not {fov!r}")
        if "worldToCamera" in values:
            return cls.from_world_to_camera(values["worldToCamera"], float(fov))
        return cls(float(fov))

    def rays(
        self, data: Box, display: Box, pixel_aspect: float = 1.0, *, inside: tuple[float, float]
    ) -> F32:
        """Return the direction in which each pixel looks.

        Args:
            data: the pixels wanted.
            display: the window the field of view spans, its centre on the optical axis.
            pixel_aspect: width of a pixel over its height.
            inside: point of the pixel, x and y in 0…1, (0.5, 0.5) its centre.

        Returns:
            H×W×3 unit vectors in camera space, z < 0.
        """
        # In units of a pixel's height, so that anamorphic pixels see as wide as they are.
        focal = 0.5 * display.width * pixel_aspect / math.tan(math.radians(self.fov) / 2)
        x = (np.arange(data.x0, data.x1) + inside[0] - (display.x0 + display.x1) / 2) * pixel_aspect
        y = (display.y0 + display.y1) / 2 - (np.arange(data.y0, data.y1) + inside[1])
        rays = np.empty((data.height, data.width, 3))
        rays[..., 0], rays[..., 1], rays[..., 2] = x / focal, y[:, None] / focal, -1.0
        rays /= np.sqrt(np.einsum("ijk,ijk->ij", rays, rays))[..., None]
        return rays.astype(np.float32)

    def views(self, data: Box, display: Box, pixel_aspect: float = 1.0) -> F32:
        """Return V, the direction from each pixel's surface to the camera.

        Returns:
            H×W×3 unit vectors in camera space, z > 0.
        """
        return -self.rays(data, display, pixel_aspect, inside=(0.5, 0.5))


def reflect(normals: F32, views: F32 | None = None) -> F32:
    """Return the mirror direction R = 2(N·V)N − V.

    Args:
        normals: …×3 unit vectors; a zero vector gives −V.
        views: …×3 unit vectors to the camera; None is (0, 0, 1), a camera far away.
    """
    if views is None:
        mirrored = 2.0 * normals[..., 2:] * normals
        mirrored[..., 2] -= 1.0
        return mirrored
    facing = np.einsum("...i,...i->...", normals, views)[..., None]
    return np.asarray(2.0 * facing * normals - views, np.float32)
