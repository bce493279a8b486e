"""Frames, lights and look-up tables as the page's textures: one binary message each.

A message is the length of a JSON header (uint32), the header, and arrays that start at multiples of
eight bytes; the header names each with its offset, type and shape. Everything is little-endian.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.image import Image
from relume.light import harmonics, latlong
from relume.light.types import LightMaps
from relume.shading.lookup import matte_plane
from relume.shading.transport_file import COEFFICIENTS
from relume.shading.types import HARMONICS, Transport

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]

MOST_PIXELS = 4 << 20
"""Pixels of the subject that are sent; of more, every second or third row and column is shown."""

_WIDEST = 4096
_HALF = np.float32(65504.0)
_ALIGN = 8


def message(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a header and arrays as one message."""
    described, parts, at = {}, [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        described[name] = {"at": at, "type": str(array.dtype), "shape": list(array.shape)}
        padding = -len(data) % _ALIGN
        parts += [data, bytes(padding)]
        at += len(data) + padding
    text = json.dumps({**header, "arrays": described}).encode()
    text += b" " * (-(len(text) + 4) % _ALIGN)
    return b"".join([struct.pack("<I", len(text)), text, *parts])


def pack_frame(transport: Transport, pictures: Mapping[str, Image]) -> bytes:
    """Return a transport, and pictures in its windows, as half-float textures.

    Pixels are left out rather than averaged where there are too many, so that each one shown is
    exactly a pixel of the picture that the command renders.

    Args:
        transport: the subject.
        pictures: colour pictures of the whole frame, by name.

    Returns:
        `coefficients` 7×h×w×4 and `subject` n×h×w×4 within the subject's box: albedo and matte,
        normal and whether there is transport, foreground, and directions to the camera where there
        is one; each picture H×W×4.
    """
    foreground = transport.foreground
    width, height = foreground.width, foreground.height
    row, column = np.divmod(transport.index, np.int32(width))
    box = _box(row, column, width, height)
    step = max(1, math.ceil(math.sqrt((box[2] * box[3]) / MOST_PIXELS)))
    # The box begins on a pixel that is shown.
    x0, y0 = box[0] - box[0] % step, box[1] - box[1] % step
    x1, y1 = box[0] + box[2], box[1] + box[3]
    shown = (row % step == 0) & (column % step == 0) if step > 1 else slice(None)
    window = slice(y0, y1, step), slice(x0, x1, step)
    h, w = len(range(height)[window[0]]), len(range(width)[window[1]])
    place = (row[shown] - y0) // step * w + (column[shown] - x0) // step

    rows = [transport.diffuse, *transport.specular, *transport.residual]
    weights = np.stack(
        [_spread(rows[at : at + 4], shown, place, (h, w)) for at in range(0, COEFFICIENTS, 4)]
    )
    alpha = matte_plane(transport.matte).reshape(-1)[transport.index]
    covered = _spread([alpha, np.ones_like(alpha)], shown, place, (h, w))
    subject = np.zeros((3 + (transport.view is not None), h, w, 4), np.float16)
    subject[0, ..., :3] = half(transport.albedo.rgb[window])
    subject[0, ..., 3] = covered[..., 0]
    subject[1, ..., :3] = half(transport.normals.take("X", "Y", "Z")[window])
    subject[1, ..., 3] = covered[..., 1]
    subject[2, ..., :3] = half(foreground.rgb[window])
    if transport.view is not None:
        subject[3] = _spread(list(transport.view), shown, place, (h, w))

    whole = slice(0, height, step), slice(0, width, step)
    display, data = foreground.display, foreground.data
    header = {
        "size": [len(range(width)[whole[1]]), len(range(height)[whole[0]])],
        "full": [width, height],
        "step": step,
        "box": [x0 // step, y0 // step, w, h],
        "display": [display.x0 - data.x0, display.y0 - data.y0, display.width, display.height],
        "aspect": foreground.pixel_aspect,
        "exponents": list(transport.exponents),
        "toWorld": None if transport.to_world is None else transport.to_world.ravel().tolist(),
        "harmonics": _seen_from(transport),
        "view": transport.view is not None,
    }
    arrays: dict[str, NDArray[Any]] = {"coefficients": weights, "subject": subject}
    for name, image in pictures.items():
        arrays[name] = opaque(image.rgb[whole])
    return message(header, arrays)


def pack_light(light: LightMaps) -> bytes:
    """Return a light's maps as float32, layers×H×W×3, and its harmonics.

    The header says which layer each exponent is in; layer 0 is the diffuse map.
    """
    layers, places = [light.diffuse], {}
    for exponent, image in light.specular.items():
        same = next((n for n, layer in enumerate(layers) if layer is image), None)
        if same is None and np.array_equal(image, light.diffuse):
            same = 0
        if same is None:
            layers.append(image)
        places[str(exponent)] = len(layers) - 1 if same is None else same
    header = {"exponents": places}
    return message(header, {"maps": np.stack(layers), "harmonics": light.harmonics[:HARMONICS]})


def pack_environment(image: Image) -> bytes:
    """Return the picture of an environment in half floats, at most 4096 wide."""
    pixels = image.rgb
    if image.width > _WIDEST:
        pixels = latlong.resize(pixels, _WIDEST // 2)
    return message({}, {"environment": opaque(pixels)})


def _spread(
    planes: Sequence[F32],
    shown: NDArray[np.bool_] | slice,
    place: NDArray[np.int32],
    size: tuple[int, int],
) -> F16:
    """Return up to four planes of a transport's pixels side by side in a picture, 0 elsewhere.

    Args:
        planes: a value for each pixel of the transport.
        shown: which of these pixels are wanted.
        place: where each of those goes, row by row.
        size: height and width of the picture.
    """
    four = np.zeros((len(place), 4), np.float16)
    for number, plane in enumerate(planes):
        four[:, number] = half(plane[shown])
    out = np.zeros((*size, 4), np.float16)
    # As whole pixels of eight bytes: several times faster than channel by channel.
    out.view(np.uint64).reshape(-1)[place] = four.view(np.uint64)[:, 0]
    return out


def half(pixels: F32) -> F16:
    """Return pixels in half floats; what they cannot hold becomes their largest number."""
    return np.clip(pixels, -_HALF, _HALF).astype(np.float16)


def opaque(rgb: F32) -> F16:
    """Return R, G, B with an A of 1, in half floats."""
    rgba = np.ones((*rgb.shape[:2], 4), np.float16)
    rgba[..., :3] = half(rgb)
    return rgba


def _box(
    row: NDArray[np.int32], column: NDArray[np.int32], width: int, height: int
) -> tuple[int, int, int, int]:
    """Return x, y, width and height of the box around pixels; one pixel where there are none."""
    if not len(row):
        return 0, 0, 1, 1
    x0, y0 = int(column.min()), int(row.min())
    return x0, y0, int(column.max()) + 1 - x0, int(row.max()) + 1 - y0


def _seen_from(transport: Transport) -> list[float] | None:
    """Return the 16×16 matrix that turns harmonics from world to camera space, or None."""
    if transport.to_world is None:
        return None
    return harmonics.seen_from(np.eye(HARMONICS), transport.to_world).ravel().tolist()
