"""The subject's own colour where the plate mixes it with the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.image import Image
from relume.matting.inputs import require_plate_size
from relume.matting.planes import planar

if TYPE_CHECKING:
    from torch import Tensor

F32 = NDArray[np.float32]

MARGIN = 8
"""Pixels beyond the matte in which the foreground is still valid (for blurs and resizes)."""

_SMALL = 32
"""A level at most this long is solved until it has settled, a larger one only touched up."""

_DENSE = 300
"""A level longer than this is touched up only at the soft edge and in the margin."""

_EPSILON = 1e-3
"""Weight between neighbours of equal alpha, where the matting equation leaves F and B free."""

_SEEN = 0.1
"""Alpha from which a known background leaves the foreground's colour beyond doubt."""

_TRUST = 0.02
"""What a neighbour's guess is worth against one that shows the colour unmixed."""


def estimate_foreground(plate: Image, matte: Image, clean_plate: Image | None = None) -> Image:
    """Return the straight foreground of a plate; see `estimate_layers`.

    Behind a known background B it is what the matting equation leaves, F = (I − (1 − α)B)/α, where
    alpha is at least 0.1; below that ever more of the smooth estimate, as noise grows by 1/α.

    Args:
        plate: R, G, B, scene-linear, unbounded, not multiplied by the matte.
        matte: A; values beyond 0 and 1 count as 0 and 1.
        clean_plate: R, G, B, the background in register with the plate, at its exposure; or None.

    Returns:
        R, G, B in the plate's windows: the plate where the matte is 1, a straight colour up to
        8 pixels beyond the matte, 0 elsewhere.

    Raises:
        UsageError: the two differ in size.
    """
    require_plate_size(matte, plate, "matte")
    alpha = matte.take("A")[:, :, 0]
    foreground, _ = estimate_layers(plate.rgb, alpha)
    if clean_plate is not None:
        require_plate_size(clean_plate, plate, "clean plate", "Reformat or align the clean plate")
        cover = np.clip(alpha, 0.0, 1.0)[..., None]
        rest = plate.rgb - cover * foreground - (1.0 - cover) * clean_plate.rgb
        foreground = foreground + rest * cover / np.maximum(cover, _SEEN) ** 2
    return plate.like(foreground, ("R", "G", "B"), alpha="none")


def estimate_layers(plate: F32, alpha: F32) -> tuple[F32, F32]:
    """Split a plate into straight foreground and background.

    Source: Germer et al. 2020, Fast Multi-Level Foreground Estimation, the cost function and its
    solution level by level: from coarse to fine, F and B of a pixel minimise, with neighbours j,
    (αF + βB − I)² + Σ_j w_j ((F − F_j)² + (B − B_j)²), β = 1 − α, w_j = ε + |α − α_j|.
    Deviations: w_j is further weighted by α_j² for F and β_j² for B, as a neighbour that shows a
    colour unmixed knows it best, which settles in a quarter of the rounds; all pixels move at
    once, in closed form around the neighbours' weighted means m, F = m_F + α r/(α² + β² + Σw),
    r = I − αm_F − βm_B, where no determinant can vanish; levels are averages; fine levels are
    solved only where the matte is soft and in the margin; the last step drops Σw, so that
    αF + βB is the plate; nothing is clamped to [0, 1].

    Args:
        plate: H×W×3 scene-linear, unbounded.
        alpha: H×W; values beyond 0 and 1 count as 0 and 1.

    Returns:
        Foreground and background, H×W×3 each. The foreground is 0 farther than 8 pixels from the
        matte; the background is the plate where alpha is 0 and a smooth guess behind the subject.
    """
    import torch

    with torch.inference_mode():
        picture = planar(plate)
        cover = planar(alpha[:, :, None]).clamp_(0, 1)
        if not bool((cover > 0).any()):
            return np.zeros_like(plate), np.array(plate, np.float32)
        layers = _finest(picture, cover).permute(0, 2, 3, 1).contiguous().numpy()
    return layers[0], layers[1]


def _halve(x: Tensor) -> Tensor:
    from torch.nn import functional as fn

    return fn.avg_pool2d(x, 2, ceil_mode=True)


def _double(x: Tensor, like: Tensor) -> Tensor:
    from torch.nn import functional as fn

    up = fn.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return up[:, :, : like.shape[2], : like.shape[3]].contiguous()


def _widen(mask: Tensor, radius: int) -> Tensor:
    """Return what lies within a square of the given radius of a boolean …×H×W mask."""
    reached = 0
    grown = mask
    while reached < radius:
        step = min(reached + 1, radius - reached)
        for axis in (-1, -2):
            size = grown.shape[axis]
            shift = min(step, size)
            wide = grown.clone()
            wide.narrow(axis, 0, size - shift).logical_or_(grown.narrow(axis, shift, size - shift))
            wide.narrow(axis, shift, size - shift).logical_or_(grown.narrow(axis, 0, size - shift))
            grown = wide
        reached += step
    return grown


