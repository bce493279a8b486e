"""Bring a clean plate into register with the plate: moves of the camera, parallax, drift of light.

Everything is estimated directly on the pictures, coarse to fine, by robust least squares: what the
clean plate cannot explain – the subject, its shadow – is given no weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import block_array, block_diag, eye_array
from scipy.sparse.linalg import spsolve

from relume.encoding import encode
from relume.errors import UsageError
from relume.exposure import LUMINANCE
from relume.image import Image
from relume.matting.match import explained, match_clean_plate
from relume.matting.planes import planar
from relume.matting.robust import F64, biweight, shrink
from relume.matting.warp import Warp, basis, coordinates, stiffness

if TYPE_CHECKING:
    from torch import Tensor

WORK = 640
"""Long side at which the move of the camera is estimated."""

_FOLLOW = 320
"""Long side at which the motion of a subject is estimated."""

_ROUNDS = 8

_BELIEVED = (0.97, 0.002)
"""A move is believed if the cost of what it leaves unexplained falls to this share, and by more
than this: noise can always be explained a little better."""

_SURELY, _MAYBE = 0.9, 0.3
"""Alpha of a rough matte above which the subject is there, and may be."""

_FARTHEST = 0.3
"""Of half the long side: the largest shift that is looked for."""

_SMALLEST = 16
"""Pixels: in less there is nothing to hold a move on to."""

_MESH = 10
"""Cells of the mesh along the long side, for parallax."""

STILL = np.zeros((8, 0))
SIMILAR = np.zeros((8, 4))
SIMILAR[[0, 4], 0] = 1.0
SIMILAR[[1, 3], 1] = -1.0, 1.0
SIMILAR[2, 2] = SIMILAR[5, 3] = 1.0
PROJECTIVE = np.eye(8)
"""Which of a homography's eight numbers are free: none, turn, scale and shift, or all."""


@dataclass(frozen=True, slots=True)
class _Bend:
    """How a mesh is fitted.

    Attributes:
        stiff: resistance to bending, beside what the pictures ask for.
        rounds: of the fit.
        believed: as `_BELIEVED`.
    """

    stiff: float
    rounds: int
    believed: tuple[float, float]


_BEHIND = _Bend(0.02, 6, (0.94, 0.0004))
"""Of a background: texture that is off by a fraction of a pixel costs little, and shows. A mesh
that follows a subject left in the fit saves some 5 %, parallax of a pixel at 1080p over 15 %."""

_SUBJECT = _Bend(1.0, 4, _BELIEVED)
"""Of a subject, which may show little to hold on to."""


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """A clean plate in register with a plate.

    Attributes:
        clean_plate: R, G, B in the plate's windows, at its exposure.
        explained: share of the background, 0 to 1, that it shows as well as noise allows.
        moved: mean displacement in pixels of the plate.
        gain: mean gain on R, G, B.
    """

    clean_plate: Image
    explained: float
    moved: float
    gain: tuple[float, float, float]


def align_clean_plate(
    plate: Image,
    clean_plate: Image,
    anchor: float,
    *,
    subject: Image | None = None,
    moving: bool = True,
    mesh: bool = True,
    match: bool = True,
) -> Aligned:
    """Return a clean plate as the camera of the plate would have seen it.

    Source: Baker and Matthews 2004, Lucas-Kanade 20 Years On, section 3 (Gauss-Newton on a warp,
    here a homography with gain and bias in the networks' encoding); Tukey's biweight for what the
    clean plate does not show; Kuglin and Hines 1975 for the first guess of a large move.

    Args:
        plate: R, G, B, scene-linear, unbounded.
        clean_plate: the same view without the subject, of the same size.
        anchor: stops to add before pictures are compared.
        subject: a rough matte, A; what it covers is not compared.
        moving: whether the camera may have moved; a homography of the whole picture.
        mesh: whether to go on with small local moves, as parallax makes them.
        match: whether to fit gain and bias per channel, and a smooth field of gains.

    Raises:
        UsageError: the clean plate differs from the plate in size.
    """
    if clean_plate.pixels.shape[:2] != plate.pixels.shape[:2]:
        raise UsageError(
            f"the clean plate is {clean_plate.width}×{clean_plate.height}, the plate "
            f"{plate.width}×{plate.height}",
            way_out="Reformat the clean plate, or wire one of the same shot",
        )
    import torch

    with torch.inference_mode():
        # A rough matte may take some background for the subject. Left out of the fit it would drag
        # the mesh along; a bit of the subject left in only counts for nothing.
        open_ = _seen(plate, subject, _SURELY)
        pair = _Pair(_grey(plate, anchor), _grey(clean_plate, anchor), shrink(open_, WORK))
        warp = Warp.still(plate.height, plate.width)
        if moving and min(pair.shape) >= _SMALLEST:
            warp = _homography(pair, warp)
            if mesh:
                warp = _meshed(pair, warp, _BEHIND)
        moved = warp.distance(plate.height, plate.width)
        pixels = clean_plate.rgb
        if moved > 0.05:
            # Less than that costs sharpness and gains nothing.
            pixels = warp.apply(planar(pixels), "bicubic")[0].permute(1, 2, 0).numpy()
        gain, seen = np.ones(3), _seen(plate, subject, _MAYBE)
        if match:
            pixels, gain = match_clean_plate(plate.rgb, pixels, anchor, seen)
    return Aligned(
        clean_plate=plate.like(np.ascontiguousarray(pixels), ("R", "G", "B"), alpha="none"),
        explained=explained(plate.rgb, pixels, anchor, seen),
        moved=moved if moved > 0.05 else 0.0,
        gain=(float(gain[0]), float(gain[1]), float(gain[2])),
    )


