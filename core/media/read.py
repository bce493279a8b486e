"""Read an image file: every layer, its windows, its colour space, its attributes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from relume.colour.input import InputSpace, input_space
from relume.errors import InputError
from relume.image import DATA, AlphaState, Box, Image, Layers, Pixels
from relume.media.identity import FileIdentity, content_digest, identify, utf8_name
from relume.media.layers import MAIN, holds_colour, sort_channels
from relume.media.metadata import read_attributes, value_of
from relume.media.repair import HALF_MAX, not_finite, repair
from relume.media.sequence import refuse_movie

__all__ = ["FileIdentity", "Reading", "content_digest", "identify", "open_image", "read", "verify"]

_AGAIN = "Render or copy the file again"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a file held.

    Attributes:
        layers: layers by name; `rgba` is the one without a prefix.
        space: the colour space of the file and what decided it.
        repaired: layer → how many pixels were not finite and were mended.
    """

    layers: Layers
    space: InputSpace
    repaired: Mapping[str, int]

    def layer(self, name: str = "") -> Image:
        """Return a layer; without a name the main one, or the only one.

        Raises:
            InputError: there is no such layer.
        """
        if not name and MAIN not in self.layers and len(self.layers) == 1:
            return next(iter(self.layers.values()))
        wanted = name or MAIN
        if wanted not in self.layers:
            raise InputError(
                f"there is no layer {wanted!r} in the file",
                way_out=f"It has {', '.join(self.layers)}",
            )
        return self.layers[wanted]

    @property
    def notices(self) -> list[str]:
        """Sentences on what was mended."""
        return [
            f"{count} pixel{'s' if count > 1 else ''} of {name} NaN or infinite, repaired from "
            "neighbours"
            for name, count in self.repaired.items()
        ]


def read(
    path: str | Path,
    *,
    space: str = "",
    layers: Collection[str] | None = None,
    view: str = "",
    environment: bool = False,
    frame: int | None = None,
) -> Reading:
    """Read an image file to its last line.

    Values are float32 as stored: nothing is converted, clamped or multiplied. Integers other than
    EXR's become [0, 1].

    Args:
        path: the file.
        space: the colour space it is in, where the user says so.
        layers: the layers wanted; all where it is None.
        view: the view of a stereo file; its first where it is "".
        environment: the file is a light, in which +Inf becomes 65504 rather than being mended.
        frame: the frame, for messages.

    Raises:
        InputError: the file is missing, truncated, of no known kind, deep, a movie, has none of
            the layers wanted or no finite pixel.
        UsageError: the space is unknown.
    """
    try:
        return _read(Path(path), space, layers, view, environment)
    except InputError as error:
        error.locate(file=str(path), frame=frame)
        raise


def verify(path: str | Path) -> None:
    """Prove that a file is whole by reading every part of it to the last line.

    Raises:
        InputError: it is not.
    """
    with open_image(path) as source:
        part = 0
        while source.seek_subimage(part, 0):
            # Native samples: nothing is kept, so nothing need be converted.
            _pixels(source, part, 0, source.spec().nchannels, "unknown")
            part += 1


@contextmanager
def open_image(path: str | Path) -> Iterator[oiio.ImageInput]:
    """Open an image file, alpha as stored.

    Raises:
        InputError: there is no such file, or it is no image.
    """
    refuse_movie(path)
    identify(path)
    hints = oiio.ImageSpec()
    hints.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(utf8_name(path), hints)
    if source is None:
        reason = _line(oiio.geterror()) or "of no kind OpenImageIO knows"
        raise InputError(f"{path} is no readable image ({reason})", way_out=_AGAIN)
    try:
        yield source
    finally:
        source.close()


def _read(
    path: Path, space: str, wanted: Collection[str] | None, view: str, environment: bool
) -> Reading:
    found: dict[str, Image] = {}
    known: list[str] = []
    with open_image(path) as source:
        kind = source.format_name()
        parts = _parts(source, kind, view)
        first = source.spec_dimensions(0)
        attributes = read_attributes(source.spec(0))
        colour = input_space(
            path,
            {name: value for name, (_, value) in attributes.items()},
            file_format=kind,
            sample=str(first.format),
            explicit=space,
            option="--light-space" if environment else "--input-space",
        )
        for number, name, views in parts:
            spec = source.spec(number)
            if spec.deep or spec.depth > 1:
                raise InputError("it is a deep or volume image", way_out="Flatten it first")
            sorted_layers = sort_channels(_of_view(spec.channelnames, views), name)
            known += sorted_layers
            take = {
                layer: channels
                for layer, channels in sorted_layers.items()
                if layer not in found and (wanted is None or layer in wanted)
            }
            if take:
                found |= _images(source, number, spec, take, colour.name, kind)
    if not found:
        raise InputError(
            f"it has none of the layers {', '.join(wanted or ())}",
            way_out=f"It has {', '.join(known)}",
        )
    if MAIN in found:  # also where it is not the first part
        found = {MAIN: found.pop(MAIN)} | found
    repaired: dict[str, int] = {}
    for name, image in found.items():
        found[name] = _mended(
            name, image, environment, name == MAIN or wanted is not None, repaired
        )
    return Reading(Layers(found), colour, repaired)


