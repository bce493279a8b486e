"""What a delivered frame is: everything a check can ask about it, found in one reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from relume.encoding import encode
from relume.errors import InputError
from relume.hosts.farm.timecode import Timecode
from relume.image import Box
from relume.media.layers import MAIN, sort_channels
from relume.media.metadata import FINGERPRINT, read_attributes, value_of
from relume.media.read import open_image

F32 = NDArray[np.float32]

GRID = 24
"""Rows and columns of the small picture by which frames are compared, at most."""

_BLOCK = 32
"""Scanlines compressed together, at most: bands of whole blocks are not unpacked twice."""

_GLOW = 1e-3
"""Light that counts as light where alpha is 0."""

_BY_MATTE = ("relit", "diffuse", "specular", "residual")
"""Passes that are premultiplied by `matte.A`, and `relit_<light>`."""


@dataclass(frozen=True, slots=True, eq=False)
class PassFacts:
    """What one layer of a frame holds.

    Attributes:
        channels: names of its channels.
        mean: mean of the finite values of each channel.
        minimum: smallest finite value.
        maximum: largest finite value.
        nan: values that are NaN.
        infinite: values that are infinite.
        uncovered: share of all pixels that hold light where alpha is 0, or None where the layer
            is not premultiplied.
        picture: rows×columns×C means of cells, encoded as networks read light.
    """

    channels: tuple[str, ...]
    mean: tuple[float, ...]
    minimum: float
    maximum: float
    nan: int
    infinite: int
    uncovered: float | None
    picture: F32


@dataclass(frozen=True, slots=True, eq=False)
class FrameFacts:
    """What a file holds.

    Attributes:
        frame: its number.
        path: the file.
        problem: why it cannot be read to its last line; the rest is then empty.
        size: bytes.
        data: data window of the first part.
        display: display window.
        pixel_aspect: width of a pixel over its height.
        channels: channel → sample type, as in the file.
        colour: interop id or other tag that says which colour space it is in.
        timecode: SMPTE time code.
        rate: frames a second, numerator and denominator.
        fingerprint: what relume wrote to prove what the file was made from.
        passes: layer → what it holds.
    """

    frame: int
    path: Path
    problem: str = ""
    size: int = 0
    data: Box | None = None
    display: Box | None = None
    pixel_aspect: float = 1.0
    channels: Mapping[str, str] = field(default_factory=dict)
    colour: str = ""
    timecode: Timecode | None = None
    rate: tuple[int, int] | None = None
    fingerprint: str = ""
    passes: Mapping[str, PassFacts] = field(default_factory=dict)


def look_at(path: str | Path, frame: int) -> FrameFacts:
    """Read a file to its last line and return what it holds; a damaged one only says why."""
    path = Path(path)
    try:
        return _look_at(path, frame)
    except InputError as error:
        return FrameFacts(frame, path, problem=error.message)


def _look_at(path: Path, frame: int) -> FrameFacts:
    passes: dict[str, PassFacts] = {}
    channels: dict[str, str] = {}
    with open_image(path) as source:
        first = source.spec(0)
        parts = 0
        while source.seek_subimage(parts, 0):
            spec = source.spec()
            name = str(spec.getattribute("oiio:subimagename") or "") if parts else ""
            for index, channel in enumerate(spec.channelnames):
                full = f"{name}.{channel}" if name and "." not in channel else channel
                channels[full] = str(spec.channelformat(index))
            passes |= _passes(source, parts, spec, name)
            parts += 1
    attributes = read_attributes(first)
    rate = value_of(attributes, "FramesPerSecond")
    fps = (int(rate[0]), int(rate[1])) if isinstance(rate, tuple) and rate[1] else None
    return FrameFacts(
        frame=frame,
        path=path,
        size=path.stat().st_size,
        data=Box(first.x, first.y, first.x + first.width, first.y + first.height),
        display=Box(
            first.full_x,
            first.full_y,
            first.full_x + first.full_width,
            first.full_y + first.full_height,
        ),
        pixel_aspect=float(value_of(attributes, "PixelAspectRatio", 1.0)),
        channels=channels,
        colour=_colour(attributes),
        timecode=Timecode.packed(value_of(attributes, "smpte:TimeCode")),
        rate=fps,
        fingerprint=str(value_of(attributes, FINGERPRINT, "")),
        passes=passes,
    )


def _colour(attributes: Mapping[str, tuple[str, Any]]) -> str:
    for name in ("colorInteropID", "oiio:ColorSpace"):
        if tag := value_of(attributes, name):
            return str(tag)
    primaries = value_of(attributes, "chromaticities")
    return "chromaticities" if primaries else ""


def _passes(
    source: oiio.ImageInput, part: int, spec: oiio.ImageSpec, name: str
) -> dict[str, PassFacts]:
    layers = sort_channels(dict(enumerate(spec.channelnames)), name)
    tallies = {
        layer: _Tally(tuple(channels), list(channels.values()), spec)
        for layer, channels in layers.items()
    }
    for row, band in _bands(source, part, spec):
        alphas = {
            layer: band[:, :, channels["A"]]
            for layer, channels in layers.items()
            if "A" in channels
        }
        for layer, tally in tallies.items():
            by_matte = layer in _BY_MATTE or layer.startswith("relit_")
            covering = alphas.get("matte" if by_matte else layer)
            tally.add(row, band, covering)
    return {layer: tally.facts() for layer, tally in tallies.items()}


def _bands(source: oiio.ImageInput, part: int, spec: oiio.ImageSpec) -> Iterator[tuple[int, F32]]:
    """Yield (cell row, rows×W×C) from top to bottom: a frame need not fit in memory.

    Raises:
        InputError: the file ends too soon or is damaged.
    """
    step = _cell(spec.height)
    whole = None
    if spec.tile_width:
        whole = source.read_image(part, 0, 0, spec.nchannels, oiio.TypeDesc("float"))
        _check(whole, source)
    for number, top in enumerate(range(0, spec.height, step)):
        end = min(top + step, spec.height)
        if whole is not None:
            yield number, np.asarray(whole[top:end])
            continue
        band = source.read_scanlines(
            part, 0, spec.y + top, spec.y + end, 0, 0, spec.nchannels, oiio.TypeDesc("float")
        )
        _check(band, source)
        yield number, np.asarray(band).reshape(end - top, spec.width, spec.nchannels)


def _check(pixels: object, source: oiio.ImageInput) -> None:
    said = " ".join(source.geterror().split()).rstrip(".")
    if pixels is None or said:
        raise InputError(f"it is damaged or not complete ({said or 'no reason given'})")


def _cell(length: int) -> int:
    """Return the side of a cell along an axis."""
    step = max(1, -(-length // GRID))
    return -(-step // _BLOCK) * _BLOCK if step > _BLOCK // 2 else step


class _Tally:
    """Adds up one layer, band by band, in float64."""

    def __init__(self, channels: tuple[str, ...], indices: list[int], spec: oiio.ImageSpec) -> None:
        self.channels = channels
        self.indices = indices
        self.starts = np.arange(0, spec.width, _cell(spec.width))
        self.widths = np.diff(np.append(self.starts, spec.width))
        self.pixels = spec.width * spec.height
        self.rows: list[NDArray[np.float64]] = []
        self.total = np.zeros(len(indices))
        self.finite = np.zeros(len(indices), np.int64)
        self.minimum, self.maximum = np.inf, -np.inf
        self.nan = self.infinite = self.lit = 0
        self.covered = False

    def add(self, row: int, band: F32, alpha: F32 | None) -> None:
        """Add a band of all channels of the file."""
        first, last = self.indices[0], self.indices[-1] + 1
        # A slice is no copy, and most layers lie together.
        together = self.indices == list(range(first, last))
        values = band[:, :, first:last] if together else band[:, :, self.indices]
        with np.errstate(invalid="ignore"):
            columns = values.sum(axis=0, dtype=np.float64)
        finite = np.full(len(self.indices), values.shape[0] * values.shape[1])
        # A sum is not finite if any term is not; testing it is quicker than testing every value.
        if not np.isfinite(columns).all():
            good = np.isfinite(values)
            finite = good.sum(axis=(0, 1))
            nan = int(np.isnan(values).sum())
            self.nan += nan
            self.infinite += values.size - int(finite.sum()) - nan
            values = np.where(good, values, np.float32(0.0))
            columns = values.sum(axis=0, dtype=np.float64)
            if finite.any():
                self.minimum = min(self.minimum, float(values.min(where=good, initial=np.inf)))
                self.maximum = max(self.maximum, float(values.max(where=good, initial=-np.inf)))
        else:
            self.minimum = min(self.minimum, float(values.min()))
            self.maximum = max(self.maximum, float(values.max()))
        self.total += columns.sum(axis=0)
        self.finite += finite
        cells = np.add.reduceat(columns, self.starts, axis=0)
        self.rows.append(cells / (self.widths[:, None] * values.shape[0]))
        if alpha is not None and {"R", "G", "B"} <= set(self.channels):
            colour = [i for i, name in enumerate(self.channels) if name in "RGB"]
            bare = values[alpha == 0.0][:, colour]
            self.lit += int((np.abs(bare) > _GLOW).any(axis=1).sum())
            self.covered = True

    def facts(self) -> PassFacts:
        """Return what all bands together hold."""
        some = self.finite > 0
        mean = np.where(some, self.total / np.maximum(self.finite, 1), np.nan)
        return PassFacts(
            channels=self.channels,
            mean=tuple(float(value) for value in mean),
            minimum=float(self.minimum),
            maximum=float(self.maximum),
            nan=self.nan,
            infinite=self.infinite,
            uncovered=self.lit / self.pixels if self.covered else None,
            picture=encode(np.stack(self.rows).astype(np.float32)),
        )


__all__ = ["MAIN", "FrameFacts", "PassFacts", "look_at"]
