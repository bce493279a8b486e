"""Attributes of a file header: which are the plate's own, and which describe the file they lie in.

An attribute is a pair of OpenImageIO's type name and a plain value, so that a time code or a
rational frame rate goes out as what it came in as: `("rational", (24000, 1001))`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import OpenImageIO as oiio

Attribute = tuple[str, Any]
Metadata = Mapping[str, Attribute]

FINGERPRINT = "relume:fingerprint"
VERSION = "relume:version"

_OF_THE_FILE = re.compile(
    r"""
    colorInteropID | chromaticities | whiteLuminance | adoptedNeutral | CICP
    | (renderingTransform|lookModTransform)
    | acesImageContainerFlag | ACES.* | imageCounter | originalImageFlag
    | compression | compressionlevel | dwaCompressionLevel | lineOrder | type | version | chunkCount
    | channels | tiles | maxSamplesPerPixel | deepImageState
    | dataWindow | displayWindow | PixelAspectRatio | screenWindow(Center|Width)
    | XResolution | YResolution | ResolutionUnit | Orientation | planarconfig
    | name | view | multiView | Software | textureformat | wrapmodes | fovcot
    | thumbnail.* | preview | cryptomatte/.* | envmap
    | (oiio|openexr|png|jpeg|jpegxl|tiff|dpx|cineon|bmp|gif|targa|webp|heif|raw|iff|psd):.*
    | ICCProfile.* | Exif:(ColorSpace|Gamma|PixelXDimension|PixelYDimension|MakerNote) | relume:.*
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What a writer sets anew: colour, window, compression, layout, and ACES container marks."""


def read_attributes(spec: oiio.ImageSpec) -> dict[str, Attribute]:
    """Return every attribute of a header, name → (type, value)."""
    found: dict[str, Attribute] = {}
    for entry in spec.extra_attribs:
        value = entry.value.tolist() if isinstance(entry.value, np.ndarray) else entry.value
        found[entry.name] = (str(entry.type), tuple(value) if isinstance(value, list) else value)
    return found


def value_of(metadata: Metadata, name: str, default: Any = None) -> Any:
    """Return the plain value of an attribute."""
    return metadata[name][1] if name in metadata else default


def of_the_plate(metadata: Metadata) -> dict[str, Attribute]:
    """Return the attributes that stay true in another file: time code, camera, shot, comments."""
    return {name: item for name, item in metadata.items() if not _OF_THE_FILE.fullmatch(name)}


def put_attributes(spec: oiio.ImageSpec, metadata: Metadata) -> None:
    """Put attributes into a header in their own types."""
    for name, (kind, value) in metadata.items():
        spec.attribute(name, oiio.TypeDesc(kind), value)
