"""Closed-form mattes from a trimap: exact, and solved only where the trimap is unknown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError
from relume.image import DATA, Image
from relume.matting.closed_form_solver import Solution, System, solve
from relume.matting.crew import Crew
from relume.matting.inputs import require_plate_size
from relume.matting.planes import around
from relume.matting.trimap import certain

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

EPSILON = 1e-9
"""For colours of about [0, 1]. Levin's and pymatting's code has 1e-7, which is more than the
variance of dark hair: mattes of it come out better with less, and never worse."""

TOLERANCE = 1e-4
"""Estimated error, root mean square, at which a large system is left."""

_RANGE = 1e-10
"""Least regularisation, relative to a window's variance: float64 can no longer tell a colour line
from a plane where one pixel in it is a highlight of 100,000."""

_CHUNK = 8192
"""Windows worked through at a time, about: what they need fits a processor's cache."""

_AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]


@dataclass(frozen=True, slots=True, eq=False)
class TrimapResult:
    """A closed-form matte.

    Attributes:
        matte: A, 0 to 1, in the plate's windows.
        trimap: A, 0, 0.5 and 1.
        notice: what the user should know about the trimap, or empty.
    """

    matte: Image
    trimap: Image
    notice: str = ""


def closed_form_matte(
    plate: Image,
    trimap: Image,
    anchor: float = 0.0,
    epsilon: float = EPSILON,
    *,
    exact: bool = False,
    threads: int = 1,
) -> TrimapResult:
    """Pull a matte from a plate and a trimap; see `solve_alpha`.

    Args:
        plate: R, G, B, scene-linear, unbounded.
        trimap: A: below 0.05 background, above 0.95 foreground, unknown between.
        anchor: stops to add, so that `epsilon` means the same in every plate.
        epsilon: regularisation of the colour model.
        exact: as in `solve_alpha`.
        threads: how many to use; the bits are the same for any number.

    Returns:
        Matte and trimap in the plate's windows. Where the trimap says foreground or background
        the matte is exactly 1 or 0; without one of the two it is that everywhere.

    Raises:
        UsageError: the two differ in size, or all of the trimap is unknown.
    """
    require_plate_size(trimap, plate, "trimap")
    background, foreground = certain(trimap.take("A")[:, :, 0])
    unknown = ~(background | foreground)
    shown = np.where(unknown, np.float32(0.5), foreground.astype(np.float32))
    alpha, notice = foreground.astype(np.float32), ""
    if unknown.all():
        raise UsageError(
            "all of the trimap is unknown",
            way_out="Paint what is surely foreground white, and what is surely background black",
        )
    if not unknown.any():
        notice = (
            "the trimap has no unknown pixel, so the matte is the trimap; paint the soft edge grey"
        )
    elif not foreground.any():
        notice = (
            "the trimap has no foreground, so the matte is empty; paint the inside of the subject "
            "white"
        )
    elif not background.any():
        alpha[unknown] = 1.0
        notice = "the trimap has no background, so the matte is full; paint what is behind black"
    else:
        colour = plate.rgb.astype(np.float64) * 2.0**anchor
        alpha, solution = solve_alpha(
            colour, unknown, foreground, epsilon, exact=exact, threads=threads
        )
        if solution.doubt > TOLERANCE:
            notice = (
                f"the matte may be off by {solution.doubt:.1g} after {solution.rounds} rounds; "
                "set exact"
            )

    def image(pixels: F32) -> Image:
        return plate.like(pixels[:, :, None], ("A",), colour=DATA, alpha="none")

    return TrimapResult(image(alpha), image(shown), notice)