def _finest(picture: Tensor, cover: Tensor) -> Tensor:
    """Return F and B at full size, 2×3×H×W."""
    import torch

    pyramid = [(picture, cover)]
    while max(pyramid[-1][1].shape[2:]) > 1:
        pyramid.append((_halve(pyramid[-1][0]), _halve(pyramid[-1][1])))
    layers = pyramid[-1][0].expand(2, 3, -1, -1)
    for level in range(max(len(pyramid) - 2, 0), -1, -1):
        image, alpha = pyramid[level]
        long = max(alpha.shape[2:])
        if level < len(pyramid) - 1:
            layers = _double(layers, alpha)
        if long <= _DENSE and level:
            layers = _relax(image, alpha, layers, 10 if long <= _SMALL else 4)
            continue
        inside, outside = alpha == 1, alpha == 0
        layers = torch.cat(
            (torch.where(inside, image, layers[:1]), torch.where(outside, image, layers[1:]))
        )
        near = _widen(~outside, -(-MARGIN // 2**level))
        _relax_at(image, alpha, layers, near & ~inside, 3, exact=level == 0)
    layers[:1].masked_fill_(~near, 0.0)
    return layers


def _relax(image: Tensor, alpha: Tensor, layers: Tensor, rounds: int) -> Tensor:
    """Move every pixel of a level towards its neighbours and the matting equation.

    Args:
        image: 1×3×H×W.
        alpha: 1×1×H×W.
        layers: F and B, 2×3×H×W.
        rounds: how often.
    """
    import torch
    from torch.nn import functional as fn

    down = (alpha[:, :, 1:] - alpha[:, :, :-1]).abs_() + _EPSILON
    across = (alpha[..., 1:] - alpha[..., :-1]).abs_() + _EPSILON
    tie = fn.pad(down, (0, 0, 1, 0)) + fn.pad(down, (0, 0, 0, 1))
    tie = tie + fn.pad(across, (1, 0)) + fn.pad(across, (0, 1))
    share = torch.cat((alpha, 1.0 - alpha))
    trust = share * share + _TRUST
    north, south = down * trust[:, :, :-1], down * trust[:, :, 1:]
    west, east = across * trust[..., :-1], across * trust[..., 1:]
    total = fn.pad(north, (0, 0, 1, 0)) + fn.pad(south, (0, 0, 0, 1))
    total = total + fn.pad(west, (1, 0)) + fn.pad(east, (0, 1))
    inverse = 1.0 / total
    gain = share / ((share * share).sum(0, keepdim=True) + tie)
    for _ in range(rounds):
        mean = torch.zeros_like(layers)
        mean[:, :, 1:] += north * layers[:, :, :-1]
        mean[:, :, :-1] += south * layers[:, :, 1:]
        mean[..., 1:] += west * layers[..., :-1]
        mean[..., :-1] += east * layers[..., 1:]
        mean *= inverse
        rest = image - (share * mean).sum(0, keepdim=True)
        layers = mean.add_(gain * rest)
    return layers


def _relax_at(
    image: Tensor, alpha: Tensor, layers: Tensor, where: Tensor, rounds: int, *, exact: bool
) -> None:
    """Do the same at chosen pixels only, in place; `exact` ends on the matting equation itself."""
    import torch

    height, width = alpha.shape[2:]
    index = torch.nonzero(where.view(-1)).view(-1)
    if not index.numel():
        return
    row, column = index // width, index % width
    neighbours = (
        torch.where(row > 0, index - width, index),
        torch.where(row < height - 1, index + width, index),
        torch.where(column > 0, index - 1, index),
        torch.where(column < width - 1, index + 1, index),
    )
    plane = alpha.view(-1)
    here = plane[index]
    share = torch.stack((here, 1.0 - here))[:, None]
    weights, total, tie = [], torch.zeros(2, 1, index.numel()), torch.zeros(index.numel())
    for j in neighbours:
        there = plane[j]
        slope = (here - there).abs_() + _EPSILON
        weight = slope * (torch.stack((there, 1.0 - there)) ** 2 + _TRUST)
        weights.append(weight[:, None])
        total += weights[-1]
        tie += slope
    free = (share * share).sum(0)
    values = image.view(3, -1)[:, index]
    flat = layers.view(2, 3, -1)
    for turn in range(rounds):
        mean = torch.zeros(2, 3, index.numel())
        for weight, j in zip(weights, neighbours, strict=True):
            mean += weight * flat[:, :, j]
        mean /= total
        rest = values - (share * mean).sum(0)
        rest /= free if exact and turn == rounds - 1 else free + tie
        flat[:, :, index] = mean.add_(share * rest)
