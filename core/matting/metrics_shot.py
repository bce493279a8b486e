"""Mattes of a shot against the truth, file by file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError
from relume.matting.inputs import matte_from_image
from relume.matting.metrics import change_error, matte_error
from relume.matting.trimap import certain
from relume.media.read import read
from relume.media.sequence import resolve

F32 = NDArray[np.float32]

WHOLE, UNKNOWN = "whole", "unknown"


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of a matte in one region, in the scales that papers print.

    Attributes:
        sad: Σ|α − α*| / 1000.
        mse: mean (α − α*)² × 1000.
        mad: mean |α − α*| × 1000.
        grad: Σ(|∇α| − |∇α*|)² / 1000.
        conn: Σ|φ − φ*| / 1000.
        dtssd: √mean(Δα − Δα*)² × 100 against the frame before; 0 at the first frame.
    """

    sad: float
    mse: float
    mad: float
    grad: float
    conn: float
    dtssd: float


METRICS = tuple(field.name for field in fields(Errors))


@dataclass(frozen=True, slots=True)
class FrameErrors:
    """A frame's errors.

    Attributes:
        frame: its number.
        regions: region → errors: `whole`, and `unknown` where a trimap has unknown pixels.
    """

    frame: int
    regions: dict[str, Errors]


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    matte: F32
    truth: F32


class ShotErrors:
    """Measures the frames of a shot in turn.

    Args:
        matte: a file, or a sequence.
        truth: a file, or a sequence; a single file holds for every frame.
        trimap: the same, which says where it is unknown; or empty.
        offset: added to the frame to find the truth and the trimap.
    """

    def __init__(self, matte: str, truth: str, trimap: str = "", offset: int = 0) -> None:
        self.matte, self.truth, self.trimap, self.offset = matte, truth, trimap, offset
        self._before: _Frame | None = None

    def measure(self, frame: int) -> FrameErrors:
        """Return the errors of a frame, its change against the frame measured before.

        Raises:
            InputError: a file is missing or unreadable.
            UsageError: a file holds no matte, or the sizes differ.
        """
        path = resolve(self.matte, frame)
        now = _Frame(_load(path, frame), self._beside(self.truth, frame))
        _same_size(now.matte, now.truth, path, resolve(self.truth, frame, self.offset))
        regions: dict[str, NDArray[np.bool_] | None] = {WHOLE: None}
        if self.trimap:
            guide = self._beside(self.trimap, frame)
            _same_size(guide, now.truth, resolve(self.trimap, frame, self.offset), path)
            background, foreground = certain(guide)
            unknown = ~(background | foreground)
            if unknown.any():
                regions[UNKNOWN] = unknown
        before = self._before
        if before is not None:
            _same_size(now.matte, before.matte, path, "the frame before")
        found = {}
        for name, region in regions.items():
            still = matte_error(now.matte, now.truth, region)
            change = 0.0
            if before is not None:
                change = change_error(now.matte, now.truth, before.matte, before.truth, region)
            found[name] = Errors(still.sad, still.mse, still.mad, still.grad, still.conn, change)
        self._before = now
        return FrameErrors(frame, found)

    def _beside(self, name: str, frame: int) -> F32:
        return _load(resolve(name, frame, self.offset), frame)


def mean_errors(frames: Sequence[FrameErrors]) -> dict[str, Errors]:
    """Return the mean of a shot, region by region, over the frames that have it."""
    found: dict[str, list[Errors]] = {}
    for frame in frames:
        for name, errors in frame.regions.items():
            found.setdefault(name, []).append(errors)
    return {name: _mean(errors) for name, errors in found.items()}


def rows(frames: Iterable[FrameErrors]) -> Iterator[tuple[int, str, Errors]]:
    """Yield frame, region and errors, line by line."""
    for frame in frames:
        for region, errors in frame.regions.items():
            yield frame.frame, region, errors


def _mean(errors: Sequence[Errors]) -> Errors:
    return Errors(*np.mean([astuple(entry) for entry in errors], axis=0).tolist())


def _load(path: Path, frame: int) -> F32:
    """Return the matte of a file, H×W, as it is stored."""
    return matte_from_image(read(path, space="data", frame=frame).layers).pixels[:, :, 0]


def _same_size(one: F32, other: F32, name: str | Path, beside: str | Path) -> None:
    if one.shape != other.shape:
        raise UsageError(
            f"{name} is {one.shape[1]}×{one.shape[0]}, {beside} {other.shape[1]}×{other.shape[0]}",
            way_out="Compare mattes of one size: most errors grow with the picture",
        )
