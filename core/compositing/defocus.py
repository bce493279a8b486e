"""Portrait-mode background blur: a lens wide open, focused on the subject."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relume.compositing.alpha import premultiply, unpremultiply
from relume.compositing.convolve import aperture, convolve
from relume.compositing.inpaint import fill
from relume.errors import UsageError
from relume.image import Image

F32 = NDArray[np.float32]

CLEAR, COVERED = 0.02, 0.1
"""Below the one matte value the plate shows the background, above the other it is not asked."""

DETAIL = 9
"""Pixels across which the detail of the background is measured."""

ROUGH = 3.0
"""Standard deviations of that detail within which a difference is put down to it."""

OWN, FOREIGN = 1.5, 3.0
"""How often the contrast of subject and background a difference may be: surely, and at most."""


@dataclass(frozen=True, slots=True)
class Lens:
    """What draws the blur.

    Attributes:
        radius: of the disc that a point becomes, in pixels.
        blades: corners of the aperture; 0 for a disc.
        rotation: degrees counter-clockwise; at 0 a corner points up.
        curvature: 0 for straight blades, 1 for a disc.
    """

    radius: float
    blades: int = 0
    rotation: float = 0.0
    curvature: float = 0.0


def defocus(
    plate: Image,
    matte: Image | None,
    lens: Lens,
    *,
    foreground: Image | None = None,
    margin: float = 4.0,
    threads: int = 1,
) -> tuple[Image, Image]:
    """Blur what is behind the subject, and leave the subject sharp.

    The subject is taken out of the plate and the gap filled from around it before the blur, so that
    no light of the subject spreads into the background. Light is summed in scene-linear: a lamp of
    many times white becomes a bright disc.

    Args:
        plate: R, G, B, scene-linear, unbounded.
        matte: A of the subject; None blurs the whole picture, every channel of it.
        lens: the blur.
        foreground: the subject's own colour; estimated where it is left out.
        margin: pixels beyond the matte that are not taken for background either.
        threads: to compute with; the result does not depend on it.

    Returns:
        The picture, and the blurred background alone, both in the plate's windows.

    Raises:
        UsageError: the matte or the foreground does not cover the plate's data window.
    """
    kernel = aperture(lens.radius, lens.blades, lens.rotation, lens.curvature, plate.pixel_aspect)
    if matte is None:
        whole = premultiply(plate)
        blurred = whole.like(convolve(whole.pixels, kernel, threads))
        return blurred, blurred
    for image in (matte, foreground):
        if image is not None and image.data != plate.data:
            raise UsageError(
                f"the plate covers {plate.data}, its matte or foreground {image.data}",
                way_out="Give them the same data window with a Crop or Reformat node",
            )
    alpha = np.clip(matte.take("A") if matte.has("A") else matte.pixels[:, :, :1], 0, 1)
    known = _background(alpha[:, :, 0], margin, plate.pixel_aspect)
    clean = fill(plate.rgb, known)
    behind = convolve(clean, kernel, threads)
    if foreground is None:
        from relume.matting.foreground import estimate_layers

        front, _ = estimate_layers(plate.rgb, alpha[:, :, 0])
    else:
        front = unpremultiply(foreground).rgb
    cut = alpha * front
    cut += _unexplained(plate.rgb - cut - (1 - alpha) * clean, front - clean, clean, known)
    picture = cut + (1 - alpha) * behind
    rgb = ("R", "G", "B")
    return plate.like(picture, rgb, alpha="none"), plate.like(behind, rgb, alpha="none")


def _unexplained(rest: F32, contrast: F32, clean: F32, known: F32) -> F32:
    """Return the part of what is left of a plate that no detail of its background accounts for.

    Where the matte is too wide or too narrow, subject and background do not add up to the plate.
    Before a smooth background that would show as a halo, so the difference goes with the subject;
    before a rough one it may be detail, which must not stay sharp, and nobody sees a halo.
    What differs by far more than subject and background do is neither, but a lamp beside them.

    Args:
        rest: H×W×3, the plate less subject and background.
        contrast: H×W×3, the subject less the background.
        clean: H×W×3, the plate without its subject.
        known: H×W, how surely the plate shows its background.
    """
    from scipy import ndimage

    detail = clean - ndimage.uniform_filter(clean, (DETAIL, DETAIL, 1), mode="nearest")
    power = ndimage.uniform_filter((detail * detail).mean(2), DETAIL, mode="nearest")
    # Filled in pixels are smooth, and say nothing of what the background is like.
    smooth = np.minimum(known, ndimage.minimum_filter(known, DETAIL, mode="nearest"))
    limit = ROUGH**2 * fill(power[:, :, None], smooth)
    found = (rest * rest).mean(2, keepdims=True)
    # A shrinkage that leaves what is far beyond the limit as it is, and its colour too.
    kept = np.maximum(found - limit, 0) / np.where(found > 0, found, np.float32(1))
    ratio = np.sqrt(found / np.maximum((contrast * contrast).mean(2, keepdims=True), 1e-12))
    kept *= np.clip((FOREIGN - ratio) / (FOREIGN - OWN), 0, 1)
    return np.asarray(rest * kept, np.float32)


def _background(alpha: F32, margin: float, pixel_aspect: float) -> F32:
    """Return how surely each pixel of the plate shows the background, 0 to 1."""
    from scipy import ndimage

    rows, columns = math.floor(margin), math.floor(margin / pixel_aspect)
    y, x = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    disc = np.hypot(y, x * pixel_aspect) <= margin
    grown = ndimage.maximum_filter(alpha, footprint=disc, mode="nearest")
    return np.asarray(np.clip((COVERED - grown) / (COVERED - CLEAR), 0, 1), np.float32)
