"""Light in torch: harmonics, maps looked up by direction, and what a transport makes of them."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from relume.shading.types import EXPONENTS, HARMONICS
from relume.training.stage import environment

F32 = NDArray[np.float32]


def harmonics(directions: Tensor) -> Tensor:
    """Return real orthonormal spherical harmonics to order 3.

    Args:
        directions: …×3 unit vectors.

    Returns:
        …×16, index l²+l+m, polar axis +Y, azimuth from +Z towards +X, no Condon–Shortley phase.
    """
    # With polar axis +Y and azimuth atan2(x, z), the textbook's (x, y, z) are (z, x, y) here.
    y, z, x = directions[..., 0], directions[..., 1], directions[..., 2]
    x2, y2, z2 = x * x, y * y, z * z
    root = math.sqrt
    pi = math.pi
    return torch.stack(
        (
            torch.full_like(x, 0.5 * root(1 / pi)),
            root(3 / (4 * pi)) * y,
            root(3 / (4 * pi)) * z,
            root(3 / (4 * pi)) * x,
            root(15 / (4 * pi)) * x * y,
            root(15 / (4 * pi)) * y * z,
            root(5 / (16 * pi)) * (3 * z2 - 1),
            root(15 / (4 * pi)) * x * z,
            root(15 / (16 * pi)) * (x2 - y2),
            root(35 / (32 * pi)) * y * (3 * x2 - y2),
            root(105 / (4 * pi)) * x * y * z,
            root(21 / (32 * pi)) * y * (5 * z2 - 1),
            root(7 / (16 * pi)) * z * (5 * z2 - 3),
            root(21 / (32 * pi)) * x * (5 * z2 - 1),
            root(105 / (16 * pi)) * z * (x2 - y2),
            root(35 / (32 * pi)) * x * (x2 - 3 * y2),
        ),
        -1,
    )


COSINE = torch.tensor([1.0] + [2 / 3] * 3 + [0.25] * 5 + [0.0] * 7)
"""D(n) = Σ COSINE_lm · L_lm · Y_lm(n): the clamped cosine over π to order 3."""


def basis(height: int) -> NDArray[np.float64]:
    """Return the harmonics of the texels of a lat-long image, height·2height × 16."""
    towards = torch.from_numpy(environment.texel_directions(height).astype(np.float64))
    return np.asarray(harmonics(towards).numpy().reshape(-1, HARMONICS))


def project(image: F32) -> F32:
    """Return the 16×3 harmonics of an H×2H×3 environment to order 3."""
    weighted = image * environment.row_weights(image.shape[0])[:, None, None]
    return np.asarray(basis(image.shape[0]).T @ weighted.reshape(-1, 3), np.float32)


def lookup(maps: Tensor, directions: Tensor) -> Tensor:
    """Read lat-long maps at directions, bilinear, wrapping in u.

    Args:
        maps: N×C×H×2H.
        directions: N×M×3 unit vectors.

    Returns:
        N×M×C.
    """
    width = maps.shape[-1]
    # One column of the other side on each edge makes the bilinear filter wrap.
    wrapped = torch.cat((maps[..., -1:], maps, maps[..., :1]), -1)
    x, y, z = directions.unbind(-1)
    u = torch.atan2(x, -z) / math.pi * (width / (width + 2))
    v = -torch.asin(y.clamp(-1.0, 1.0)) * (2.0 / math.pi)
    grid = torch.stack((u, v), -1)[:, None]
    found = fn.grid_sample(
        wrapped, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[:, :, 0].transpose(1, 2)


def reflected(normals: Tensor) -> Tensor:
    """Return R = 2(N·V)N − V of …×3 normals for a camera far away along +Z."""
    mirrored = 2.0 * normals[..., 2:] * normals
    return mirrored - torch.tensor([0.0, 0.0, 1.0], device=normals.device)


def combine(
    coefficients: Tensor, albedo: Tensor, diffuse: Tensor, specular: Tensor, light: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a transport's picture under lights, as its albedo-tinted and its specular part.

    Args:
        coefficients: …×M×21 as `TransportNet` answers them.
        albedo: …×M×3.
        diffuse: …×M×3, D(N).
        specular: …×M×4×3, S_n(R).
        light: …×16×3 harmonics of the light.
    """
    lobes = len(EXPONENTS)
    weights = coefficients[..., 1 + lobes : 1 + lobes + HARMONICS]
    body = coefficients[..., :1] * diffuse + weights @ light
    shine = (coefficients[..., 1 : 1 + lobes, None] * specular).sum(-2)
    return albedo * body, shine
