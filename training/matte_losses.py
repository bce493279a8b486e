"""What the matting network is asked to be good at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from relume.networks.matte import BACKGROUND, FOREGROUND, UNKNOWN, Coarse


def trimap_classes(alpha: Tensor, margin: int = 2) -> Tensor:
    """Return the class of every pixel, N×H×W int64: unknown is whatever is soft, and a margin.

    Args:
        alpha: N×1×H×W truth.
        margin: pixels around soft or changing alpha that are unknown too.
    """
    size = 2 * margin + 1
    low = -fn.max_pool2d(-alpha, size, 1, margin)
    high = fn.max_pool2d(alpha, size, 1, margin)
    classes = torch.full_like(alpha, UNKNOWN, dtype=torch.int64)
    classes[low > 0.95] = FOREGROUND
    classes[high < 0.05] = BACKGROUND
    return classes[:, 0]


def laplacian_pyramid(difference: Tensor, levels: int = 4) -> Tensor:
    """Return the mean absolute Laplacian bands of a difference, coarse ones weighing more.

    Source: Hou and Liu 2019, Context-Aware Image Matting, weights 2^l over the number of levels;
    the pyramid is linear, so the difference is taken first.
    """
    taps = difference.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (taps[:, None] * taps[None])[None, None]
    total = difference.new_zeros(())
    # What is left of a difference after its mean around would mostly be rounding in half precision.
    with torch.autocast(difference.device.type, enabled=False):
        for level in range(levels):
            low = fn.conv2d(fn.pad(difference, (2, 2, 2, 2), mode="replicate"), kernel)
            total = total + (difference - low).abs().mean() * 2**level / levels
            difference = low[:, :, ::2, ::2]
    return total


def gradient(difference: Tensor) -> Tensor:
    """Return the mean absolute forward differences of a difference of mattes."""
    across = difference[..., 1:] - difference[..., :-1]
    down = difference[..., 1:, :] - difference[..., :-1, :]
    return across.abs().mean() + down.abs().mean()


def matte_loss(
    alpha: Tensor, truth: Tensor, contrast: Tensor, unknown: Tensor
) -> tuple[Tensor, dict[str, float | Tensor]]:
    """Return the sum of the losses of a matte and its mean absolute difference.

    Args:
        alpha: N×1×H×W, 0 to 1.
        truth: the same.
        contrast: N×1×H×W, how much foreground and background differ there.
        unknown: N×1×H×W, 1 where the matte is soft; counts three times.
    """
    difference = alpha - truth
    size = difference.abs()
    level = (size * (1 + 2 * unknown)).mean()
    shown = (size * contrast).mean()
    detail = laplacian_pyramid(difference) + gradient(difference)
    # Detail at full weight asks for a timid matte: what is sharp and wrong costs four times over.
    return level + 0.5 * detail + 0.5 * shown, {"mad": size.mean().detach() * 1e3}


def coarse_loss(
    out: Coarse, truth: Tensor, contrast: Tensor
) -> tuple[Tensor, dict[str, float | Tensor]]:
    """Return the loss of every head of the coarse network.

    Args:
        out: what it answered.
        truth: N×1×H×W matte.
        contrast: N×1×H×W, how much foreground and background differ there.
    """
    classes = trimap_classes(truth)
    unknown = (classes == UNKNOWN).float()[:, None]
    alpha = torch.sigmoid(out.alpha.float())
    total, figures = matte_loss(alpha, truth, contrast, unknown)
    trimap = fn.cross_entropy(out.trimap.float(), classes)
    error = fn.mse_loss(out.error.float(), (alpha.detach() - truth).abs())
    cells = fn.avg_pool2d(truth, 16)
    person = fn.binary_cross_entropy_with_logits(out.person.float(), cells)
    # Keeps a gradient where the sigmoid has saturated on the wrong side.
    bits = fn.binary_cross_entropy_with_logits(out.alpha.float(), truth)
    total = total + 0.5 * trimap + error + 0.5 * person + 0.2 * bits
    figures |= {"trimap": trimap.detach(), "person": person.detach(), "error": error.detach()}
    return total, figures
