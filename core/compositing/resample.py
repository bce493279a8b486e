"""Crop and resize, by OpenImageIO's filters, in scene-linear premultiplied values."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from relume.compositing.alpha import premultiply, unpremultiply
from relume.errors import UsageError
from relume.image import Box, Image, Pixels

Fit = Literal["none", "fill", "fit", "stretch"]
FILTERS = ("auto", "box", "triangle", "blackman-harris", "mitchell", "lanczos3", "cubic")


def resize_pixels(pixels: Pixels, width: int, height: int, filter: str = "auto") -> Pixels:
    """Resize an array; the edges are replicated and values are not clamped.

    Args:
        pixels: H×W×C float32.
        width: columns wanted.
        height: rows wanted.
        filter: one of `FILTERS`; `auto` is OpenImageIO's choice for growing or shrinking.

    Returns:
        height×width×C float32.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    import OpenImageIO as oiio

    source = oiio.ImageBuf(np.ascontiguousarray(pixels))
    target = oiio.ImageBuf(oiio.ImageSpec(width, height, pixels.shape[2], "float"))
    name = "" if filter == "auto" else filter
    if not oiio.ImageBufAlgo.resize(target, source, filtername=name):
        raise UsageError(f"cannot resize to {width}×{height}: {target.geterror()}")
    result: Pixels = np.asarray(target.get_pixels("float"), np.float32)
    return result.reshape(height, width, pixels.shape[2])


def crop(image: Image, window: Box) -> Image:
    """Keep the pixels inside a window of the display; the display window stays.

    Args:
        image: H×W×C.
        window: the window to keep, in the coordinates of the display window.

    Raises:
        UsageError: the window lies outside the picture.
    """
    shared = window.intersect(image.data)
    if shared is None:
        raise UsageError(
            f"the crop {window} lies outside the picture {image.data}",
            way_out="Move it into the data window",
        )
    return replace(image, pixels=image.pixels[shared.slices(image.data)], data=shared)


def reformat(
    image: Image, width: int, height: int, fit: Fit = "fit", filter: str = "auto"
) -> Image:
    """Resize an image to another display window.

    Args:
        image: H×W×C; straight colour is multiplied by alpha while it is resized.
        width: columns of the new display window.
        height: rows of the new display window.
        fit: `stretch` changes the aspect; `fit` shows everything, `fill` leaves no gap, both
            centred and with the picture's aspect; `none` only changes the display window.
        filter: one of `FILTERS`.

    Returns:
        An image whose display window is width×height at the origin; pixels outside it are kept
        in the data window.
    """
    display = Box.of_size(width, height)
    if fit == "none":
        return replace(image, display=display)
    sx, sy = width / image.display.width, height / image.display.height
    aspect = image.pixel_aspect
    if fit != "stretch":
        # Square pixels on arrival, so that a picture of another pixel aspect keeps its shape.
        sx_square = width / (image.display.width * aspect)
        scale = min(sx_square, sy) if fit == "fit" else max(sx_square, sy)
        sx, sy, aspect = scale * aspect, scale, 1.0
    x = (width - image.display.width * sx) / 2 - image.display.x0 * sx
    y = (height - image.display.height * sy) / 2 - image.display.y0 * sy
    data = Box(
        x0 := round(image.data.x0 * sx + x),
        y0 := round(image.data.y0 * sy + y),
        max(round(image.data.x1 * sx + x), x0 + 1),
        max(round(image.data.y1 * sy + y), y0 + 1),
    )
    straight = image.alpha == "straight"
    source = premultiply(image) if straight else image
    pixels = resize_pixels(source.pixels, data.width, data.height, filter)
    resized = replace(source, pixels=pixels, data=data, display=display, pixel_aspect=aspect)
    return unpremultiply(resized) if straight else resized


def fit_into(image: Image, target: Image, fit: Fit) -> Image:
    """Bring a picture to the display window of another one.

    Args:
        image: the picture to bring.
        target: the picture whose display window is wanted.
        fit: as in `reformat`; `none` refuses another size.

    Raises:
        UsageError: the sizes differ and `fit` is `none`.
    """
    have, want = image.display, target.display
    if (have.width, have.height) == (want.width, want.height):
        if (have.x0, have.y0) == (want.x0, want.y0):
            return image
        return _moved(image, want.x0 - have.x0, want.y0 - have.y0, want)
    if fit == "none":
        raise UsageError(
            f"the background is {have.width}×{have.height}, the plate is "
            f"{want.width}×{want.height}",
            way_out="Use --fit fill (or the Over node's `fit` knob), or a Reformat node",
        )
    sized = reformat(image, want.width, want.height, fit)
    return _moved(sized, want.x0, want.y0, want)


def _moved(image: Image, x: int, y: int, display: Box) -> Image:
    data = image.data
    return replace(
        image,
        data=Box(data.x0 + x, data.y0 + y, data.x1 + x, data.y1 + y),
        display=display,
    )