def follower(plate: Image, anchor: float, where: NDArray[np.bool_]) -> Callable[[Image], Warp]:
    """Return what finds a part of a plate in other pictures of the same size, as a warp.

    Args:
        plate: R, G, B, scene-linear.
        anchor: stops to add before pictures are compared.
        where: H×W, the part whose motion is wanted.
    """
    import torch

    with torch.inference_mode():
        part = shrink(planar(where[..., None].astype(np.float32)), WORK)
        target = _grey(plate, anchor)

    def find(other: Image) -> Warp:
        with torch.inference_mode():
            pair = _Pair(target, _grey(other, anchor), part).at(_FOLLOW)
            warp = Warp.still(plate.height, plate.width)
            if min(pair.shape) < _SMALLEST or float(pair.seen.sum()) < _SMALLEST**2:
                return warp
            return _meshed(pair, _homography(pair, warp), _SUBJECT)

    return find


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two pictures to compare, and how much each pixel may count, 1×1×h×w each."""

    target: Tensor
    source: Tensor
    seen: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.target.shape[2:]
        return height, width

    def at(self, long: int) -> _Pair:
        """Return the pair made smaller."""
        return _Pair(*(shrink(each, long) for each in (self.target, self.source, self.seen)))


def _grey(image: Image, anchor: float) -> Tensor:
    """Return 1×1×h×w encoded luminance at the working size, freed of the finest noise."""
    from torch.nn import functional as fn

    luminance = (image.rgb @ np.array(LUMINANCE, np.float32))[..., None] * np.float32(2.0**anchor)
    grey = encode(shrink(planar(luminance), WORK))
    # Twice a box of 3 is near a Gaussian of 1.2 pixels; slopes of noise would hold the fit back.
    for _ in range(2):
        grey = fn.avg_pool2d(fn.pad(grey, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return grey


def _seen(plate: Image, subject: Image | None, least: float) -> Tensor:
    """Return 1×1×H×W: 0 near where the subject's alpha exceeds `least`, 1 elsewhere."""
    import torch

    if subject is None:
        return torch.ones(1, 1, plate.height, plate.width)
    wide = max(1, round(0.01 * max(plate.height, plate.width)))
    covered = ndimage.maximum_filter(subject.take("A")[:, :, 0] > least, 2 * wide + 1)
    return 1.0 - planar(covered[..., None].astype(np.float32))


def _homography(pair: _Pair, warp: Warp) -> Warp:
    """Fit a homography, from a small picture to the working size."""
    long = max(pair.shape)
    sides = [side for side in (80, 160, 320) if side < long]
    small = pair.at(sides[0] if sides else long)
    found, least = _fit(small, warp, SIMILAR)
    shifted = replace(warp, matrix=_shifted(small, warp))
    if np.abs(shifted.matrix[:2, 2]).max() < _FARTHEST:
        other, cost = _fit(small, shifted, SIMILAR)
        if _believed(cost, least):
            found = other
    for side in sides[1:]:
        found, _ = _fit(pair.at(side), found, SIMILAR)
    found, cost = _fit(pair, found, PROJECTIVE)
    # On a plain wall any move is as good as none.
    _, unmoved = _fit(pair, warp, STILL)
    return found if _believed(cost, unmoved) else warp


def _believed(cost: float, before: float, fall: tuple[float, float] = _BELIEVED) -> bool:
    share, least = fall
    return cost < min(share * before, before - least)


