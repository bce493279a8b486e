"""Trimaps: certain background 0, unknown 0.5, certain foreground 1."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError
from relume.image import DATA, Image
from relume.matting.planes import around

BACKGROUND_BELOW = 0.05
FOREGROUND_ABOVE = 0.95

Unit = Literal["pixels", "subject"]


def trimap_from_mask(
    mask: Image, erode: float = 8.0, dilate: float = 8.0, unit: Unit = "pixels"
) -> Image:
    """Widen the doubtful edge of a hint, coarse mask or matte into a trimap.

    Foreground is what stays certain after moving the edge inwards by `erode`, background what
    lies outside after moving it outwards by `dilate`; distances are Euclidean, in square pixels.
    The frame's border is no edge: a subject cut by it stays certain up to it.

    Args:
        mask: a mask as `matte_from_image` returns it, in channel A.
        erode: how far inside the edge is doubtful.
        dilate: how far outside the edge is doubtful.
        unit: `pixels`, or `subject`: hundredths of the square root of the subject's area, which
            gives the same trimap whatever the size of the picture.

    Returns:
        Channel A of 0, 0.5 and 1, in the mask's windows.

    Raises:
        UsageError: a distance is negative.
    """
    if erode < 0 or dilate < 0:
        raise UsageError(
            f"a trimap cannot be widened by {min(erode, dilate):g}",
            way_out="Give distances of 0 or more",
        )
    hint = mask.take("A")[:, :, 0]
    inside, outside = hint > FOREGROUND_ABOVE, hint < BACKGROUND_BELOW
    sampling = (1.0, mask.pixel_aspect)
    if unit == "subject":
        size = np.sqrt(np.count_nonzero(hint > 0.5) * mask.pixel_aspect) / 100.0
        erode, dilate = erode * size, dilate * size
    sure = ~_within(~inside, erode, sampling)
    clear = ~_within(~outside, dilate, sampling)
    trimap = np.full(hint.shape, 0.5, np.float32)
    trimap[clear] = 0.0
    trimap[sure] = 1.0
    return mask.like(trimap[:, :, None], ("A",), colour=DATA, alpha="none")


def _within(
    region: NDArray[np.bool_], distance: float, sampling: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return the pixels whose centre is at most `distance` from the centre of one in `region`."""
    if distance == 0.0 or not region.any() or region.all():
        return region
    from scipy import ndimage

    # Only the surroundings of the region's edge can change, and the transform costs per pixel.
    edge = region ^ ndimage.binary_erosion(region, border_value=1)
    window = around(edge, int(distance / min(sampling)) + 2)
    if window is None:
        return region
    far = ndimage.distance_transform_edt(~region[window], sampling=sampling)
    grown = region.copy()
    grown[window] |= far <= distance
    return grown


def certain(guide: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where a trimap or hint says background and foreground for sure, H×W each."""
    return guide < BACKGROUND_BELOW, guide > FOREGROUND_ABOVE


NOBODY = "no person was found, the matte is empty; draw a mask and use --mask"


def guide_notices(guide: Image | None, *, empty: bool, nothing: str = NOBODY) -> list[str]:
    """Return what a user should know about a guide and the matte pulled with it.

    Args:
        guide: trimap or hint in A, or None.
        empty: whether the matte is 0 everywhere.
        nothing: what to say of an empty matte that no guide explains.

    Returns:
        Sentences without a full stop; none where all is well.
    """
    if guide is not None:
        background, foreground = certain(guide.take("A")[:, :, 0])
        unknown = ~(background | foreground)
        if background.all():
            return ["the whole guide is background, so the matte is empty; paint the subject white"]
        if foreground.all():
            return ["the whole guide is foreground, so the matte is full; paint the rest black"]
        if not unknown.any():
            return [
                f"the guide has no unknown pixel ({_share(foreground)} foreground, the rest "
                "background), so the matte is the guide; paint the soft edge grey"
            ]
        if not foreground.any():
            notice = (
                f"the guide has no foreground ({_share(unknown)} unknown, the rest background), "
                "so it does not say who is meant; paint the inside of the subject white"
            )
            return [notice, nothing] if empty else [notice]
    return [nothing] if empty else []


def _share(mask: NDArray[np.bool_]) -> str:
    return f"{100.0 * mask.mean():.3g} %"
