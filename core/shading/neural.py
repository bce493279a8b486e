"""Relighting by networks that see the light: the paper's way, beside the linear transport.

The networks are not linear in the light, so lights are added before they run and there are no light
groups. Exposure is kept by force: the light is brought to a usual brightness before the networks
and the picture is taken back after them, so that twice the light is twice the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.colour import convert
from relume.encoding import NETWORK_SPACE, decode
from relume.exposure import LUMINANCE
from relume.geometry.camera import Camera
from relume.geometry.subject import Subject, find_subject
from relume.image import Image, Layers
from relume.light.maps import added
from relume.light.types import Light, LightMaps, OriginalLight
from relume.shading.phong import phong_transport
from relume.shading.relight import DARK, PARTS, Relit, relight
from relume.shading.types import EXPONENTS, USUAL

if TYPE_CHECKING:
    from torch import nn

F32 = NDArray[np.float32]


def neural_relight(
    foreground: Image,
    matte: Image,
    normals: Image,
    albedo: Image,
    anchor: float,
    lights: Mapping[str, Light],
    model: nn.Module,
    camera: Camera | None = None,
    *,
    half: bool = False,
    threads: int = 1,
) -> Relit:
    """Return the picture of a subject under the sum of some lights, and what it is made of.

    Homogeneous in the light, but not additive: pictures do not add as lights do. The picture of
    the light the plate was filmed under is the plate's own, and is added as it is.

    Source: Pandey et al. 2021, section 3.3 (Specular Net, Neural Renderer).

    Args:
        foreground: straight R, G, B in the working space, scene-linear.
        matte: its A, or its only channel.
        normals: X, Y, Z as `estimate_normals` gives them.
        albedo: R, G, B as `estimate_albedo` gives it.
        anchor: gain in stops that brings the plate to middle grey.
        lights: lights by name, in the working space.
        model: `relume.weights.load("neural")`.
        camera: what the plate was filmed with; None for one far away that light turns with.
        half: half-precision arithmetic, on an accelerator only.
        threads: to look light up with; the result does not depend on it.

    Returns:
        Images in the windows of the foreground: 0 outside the subject, nothing clamped. Of the
        passes, `diffuse` is albedo under D(N), `specular` is Ŝ, and `residual` is what the renderer
        adds to the two, with the plate's own light; there is no pass for each light.

    Raises:
        UsageError: foreground and matte do not cover the same data window, or a light has no map
            for a lobe.
    """
    # Every lobe weighs something here, so that a light without its map is refused.
    weights = (1.0,) * len(EXPONENTS)
    lambert = phong_transport(foreground, matte, normals, albedo, weights, camera)
    around = added(light for light in lights.values() if isinstance(light, LightMaps))
    seen = relight(lambert, {str(k): light for k, light in enumerate(around)}, threads=threads)
    alpha = seen.relit.take("A")
    light = {name: image for name, image in seen.passes.items() if name.endswith(_LOOKED_UP)}

    shine = drawn = np.zeros_like(foreground.rgb)
    subject, level = find_subject(foreground, matte), _level(around)
    if subject is not None and level > 0:
        planes = _planes(foreground, albedo, light, subject, anchor, USUAL / level)
        found = _drawn(model, planes, subject, foreground, level / USUAL, half=half)
        drawn, shine = (image.rgb * alpha for image in found)

    own = np.where(alpha > 0, foreground.rgb * alpha, np.float32(0))
    original = own * _original(lights.values())
    diffuse = seen.passes["diffuse"].rgb
    residual = drawn - diffuse - shine + original
    relit = diffuse + shine + residual
    # What is negative in the plate itself is no fault of the networks.
    dark = (relit < DARK) & ((own >= 0) | (original == 0))
    parts = {
        name: foreground.like(pixels, ("R", "G", "B"), alpha="none")
        for name, pixels in zip(PARTS, (diffuse, shine, residual), strict=True)
    }
    return Relit(
        foreground.like(
            np.concatenate((relit, alpha), -1), ("R", "G", "B", "A"), alpha="premultiplied"
        ),
        Layers(parts | light),
        int(np.count_nonzero(dark.any(-1))) / max(1, int(np.count_nonzero(alpha > 0))),
    )


_LOOKED_UP = ("diffuse_light", *(f"specular_light_{n:03d}" for n in EXPONENTS))
"""The light at every pixel, in the order the networks read it."""


def _level(lights: Iterable[LightMaps]) -> float:
    """Return the size of the mean luminance over the sphere of some lights together."""
    total = 0.0
    for light in lights:
        mean = Image(light.harmonics[None, :1], ("R", "G", "B"), colour=light.colour)
        rgb = convert(mean, NETWORK_SPACE).rgb[0, 0].astype(np.float64)
        total += float(rgb @ np.array(LUMINANCE)) / (2.0 * math.sqrt(math.pi))
    return abs(total)


def _original(lights: Iterable[Light]) -> F32:
    """Return the gain of the plate's own light: 0 where it is not among the lights."""
    total = np.zeros(3, np.float32)
    for light in lights:
        if isinstance(light, OriginalLight):
            total += light.gain
    return total


def _planes(
    foreground: Image,
    albedo: Image,
    light: Mapping[str, Image],
    subject: Subject,
    anchor: float,
    gain: float,
) -> F32:
    """Return H×W×22: what `NeuralRenderer` reads."""
    from relume.networks.apply import masked

    def read(image: Image, factor: float = 1.0) -> F32:
        return masked(convert(image, NETWORK_SPACE).rgb, subject, factor)

    return np.concatenate(
        [
            read(foreground, 2.0**anchor),
            read(albedo),
            *(read(light[name], gain) for name in _LOOKED_UP),
            subject.alpha[..., None],
        ],
        -1,
    )


def _drawn(
    model: nn.Module,
    planes: F32,
    subject: Subject,
    foreground: Image,
    gain: float,
    *,
    half: bool,
) -> tuple[Image, Image]:
    """Return the straight picture and its specular part, in the foreground's space."""
    from relume.networks.apply import apply, spread

    answer = spread(apply(model, planes, subject, foreground.pixel_aspect, half=half), subject)
    linear = decode(answer) * np.float32(gain)

    def image(pixels: F32) -> Image:
        found = foreground.like(pixels, ("R", "G", "B"), alpha="none", colour=NETWORK_SPACE)
        return convert(found, foreground.colour)

    return image(linear[..., :3]), image(linear[..., 3:])
