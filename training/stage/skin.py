"""Skin of every tone: recolouring of the staged maps through melanin and haemoglobin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from relume.training.stage.assets import makehuman

F32 = NDArray[np.float32]

_TONES = np.array(
    [
        [0.72, 0.50, 0.40],
        [0.61, 0.39, 0.29],
        [0.47, 0.27, 0.185],
        [0.32, 0.165, 0.10],
        [0.17, 0.082, 0.050],
        [0.088, 0.044, 0.031],
    ]
)
"""Linear Rec. 709 albedo of facial skin from Fitzpatrick type I to VI."""

_HAEMOGLOBIN = np.array([0.05, 0.34, 0.28])
"""Absorbance of blood in R, G, B, relative; it reddens by taking green and blue."""

MAPS = (
    "young_lightskinned_female_diffuse2.png",
    "young_lightskinned_female_diffuse3.png",
    "middleage_lightskinned_female_diffuse2.png",
)


@dataclass(frozen=True, slots=True)
class Complexion:
    """What makes one person's skin.

    Attributes:
        tone: melanin, 0 the lightest to 1 the darkest; uniform over people.
        blood: haemoglobin around the mean, about −1 to 1.
        detail: contrast of the map's marks.
        lips: extra pigment of the lips, 0 none to 1 painted.
        lip_colour: linear albedo of the lips' paint.
        source: which staged map.
        freckles: their pigment, 0 none to 1.
        seed: of the freckles' places.
    """

    tone: float
    blood: float
    detail: float
    lips: float
    lip_colour: tuple[float, float, float]
    source: str
    freckles: float = 0.0
    seed: int = 0


def linear(srgb: F32) -> F32:
    """Decode sRGB values in 0…1 to linear Rec. 709."""
    return np.asarray(
        np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4), np.float32
    )


@lru_cache(maxsize=8)
def read_texture(name: str, size: int) -> F32:
    """Read an 8-bit sRGB picture as size×size×3 linear albedo, row 0 at v = 1."""
    import OpenImageIO as oiio

    picture = oiio.ImageBuf(str(makehuman(*name.split("/"))))
    roi = oiio.ROI(0, size, 0, size, 0, 1, 0, 3)
    small = oiio.ImageBufAlgo.resample(oiio.ImageBufAlgo.channels(picture, (0, 1, 2)), roi=roi)
    if picture.spec().width > size:
        small = oiio.ImageBufAlgo.resize(
            oiio.ImageBufAlgo.channels(picture, (0, 1, 2)), filtername="box", roi=roi
        )
    return linear(np.asarray(small.get_pixels(oiio.FLOAT), np.float32)[..., :3])


def base_colour(tone: float, blood: float) -> NDArray[np.float64]:
    """Return the mean albedo of facial skin for a tone and blood content."""
    at = np.clip(tone, 0.0, 1.0) * (len(_TONES) - 1)
    stops = np.arange(len(_TONES))
    absorbance = np.array([np.interp(at, stops, -np.log(_TONES[:, c])) for c in range(3)])
    return np.exp(-(absorbance + 0.35 * blood * _HAEMOGLOBIN))


def skin_texture(complexion: Complexion, size: int = 1024) -> F32:
    """Return a staged skin map recoloured for one person.

    The map's absorbance relative to its face is split into a melanin part (along the mean
    absorbance step between tones), a blood part and a rest; only the blood part shrinks on dark
    skin, where melanin hides it.

    Args:
        complexion: the person's skin.
        size: side of the map.

    Returns:
        size×size×3 linear Rec. 709 albedo.
    """
    source = np.maximum(read_texture("skins/" + complexion.source, size), 1e-3)
    # The cheeks and the forehead, by their place in the map.
    face = source[int(0.42 * size) : int(0.62 * size), int(0.78 * size) : int(0.95 * size)]
    reference = np.median(face.reshape(-1, 3), axis=0)
    marks = -np.log(source / reference).astype(np.float64)
    melanin = np.log(_TONES[0] / _TONES[-1])
    axes = np.stack([melanin / np.linalg.norm(melanin), _HAEMOGLOBIN], axis=1)
    parts = marks @ np.linalg.pinv(axes).T
    parts[..., 1] *= 1.0 - 0.45 * complexion.tone
    rest = marks - (marks @ np.linalg.pinv(axes).T) @ axes.T
    absorbance = (parts @ axes.T + rest) * complexion.detail
    if complexion.freckles > 0.0:
        absorbance += _freckles(complexion, size)[..., None] * melanin / melanin.mean()
    albedo = base_colour(complexion.tone, complexion.blood) * np.exp(-absorbance)
    if complexion.lips > 0.0:
        red = np.clip((parts[..., 1] - 0.8) / 1.2, 0.0, 1.0) * complexion.lips
        window = np.zeros(red.shape)
        window[int(0.47 * size) : int(0.56 * size), int(0.88 * size) : int(0.94 * size)] = 1.0
        red = (red * window)[..., None]
        albedo = albedo * (1.0 - red) + np.array(complexion.lip_colour) * red
    return np.asarray(np.clip(albedo, 0.004, 0.92), np.float32)


def _freckles(complexion: Complexion, size: int) -> NDArray[np.float64]:
    """Return the absorbance of freckles over the nose and the cheeks of a skin map."""
    rng = np.random.default_rng([15, complexion.seed])
    count = int(900 * complexion.freckles) + 60
    row = np.clip(rng.normal(0.483, 0.045, count), 0.36, 0.61) * size
    column = np.clip(rng.normal(0.872, 0.022, count), 0.81, 0.93) * size
    spots = np.zeros((size, size))
    np.add.at(spots, (row.astype(int), column.astype(int)), rng.uniform(0.2, 1.0, count))
    blurred = gaussian_filter(spots, 0.0011 * size)
    return np.asarray(0.8 * complexion.freckles * blurred / blurred.max(), np.float64)
