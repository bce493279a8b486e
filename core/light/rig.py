"""Studio lights drawn as an HDR environment: softboxes, sun, sky and ambient light.

Azimuth 0 is at the camera, +90 to screen right, ±180 behind the subject; elevation 90 is overhead.
A lamp's intensity is what a white matte surface facing it shows, so its size changes how soft the
light is and not how bright, on any grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError
from relume.image import Image
from relume.light import latlong
from relume.light.types import Environment

F64 = NDArray[np.float64]
Colour = tuple[float, float, float]

WHITE: Colour = (1.0, 1.0, 1.0)
BLACK: Colour = (0.0, 0.0, 0.0)

SAMPLES = 4
"""Samples along each side of a texel."""

FINEST = 64
"""Most samples along a side, for lamps smaller than a texel."""


@dataclass(frozen=True, slots=True)
class Softbox:
    """A rectangular lamp that faces the subject.

    Attributes:
        azimuth: degrees, positive to screen right.
        elevation: degrees above the horizon.
        width: degrees the lamp spans sideways, 0.1 to 170.
        height: degrees the lamp spans upwards, 0.1 to 170.
        intensity: what a white surface facing it shows; 0 is off.
        colour: factors on R, G, B.
        softness: share of the lamp, from its edge to its centre, over which it fades out.
    """

    azimuth: float = 0.0
    elevation: float = 0.0
    width: float = 40.0
    height: float = 40.0
    intensity: float = 0.0
    colour: Colour = WHITE
    softness: float = 0.3

    def __post_init__(self) -> None:
        if not (0.1 <= min(self.width, self.height) <= max(self.width, self.height) <= 170.0):
            raise UsageError("a softbox spans 0.1 to 170 degrees each way")


@dataclass(frozen=True, slots=True)
class Sun:
    """A disc of light.

    Attributes:
        azimuth: degrees, positive to screen right.
        elevation: degrees above the horizon.
        diameter: degrees, 0.1 to 170; the real sun's is 0.53.
        intensity: what a white surface facing it shows; 0 is off.
        colour: factors on R, G, B.
    """

    azimuth: float = 0.0
    elevation: float = 45.0
    diameter: float = 0.53
    intensity: float = 0.0
    colour: Colour = WHITE

    def __post_init__(self) -> None:
        if not 0.1 <= self.diameter <= 170.0:
            raise UsageError("a sun spans 0.1 to 170 degrees")


@dataclass(frozen=True, slots=True)
class Sky:
    """A gradient from the horizon to the zenith, and the ground below.

    Attributes:
        zenith: radiance overhead.
        horizon: radiance just above the horizon.
        ground: radiance below the horizon.
        falloff: exponent of sin(elevation) in the blend from horizon to zenith.
    """

    zenith: Colour = BLACK
    horizon: Colour = BLACK
    ground: Colour = BLACK
    falloff: float = 0.5


@dataclass(frozen=True, slots=True)
class Rig:
    """A set of studio lights.

    Attributes:
        key: the main light.
        fill: opens the shadows of the key.
        rim: stands behind the subject and draws its outline.
        sun: a small, hard light.
        sky: a gradient all around.
        ambient: radiance from every direction.
    """

    key: Softbox = field(default_factory=Softbox)
    fill: Softbox = field(default_factory=Softbox)
    rim: Softbox = field(default_factory=Softbox)
    sun: Sun = field(default_factory=Sun)
    sky: Sky = field(default_factory=Sky)
    ambient: Colour = BLACK


def draw(rig: Rig, height: int = 256, *, colour: str = "lin_ap1_scene") -> Environment:
    """Draw a rig as an environment.

    Args:
        rig: the lights.
        height: rows of the lat-long image.
        colour: the scene-linear space the rig's colours are in.

    Returns:
        The environment; each lamp's energy is exact on this grid.
    """
    radiance = np.zeros((height, 2 * height, 3))
    radiance += np.asarray(rig.ambient, np.float64)
    radiance += _sky(rig.sky, height)
    for box in (rig.key, rig.fill, rig.rim):
        if box.intensity:
            across, up = np.tan(np.radians((box.width / 2, box.height / 2)))
            reach = np.degrees(np.arctan(np.hypot(across, up)))
            size = min(box.width, box.height)
            inside = _rectangle(across, up, box.softness)
            radiance += _lamp(box, reach, size, inside, height)
    if rig.sun.intensity:
        half = np.radians(rig.sun.diameter / 2)
        radiance += _lamp(rig.sun, np.degrees(half), rig.sun.diameter, _disc(half), height)
    return Environment(Image(radiance.astype(np.float32), ("R", "G", "B"), colour=colour))


Shape = Callable[[F64, F64, F64], F64]
"""How much of a lamp lies in directions given by right, up and towards its centre."""


def _rectangle(across: float, up: float, softness: float) -> Shape:
    def inside(right: F64, above: F64, towards: F64) -> F64:
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = np.abs(right / towards) / across, np.abs(above / towards) / up
        return np.where(towards > 0, _fade(x, softness) * _fade(y, softness), 0.0)

    return inside


def _fade(from_centre: F64, softness: float) -> F64:
    """Return 1 inside, 0 beyond 1, with a smooth step over the outer share `softness`."""
    if softness <= 0:
        return (from_centre < 1).astype(np.float64)
    step = np.clip((1 - from_centre) / softness, 0.0, 1.0)
    return step * step * (3 - 2 * step)


def _disc(half: float) -> Shape:
    def inside(right: F64, above: F64, towards: F64) -> F64:
        return (np.arctan2(np.hypot(right, above), towards) < half).astype(np.float64)

    return inside


def _lamp(lamp: Softbox | Sun, reach: float, size: float, inside: Shape, height: int) -> F64:
    """Return the radiance of a lamp: its shape sampled finely, scaled to its intensity."""
    azimuth, elevation = np.radians((lamp.azimuth, lamp.elevation))
    towards = np.array(
        (
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        )
    )
    right = np.array((np.cos(azimuth), 0.0, -np.sin(azimuth)))
    axes = np.stack((right, np.cross(towards, right), towards), 1)
    texel = 180.0 / height
    samples = int(np.clip(np.ceil(8 * texel / size), SAMPLES, FINEST))
    polar = (90.0 - lamp.elevation) / texel
    first = max(0, int(np.floor(polar - reach / texel)) - 1)
    last = min(height, int(np.ceil(polar + reach / texel)) + 1)
    shape = np.zeros((height, 2 * height))
    for row in range(first, last):
        fine = _fine_row(row, height, samples)
        cover = inside(*np.moveaxis(fine @ axes, -1, 0))
        shape[row] = cover.mean(0).reshape(2 * height, samples).mean(1)
    if not shape.any():
        # Smaller than the finest sample: all of it shines from the texel it is in.
        u, v = latlong.uv(towards.astype(np.float32))
        shape[min(int(v * height), height - 1), int(u * 2 * height) % (2 * height)] = 1.0
    solid = latlong.solid_angles(height)[:, None]
    facing = np.clip(latlong.directions(height) @ towards, 0.0, None)
    shown = float((shape * solid * facing).sum()) / np.pi
    return np.asarray(shape[..., None] * (lamp.intensity / shown) * np.asarray(lamp.colour))


def _fine_row(row: int, height: int, samples: int) -> F64:
    """Return directions all over a row of texels, samples × 2·height·samples × 3."""
    # Equal steps of cos θ, so that samples of a row stand for equal solid angles.
    ends = np.cos(np.array((row, row + 1)) * np.pi / height)
    cosine = ends[0] + (ends[1] - ends[0]) * (np.arange(samples)[:, None] + 0.5) / samples
    sine = np.sqrt(1 - cosine * cosine)
    columns = 2 * height * samples
    phi = (np.arange(columns) + 0.5) * (2 * np.pi / columns) - np.pi
    fine = np.empty((samples, columns, 3))
    fine[..., 0], fine[..., 1], fine[..., 2] = np.sin(phi) * sine, cosine, -np.cos(phi) * sine
    return fine


def _sky(sky: Sky, height: int) -> F64:
    """Return the sky's radiance, height×1×3: a blend above the horizon, the ground below."""
    ends = np.cos(np.linspace(0, np.pi, height + 1))
    fine = ends[:-1, None] + np.diff(ends)[:, None] * (np.arange(64) + 0.5) / 64
    blend = np.clip(fine, 0.0, 1.0)[..., None] ** sky.falloff
    zenith, horizon, ground = (np.asarray(c) for c in (sky.zenith, sky.horizon, sky.ground))
    shades = np.where(fine[..., None] > 0, horizon + (zenith - horizon) * blend, ground)
    return np.asarray(shades.mean(1)[:, None])