def solve_alpha(
    colour: F64,
    unknown: Mask,
    foreground: Mask,
    epsilon: float = EPSILON,
    *,
    exact: bool = False,
    tolerance: float = TOLERANCE,
    threads: int = 1,
) -> tuple[F32, Solution]:
    """Return the alpha that is closest to affine in the colours of every 3×3 window.

    Source: Levin, Lischinski and Weiss 2008, A Closed-Form Solution to Natural Image Matting,
    equations 5 and 12. The paper weighs known pixels by λ = 100; here they are eliminated, the
    limit of large λ, so that they are met exactly, as in pymatting's `estimate_alpha_cf`. Values
    are used in scene-linear, in which the matting equation holds whatever their size; compressed
    by a logarithm or gamma, colour lines bend, and mattes of hair come out worse.

    Args:
        colour: H×W×3 scene-linear, exposed to about [0, 1], unbounded.
        unknown: H×W, where alpha is wanted.
        foreground: H×W, where it is 1; it is 0 elsewhere.
        epsilon: regularisation of the colour model; larger is smoother.
        exact: solve to the last digits however many pixels are unknown, which takes several times
            as long and 3 KiB a pixel. Else more than 40,000 unknown pixels are solved to
            `tolerance`; then the level of a speck that shows through hair may be off, on which
            the colour model has next to no say.
        tolerance: estimated error, root mean square.
        threads: how many to use; the bits are the same for any number.

    Returns:
        Alpha, H×W, clipped to [0, 1] when it is solved; and how the solver did.
    """
    height, width = unknown.shape
    if not unknown.any():
        return foreground.astype(np.float32), Solution(np.zeros(0), 0, 0.0)
    # A window has three rows and columns; what is smaller continues beyond its edge.
    down, right = max(0, 3 - height), max(0, 3 - width)
    if down or right:
        edge = (0, down), (0, right)
        colour = np.pad(colour, (*edge, (0, 0)), mode="edge")
        unknown, foreground = np.pad(unknown, edge, "edge"), np.pad(foreground, edge, "edge")
        alpha, solution = solve_alpha(colour, unknown, foreground, epsilon)
        return alpha[:height, :width], solution
    # Windows reach two pixels beyond the unknown ones.
    crop = around(unknown, 2)
    assert crop is not None
    with Crew(threads) as crew:
        system = _system(colour[crop], unknown[crop], foreground[crop], epsilon, crew)
        solution = solve(system, tolerance, crew, exact)
    alpha = foreground.astype(np.float32)
    alpha[system.row + crop[0].start, system.column + crop[1].start] = np.clip(
        solution.values, 0.0, 1.0
    )
    return alpha, solution


def _system(colour: F64, unknown: Mask, foreground: Mask, epsilon: float, crew: Crew) -> System:
    """Return the equations of the unknown pixels, ordered in nine groups that share no window.

    Args:
        colour: H×W×3, at least 3×3.
        unknown: H×W.
        foreground: H×W.
        epsilon: regularisation.
        crew: who works on it.
    """
    from scipy import sparse

    # A frame of two pixels, so that no neighbour is out of bounds.
    frame = unknown.shape[0] + 4, unknown.shape[1] + 4
    stride = frame[1]
    pixels = np.flatnonzero(np.pad(unknown, 2))
    row, column = np.divmod(pixels, stride)
    group = row % 3 * 3 + column % 3
    order = np.argsort(group, kind="stable")
    pixels, row, column = pixels[order], row[order], column[order]
    count = len(pixels)
    index = np.full(frame[0] * stride, count, np.int32)
    index[pixels] = np.arange(count, dtype=np.int32)
    flat = np.pad(colour, ((2, 2), (2, 2), (0, 0))).reshape(-1, 3)
    known = np.pad(foreground, 2).ravel().astype(np.float64)
    half, right = _stencils(flat, known, index, _windows(unknown), stride, epsilon, crew)
    # A row holds 25 numbers, between the pixel and the 5×5 around it; 0 where none is unknown.
    to = np.empty((count, 25), np.int32)
    values = np.empty((count, 25))
    own = np.arange(count, dtype=np.int32)
    # Rounding must not cancel a pixel whose colour is so far out that its alpha is nearly free.
    to[:, 12], values[:, 12] = own, np.maximum(half[0, :count], 1e-12)
    for place in range(1, 13):
        down, across = divmod(place + 2, 5)
        step = down * stride + across - 2
        after, before = index[pixels + step], index[pixels - step]
        values[:, 12 + place] = np.where(after < count, half[place, :count], 0.0)
        values[:, 12 - place] = np.where(before < count, half[place, before], 0.0)
        to[:, 12 + place] = np.where(after < count, after, own)
        to[:, 12 - place] = np.where(before < count, before, own)
    pointer = np.arange(0, 25 * count + 1, 25, dtype=np.int32)
    matrix = sparse.csr_array((values.ravel(), to.ravel(), pointer), (count, count))
    matrix.eliminate_zeros()
    groups = np.concatenate(([0], np.cumsum(np.bincount(group, minlength=9))))
    return System(matrix, right, row - 2, column - 2, groups, flat[pixels])


