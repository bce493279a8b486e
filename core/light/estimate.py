"""Estimate the light all around from a picture of a part of it.

What the picture shows is taken as it is. What it does not show, and what clipping took from it, is
guessed: by a small network, by mirroring the picture, or as its mean colour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError
from relume.exposure import LUMINANCE
from relume.geometry.camera import Camera
from relume.image import Image
from relume.light import fills, latlong, rig
from relume.light.seen import Seen, View, ceiling, warp
from relume.light.types import Environment

if TYPE_CHECKING:
    from relume.networks.light import LightNet

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

Fill = Literal["network", "mirror", "mean"]

HEIGHT = 64
"""Rows of an estimate: what is guessed is smooth, and a lobe of n = 64 spans six texels."""

SUN = 3.0
"""Degrees that a placed sun spans: about a texel."""

KEY = 2.0
"""Guessed light above this many times its mean is the main light, which a placed sun replaces."""

_GREY = np.asarray(LUMINANCE)


@dataclass(frozen=True, slots=True)
class SunOverride:
    """The main light as the artist wants it; None is as it was estimated.

    Attributes:
        azimuth: degrees from the camera towards screen right, as in LightRig.
        elevation: degrees above the horizon.
        intensity: what a white surface facing it shows.
    """

    azimuth: float | None = None
    elevation: float | None = None
    intensity: float | None = None

    @property
    def is_set(self) -> bool:
        """Whether anything is wanted."""
        return (self.azimuth, self.elevation, self.intensity) != (None, None, None)


def estimate_environment(
    plate: Image,
    camera: Camera,
    *,
    horizon: float | None = 0.5,
    fill: Fill = "network",
    model: LightNet | None = None,
    clip: float | None = None,
    sun: SunOverride | None = None,
    height: int = HEIGHT,
) -> Environment:
    """Return the light around a picture, on the picture's own scale of radiance.

    Args:
        plate: R, G, B scene-linear; ACEScg if a network is to read it.
        camera: field of view, and the orientation that the environment shall stand in.
        horizon: where the horizon lies in the picture, 0 at its lower edge and 1 at the upper one;
            None where the camera's own orientation says what is level.
        fill: how the rest is guessed.
        model: the network.
        clip: value from which pixels count as clipped; None to find it.
        sun: the artist's changes to the main light.
        height: rows of the environment.

    Returns:
        The environment. A texel that lies in the picture and holds no clipped pixel is the mean
        radiance of its pixels over their solid angle.

    Raises:
        UsageError: a sun is to be moved, and no light stands out that could be gathered in it.
    """
    view = View(camera, plate.data, plate.display, plate.pixel_aspect)
    if horizon is None:
        to_level = heading(camera.to_world)
    else:
        to_level = upwards(pitch_of(horizon, view)) @ camera.to_world.T
    pixels = plate.rgb
    clip = ceiling(pixels) if clip is None else clip
    seen = warp(pixels, view, height, clip)
    guessed = guess(seen, pixels, view, to_level, fill=fill, model=model, clip=clip)
    shown = seen.kept + seen.burnt
    if sun is not None and sun.is_set:
        whole = with_sun(shown, guessed, to_level, sun)
    else:
        whole = shown + guessed
    return Environment(Image(whole, ("R", "G", "B"), colour=plate.colour))


def guess(
    seen: Seen,
    pixels: F32,
    view: View,
    to_level: F64,
    *,
    fill: Fill,
    model: LightNet | None = None,
    clip: float = math.inf,
) -> F32:
    """Return the radiance, H×2H×3, to add to what a picture shows.

    Args:
        seen: what it shows, of an environment in the world that the view's camera stands in.
        pixels: the picture, of the view's data window.
        view: how it was taken.
        to_level: 3×3 rotation from that world to the level frame.
        fill: how to guess.
        model: the network.
        clip: value from which pixels count as clipped.

    Raises:
        UsageError: the fill needs a network and there is none.
    """
    height = len(seen.unseen)
    unseen = seen.unseen[..., None]
    if fill == "mirror":
        return unseen * fills.mirror(pixels, view, height)
    if fill == "mean":
        return unseen * fills.mean(pixels, view)
    if model is None:
        raise UsageError("there is no network to guess with", way_out="Fill by mirror or mean")
    around, lost = fills.network(pixels, view, to_level, model, clip, height)
    return unseen * fills.continued(around, pixels, view) + seen.burnt * lost


def heading(to_world: F64) -> F64:
    """Return the rotation from a world to the level frame of a camera in it.

    Args:
        to_world: 3×3 rotation from camera space.
    """
    ahead = -to_world[:, 2]
    if math.hypot(ahead[0], ahead[2]) < 1e-6:
        # Straight up or down, the picture's upper edge says where ahead is.
        ahead = -np.sign(ahead[1]) * to_world[:, 1]
    length = math.hypot(ahead[0], ahead[2])
    x, z = ahead[0] / length, ahead[2] / length
    return np.array([[-z, 0.0, x], [0.0, 1.0, 0.0], [-x, 0.0, -z]])


def upwards(degrees: float) -> F64:
    """Return the rotation from a camera that looks up by some degrees to its level frame."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def pitch_of(horizon: float, view: View) -> float:
    """Return how many degrees above the horizon a camera looks that shows it at some height."""
    return math.degrees(math.atan((0.5 - horizon) * view.display.height / view.focal))


