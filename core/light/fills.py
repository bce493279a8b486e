"""Ways to guess the light that a picture does not show, from the picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.light import harmonics, latlong
from relume.light.clues import FLOOR, Clues, clues_of, mirrored, shrink
from relume.light.seen import View

if TYPE_CHECKING:
    from relume.networks.light import LightNet

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

PICTURE = (48, 64)
"""Rows and columns to which a picture is reduced before it is mirrored or averaged."""

RANGE = (-12.0, 14.0)
"""Stops around a picture's mean between which a network's answer is believed."""

LOST = (-6.0, 12.0)
"""The same of how much light clipped pixels lack, in stops of what they show."""


COARSE = (6, 8)
"""The same before its edges are carried on: details would leave streaks."""

REACH = 20.0
"""Degrees beyond a picture's edge over which its own light gives way to a network's guess."""


def mean(pixels: F32, view: View) -> F32:
    """Return the mean radiance of a picture over its solid angle, R, G, B."""
    left, right, bottom, top = view.sides
    x = left + (right - left) * (np.arange(PICTURE[1]) + 0.5) / PICTURE[1]
    y = bottom + (top - bottom) * (np.arange(PICTURE[0]) + 0.5) / PICTURE[0]
    solid = (1.0 + x * x + y[::-1, None] ** 2) ** -1.5
    total = np.einsum("hwc,hw->c", shrink(pixels, *PICTURE), solid)
    return np.asarray(total / solid.sum(), np.float32)


def mirror(pixels: F32, view: View, height: int) -> F32:
    """Return a picture reflected at its edges until it covers everything, height×2·height×3."""
    across, up = _angles(view, height)
    left, right, bottom, top = view.sides
    x = np.tan(_folded(across, math.atan(left), math.atan(right)))
    # Away from the axis, the picture's upper edge is seen at a smaller angle upwards.
    nearer = 1.0 / np.hypot(1.0, x)
    y = np.tan(_folded(up, np.arctan(bottom * nearer), np.arctan(top * nearer))) / nearer
    return _between(shrink(pixels, *PICTURE), view, x, y)


def network(
    pixels: F32, view: View, to_level: F64, model: LightNet, clip: float, height: int
) -> tuple[F32, F32]:
    """Return a network's guess: the mean over its members and over the picture's mirror image.

    Args:
        pixels: H×W×3 scene-linear ACEScg.
        view: how they were taken.
        to_level: 3×3 rotation from the frame of the result to the level frame.
        model: the network.
        clip: value from which pixels count as clipped.
        height: rows of the result.

    Returns:
        height×2·height×3 radiance, and three factors on what clipped pixels show: the light that
        they lack. All is dark where the picture is.
    """
    level = to_level @ view.camera.to_world
    pitch = math.degrees(math.asin(np.clip(-level[1, 2], -1.0, 1.0)))
    towards = latlong.directions(height) @ to_level.T
    around, lost = np.zeros((height, 2 * height, 3)), np.zeros(3)
    for picture, side in ((pixels, 1.0), (mirrored(pixels), -1.0)):
        told = clues_of(picture, view, pitch, clip)
        if told is None:
            break
        waves = harmonics.evaluate(towards * (side, 1.0, 1.0), model.order)
        for light, more in _answers(told, model):
            stops = np.clip(waves @ light, *RANGE) + told.mean
            around += np.exp2(stops) / (told.gain * 2 * model.members)
            lost += more / (2 * model.members)
    return around.astype(np.float32), lost.astype(np.float32)


def continued(around: F32, pixels: F32, view: View) -> F32:
    """Return guessed light, H×2H×3, that goes on from the picture at its edges.

    What lies beside a picture is much like its edge: a network so small cannot say as much.

    Args:
        around: H×2H×3 guessed radiance, in the world of the view's camera.
        pixels: the picture.
        view: how it was taken.
    """
    # Light is mixed by its logarithm, which places without any would pull to nothing.
    least = float(around.mean()) * FLOOR
    if not least > 0:
        return around
    across, up = _angles(view, len(around))
    left, right, bottom, top = view.sides
    x = np.tan(np.clip(across, math.atan(left), math.atan(right)))
    nearer = 1.0 / np.hypot(1.0, x)
    edge = np.clip(up, np.arctan(bottom * nearer), np.arctan(top * nearer))
    own = _between(shrink(pixels, *COARSE), view, x, np.tan(edge) / nearer)
    away = np.hypot((across - np.arctan(x)) * np.cos(up), up - edge)
    near = np.exp(-np.degrees(away) / REACH)[..., None]
    mixed = near * np.log2(np.maximum(own, least))
    mixed += (1.0 - near) * np.log2(np.maximum(around, least))
    return np.asarray(np.exp2(mixed), np.float32)


def _between(image: F32, view: View, x: F64, y: F64) -> F32:
    """Return a reduced picture at tangents to the right of the axis and above it, bilinear."""
    from scipy.ndimage import map_coordinates

    left, right, bottom, top = view.sides
    rows = (top - y) / (top - bottom) * image.shape[0] - 0.5
    columns = (x - left) / (right - left) * image.shape[1] - 0.5
    planes = [
        map_coordinates(image[..., c], (rows, columns), order=1, mode="nearest") for c in range(3)
    ]
    return np.stack(planes, axis=-1)


def _angles(view: View, height: int) -> tuple[F64, F64]:
    """Return how far each texel lies to the right of the camera's axis and above it, in radians."""
    x, y, z = np.moveaxis(latlong.directions(height) @ view.camera.to_world, -1, 0)
    return np.arctan2(x, -z), np.arctan2(y, np.hypot(x, z))


def _answers(told: Clues, model: LightNet) -> list[tuple[F64, F64]]:
    """Return each member's harmonics of log₂ radiance, (order+1)²×3, and factors of lost light."""
    import torch

    device = next(model.parameters()).device
    with torch.inference_mode():
        out = model(torch.from_numpy(told.values).to(device)[None])[0].double().cpu().numpy()
    return [(one[:-3].reshape(-1, 3), np.exp2(np.clip(one[-3:], *LOST))) for one in out]


def _folded(angle: F64, low: F64 | float, high: F64 | float) -> F64:
    """Return angles reflected at two ends until they lie between them."""
    span = high - low
    turns = np.mod(angle - low, 2 * span)
    return np.asarray(low + np.minimum(turns, 2 * span - turns))