def _windows(unknown: Mask) -> NDArray[np.int64]:
    """Return the centres of windows that hold an unknown pixel, in a frame two pixels wider."""
    rows = unknown[:-2] | unknown[1:-1] | unknown[2:]
    return np.flatnonzero(np.pad(rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:], 3))


def _stencils(
    colour: F64,
    known: F64,
    index: NDArray[np.int32],
    centres: NDArray[np.int64],
    stride: int,
    epsilon: float,
    crew: Crew,
) -> tuple[F64, F64]:
    """Sum the Laplacians of all windows.

    A window's is I − 1/9 − ZZᵀ with Z = (c − mean)·L⁻ᵀ, LLᵀ = Σ(c − mean)(c − mean)ᵀ + ε: the
    covariance of equation 12 factorised rather than inverted, which keeps its digits where colours
    lie on a line.

    Args:
        colour: P×3, of a picture of rows `stride` long.
        known: P, alpha where it is known, 0 elsewhere.
        index: P, number of each unknown pixel; where it is none, N.
        centres: of the windows, ascending.
        stride: length of a row.
        epsilon: regularisation.
        crew: who works on it.

    Returns:
        Between each unknown pixel and the 13 of a 5×5 from itself on, 13×N+1, the last of no
        meaning; and the right side, N.
    """
    count = int(index.max())
    half, right = np.zeros((13, count + 1)), np.zeros(count + 1)
    offsets = np.array([y * stride + x for y, x in _AROUND])[:, None]

    def add(windows: NDArray[np.int64]) -> None:
        places = windows + offsets
        # 3×9×windows: channel, place in the window, window.
        z = colour[places].transpose(2, 0, 1).copy()
        z -= z.mean(1, keepdims=True)
        _whiten(z[0], z[1], z[2], epsilon)
        at, marks = index[places], known[places]
        if marks.any():
            fit = (z * (z * marks).sum(1, keepdims=True)).sum(0)
            rest = marks - marks.mean(0) - fit
            for place in range(9):
                right[at[place]] -= rest[place]
        for i, (row, column) in enumerate(_AROUND):
            alike = z[0, i] * z[0, i:] + z[1, i] * z[1, i:] + z[2, i] * z[2, i:]
            alike += 1.0 / 9.0
            half[0, at[i]] += 1.0 - alike[0]
            for j, (down, across) in enumerate(_AROUND[i + 1 :], 1):
                half[(down - row) * 5 + across - column, at[i]] -= alike[j]

    # Strips of at least three rows: every other one shares no pixel, so that those can be added at
    # once, and every pixel's sum has the same order whoever adds it.
    row = centres // stride
    strip = max(3, int((row[-1] - row[0] + 1) * _CHUNK / len(centres)))
    cuts = np.searchsorted(row, np.arange(row[0] + strip, row[-1] + 1, strip))
    strips = np.split(centres, cuts)
    crew.each(add, strips[::2])
    crew.each(add, strips[1::2])
    return half, right[:count]


def _whiten(red: F64, green: F64, blue: F64, epsilon: float) -> None:
    """Multiply centred colours of windows, 9×windows each, by L⁻¹, in place."""
    rr, gg, bb = (red * red).sum(0), (green * green).sum(0), (blue * blue).sum(0)
    floor = np.maximum(epsilon, _RANGE * (rr + gg + bb))
    scale = np.sqrt(rr + floor)
    rg, rb = (red * green).sum(0) / scale, (red * blue).sum(0) / scale
    red /= scale
    scale = np.sqrt(gg + floor - rg * rg)
    gb = ((green * blue).sum(0) - rg * rb) / scale
    green -= rg * red
    green /= scale
    blue -= rb * red + gb * green
    blue /= np.sqrt(bb + floor - rb * rb - gb * gb)
