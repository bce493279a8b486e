"""Small pictures of frames, as a screen shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from relume.colour import to_display
from relume.compositing.resample import resize_pixels
from relume.image import Image, Layers
from relume.media.layers import MAIN
from relume.media.read import read

SCREEN = "srgb_rec709_scene"


def thumbnail(path: str | Path, width: int = 480) -> Image:
    """Return the main picture of a file, at most `width` pixels wide, sRGB encoded."""
    return shrunk(_main(read(path).layers), width)


def shrunk(image: Image, width: int) -> Image:
    """Return an image as an sRGB screen shows it in square pixels, at most `width` wide.

    Args:
        image: any layer; one of data is shown as stored, between 0 and 1.
        width: pixels.
    """
    shape = image.width * image.pixel_aspect / image.height
    columns = min(width, round(image.width * max(image.pixel_aspect, 1.0)))
    rows = max(1, round(columns / shape))
    finite = np.nan_to_num(image.pixels, posinf=65504.0, neginf=-65504.0)
    # Before the view, which is slow, and in light, where averages mean something.
    small = np.ascontiguousarray(resize_pixels(finite, columns, rows))
    shown = to_display(Image(small, image.channels, image.colour, image.alpha))
    return Image(shown, ("R", "G", "B"), colour=SCREEN)


def _main(layers: Layers) -> Image:
    """Return the picture, or what comes nearest to one."""
    if MAIN in layers:
        return layers[MAIN]
    coloured = [layer for layer in layers.values() if layer.has("R", "G", "B")]
    return (coloured or list(layers.values()))[0]
