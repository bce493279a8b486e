"""Pictures for a screen: previews and contact sheets, never a step of the pipeline."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import PyOpenColorIO as ocio
from numpy.typing import NDArray

from relume.colour.config import pinned
from relume.colour.transforms import Transform, convert, prepare
from relume.image import Image

_GRID = 65
"""Lattice points an axis; 0.0003 from the exact view in the mean, 0.02 at worst on photographs."""


def to_display(image: Image, *, tone_map: bool = True) -> NDArray[np.float32]:
    """Return the picture an sRGB screen should show, over black.

    The view is that of the pinned configuration, so a preview looks the same on every show. The
    ACES 2 view takes two seconds at 1080p; here a lattice of it is baked once, which is for
    looking at and not for delivery.

    Args:
        image: any colour image; one of `data` is shown as stored.
        tone_map: ACES 2.0 SDR view; else plain sRGB, where everything above 1 is white.

    Returns:
        H×W×3 float32, sRGB encoded, clipped to [0, 1]; NaN is shown as 0.
    """
    if image.is_data:
        return _clipped(image.rgb if image.has("R", "G", "B") else image.pixels[:, :, :1])
    if not tone_map:
        # Encode after compositing over black, as a screen adds light and not code values.
        linear = _over_black(convert(image, "lin_rec709_scene"))
        encoded = convert(
            Image(linear, ("R", "G", "B"), colour="lin_rec709_scene"), "srgb_rec709_scene"
        )
        return _clipped(encoded.pixels)
    rgba = np.ones((image.height, image.width, 4), np.float32)
    rgba[:, :, :3] = _over_black(convert(image, "lin_ap1_scene"))
    _baked_view().apply(rgba)
    return _clipped(rgba[:, :, :3])


def to_uint8(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round a picture in [0, 1] to 8 bits."""
    return np.asarray(np.rint(np.clip(picture, 0.0, 1.0) * 255.0), np.uint8)


def _over_black(image: Image) -> NDArray[np.float32]:
    rgb = image.rgb if image.has("R", "G", "B") else np.repeat(image.take("Y"), 3, axis=2)
    return rgb * image.take("A") if image.alpha == "straight" else rgb


def _clipped(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    finite = np.nan_to_num(np.clip(picture, 0.0, 1.0), nan=0.0)
    return np.ascontiguousarray(np.broadcast_to(finite, (*picture.shape[:2], 3)), np.float32)


@lru_cache(maxsize=1)
def _baked_view() -> Transform:
    """Return ACEScg → ACEScct → lattice of the ACES 2.0 SDR view in sRGB."""
    display = "sRGB - Display"
    view = ocio.DisplayViewTransform(
        src="ACEScct", display=display, view=pinned().getDefaultView(display)
    )
    axis = np.linspace(0.0, 1.0, _GRID, dtype=np.float32)
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    lut = ocio.Lut3DTransform(gridSize=_GRID)
    lut.setData(prepare(pinned().getProcessor(view)).apply_rgb(lattice).ravel())
    lut.setInterpolation(ocio.INTERP_TETRAHEDRAL)
    group = ocio.GroupTransform()
    group.appendTransform(ocio.ColorSpaceTransform(src="ACEScg", dst="ACEScct"))
    group.appendTransform(lut)
    return prepare(pinned().getProcessor(group))