_WARM: Colour = (1.0, 0.80, 0.60)
_COOL: Colour = (0.72, 0.86, 1.0)

PRESETS: Mapping[str, Rig] = MappingProxyType(
    {
        "key_left": Rig(
            key=Softbox(-55, 25, 45, 60, 1.6, WHITE),
            fill=Softbox(50, 5, 90, 90, 0.18, _COOL, 1.0),
            ambient=(0.06, 0.06, 0.07),
        ),
        "key_right": Rig(
            key=Softbox(55, 25, 45, 60, 1.6, WHITE),
            fill=Softbox(-50, 5, 90, 90, 0.18, _COOL, 1.0),
            ambient=(0.06, 0.06, 0.07),
        ),
        "rembrandt": Rig(
            key=Softbox(-48, 48, 24, 24, 1.9, (1.0, 0.88, 0.74)),
            fill=Softbox(60, 0, 80, 80, 0.10, (0.85, 0.92, 1.0), 1.0),
            rim=Softbox(140, 35, 20, 60, 0.5, (1.0, 0.92, 0.82)),
            ambient=(0.035, 0.033, 0.032),
        ),
        "butterfly": Rig(
            key=Softbox(0, 45, 40, 30, 1.5, WHITE),
            fill=Softbox(0, -40, 70, 40, 0.45, WHITE, 1.0),
            ambient=(0.06, 0.06, 0.06),
        ),
        "rim": Rig(
            key=Softbox(-150, 25, 30, 80, 2.8, (0.80, 0.90, 1.0)),
            fill=Softbox(-20, 15, 100, 90, 0.22, WHITE, 1.0),
            rim=Softbox(150, 25, 30, 80, 2.8, (1.0, 0.84, 0.66)),
            ambient=(0.02, 0.02, 0.025),
        ),
        "sunset": Rig(
            sun=Sun(70, 12, 3.0, 2.4, (1.0, 0.52, 0.22)),
            sky=Sky((0.12, 0.17, 0.32), (0.55, 0.36, 0.26), (0.07, 0.06, 0.055), 0.45),
            fill=Softbox(-70, 30, 120, 90, 0.14, (0.55, 0.70, 1.0), 1.0),
        ),
        "overcast": Rig(
            sky=Sky((1.35, 1.42, 1.50), (0.62, 0.65, 0.68), (0.22, 0.21, 0.20), 0.7),
        ),
        "neon": Rig(
            key=Softbox(-75, 10, 30, 90, 1.5, (1.0, 0.16, 0.55)),
            fill=Softbox(75, 10, 30, 90, 1.5, (0.12, 0.45, 1.0)),
            ambient=(0.03, 0.025, 0.045),
        ),
    }
)
"""Rigs made for portraits, in the working space."""
