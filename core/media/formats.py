"""What goes into a file: channels, sample types, windows and header, for each format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from relume.colour.identity import chromaticities, interop_id, is_linear
from relume.colour.spaces import canonical
from relume.colour.transforms import convert
from relume.errors import UsageError
from relume.image import DATA, AlphaState, Box, Image
from relume.media.guard import describe
from relume.media.layers import MAIN, file_channels
from relume.media.metadata import (
    FINGERPRINT,
    VERSION,
    Attribute,
    Metadata,
    of_the_plate,
    put_attributes,
)
from relume.media.repair import HALF_MAX
from relume.ocio import UNTAGGED_ENCODED

FORMATS = {
    ".exr": "openexr",
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
}

_SAMPLES = {
    "openexr": {"half": "half", "float": "float"},
    "png": {"half": "uint8", "uint8": "uint8", "uint16": "uint16"},
    "tiff": {"half": "uint16", "uint8": "uint8", "uint16": "uint16", "float": "float"},
    "jpeg": {"half": "uint8", "uint8": "uint8"},
}

_COMPRESSION = re.compile(
    r"none|rle|piz|pxr24|b44a?|htj2k(256|32)|zips?(:[1-9])?|dwa[ab](:\d+(\.\d+)?)?"
)

_LAYER = re.compile(r"(?!(left|right)$)[A-Za-z][^\0]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a file, ready to be written.

    Attributes:
        file_format: OpenImageIO's name.
        spec: channels, windows and header.
        images: the layers whose channels follow one another in the part.
        window: the data window of the part; a layer is 0 outside its own.
    """

    file_format: str
    spec: oiio.ImageSpec
    images: Sequence[Image]
    window: Box

    @property
    def sample(self) -> type[np.float32 | np.float16]:
        """What rows are handed over as: half where all of them are stored so, else float."""
        # Rounded here, while the layers are brought together, the pixels are touched once less.
        is_half = str(self.spec.format) == "half" and not self.spec.channelformats
        return np.float16 if is_half else np.float32

    def rows(self, begin: int, end: int) -> NDArray[np.float32 | np.float16]:
        """Return rows of the part, counted from its window, as contiguous rows×W×C samples."""
        if len(self.images) == 1 and self.images[0].data == self.window:
            # OpenImageIO refuses some strides and misreads none of these.
            return np.ascontiguousarray(self.images[0].pixels[begin:end], self.sample)
        rows = np.zeros((end - begin, self.window.width, self.spec.nchannels), self.sample)
        at = 0
        for image in self.images:
            top, bottom = image.data.y0 - self.window.y0, image.data.y1 - self.window.y0
            left, right = image.data.x0 - self.window.x0, image.data.x1 - self.window.x0
            first, last = max(begin, top), min(end, bottom)
            if first < last:
                rows[first - begin : last - begin, left:right, at : at + len(image.channels)] = (
                    image.pixels[first - top : last - top]
                )
            at += len(image.channels)
        return rows


