"""The look of a relit picture: how glossy its surfaces are, and whether skin still looks like skin.

Gains and gloss act on weights and tables, never on pixels, so that a picture stays linear in light
and remains the sum of its parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from relume.image import Image
from relume.shading.types import Transport

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

OKLAB_SPACE = "lin_rec709_scene"

_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

SKIN_HUE = (25.0, 75.0)
"""Hues of skin, from rosy to olive, in degrees of Oklab; light and dark differ in lightness."""

SKIN_CHROMA = (0.045, 0.16)
"""Chroma of skin over its lightness, which does not depend on exposure."""

SAMPLES = 1 << 14
"""Pixels of the subject that are asked whether they are skin."""

FEWEST = 0.02
"""Share of the subject below which skin-coloured pixels are taken for chance."""

COLOURLESS = 0.03
"""Chroma over lightness below which a colour has no hue to speak of."""


def gloss_mix(exponents: Sequence[int], gloss: float) -> F64:
    """Return where the weight of each Phong lobe goes when surfaces become glossier.

    A weight moves by `gloss` octaves along the exponents and is shared by the two it comes to lie
    between; it goes no farther than the sharpest and the broadest. Lobes are normalised and the
    columns sum to 1, so the energy that is reflected stays the same.

    Args:
        exponents: K exponents, ascending.
        gloss: octaves; +1 doubles the exponents, −1 halves them, 0 is the identity.

    Returns:
        K×K: entry (n, m) is the share of the weight of lobe m that lobe n receives.
    """
    place = np.log2(np.asarray(exponents, np.float64))
    moved = np.clip(place + gloss, place[0], place[-1])
    mix = np.zeros((len(place), len(place)))
    for column, at in enumerate(moved):
        upper = int(np.clip(np.searchsorted(place, at), 1, len(place) - 1)) if len(place) > 1 else 0
        lower = max(upper - 1, 0)
        span = place[upper] - place[lower]
        share = (at - place[lower]) / span if span else 1.0
        mix[lower, column] += 1.0 - share
        mix[upper, column] += share
    return mix


def glossier(
    specular: Mapping[int, F32], exponents: Sequence[int], gloss: float, rows: Sequence[int]
) -> list[F32]:
    """Return the maps that the weights of lobes read when surfaces become glossier.

    Mixing the maps is mixing the weights, and takes no work at the pixels.

    Args:
        specular: exponent → map, at least for every exponent that receives weight.
        exponents: the lobes that may be weighed.
        gloss: octaves, see `gloss_mix`.
        rows: which of them are, in order.
    """
    mix = gloss_mix(exponents, gloss).astype(np.float32)
    found = []
    for shares in mix[:, rows].T:
        parts = [share * specular[n] for n, share in zip(exponents, shares, strict=True) if share]
        found.append(np.asarray(sum(parts[1:], parts[0])))
    return found


def oklab(rgb: NDArray[np.floating]) -> F64:
    """Return lightness, green to red and blue to yellow of linear Rec.709 colours.

    The hue, atan2(b, a), and chroma over lightness do not change with exposure.

    Source: Ottosson 2020, A perceptual color space for image processing; the cube root keeps the
    sign.

    Args:
        rgb: …×3, unbounded.
    """
    cones = np.asarray(rgb, np.float64) @ _LMS.T
    return np.asarray(np.cbrt(cones) @ _LAB.T, np.float64)


def skin_hue_shift(transport: Transport, relit: Image) -> float | None:
    """Return how far the hue of skin has moved from the plate to the relit picture.

    Skin is what has the colour of skin in the albedo, where no light misleads; the two hues are
    those of its mean colour in the plate and in the picture.

    Args:
        transport: the subject.
        relit: its picture, R, G, B, A, premultiplied, in the windows of the foreground.

    Returns:
        Degrees of Oklab hue: positive towards yellow and green, negative towards red and magenta.
        None where there is no skin, or no hue left in it.
    """
    step = max(1, len(transport.index) // SAMPLES)
    index = transport.index[::step]
    if not len(index):
        return None
    albedo = oklab(_at(transport.albedo, index))
    alpha = transport.matte.pixels.reshape(-1)[index]
    skin = (alpha > 0) & _has_hue_of_skin(albedo)
    if not skin.any() or np.count_nonzero(skin) < FEWEST * np.count_nonzero(alpha > 0):
        return None
    cover = alpha[skin, None].astype(np.float64)
    before = (_at(transport.foreground, index[skin]) * cover).sum(0)
    after = _at(relit, index[skin]).astype(np.float64).sum(0)
    colours = oklab(np.stack((before, after)))
    lightness, chroma = colours[:, 0], np.hypot(colours[:, 1], colours[:, 2])
    if (chroma <= COLOURLESS * np.maximum(lightness, 0)).any() or (lightness <= 0).any():
        return None
    first, second = np.degrees(np.arctan2(colours[:, 2], colours[:, 1]))
    return float((second - first + 180.0) % 360.0 - 180.0)


def _has_hue_of_skin(lab: F64) -> NDArray[np.bool_]:
    lightness = np.maximum(lab[:, 0], 1e-6)
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))
    chroma = np.hypot(lab[:, 1], lab[:, 2]) / lightness
    inside = (SKIN_HUE[0] <= hue) & (hue <= SKIN_HUE[1])
    return np.asarray(inside & (SKIN_CHROMA[0] <= chroma) & (chroma <= SKIN_CHROMA[1]))


def _at(image: Image, index: NDArray[np.int32]) -> F32:
    """Return n×3 pixels in linear Rec.709."""
    from relume.colour import convert

    picked = Image(image.rgb.reshape(-1, 3)[index][None], ("R", "G", "B"), colour=image.colour)
    pixels: F32 = convert(picked, OKLAB_SPACE).pixels[0]
    return pixels
