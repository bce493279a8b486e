"""The subject's own colour where the plate mixes it with the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError
from relume.image import Image

if TYPE_CHECKING:
    from torch import Tensor

F32 = NDArray[np.float32]

MARGIN = 8
"""Pixels beyond the matte in which the foreground is still valid (for blurs and resizes)."""

_SMALL = 32
"""A level at most this long is solved until it has settled, a larger one only touched up."""


def estimate_foreground(plate: Image, matte: Image) -> Image:
    """Return the straight foreground of a plate; see `estimate_layers`.

    Args:
        plate: R, G, B, scene-linear, unbounded, not multiplied by the matte.
        matte: A; values beyond 0 and 1 count as 0 and 1.

    Returns:
        R, G, B in the plate's windows: the plate where the matte is 1, a straight colour up to
        8 pixels beyond the matte, 0 elsewhere.

    Raises:
        UsageError: the two differ in size.
    """
    alpha = matte.take("A")[:, :, 0]
    if alpha.shape != plate.pixels.shape[:2]:
        raise UsageError(
            f"the matte is {alpha.shape[1]}×{alpha.shape[0]}, the plate "
            f"{plate.width}×{plate.height}",
            way_out="Reformat or crop one to the other",
        )
    foreground, _ = estimate_layers(plate.rgb, alpha)
    return plate.like(foreground, ("R", "G", "B"), alpha="none")


def estimate_layers(plate: F32, alpha: F32) -> tuple[F32, F32]:
    """Split a plate into straight foreground and background.

    Source: Germer et al. 2020, Fast Multi-Level Foreground Estimation, equations 2 to 5: from
    coarse to fine, F and B of a pixel minimise
    (αF + βB − I)² + Σ_j w_j ((F − F_j)² + (B − B_j)²), β = 1 − α, w_j = ε + |α − α_j|, over its four
    neighbours. Deviations: all pixels move at once, in closed form around the neighbours' weighted
    means m: F = m_F + α r/(α² + β² + Σw), r = I − αm_F − βm_B, which has no determinant that could
    vanish; levels are averages; the finest level is solved only where the matte is soft and in the
    margin; the last step drops Σw, so that αF + βB is the plate; nothing is clamped to [0, 1].

    Args:
        plate: H×W×3 scene-linear, unbounded.
        alpha: H×W; values beyond 0 and 1 count as 0 and 1.

    Returns:
        Foreground and background, H×W×3 each. The foreground is 0 farther than 8 pixels from the
        matte; the background is the plate where alpha is 0 and a smooth guess behind the subject.
    """
    import torch

    with torch.inference_mode():
        picture = torch.from_numpy(np.ascontiguousarray(plate)).permute(2, 0, 1).contiguous()[None]
        cover = torch.from_numpy(np.ascontiguousarray(alpha))[None, None].clamp(0.0, 1.0)
        if not bool((cover > 0).any()):
            return np.zeros_like(plate), np.array(plate, np.float32)
        layers = _finest(picture, cover)
        out = layers[0].permute(1, 2, 0).contiguous().numpy()
    return np.ascontiguousarray(out[:, :, :3]), np.ascontiguousarray(out[:, :, 3:])


def _halve(x: Tensor) -> Tensor:
    from torch.nn import functional as fn

    return fn.avg_pool2d(x, 2, ceil_mode=True)


def _double(x: Tensor, like: Tensor) -> Tensor:
    from torch.nn import functional as fn

    up = fn.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return up[:, :, : like.shape[2], : like.shape[3]]


def _finest(picture: Tensor, cover: Tensor) -> Tensor:
    """Return F and B at full size, 1×6×H×W."""
    import torch
    from torch.nn import functional as fn

    pyramid = [(picture, cover)]
    while max(pyramid[-1][1].shape[2:]) > 1:
        pyramid.append((_halve(pyramid[-1][0]), _halve(pyramid[-1][1])))
    top = pyramid.pop()
    layers = torch.cat((top[0], top[0]), 1)
    while len(pyramid) > 1:
        image, alpha = pyramid.pop()
        rounds = 10 if max(alpha.shape[2:]) <= _SMALL else 2
        layers = _relax(image, alpha, _double(layers, alpha), rounds)
    if pyramid:
        layers = _double(layers, cover)
    soft = (cover > 0) & (cover < 1)
    reach = 2 * MARGIN + 1
    near = fn.max_pool2d((cover > 0).float(), reach, 1, MARGIN) > 0
    _relax_at(picture, cover, layers, soft | (near & (cover == 0)), 2)
    zero, one = cover == 0, cover == 1
    foreground = torch.where(one, picture, layers[:, :3]).masked_fill_(~near, 0.0)
    background = torch.where(zero, picture, layers[:, 3:])
    return torch.cat((foreground, background), 1)


_EPSILON = 1e-3
"""Weight between neighbours of equal alpha, where the matting equation leaves F and B free."""


def _relax(image: Tensor, alpha: Tensor, layers: Tensor, rounds: int) -> Tensor:
    """Move every pixel of a level towards its neighbours and the matting equation."""
    import torch
    from torch.nn import functional as fn

    down = (alpha[:, :, 1:] - alpha[:, :, :-1]).abs_() + _EPSILON
    across = (alpha[..., 1:] - alpha[..., :-1]).abs_() + _EPSILON
    north, south = fn.pad(down, (0, 0, 1, 0)), fn.pad(down, (0, 0, 0, 1))
    west, east = fn.pad(across, (1, 0)), fn.pad(across, (0, 1))
    weight = north + south + west + east
    beta = 1.0 - alpha
    share = 1.0 / (alpha * alpha + beta * beta + weight)
    inverse = 1.0 / weight
    for _ in range(rounds):
        mean = torch.zeros_like(layers)
        mean[:, :, 1:] += north[:, :, 1:] * layers[:, :, :-1]
        mean[:, :, :-1] += south[:, :, :-1] * layers[:, :, 1:]
        mean[..., 1:] += west[..., 1:] * layers[..., :-1]
        mean[..., :-1] += east[..., :-1] * layers[..., 1:]
        mean *= inverse
        rest = (image - alpha * mean[:, :3] - beta * mean[:, 3:]) * share
        layers = mean
        layers[:, :3] += alpha * rest
        layers[:, 3:] += beta * rest
    return layers


def _relax_at(image: Tensor, alpha: Tensor, layers: Tensor, where: Tensor, rounds: int) -> None:
    """Do the same at chosen pixels only, in place, and end on the matting equation itself."""
    import torch

    height, width = alpha.shape[2:]
    index = torch.nonzero(where.view(-1)).view(-1)
    if not index.numel():
        return
    row, column = index // width, index % width
    neighbours = (
        (row.sub(1).clamp_(min=0)) * width + column,
        (row.add(1).clamp_(max=height - 1)) * width + column,
        row * width + column.sub(1).clamp_(min=0),
        row * width + column.add(1).clamp_(max=width - 1),
    )
    plane = alpha.view(-1)
    here = plane[index]
    weights = [(here - plane[j]).abs_() + _EPSILON for j in neighbours]
    weight = weights[0] + weights[1] + weights[2] + weights[3]
    beta = 1.0 - here
    free = here * here + beta * beta
    values = image.view(3, -1)[:, index]
    flat = layers.view(6, -1)
    for turn in range(rounds):
        mean = torch.zeros(6, index.numel())
        for part, j in zip(weights, neighbours, strict=True):
            mean += part * flat[:, j]
        mean /= weight
        rest = values - here * mean[:3] - beta * mean[3:]
        rest /= free if turn == rounds - 1 else free + weight
        mean[:3] += here * rest
        mean[3:] += beta * rest
        flat[:, index] = mean