def _parts(source: oiio.ImageInput, kind: str, view: str) -> list[tuple[int, str, tuple[str, ...]]]:
    """Return the parts to read.

    Returns:
        Number, layer of channels without a prefix, and where the part holds several views their
        names, the one wanted first.
    """
    if kind != "openexr":
        return [(0, "", ())]  # further pages of a TIFF or frames of a GIF are other pictures
    specs: list[oiio.ImageSpec] = []
    while source.seek_subimage(len(specs), 0):
        specs.append(source.spec())
    several = list(specs[0].getattribute("multiView") or ())
    views = several or list(dict.fromkeys(filter(None, (_text(s, "view") for s in specs))))
    if view and view not in views:
        raise InputError(
            f"it has no view {view!r}", way_out=f"It has {', '.join(views) or 'one view only'}"
        )
    chosen = view or (views[0] if views else "")
    # The first view's channels have no prefix.
    prefixes = ("" if several[:1] == [chosen] else chosen, *several[1:]) if several else ()
    parts: list[tuple[int, str, tuple[str, ...]]] = []
    for number, spec in enumerate(specs):
        if _text(spec, "view") in ("", chosen):
            name = _text(spec, "oiio:subimagename").removesuffix(f".{chosen}") if parts else ""
            parts.append((number, name, prefixes))
    return parts


def _of_view(names: Sequence[str], views: tuple[str, ...]) -> dict[int, str]:
    """Return the channels of the first of several views, index → name without the view."""
    if not views:
        return dict(enumerate(names))
    chosen, *others = views
    if chosen:
        start = f"{chosen}."
        return {i: n.removeprefix(start) for i, n in enumerate(names) if n.startswith(start)}
    return {i: n for i, n in enumerate(names) if n.partition(".")[0] not in others}


def _images(
    source: oiio.ImageInput,
    part: int,
    spec: oiio.ImageSpec,
    layers: Mapping[str, Mapping[str, int]],
    colour: str,
    kind: str,
) -> dict[str, Image]:
    indices = [index for channels in layers.values() for index in channels.values()]
    begin, end = min(indices), max(indices) + 1
    everything = _pixels(source, part, begin, end, "float")
    for index in range(begin, end):
        # OpenImageIO scales whole numbers to [0, 1]; an object's id must stay what it is.
        if kind == "openexr" and str(spec.channelformat(index)) == "uint":
            everything[:, :, index - begin] = _pixels(source, part, index, index + 1, "uint")[
                ..., 0
            ]
    metadata = read_attributes(spec)
    state: AlphaState = (
        "straight" if value_of(metadata, "oiio:UnassociatedAlpha") == 1 else "premultiplied"
    )
    aspect = float(value_of(metadata, "PixelAspectRatio", 1.0))
    orientation = 1 if kind == "openexr" else int(value_of(metadata, "Orientation", 1))
    images = {}
    for layer, channels in layers.items():
        places = [index - begin for index in channels.values()]
        run = slice(places[0], places[0] + len(places))
        # A slice copies five times faster than a list of channels.
        together = places == list(range(run.start, run.stop))
        pixels = np.ascontiguousarray(everything[:, :, run if together else places])
        images[layer] = _turned(
            Image(
                pixels,
                tuple(channels),
                colour=colour if holds_colour(layer, list(channels)) else DATA,
                alpha=state,
                data=_box(spec.x, spec.y, spec.width, spec.height),
                display=_box(spec.full_x, spec.full_y, spec.full_width, spec.full_height),
                pixel_aspect=aspect if np.isfinite(aspect) and aspect > 0.0 else 1.0,
                metadata=metadata,
            ),
            orientation,
        )
    return images


def _pixels(source: oiio.ImageInput, part: int, begin: int, end: int, kind: str) -> NDArray[Any]:
    pixels = source.read_image(part, 0, begin, end, oiio.TypeDesc(kind))
    problem = source.geterror()
    # A truncated JPEG gives pixels and an error, a damaged TIFF neither.
    if pixels is None or problem:
        raise InputError(
            f"the file is damaged or not complete ({_line(problem) or 'no reason given'})",
            way_out=_AGAIN,
        )
    return np.asarray(pixels)


def _mended(
    name: str, image: Image, environment: bool, needed: bool, repaired: dict[str, int]
) -> Image:
    """Return the image with every value finite; a depth of infinity is not a fault."""
    pixels: Pixels = image.pixels
    bad = None if image.channels == ("Z",) else not_finite(pixels)
    if bad is None:
        return image
    if environment:
        pixels = np.where(np.isposinf(pixels), np.float32(HALF_MAX), pixels)
        bad = ~np.isfinite(pixels)
    if bad.any(axis=2).all():
        if needed:
            raise InputError(
                f"no pixel of {name} is finite", way_out="Render the file again, or leave it out"
            )
        return image
    mended, count = repair(pixels, bad)
    if count:
        repaired[name] = count
    return image.like(mended)


def _turned(image: Image, orientation: int) -> Image:
    """Return a photograph the way up that its Exif orientation says."""
    turn = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: p.transpose(1, 0, 2)[:, ::-1],
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: p.transpose(1, 0, 2)[::-1],
    }.get(orientation)
    if turn is None:
        return image
    return Image(
        np.ascontiguousarray(turn(image.pixels)),
        image.channels,
        colour=image.colour,
        alpha=image.alpha,
        pixel_aspect=image.pixel_aspect if orientation < 5 else 1.0 / image.pixel_aspect,
        metadata=image.metadata,
    )


def _box(x: int, y: int, width: int, height: int) -> Box:
    return Box(x, y, x + width, y + height)


def _text(spec: oiio.ImageSpec, name: str) -> str:
    return str(spec.getattribute(name) or "")


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
