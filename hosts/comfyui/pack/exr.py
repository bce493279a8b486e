# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenEXR files, written with nothing but numpy and zlib: ComfyUI's Python need not have more.

Source: the file layout published at openexr.com: header, table of offsets, blocks of scan lines.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .relume_client import RelumeError
from .values import Layer

MAIN = "rgba"

_ROWS = {"none": (0, 1), "zips": (2, 1), "zip": (3, 16)}
"""Compression → its number in a file, and scan lines a block."""

_LARGEST_HALF = 65504.0
_CHROMATICITIES = {
    "lin_ap1_scene": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767),
    "lin_ap0_scene": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
    "lin_rec709_scene": (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290),
}


def path_of(file: str, frame: int, several: bool) -> Path:
    """Return the file of a frame.

    Raises:
        RelumeError: no file is named, or one for several frames.
    """
    if not file:
        raise RelumeError("Name the file to write.", "usage")
    path = Path(file).expanduser()
    hashes = path.name.count("#")
    if hashes and "#" * hashes in path.name:
        return path.with_name(path.name.replace("#" * hashes, f"{frame:0{hashes}d}"))
    if "%" in path.name:
        return path.with_name(path.name % frame)
    if several:
        raise RelumeError(f"{file} names one file for several frames; add ####.", "usage")
    return path


def write(path: Path, layers: Iterable[Layer], depth: str, compression: str) -> None:
    """Write layers as one file, whole or not at all.

    Args:
        path: of the file.
        layers: of one data window; `rgba`, or one without a name, is the main one.
        depth: `half` or `float`; what half cannot hold makes it float.
        compression: `none`, `zips` or `zip`.

    Raises:
        RelumeError: the compression is another, the windows differ, or it cannot be written.
    """
    found = list(layers)
    if compression not in _ROWS:
        known = ", ".join(_ROWS)
        raise RelumeError(f"ComfyUI writes {known} only, not {compression}.", "usage")
    planes: dict[str, np.ndarray] = {}
    for layer in found:
        prefix = "" if layer.name in ("", MAIN) else f"{layer.name}."
        for number, channel in enumerate(layer.channels):
            planes[prefix + channel] = layer.pixels[:, :, number]
    if len({(plane.shape, layer.fields["x"], layer.fields["y"])
            for layer in found for plane in [layer.pixels[:, :, 0]]}) > 1:  # fmt: skip
        raise RelumeError("The layers have other windows; crop them alike first.", "usage")
    largest = max(float(np.abs(plane).max()) for plane in planes.values())
    half = depth == "half" and largest <= _LARGEST_HALF
    data = _file(planes, found[0].fields, _colour(found), half, compression)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RelumeError(f"{path} cannot be written: {error.strerror}.", "failed") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def _colour(layers: list[Layer]) -> str:
    found = [layer.fields["colour"] for layer in layers if layer.fields["colour"] != "data"]
    return found[0] if found else "data"


def _file(
    planes: dict[str, np.ndarray], fields: Any, colour: str, half: bool, compression: str
) -> bytes:
    names = sorted(planes, key=lambda name: name.encode())
    kind = np.dtype("<f2" if half else "<f4")
    height, width = planes[names[0]].shape
    x, y = fields["x"], fields["y"]
    x0, y0, x1, y1 = fields["display"]
    number, step = _ROWS[compression]
    channels = b"".join(
        name.encode() + b"\0" + struct.pack("<iB3xii", 1 if half else 2, 0, 1, 1) for name in names
    )
    attributes = [
        ("channels", "chlist", channels + b"\0"),
        ("compression", "compression", bytes([number])),
        ("dataWindow", "box2i", struct.pack("<4i", x, y, x + width - 1, y + height - 1)),
        ("displayWindow", "box2i", struct.pack("<4i", x0, y0, x1 - 1, y1 - 1)),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", fields["pixel_aspect"])),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
        ("colorInteropID", "string", colour.encode()),
    ]
    if colour in _CHROMATICITIES:
        primaries = struct.pack("<8f", *_CHROMATICITIES[colour])
        attributes.append(("chromaticities", "chromaticities", primaries))
    long = 0x400 if max(map(len, names)) > 31 else 0
    header = struct.pack("<II", 20000630, 2 | long)
    for name, type_name, content in attributes:
        header += name.encode() + b"\0" + type_name.encode() + b"\0"
        header += struct.pack("<i", len(content)) + content
    header += b"\0"
    stacked = np.stack([planes[name].astype(kind) for name in names], axis=1)
    blocks = []
    for row in range(0, height, step):
        content = _packed(stacked[row : row + step].tobytes(), compression)
        blocks.append(struct.pack("<ii", y + row, len(content)) + content)
    place = len(header) + 8 * len(blocks)
    offsets = []
    for block in blocks:
        offsets.append(place)
        place += len(block)
    return header + struct.pack(f"<{len(offsets)}Q", *offsets) + b"".join(blocks)


def _packed(raw: bytes, compression: str) -> bytes:
    if compression == "none":
        return raw
    values = np.frombuffer(raw, np.uint8)
    # Low and high bytes apart, and each as its difference from the one before: zlib likes that.
    split = np.concatenate((values[::2], values[1::2]))
    steps = split.copy()
    steps[1:] = split[1:] - split[:-1] + np.uint8(128)
    small = zlib.compress(steps.tobytes(), 4)
    return small if len(small) < len(raw) else raw
