"""Upper references: what shading makes of a subject that is known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from relume.shading.types import EXPONENTS, Transport
from relume.training.lighting import COSINE, harmonics, project
from relume.training.lit import transfer
from relume.training.stage import environment, lighting

F32 = NDArray[np.float32]


def lambert(transport: Transport) -> Transport:
    """Return the transport of a matte surface without shadow."""
    return replace(
        transport,
        diffuse=np.ones_like(transport.diffuse),
        specular=np.zeros_like(transport.specular),
        residual=np.zeros_like(transport.residual),
    )


def phong(transport: Transport) -> Transport:
    """Return Lambert and an n = 16 lobe weighed by Schlick's Fresnel, without shadow."""
    plain = lambert(transport)
    facing = transport.normals.pixels.reshape(-1, 3)[transport.index, 2].clip(0.0, 1.0)
    specular = plain.specular.copy()
    specular[EXPONENTS.index(16)] = np.minimum(0.028 + 0.972 * (1 - facing) ** 5, 0.28)
    return replace(plain, specular=specular)


def fitted(ready: lighting.Prepared, light: F32) -> F32:
    """Return the diffuse picture that the true transport makes, once it is cut to order 3.

    It is what a network could reach that answers every coefficient of the residual exactly and
    leaves the weight of D(N) at 1.

    Source: Sloan et al. 2002, for a transfer vector in spherical harmonics.

    Args:
        ready: a view with its visibility and bounce.
        light: h×2h×3 radiance.

    Returns:
        H×W×3 straight, scene-linear.
    """
    view = ready.view
    normals = view.normals.reshape(-1, 3)[view.index].astype(np.float32)
    lit = environment.lookup(environment.lobe_map(light, 1), normals)
    plain = (harmonics(torch.from_numpy(normals)) * COSINE).numpy()
    residual = (transfer(ready).astype(np.float32) - plain) @ project(light)
    picture = np.zeros((*view.alpha.shape, 3), np.float32)
    albedo = view.albedo.reshape(-1, 3)[view.index]
    picture.reshape(-1, 3)[view.index] = albedo * (lit + residual)
    return picture