def _shifted(pair: _Pair, warp: Warp) -> F64:
    """Return the shift that phase correlation finds, as a matrix."""
    a, b = (each[0, 0].numpy().astype(np.float64) for each in (pair.target, pair.source))
    height, width = a.shape
    window = np.hanning(height)[:, None] * np.hanning(width)[None]
    a, b = ((each - each.mean()) * window for each in (a, b))
    cross = np.fft.rfft2(b) * np.conj(np.fft.rfft2(a))
    peak = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=a.shape)
    y, x = np.unravel_index(int(np.argmax(peak)), a.shape)
    dy, dx = (y + height // 2) % height - height // 2, (x + width // 2) % width - width // 2
    matrix = np.eye(3)
    matrix[:2, 2] = 2.0 * dx / width * warp.aspect[1], 2.0 * dy / height * warp.aspect[0]
    return matrix


def _slopes(picture: F64, aspect: tuple[float, float]) -> tuple[F64, F64]:
    """Return derivatives by x and y in the warp's units."""
    height, width = picture.shape
    down, across = np.gradient(picture)
    return (across * (width / 2 / aspect[1])).ravel(), (down * (height / 2 / aspect[0])).ravel()


def _fit(pair: _Pair, warp: Warp, free: F64) -> tuple[Warp, float]:
    """Return the homography near `warp` that fits best, and its cost.

    Args:
        pair: at the size to work at.
        warp: to begin with.
        free: 8×K, which of its numbers may change, and how together.
    """
    goal = pair.target[0, 0].numpy().astype(np.float64)
    may = pair.seen[0, 0].numpy().astype(np.float64).ravel()
    x, y = (at.ravel() for at in np.moveaxis(coordinates(*pair.shape, warp.aspect), -1, 0))
    gain, bias = 1.0, 0.0
    best, least = warp, np.inf
    for _ in range(_ROUNDS):
        seen = warp.apply(pair.source)[0, 0].numpy().astype(np.float64)
        residual = (goal - gain * seen - bias).ravel()
        # What lies beyond the clean plate is not explained by its replicated border.
        residual[warp.outside(*pair.shape).ravel()] = np.inf
        weight, cost = biweight(residual, may)
        if cost < least - 1e-7:
            best, least = warp, cost
        right, down = (gain * slope for slope in _slopes(seen, warp.aspect))
        # Slopes of the picture as seen are those by the plate's own coordinates: the step is taken
        # there and the warp applied after it.
        along = right * x + down * y
        moves = (right * x, right * y, right, down * x, down * y, down, -along * x, -along * y)
        light = np.stack((seen.ravel(), np.ones_like(x)), 1)
        jacobian = np.concatenate((np.stack(moves, 1) @ free, light), 1)
        weighted = jacobian * weight[:, None]
        normal = jacobian.T @ weighted
        force = weighted.T @ np.where(weight > 0, residual, 0.0)
        # A little towards no change, which decides where the picture has nothing to hold on to.
        prior = 1e-3 * max(float(weight.sum()), 1e-9)
        normal[np.diag_indices(len(normal))] += prior
        drift = free.T @ (warp.matrix - np.eye(3)).ravel()[:8]
        step = np.linalg.solve(normal, force - prior * np.append(drift, (gain - 1.0, bias)))
        change = free @ step[:-2]
        matrix = warp.matrix @ (np.eye(3) + np.append(change, 0.0).reshape(3, 3))
        warp = replace(warp, matrix=matrix / matrix[2, 2])
        gain, bias = gain + float(step[-2]), bias + float(step[-1])
        if np.abs(step).max(initial=0.0) < 0.01 / max(pair.shape):
            break
    return best, least


def _meshed(pair: _Pair, warp: Warp, bend: _Bend) -> Warp:
    """Add small local moves where they explain more than the homography does."""
    rows, columns = (max(3, round(_MESH * side) + 1) for side in warp.aspect)
    weights = basis(*pair.shape, rows, columns)
    resistance = bend.stiff * (stiffness(rows, columns) + 0.02 * eye_array(rows * columns))
    goal = pair.target[0, 0].numpy().astype(np.float64)
    may = pair.seen[0, 0].numpy().astype(np.float64).ravel()
    moves = np.zeros((rows * columns, 2))
    best = warp
    costs: list[float] = []
    for _ in range(bend.rounds):
        now = replace(warp, mesh=moves.reshape(rows, columns, 2))
        seen = now.apply(pair.source)[0, 0].numpy().astype(np.float64)
        residual = (goal - seen).ravel()
        residual -= np.median(residual[may > 0.5]) if (may > 0.5).any() else 0.0
        weight, cost = biweight(residual, may)
        if costs and cost < min(costs):
            best = now
        costs.append(cost)
        slopes = _slopes(seen, warp.aspect)
        blocks = [
            [weights.T @ (weights * (weight * a * b)[:, None]) for b in slopes] for a in slopes
        ]
        pull = [weights.T @ (weight * slope * residual) for slope in slopes]
        scale = float(blocks[0][0].trace() + blocks[1][1].trace()) / (2 * rows * columns)
        if scale <= 0.0:
            # Nothing that both pictures show: no move can be told from another.
            break
        held = scale * resistance
        system = block_array(blocks) + block_diag([held, held])
        force = np.concatenate(pull) - (held @ moves).T.ravel()
        moves = moves + spsolve(system.tocsc(), force).reshape(2, -1).T
    return best if _believed(min(costs), costs[0], bend.believed) else warp
