"""Faults of a coarse matte, so that the refiner learns to distrust one.

The people it learns from are those that the coarse pass has learnt by heart; of others, that pass
takes whole locks for background and the gaps between them for hair.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from relume.networks.matte import Seen
from relume.training.matte_backgrounds import Rng, noise_field


def faulty(seen: Seen, rng: Rng) -> Seen:
    """Return a coarse pass's answers with mistakes near the edges of most pictures.

    Half of the pictures know of them: there the expected error grows by what they change.
    """
    pairs = [_spoilt(seen.alpha[k], seen.error[k], rng) for k in range(len(seen.alpha))]
    alpha, error = (torch.stack(planes) for planes in zip(*pairs, strict=True))
    return seen._replace(alpha=alpha, error=error)


def _spoilt(alpha: Tensor, error: Tensor, rng: Rng) -> tuple[Tensor, Tensor]:
    """Return 1×H×W alpha and error of one picture."""
    if rng.random() < 0.25:
        return alpha, error
    wrong = alpha[None]
    for chance, fault in ((0.7, _moved), (0.5, _thicker), (0.4, _torn), (0.3, _blurred)):
        if rng.random() < chance:
            wrong = fault(wrong, rng)
    if rng.random() < 0.5:
        error = torch.maximum(error, (wrong[0] - alpha).abs())
    return wrong[0], error


def _moved(alpha: Tensor, rng: Rng) -> Tensor:
    """Move the matte about by a pixel or two, differently here and there."""
    height, width = alpha.shape[2:]
    reach = float(rng.uniform(0.3, 2.0))
    away = torch.stack([noise_field(rng, height, width, octaves=3, first=4) for _ in range(2)], -1)
    still = fn.affine_grid(torch.eye(2, 3)[None], [1, 1, height, width], align_corners=False)
    step = torch.tensor([2.0 * reach / width, 2.0 * reach / height])
    grid = (still + away * step).to(alpha)
    return fn.grid_sample(alpha, grid, padding_mode="border", align_corners=False)


def _thicker(alpha: Tensor, rng: Rng) -> Tensor:
    """Widen the matte in some places and narrow it in others."""
    size = int(rng.choice([3, 5]))
    grown = fn.max_pool2d(alpha, size, 1, size // 2)
    shrunk = -fn.max_pool2d(-alpha, size, 1, size // 2)
    where = _field(alpha, rng, octaves=2)
    return torch.where(where > 0.5, grown, torch.where(where < -0.5, shrunk, alpha))


def _torn(alpha: Tensor, rng: Rng) -> Tensor:
    """Fill or empty patches near the edge."""
    edge = fn.max_pool2d((alpha * (1.0 - alpha) > 0.05).to(alpha), 9, 1, 4)
    patch = torch.sigmoid(8.0 * (_field(alpha, rng, octaves=3, first=8) - 1.2)) * edge
    return torch.lerp(alpha, torch.full_like(alpha, float(rng.random() < 0.5)), patch)


def _blurred(alpha: Tensor, rng: Rng) -> Tensor:
    size = int(rng.choice([3, 5]))
    return fn.avg_pool2d(alpha, size, 1, size // 2, count_include_pad=False)


def _field(alpha: Tensor, rng: Rng, *, octaves: int, first: int = 4) -> Tensor:
    """Return 1×1×H×W noise."""
    height, width = alpha.shape[2:]
    return noise_field(rng, height, width, octaves=octaves, first=first).to(alpha)[None, None]
