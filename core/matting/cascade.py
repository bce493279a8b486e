"""From the coarse pass to the plate, one octave at a time, where the matte is doubtful.

The training of the refiner walks the same octaves through the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
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
class Frame:
    """What every octave reads; planes may come at any size.

    Attributes:
        plate: N×3×H×W scene-linear, exposed, square pixels.
        hidden: N×C×h×w features of the coarse pass.
        clean: N×4×H×W clean plate and whether there is one, or None.
        marks: N×2×H×W certain foreground and unknown, or None.
    """

    plate: Tensor
    hidden: Tensor
    clean: Tensor | None = None
    marks: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Octave:
    """A size between the coarse pass and the plate.

    Attributes:
        size: its height and width.
        plate: N×3×H×W scene-linear, exposed.
        state: N×2×H×W matte so far and its expected error.
        hidden: N×C×H/2×W/2 features of the coarse pass.
        clean: N×4×H×W clean plate and whether there is one, or None.
        marks: N×2×H×W certain foreground and unknown, or None.
        nearby: N×6×H/4×W/4 foreground and background nearby, scene-linear.
    """

    size: tuple[int, int]
    plate: Tensor
    state: Tensor
    hidden: Tensor
    clean: Tensor | None
    marks: Tensor | None
    nearby: Tensor


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


def octave(size: tuple[int, int], frame: Frame, alpha: Tensor, error: Tensor) -> Octave:
    """Return what the refiner reads at a size.

    Args:
        size: height and width.
        frame: whose octave.
        alpha: N×1×H×W matte so far, of any size.
        error: N×1×H×W its expected error.
    """
    import torch
    from torch.nn import functional as fn

    from relume.networks.refiner import FAR, SPARSE, surroundings

    height, width = size
    beyond = (0, -width % (SPARSE * FAR), 0, -height % (SPARSE * FAR))

    def pooled(x: Tensor) -> Tensor:
        whole = fn.pad(x, beyond, mode="replicate") if any(beyond) else x
        return fn.avg_pool2d(whole, SPARSE)

    clean, marks = frame.clean, frame.marks
    plate, cover = resized(frame.plate, height, width), resized(alpha, height, width)
    if marks is not None:
        mark = drawn(marks, height, width)
        marks, cover = mark.marks, mark.over(cover)
    if clean is not None:
        clean = resized(clean, height, width)
    inside = fn.pad(torch.ones(1, 1, height, width, device=plate.device), beyond)
    return Octave(
        size=size,
        plate=plate,
        state=torch.cat((cover, resized(error, height, width)), 1),
        hidden=resized(frame.hidden, (height + 1) // 2, (width + 1) // 2),
        clean=clean,
        marks=marks,
        nearby=surroundings(pooled(plate), pooled(cover), fn.avg_pool2d(inside, SPARSE)),
    )


def doubtful(at: Octave) -> Tensor:
    """Return the tiles worth a look, M×3: picture, row and column in the absolute grid."""
    import torch
    from torch.nn import functional as fn

    from relume.networks.refiner import TILE

    alpha, error = at.state.chunk(2, 1)
    doubt = ((alpha > DOUBT[0]) & (alpha < DOUBT[1])) | (error > ERROR)
    # What a tile has beyond the border is not doubtful.
    return torch.nonzero(fn.max_pool2d(doubt.float(), TILE, ceil_mode=True)[:, 0])


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
    """Return what lies in and around tiles, M×C×side×side; the border's pixels go on beyond it.

    Args:
        x: N×C×H×W.
        tiles: M×3 picture, row and column of a grid of `step` pixels.
        side: of the windows, whose middles are the tiles'.
        step: side of a tile; None for the refiner's.
    """
    import torch

    from relume.networks.refiner import TILE

    step = step or TILE
    reach = torch.arange(side, device=x.device) - (side - step) // 2
    tiles = tiles.to(x.device)
    rows = (tiles[:, 1, None] * step + reach).clamp(0, x.shape[2] - 1)
    columns = (tiles[:, 2, None] * step + reach).clamp(0, x.shape[3] - 1)
    found = x[tiles[:, 0, None, None], :, rows[:, :, None], columns[:, None]]
    # Channels lie innermost, as convolutions like them.
    return found.permute(0, 3, 1, 2)


def refine_octave(model: Any, at: Octave, tiles: Tensor) -> Tensor:
    """Return matte and expected error after the refiner, N×2×H×W.

    Args:
        model: a `relume.networks.matte.MatteNet`.
        at: the octave.
        tiles: M×3 tiles to refine; the others stay.
    """
    import torch
    from torch.nn import functional as fn

    from relume.networks.refiner import TILE

    height, width = at.size
    out = fn.pad(at.state, (0, -width % TILE, 0, -height % TILE)).clone()
    count, channels, rows, columns = out.shape
    grid = out.view(count, channels, rows // TILE, TILE, columns // TILE, TILE)
    grid = grid.permute(0, 2, 4, 1, 3, 5)
    device = next(model.parameters()).device
    for start in range(0, len(tiles), BATCH):
        part = tiles[start : start + BATCH]
        spare = BATCH - len(part)
        read = (
            torch.cat((x, x.new_zeros(spare, *x.shape[1:])))
            .to(device)
            .contiguous(memory_format=torch.channels_last)
            for x in cut(at, part)
        )
        fine = torch.sigmoid(torch.cat(model.refiner(*read), 1).float()).to(out.device)
        grid[part[:, 0], part[:, 1], part[:, 2]] = fine[: len(part)]
    return out[:, :, :height, :width]


def octaves(
    frame: Frame, alpha: Tensor, error: Tensor, refine: Callable[[Octave, Tensor], Tensor]
) -> Iterator[tuple[Octave, Tensor]]:
    """Yield each octave and its doubtful tiles, M×3 picture, row and column; the plate's last.

    Args:
        frame: what to refine.
        alpha: N×1×h×w matte of the coarse pass.
        error: N×1×h×w its expected error.
        refine: what goes on to the next octave; it answers as `refine_octave`.
    """
    height, width = frame.plate.shape[2:]
    steps = sizes((height, width), (alpha.shape[2], alpha.shape[3]))
    for size in steps:
        at = octave(size, frame, alpha, error)
        tiles = doubtful(at)
        yield at, tiles
        if size != steps[-1]:
            alpha, error = refine(at, tiles).chunk(2, 1)


def refine_all(model: Any, frame: Frame, alpha: Tensor, error: Tensor) -> Tensor:
    """Return the matte at the plate's size, N×1×H×W.

    Args:
        model: a `relume.networks.matte.MatteNet`.
        frame: what to refine.
        alpha: N×1×h×w matte of the coarse pass.
        error: N×1×h×w its expected error.
    """
    refine = partial(refine_octave, model)
    # One octave is held at a time: they are large.
    for at, tiles in octaves(frame, alpha, error, refine):
        last = at, tiles
    return refine(*last)[:, :1]