def with_sun(shown: F32, guessed: F32, to_level: F64, sun: SunOverride) -> F32:
    """Return an estimate's radiance, H×2H×3, with its main light replaced by a sun.

    The guessed light that stands out is gathered into a disc of the same colour and, unless the
    artist says otherwise, direction and intensity. What the picture shows stays.

    Args:
        shown: H×2H×3 radiance of the picture, 0 outside it.
        guessed: H×2H×3 radiance that is added to it.
        to_level: 3×3 rotation from the environment's frame to the level one.
        sun: what the artist wants.

    Raises:
        UsageError: nothing stands out, and no intensity is given.
    """
    height = len(guessed)
    key = _standing_out(guessed)
    solid = np.repeat(latlong.solid_angles(height)[:, None], 2 * height, axis=1)
    towards = latlong.directions(height)
    along = np.einsum("hwc,c,hw,hwi->i", key, _GREY, solid, towards, optimize=True)
    length = float(np.linalg.norm(along))
    azimuth, elevation, power = 0.0, 45.0, 0.0
    colour: F64 = np.ones(3)
    if length > 0:
        along = along / length
        azimuth, elevation = _angles(to_level @ along)
        facing = np.clip(towards @ along, 0.0, None)
        on_white = np.einsum("hwc,hw->c", key, solid * facing) / np.pi
        power = float(_GREY @ on_white)
        colour = np.asarray(on_white / power)
    elif sun.intensity is None:
        raise UsageError(
            "no light stands out in the estimate that could be moved",
            way_out="Set the sun's intensity as well",
        )
    azimuth = azimuth if sun.azimuth is None else sun.azimuth
    elevation = elevation if sun.elevation is None else sun.elevation
    power = power if sun.intensity is None else sun.intensity
    placed = rig.Sun(
        *_angles(to_level.T @ _direction(azimuth, elevation)),
        diameter=SUN,
        intensity=power,
        colour=(float(colour[0]), float(colour[1]), float(colour[2])),
    )
    disc = rig.draw(rig.Rig(sun=placed), height).image.pixels
    return np.asarray(shown + (guessed - key) + disc, np.float32)


def _standing_out(guessed: F32) -> F32:
    """Return the part of guessed light, H×2H×3, that is far above its mean."""
    solid = latlong.solid_angles(len(guessed))[:, None]
    grey = guessed @ _GREY.astype(np.float32)
    usual = KEY * float((grey * solid).sum() / (4 * np.pi))
    share = np.clip(1.0 - usual / np.where(grey > 0, grey, np.inf), 0.0, 1.0)
    share[grey <= 0] = 0.0
    return guessed * share[..., None].astype(np.float32)


def _direction(azimuth: float, elevation: float) -> F64:
    """Return the unit vector of angles in degrees, azimuth 0 at the camera, +90 at screen right."""
    a, e = math.radians(azimuth), math.radians(elevation)
    return np.array([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])


def _angles(direction: F64) -> tuple[float, float]:
    """Return the azimuth and elevation, in degrees, of a unit vector."""
    x, y, z = direction
    return math.degrees(math.atan2(x, z)), math.degrees(math.asin(np.clip(y, -1.0, 1.0)))
