"""From the coarse pass to the plate, one octave at a time, where the matte is doubtful.

The training of the refiner walks the same octaves through the same functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relume.matting.planes import drawn, resized

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 32
"""Tiles refined at once. Fixed, and the last batch padded, so that a tile's arithmetic does not
depend on how many others there are."""

DOUBT = (0.02, 0.98)
ERROR = 0.05
"""A tile is refined where alpha lies between the two doubts or the expected error exceeds this."""

NEXT = 1.25
"""How many times larger than the coarse pass the first octave is at least, if the plate is."""


@dataclass(frozen=True, slots=True, eq=False)
class Octave:
    """A size between the coarse pass and the plate, all with the refiner's halo around it.

    Attributes:
        size: its height and width, without halo and padding.
        plate: N×3×H×W scene-linear, exposed.
        state: N×2×H×W matte so far and its expected error.
        nearby: N×6×H/4×W/4 foreground and background nearby, scene-linear, with one more around.
        hidden: N×C×H/2×W/2 features of the coarse pass.
        clean: N×4×H×W clean plate and whether there is one, or None.
        marks: N×2×H×W certain foreground and unknown, or None.
    """

    size: tuple[int, int]
    plate: Tensor
    state: Tensor
    nearby: Tensor
    hidden: Tensor
    clean: Tensor | None
    marks: Tensor | None


def sizes(full: tuple[int, int], coarse: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the heights and widths of the octaves, the plate's own last.

    Args:
        full: of the plate, square pixels.
        coarse: of the coarse pass.
    """
    found = [full]
    while max(found[0]) / 2 >= NEXT * max(coarse):
        height, width = found[0]
        found.insert(0, ((height + 1) // 2, (width + 1) // 2))
    return found


def octave(
    size: tuple[int, int],
    plate: Tensor,
    alpha: Tensor,
    error: Tensor,
    hidden: Tensor,
    clean: Tensor | None = None,
    marks: Tensor | None = None,
) -> Octave:
    """Return what the refiner reads at a size; the arguments come at any other.

    Args:
        size: height and width.
        plate: N×3×H×W scene-linear, exposed.
        alpha: N×1×H×W matte so far.
        error: N×1×H×W its expected error.
        hidden: N×C×H×W features of the coarse pass.
        clean: N×4×H×W clean plate and whether there is one, or None.
        marks: N×2×H×W certain foreground and unknown, or None.
    """
    import torch
    from torch.nn import functional as fn

    from relume.networks.refiner import HALO, SPARSE, TILE, surroundings

    height, width = size
    bottom, right = -height % TILE, -width % TILE
    far = (0, right, 0, bottom)

    def whole(x: Tensor) -> Tensor:
        return fn.pad(x, far, mode="replicate")

    def ready(x: Tensor) -> Tensor:
        return fn.pad(x, (HALO, HALO + right, HALO, HALO + bottom), mode="replicate")

    near, cover = resized(plate, height, width), resized(alpha, height, width)
    if marks is not None:
        sure, clear = drawn(marks, height, width)
        marks = ready(torch.cat((sure, 1.0 - sure - clear), 1))
        # What is drawn is there.
        cover = torch.maximum(cover, sure) * (1.0 - clear)
    edges = fn.pad(torch.ones(1, 1, height, width, device=near.device), far)
    nearby = surroundings(whole(near), whole(cover), edges)
    half = resized(hidden, (height + 1) // 2, (width + 1) // 2)
    rows = (height + bottom) // 2 - half.shape[2]
    columns = (width + right) // 2 - half.shape[3]
    edge = HALO // 2
    return Octave(
        size=size,
        plate=ready(near),
        state=ready(torch.cat((cover, resized(error, height, width)), 1)),
        nearby=fn.pad(nearby, (HALO // SPARSE + 1,) * 4, mode="replicate"),
        hidden=fn.pad(half, (edge, edge + columns, edge, edge + rows), mode="replicate"),
        clean=None if clean is None else ready(resized(clean, height, width)),
        marks=marks,
    )


def doubtful(at: Octave) -> Tensor:
    """Return the tiles worth a look, M×3: picture, row and column in the absolute grid."""
    import torch
    from torch.nn import functional as fn

    from relume.networks.refiner import HALO, TILE

    alpha, error = at.state[:, :, HALO:-HALO, HALO:-HALO].chunk(2, 1)
    doubt = ((alpha > DOUBT[0]) & (alpha < DOUBT[1])) | (error > ERROR)
    return torch.nonzero(fn.max_pool2d(doubt.float(), TILE)[:, 0])


def cut(at: Octave, tiles: Tensor) -> tuple[Tensor, Tensor]:
    """Return tiles as the refiner reads them: its planes M×18×S×S and features M×C×S/2×S/2.

    Args:
        at: the octave.
        tiles: M×3 picture, row and column.
    """
    from relume.networks.refiner import HALO, SPARSE, TILE, enlarged, readings

    side = TILE + 2 * HALO
    plate, state = windows(at.plate, tiles, side), windows(at.state, tiles, side)
    nearby = enlarged(windows(at.nearby, tiles, side // SPARSE + 2, TILE // SPARSE))
    full = readings(
        plate,
        state[:, :1],
        state[:, 1:],
        nearby[:, :3],
        nearby[:, 3:],
        None if at.clean is None else windows(at.clean, tiles, side),
        None if at.marks is None else windows(at.marks, tiles, side),
    )
    return full, windows(at.hidden, tiles, side // 2, TILE // 2)


def windows(x: Tensor, tiles: Tensor, side: int, step: int | None = None) -> Tensor:
    """Return windows of N×C×H×W at tiles M×3 of a grid of `step` pixels, M×C×side×side."""
    from relume.networks.refiner import TILE

    step = step or TILE
    found = x.unfold(2, side, step).unfold(3, side, step)
    return found[tiles[:, 0], :, tiles[:, 1], tiles[:, 2]]


def refine_octave(model: Any, at: Octave, tiles: Tensor) -> Tensor:
    """Return matte and expected error after the refiner, N×2×H×W without halo and padding.

    Args:
        model: a `relume.networks.matte.MatteNet`.
        at: the octave.
        tiles: M×3 tiles to refine; the others stay.
    """
    import torch

    from relume.networks.refiner import HALO, TILE

    out = at.state[:, :, HALO:-HALO, HALO:-HALO].clone(memory_format=torch.contiguous_format)
    count, channels, rows, columns = out.shape
    grid = out.view(count, channels, rows // TILE, TILE, columns // TILE, TILE)
    grid = grid.permute(0, 2, 4, 1, 3, 5)
    device = next(model.parameters()).device
    for start in range(0, len(tiles), BATCH):
        part = tiles[start : start + BATCH]
        spare = BATCH - len(part)
        full, hidden = (
            torch.cat((x, x.new_zeros(spare, *x.shape[1:])))
            .to(device)
            .contiguous(memory_format=torch.channels_last)
            for x in cut(at, part)
        )
        fine = torch.sigmoid(torch.cat(model.refiner(full, hidden), 1).float()).to(out.device)
        grid[part[:, 0], part[:, 1], part[:, 2]] = fine[: len(part)]
    height, width = at.size
    return out[:, :, :height, :width]


def refine_all(
    model: Any,
    plate: Tensor,
    alpha: Tensor,
    error: Tensor,
    hidden: Tensor,
    clean: Tensor | None = None,
    marks: Tensor | None = None,
) -> Tensor:
    """Return the matte at the plate's size, N×1×H×W.

    Args:
        model: a `relume.networks.matte.MatteNet`.
        plate: N×3×H×W scene-linear, exposed, square pixels.
        alpha: N×1×h×w matte of the coarse pass.
        error: N×1×h×w its expected error.
        hidden: N×C×h/2×w/2 its features.
        clean: N×4×H×W clean plate and whether there is one, or None.
        marks: N×2×H×W certain foreground and unknown, or None.
    """
    for size in sizes((plate.shape[2], plate.shape[3]), (alpha.shape[2], alpha.shape[3])):
        at = octave(size, plate, alpha, error, hidden, clean, marks)
        alpha, error = refine_octave(model, at, doubtful(at)).chunk(2, 1)
    return alpha
