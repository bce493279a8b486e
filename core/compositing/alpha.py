"""Premultiplication."""

from __future__ import annotations

import numpy as np

from relume.image import Image

_COLOUR = ("R", "G", "B")


def _colour_index(image: Image) -> list[int]:
    """Return the positions of the channels that alpha multiplies."""
    return [i for i, name in enumerate(image.channels) if name in _COLOUR]


def premultiply(image: Image) -> Image:
    """Multiply R, G, B by A; a premultiplied image or one without A is returned as it is.

    Args:
        image: H×W×C, straight.

    Returns:
        The same windows and channels, premultiplied.
    """
    if image.alpha != "straight":
        return image
    pixels = image.pixels.copy()
    pixels[:, :, _colour_index(image)] *= image.take("A")
    return image.like(pixels, alpha="premultiplied")


def unpremultiply(image: Image) -> Image:
    """Divide R, G, B by A; where A is 0 they are kept, so that light without coverage survives.

    Args:
        image: H×W×C, premultiplied.

    Returns:
        The same windows and channels, straight.
    """
    if image.alpha != "premultiplied":
        return image
    alpha = image.take("A")
    divisor = np.where(alpha == 0, np.float32(1), alpha)
    pixels = image.pixels.copy()
    pixels[:, :, _colour_index(image)] /= divisor
    return image.like(pixels, alpha="straight")
