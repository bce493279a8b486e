"""Cameras that frame a person from the face to the waist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relume.training.stage.geometry import F32, rotation

SENSOR = 24.0
"""Height of the sensor in millimetres (a full frame's)."""


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera at the origin, looking along −Z.

    Attributes:
        focal: millimetres on a sensor 24 mm high.
        turn: 3×3 rotation from the subject's space to camera space.
        target: the subject's point that is placed.
        place: where the target lies in camera space, decimetres.
    """

    focal: float
    turn: F32
    target: F32
    place: F32

    @property
    def fov(self) -> float:
        """Vertical field of view in degrees."""
        return float(np.degrees(2.0 * np.arctan(0.5 * SENSOR / self.focal)))

    def points(self, points: F32) -> F32:
        """Return V×3 points of the subject in camera space."""
        return np.asarray((points - self.target) @ self.turn.T + self.place, np.float32)

    def vectors(self, vectors: F32) -> F32:
        """Return V×3 directions of the subject in camera space."""
        return np.asarray(vectors @ self.turn.T, np.float32)

    def rays(self, x: F32, y: F32, height: int, width: int) -> F32:
        """Return unit directions through pixel coordinates (0,0 is the top left corner)."""
        scale = np.float32(SENSOR / self.focal / height)
        directions = np.stack(
            [(x - 0.5 * width) * scale, (0.5 * height - y) * scale, np.full_like(x, -1.0)], axis=-1
        )
        return np.asarray(
            directions / np.linalg.norm(directions, axis=-1, keepdims=True), np.float32
        )


def draw_camera(
    eyes: F32, rng: np.random.Generator, tallest: float | None = None
) -> tuple[Camera, dict[str, float]]:
    """Draw a camera for a person whose eyes are at `eyes`.

    Args:
        eyes: the point that framing hangs on.
        rng: draws lens, framing and angles.
        tallest: the most that the frame's height may hold, decimetres; wider framings are drawn
            again within it.

    Returns:
        the camera and what was drawn.
    """
    focal = float(np.exp(rng.uniform(np.log(35.0), np.log(135.0))))
    # How much of the person the frame's height holds, from a face to the waist, decimetres.
    height = float(
        rng.choice(
            [rng.uniform(2.8, 4.2), rng.uniform(4.2, 6.2), rng.uniform(6.2, 9.5)],
            p=[0.4, 0.42, 0.18],
        )
    )
    if tallest is not None and height > tallest:
        height = float(rng.uniform(2.8, tallest))
    yaw = float(np.clip(rng.normal(0.0, 28.0), -60.0, 60.0))
    pitch = float(np.clip(rng.normal(0.0, 7.0), -18.0, 18.0))
    roll = float(np.clip(rng.normal(0.0, 4.0), -12.0, 12.0))
    distance = 0.5 * height / (0.5 * SENSOR / focal)
    # The eyes sit above the middle in wide framings.
    drop = max(0.0, 0.5 * height - 1.9) * rng.uniform(0.75, 1.1) + rng.uniform(-0.3, 0.1)
    aside = rng.normal(0.0, 0.10) * height
    place = np.array([np.clip(aside, -0.28 * height, 0.28 * height), drop, -distance], np.float32)
    camera = Camera(focal, rotation(yaw, pitch, roll), eyes, place)
    return camera, {
        "focal": round(focal, 2),
        "fov": round(camera.fov, 3),
        "height": round(height, 3),
        "yaw": round(yaw, 2),
        "pitch": round(pitch, 2),
        "roll": round(roll, 2),
    }
