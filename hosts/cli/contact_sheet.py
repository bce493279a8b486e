"""A contact sheet: pictures side by side, each with a line of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relume.compositing.resample import resize_pixels
from relume.image import Image

F32 = NDArray[np.float32]

TILE = 400
"""Side of a tile in pixels."""

_GAP = 12
_LABEL = 26
_TEXT = 17
_PAPER = 0.11
_INK = (215, 215, 215)


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One picture of a sheet.

    Attributes:
        label: the line below it.
        picture: H×W×3, sRGB encoded, 0 to 1.
    """

    label: str
    picture: F32


def sheet(rows: Sequence[Sequence[Tile]]) -> Image:
    """Return rows of tiles as one picture, sRGB encoded.

    Args:
        rows: the tiles; a picture keeps its shape inside its square.
    """
    columns = max(len(row) for row in rows)
    width = columns * (TILE + _GAP) + _GAP
    height = len(rows) * (TILE + _LABEL + _GAP) + _GAP
    page = np.full((height, width, 3), _PAPER, np.float32)
    labels = []
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            x, y = _GAP + j * (TILE + _GAP), _GAP + i * (TILE + _LABEL + _GAP)
            _paste(page, tile.picture, x, y)
            labels.append((tile.label, x, y + TILE + 3))
    return Image(_lettered(page, labels), ("R", "G", "B"), colour="srgb_rec709_scene")


def stacked(pictures: Sequence[F32]) -> F32:
    """Return pictures of one width below one another, a few pixels apart."""
    gap = np.full((6, pictures[0].shape[1], 3), _PAPER, np.float32)
    parts = [part for picture in pictures for part in (gap, picture)][1:]
    return np.concatenate(parts, axis=0)


def _paste(page: F32, picture: F32, x: int, y: int) -> None:
    scale = TILE / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    top, left = y + (TILE - height) // 2, x + (TILE - width) // 2
    # A filter that overshoots would leave the range of a screen.
    page[top : top + height, left : left + width] = np.clip(
        resize_pixels(np.ascontiguousarray(picture), width, height), 0.0, 1.0
    )


def _lettered(page: F32, labels: Sequence[tuple[str, int, int]]) -> F32:
    from PIL import Image as Canvas
    from PIL import ImageDraw, ImageFont

    canvas = Canvas.fromarray(np.rint(page * 255.0).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(_TEXT)
    for text, x, y in labels:
        draw.text((x, y), text, fill=_INK, font=font)
    return np.asarray(canvas, np.float32) / np.float32(255.0)
