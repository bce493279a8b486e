"""What an artist wires to a matting node: the matte in any image, pictures of the plate's size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from relume.errors import UsageError
from relume.image import DATA, Image, Pixels
from relume.media.layers import MAIN

_WAY_OUT = "Use an image with matte.A, A or R, or choose a channel with a Shuffle node"


def matte_from_image(image: Image | Mapping[str, Image]) -> Image:
    """Return the matte an image carries: `matte.A`, else `A` unless it is constant, else `R`.

    A constant A says nothing (most renders and scans have one), so the mask is then in R. Values
    are passed on as they are.

    Args:
        image: one layer, or the layers of a file, in which a layer `matte` comes first and the
            main or only layer otherwise counts.

    Returns:
        One channel A, H×W×1, colour `data`, in the image's windows.

    Raises:
        UsageError: there is neither of those channels.
    """
    if isinstance(image, Image):
        return _from_layer(image)
    if not image:
        raise UsageError("the file holds no layer to take a matte from")
    layer = image.get("matte")
    if layer is not None and layer.has("A"):
        return _as_matte(layer, layer.take("A"))
    if MAIN not in image and len(image) > 1:
        raise UsageError(f"no matte among the layers {', '.join(image)}", way_out=_WAY_OUT)
    return _from_layer(next(iter(image.values())))


def require_plate_size(
    image: Image, plate: Image, name: str, way_out: str = "Reformat or crop one to the other"
) -> None:
    """Refuse a picture that does not have the plate's size.

    Args:
        image: what is wired beside the plate.
        plate: the plate.
        name: what the picture is called in the sentence, as in `clean plate`.
        way_out: what the user can do about it.

    Raises:
        UsageError: the two differ in size.
    """
    if image.pixels.shape[:2] != plate.pixels.shape[:2]:
        raise UsageError(
            f"the {name} is {image.width}×{image.height}, the plate {plate.width}×{plate.height}",
            way_out=way_out,
        )


def _from_layer(layer: Image) -> Image:
    if layer.has("matte.A"):
        return _as_matte(layer, layer.take("matte.A"))
    if layer.has("A"):
        alpha = layer.take("A")
        if len(layer.channels) == 1 or float(np.ptp(alpha)) > 0.0:
            return _as_matte(layer, alpha)
    if layer.has("R"):
        return _as_matte(layer, layer.take("R"))
    if len(layer.channels) == 1:
        return _as_matte(layer, layer.pixels)
    raise UsageError(
        f"no matte among the channels {', '.join(layer.channels)}",
        way_out=_WAY_OUT,
    )


def _as_matte(layer: Image, pixels: Pixels) -> Image:
    return layer.like(pixels, ("A",), colour=DATA, alpha="none")
