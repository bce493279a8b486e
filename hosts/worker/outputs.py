"""Turn what nodes return into the pixels a host asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from relume.compositing.alpha import premultiply, unpremultiply
from relume.errors import UsageError
from relume.hosts.worker.fields import Fields
from relume.hosts.worker.images import F32, LAYOUTS, ROWS, Shape
from relume.image import Box, Image
from relume.light.types import Environment
from relume.media.layers import MAIN
from relume.render import Deliverable

_COLOUR = ("R", "G", "B")
_AS_IT_IS = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output, and how the host wants it.

    Attributes:
        output: `node.output`.
        layer: the layer wanted of several; empty for all.
        segment: name of the segment for the pixels; empty for the payload.
        offset: where in it; None for behind the image before.
        channels: by name; empty for the result's own.
        window: pixels wanted; None for the data window.
        layout: `interleaved` or `planar`.
        rows: `top_down` or `bottom_up`.
        colour: colour space; empty for the result's own.
        alpha: `premultiplied` or `straight`; empty for the result's own.
    """

    output: str
    layer: str
    segment: str
    offset: int | None
    channels: tuple[str, ...]
    window: Box | None
    layout: str
    rows: str
    colour: str
    alpha: str

    @classmethod
    def read(cls, fields: Fields) -> Wanted:
        """Read an entry of `outputs`.

        Raises:
            UsageError: a field is missing, unknown or out of range.
        """
        window = fields.window("window")
        offset = fields.whole("offset", least=0) if fields.has("offset") else None
        wanted = cls(
            output=fields.text("output"),
            layer=fields.text("layer", ""),
            segment=fields.text("segment", "", longest=64),
            offset=offset,
            channels=tuple(fields.channels("channels", [])),
            window=Box(*window) if window else None,
            layout=fields.choice("layout", LAYOUTS, "interleaved"),
            rows=fields.choice("rows", ROWS, "top_down"),
            colour=fields.text("colour", ""),
            alpha=fields.choice("alpha", (_AS_IT_IS, "premultiplied", "straight"), _AS_IT_IS),
        )
        fields.end()
        return wanted


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image on its way to a host.

    Attributes:
        wanted: how the host wants it.
        layer: its layer, or empty.
        image: in the colour space and alpha wanted.
        channels: names of the channels wanted.
        window: the pixels wanted.
    """

    wanted: Wanted
    layer: str
    image: Image
    channels: tuple[str, ...]
    window: Box

    @property
    def shape(self) -> Shape:
        """How its pixels will lie."""
        wanted, window = self.wanted, self.window
        return Shape(
            window.width, window.height, len(self.channels), wanted.layout, wanted.rows
        )  # fmt: skip

    def write(self, flat: F32) -> None:
        """Write the pixels, in the order wanted, to `shape.count` numbers."""
        target = self.shape.view(flat)
        seen = self.window.intersect(self.image.data)
        if seen != self.window:
            target[...] = 0.0
        if seen is None:
            return
        target = target[seen.slices(self.window)]
        source = self.image.pixels[seen.slices(self.image.data)]
        for at, (first, count) in _runs(self.image, self.channels):
            into = target[:, :, at : at + count]
            if first is None:
                into[...] = 1.0 if self.channels[at] == "A" else 0.0
            else:
                into[...] = source[:, :, first : first + count]

    def fields(self) -> dict[str, Any]:
        """Return what the host is told of it."""
        image, window, wanted = self.image, self.window, self.wanted
        box = image.display
        return {
            "output": wanted.output,
            "layer": self.layer,
            "bytes": 4 * self.shape.count,
            "width": window.width,
            "height": window.height,
            "x": window.x0,
            "y": window.y0,
            "display": [box.x0, box.y0, box.x1, box.y1],
            "pixel_aspect": image.pixel_aspect,
            "channels": list(self.channels),
            "layout": wanted.layout,
            "rows": wanted.rows,
            "colour": image.colour,
            "alpha": image.alpha,
        }


@dataclass(frozen=True, slots=True)
class Number:
    """A number on its way to a host.

    Attributes:
        output: `node.output`.
        value: the number.
    """

    output: str
    value: float

    def fields(self) -> dict[str, Any]:
        """Return what the host is told of it."""
        return {"output": self.output, "value": self.value}


def results(value: Any, wanted: Wanted) -> list[Picture | Number]:
    """Return the images of a node's result, or its number.

    Raises:
        UsageError: it is nothing a host can show, has no such layer, or a space is unknown.
    """
    if isinstance(value, int | float) and math.isfinite(value):
        return [Number(wanted.output, float(value))]
    return [_picture(layer, image, wanted) for layer, image in _images(value, wanted)]


def _images(value: Any, wanted: Wanted) -> Iterator[tuple[str, Image]]:
    if isinstance(value, Environment):
        value = value.image
    if isinstance(value, Deliverable):
        value = value.layers
    if isinstance(value, Image):
        yield "", value
    elif isinstance(value, Mapping) and not wanted.layer:
        yield from value.items()
    elif isinstance(value, Mapping):
        if wanted.layer not in value:
            raise UsageError(
                f"'{wanted.output}' has no layer '{wanted.layer}'",
                way_out=f"It has: {', '.join(value) or MAIN}",
            )
        yield wanted.layer, value[wanted.layer]
    else:
        raise UsageError(
            f"'{wanted.output}' is no image, so that a host cannot show it",
            way_out="Ask for an output that is an Image or Layers",
        )


def _picture(layer: str, image: Image, wanted: Wanted) -> Picture:
    if wanted.colour:
        from relume.colour import convert

        image = convert(image, wanted.colour)
    if wanted.alpha == "premultiplied":
        image = premultiply(image)
    elif wanted.alpha == "straight":
        image = unpremultiply(image)
    return Picture(
        wanted, layer, image, wanted.channels or image.channels, wanted.window or image.data
    )


def _runs(image: Image, channels: tuple[str, ...]) -> Iterator[tuple[int, tuple[int | None, int]]]:
    """Yield neighbours wanted that are neighbours in the image: place, (first or None, count).

    Copying several channels at once takes half the time of one after the other.
    """
    found = [_source(image, channel) for channel in channels]
    at = 0
    while at < len(found):
        first, count = found[at], 1
        while first is not None and at + count < len(found) and found[at + count] == first + count:
            count += 1
        yield at, (first, count)
        at += count


def _source(image: Image, channel: str) -> int | None:
    """Return the channel of the image that stands for one wanted, or None for a constant."""
    if channel in image.channels:
        return image.channels.index(channel)
    if channel not in _COLOUR or image.has(*_COLOUR):
        return None
    if len(image.channels) == 1:
        return 0
    others = [name for name in image.channels if name != "A"]
    place = _COLOUR.index(channel)
    return image.channels.index(others[place]) if place < len(others) else None


def areas(found: list[Picture | Number]) -> list[tuple[str, int]]:
    """Return segment and offset of every image, one behind the other where nobody says.

    Raises:
        UsageError: two would overlap.
    """
    places: list[tuple[str, int]] = []
    ends: dict[str, int] = {}
    taken: list[tuple[str, int, int]] = []
    for picture in found:
        if not isinstance(picture, Picture):
            places.append(("", 0))
            continue
        segment, size = picture.wanted.segment, 4 * picture.shape.count
        given = picture.wanted.offset if segment else None
        start = ends.get(segment, 0) if given is None else given
        ends[segment] = start + size
        for other, first, last in taken:
            if other == segment and start < last and first < start + size:
                raise UsageError(f"two outputs overlap in the segment '{segment}'")
        taken.append((segment, start, start + size))
        places.append((segment, start))
    return places