def plan(
    path: Path,
    layers: Mapping[str, Image],
    *,
    depth: str,
    compression: str,
    multipart: bool,
    fingerprint: str,
    version: str,
    metadata: Metadata,
) -> tuple[list[Part], list[str]]:
    """Lay out a file.

    Returns:
        Its parts, and sentences the user should read.

    Raises:
        UsageError: the format, depth or compression is unknown, or cannot hold the layers.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(
            f"{path.name!r} ends in no format relume writes", way_out=f"Use {', '.join(FORMATS)}"
        )
    if depth not in _SAMPLES[kind]:
        raise UsageError(
            f"{kind} has no depth {depth!r}", way_out=f"Use {', '.join(_SAMPLES[kind])}"
        )
    named = {name or MAIN: image for name, image in layers.items()}
    named = {MAIN: named.pop(MAIN)} | named if MAIN in named else named
    if not named:
        raise UsageError("there is no layer to write", way_out="Wire one to Write")
    for name in named:
        if not _LAYER.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name for a layer",
                way_out="Begin with a letter, and do not call it left or right",
            )
    warnings: list[str] = []
    # Left to itself, OpenImageIO dates some files, and the same pixels give other bytes each time.
    own: dict[str, Attribute] = {"DateTime": ("string", "")}
    own |= of_the_plate(next(iter(named.values())).metadata) | dict(metadata)
    own |= {VERSION: ("string", version), "Software": ("string", f"relume {version}")}
    if fingerprint:
        own[FINGERPRINT] = ("string", fingerprint)
    if kind == "openexr":
        if not _COMPRESSION.fullmatch(compression):
            raise UsageError(
                f"OpenEXR has no compression {compression!r}",
                way_out="Use none, rle, zips, zip, piz, pxr24, b44, b44a, dwaa, dwab, htj2k256 or "
                "htj2k32, dwaa:45 for a level",
            )
        return _exr(named, depth, compression, multipart, own, warnings), warnings
    if kind in ("tiff", "jpeg"):
        own["ImageDescription"] = ("string", describe(version, fingerprint))
    return [_single(kind, named, _SAMPLES[kind][depth], own, warnings)], warnings


def _exr(
    layers: Mapping[str, Image],
    depth: str,
    compression: str,
    multipart: bool,
    attributes: Metadata,
    warnings: list[str],
) -> list[Part]:
    prepared = {name: _premultiplied(image) for name, image in layers.items()}
    colour = _colour_of(prepared, warnings)
    reference = next(iter(prepared.values()))
    for name, image in prepared.items():
        if image.display != reference.display or image.pixel_aspect != reference.pixel_aspect:
            raise UsageError(
                f"the layer {name} has another display window or pixel aspect than the others",
                way_out="Bring it to the plate's with a Reformat node",
            )
    groups = [[name] for name in prepared] if multipart else [list(prepared)]
    parts = []
    for group in groups:
        images = [prepared[name] for name in group]
        formats = {name: _exr_sample(name, prepared[name], depth, warnings) for name in group}
        window = _union([image.data for image in images])
        spec = _spec(
            window,
            reference,
            [c for name in group for c in file_channels(name, prepared[name].channels)],
        )
        samples = [formats[name] for name in group for _ in prepared[name].channels]
        spec.set_format(oiio.TypeDesc(samples[0]))
        if len(set(samples)) > 1:
            spec.channelformats = tuple(oiio.TypeDesc(sample) for sample in samples)
        put_attributes(spec, {**attributes, **colour})
        spec.attribute("compression", compression)
        spec.attribute("PixelAspectRatio", reference.pixel_aspect)
        if multipart:
            spec.attribute("oiio:subimagename", group[0])
        parts.append(Part("openexr", spec, images, window))
    return parts


def _single(
    kind: str,
    layers: Mapping[str, Image],
    sample: str,
    attributes: Metadata,
    warnings: list[str],
) -> Part:
    """Lay out the one layer of a format without layers or windows."""
    if len(layers) > 1:
        raise UsageError(
            f"a {kind} file holds one layer, not {', '.join(layers)}", way_out="Write .exr"
        )
    name, image = next(iter(layers.items()))
    if not (image.has("R", "G", "B") or len(image.channels) == 1):
        raise UsageError(
            f"a {kind} file cannot hold the channels {', '.join(image.channels)} of {name}",
            way_out="Write .exr",
        )
    if sample != "float" and not image.is_data and is_linear(image.colour):
        image = convert(image, UNTAGGED_ENCODED)
    if kind == "jpeg":
        image = _premultiplied(image)
        channels: tuple[str, ...] = ("R", "G", "B")
    else:
        image = _straight(image)
        channels = ("R", "G", "B", "A") if image.has("A") else ("R", "G", "B")
    if len(image.channels) > 1:
        image = image.like(np.ascontiguousarray(image.take(*channels)), channels)
    image = _on_display(image)
    names = image.channels if len(image.channels) > 1 else ("Y",)
    spec = _spec(image.data, image, names)
    spec.set_format(oiio.TypeDesc(sample))
    identity = None if image.is_data else interop_id(image.colour)
    put_attributes(spec, attributes)
    if identity:
        spec.attribute("colorInteropID", identity)
        spec.attribute("oiio:ColorSpace", identity)
    if kind == "tiff" and not image.is_data and identity != UNTAGGED_ENCODED:
        warnings.append(f"a TIFF file cannot say that it is in {canonical(image.colour)}")
    spec.attribute("oiio:UnassociatedAlpha", 1)
    spec.attribute("PixelAspectRatio", image.pixel_aspect)
    spec.attribute("compression", {"tiff": "zip", "jpeg": "jpeg:95"}.get(kind, ""))
    return Part(kind, spec, [image], image.data)


def _spec(window: Box, reference: Image, channels: Sequence[str]) -> oiio.ImageSpec:
    spec = oiio.ImageSpec(window.width, window.height, len(channels), "float")
    spec.channelnames = tuple(channels)
    spec.alpha_channel = channels.index("A") if "A" in channels else -1
    spec.x, spec.y = window.x0, window.y0
    display = reference.display
    spec.full_x, spec.full_y = display.x0, display.y0
    spec.full_width, spec.full_height = display.width, display.height
    return spec


def _colour_of(layers: Mapping[str, Image], warnings: list[str]) -> Metadata:
    """Return the attributes that say which space the colour layers are in."""
    spaces = {canonical(image.colour): name for name, image in layers.items() if not image.is_data}
    if not spaces:
        return {"colorInteropID": ("string", DATA)}
    if len(spaces) > 1:
        where = ", ".join(f"{name} in {space}" for space, name in spaces.items())
        raise UsageError(
            f"a file has one colour space, and these layers have several: {where}",
            way_out="Convert them to one space with ColourSpace nodes",
        )
    space = next(iter(spaces))
    identity, primaries = interop_id(space), chromaticities(space)
    found: dict[str, Attribute] = {}
    if identity:
        found["colorInteropID"] = ("string", identity)
    if primaries:
        found["chromaticities"] = ("float[8]", tuple(primaries))
    if not found:
        warnings.append(
            f"{space} has no interop id, so the file does not say which colour space it is in"
        )
    return found


def _exr_sample(name: str, image: Image, depth: str, warnings: list[str]) -> str:
    """Return half or float: a half turns 65520 and more into infinity."""
    largest = max(float(image.pixels.max()), -float(image.pixels.min()))
    if not np.isfinite(largest):
        bad = int((~np.isfinite(image.pixels)).any(axis=2).sum())
        warnings.append(f"{bad} pixels of {name} are NaN or infinite")
        return "float"
    if depth == "half" and largest > HALF_MAX:
        warnings.append(
            f"{name} reaches {largest:.6g}, more than half can hold, and is written as float"
        )
        return "float"
    return depth


def _premultiplied(image: Image) -> Image:
    if image.alpha != "straight":
        return image
    return _times_alpha(image, image.take("A"), "premultiplied")


def _straight(image: Image) -> Image:
    if image.alpha != "premultiplied":
        return image
    alpha = image.take("A")
    with np.errstate(over="ignore"):
        factor = np.divide(1.0, alpha, out=np.ones_like(alpha), where=alpha != 0.0)
    return _times_alpha(image, factor, "straight")


def _times_alpha(image: Image, factor: NDArray[np.float32], alpha: AlphaState) -> Image:
    pixels = image.pixels.copy()
    for channel in ("R", "G", "B"):
        if channel in image.channels:
            pixels[:, :, image.channels.index(channel)] *= factor[:, :, 0]
    return replace(image, pixels=pixels, alpha=alpha)


def _union(windows: Sequence[Box]) -> Box:
    return Box(
        min(w.x0 for w in windows),
        min(w.y0 for w in windows),
        max(w.x1 for w in windows),
        max(w.y1 for w in windows),
    )


def _on_display(image: Image) -> Image:
    """Return the display window of an image, black where there are no pixels, at the origin."""
    origin = Box.of_size(image.display.width, image.display.height)
    pixels = np.zeros((origin.height, origin.width, len(image.channels)), np.float32)
    shown = image.data.intersect(image.display)
    if shown:
        pixels[shown.slices(image.display)] = image.pixels[shown.slices(image.data)]
    return replace(image, pixels=pixels, data=origin, display=origin)
