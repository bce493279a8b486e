"""Losses of the relighting networks, and the figures they are judged by."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from relume.encoding import encode


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of values under weights that broadcast to them."""
    weight = weight.expand_as(values)
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)


def balance(labels: Tensor, alpha: Tensor, skin: float = 2.0, hair: float = 0.6) -> Tensor:
    """Return N×1×H×W weights: coverage, the face counted more, hair (noisy by nature) less."""
    face = (labels == 1) | (labels == 4)
    weight = torch.where(labels == 2, torch.full_like(alpha, hair), torch.ones_like(alpha))
    return alpha * torch.where(face, torch.full_like(alpha, skin), weight)


def gradient(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return the L1 difference of neighbouring-pixel differences, at two scales."""
    total = prediction.new_zeros(())
    for step in (1, 4):
        for dim in (-1, -2):
            size = truth.shape[dim] - step
            near = [plane.narrow(dim, 0, size) for plane in (prediction, truth, weight)]
            far = [plane.narrow(dim, step, size) for plane in (prediction, truth, weight)]
            difference = (far[0] - near[0]) - (far[1] - near[1])
            total = total + weighted_mean(difference.abs(), torch.minimum(near[2], far[2]))
    return 0.25 * total


def angular(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of 1 − cos of the angle, plus its root so that small angles still count."""
    cosine = (prediction * truth).sum(1, keepdim=True)
    away = (1.0 - cosine).clamp_min(0.0)
    return weighted_mean(away + 0.3 * (away + 1e-3).sqrt(), weight)


def linear(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return the L1 difference of scene-linear values after the one gain a picture that fits best.

    How bright the light is nobody can tell from a picture, so neither the whole level; the gain is
    no part of the gradient.
    """
    gain = fitting(prediction.detach(), truth, weight)
    return weighted_mean((prediction * gain - truth).abs(), weight)


def regions(prediction: Tensor, truth: Tensor, weight: Tensor, size: int = 16) -> Tensor:
    """Return the L1 difference of the means of squares, each picture's mean offset removed.

    In a logarithmic encoding an offset is about a gain; what is left says whether cloth, hair and
    skin are as bright beside each other as they should be.
    """
    dims = (1, 2, 3)
    cover = fn.avg_pool2d(weight, size)
    means = fn.avg_pool2d((prediction - truth) * weight, size) / cover.clamp_min(1e-6)
    share = cover / (means.shape[1] * cover.sum(dims, keepdim=True)).clamp_min(1e-6)
    offset = (means * share).sum(dims, keepdim=True)
    return weighted_mean((means - offset).abs(), cover)


def radiance(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return a difference of encoded radiance, with a linear share that keeps highlights.

    The square of the encoded difference is what pictures are judged by; its size keeps small
    differences from being forgiven.
    """
    encoded = (encode(prediction) - encode(truth)).abs()
    linear = (prediction - truth).abs() / (1.0 + truth.abs())
    return weighted_mean(encoded + 4.0 * encoded.square() + 0.25 * linear, weight)


def degrees(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return the mean angle in degrees between unit vectors."""
    cosine = (prediction * truth).sum(1, keepdim=True).clamp(-1.0, 1.0)
    return weighted_mean(torch.rad2deg(torch.acos(cosine)), weight)


def rmse(found: Tensor, truth: Tensor, weight: Tensor) -> float:
    """Return the root of the weighted mean square difference."""
    return float(weighted_mean((found - truth) ** 2, weight).sqrt())


def fitting(found: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return N×1×1×1, the one gain a picture that fits the truth best."""
    dims = (1, 2, 3)
    gain = (found * truth * weight).sum(dims, keepdim=True)
    return gain / (found * found * weight).sum(dims, keepdim=True).clamp_min(1e-9)


def scaled(found: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return N×C×H×W times the gain that fits the truth best."""
    return found * fitting(found, truth, weight)


def psnr(found: Tensor, truth: Tensor, weight: Tensor) -> float:
    """Return the peak signal-to-noise ratio of encoded values in dB."""
    error = weighted_mean((encode(found) - encode(truth)) ** 2, weight)
    return float(-10.0 * torch.log10(error.clamp_min(1e-12)))
