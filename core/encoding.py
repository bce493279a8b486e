"""The one bounded encoding that every network reads, and its exact inverse."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

NETWORK_SPACE = "lin_ap1_scene"
"""The primaries networks were trained in, and read whatever the working space is."""

SLOPE = 16.0
WHITE = 65.0
"""Scene-linear 4.0 encodes to 1.0; larger values go on above it."""


@overload
def encode(x: NDArray[np.float32]) -> NDArray[np.float32]: ...
@overload
def encode(x: torch.Tensor) -> torch.Tensor: ...
def encode(x: NDArray[np.float32] | torch.Tensor) -> NDArray[np.float32] | torch.Tensor:
    """Compress scene-linear radiance: y = sign(x)·log₂(1 + 16|x|)/log₂ 65.

    Args:
        x: scene-linear values of any shape, up to ±2e37, exposure anchor applied.

    Returns:
        Values of the same shape; 0 → 0, 4 → 1, 65504 → 3.3; odd and strictly increasing.
    """
    if isinstance(x, np.ndarray):
        grown = np.log1p(np.float32(SLOPE) * np.abs(x)) / np.float32(np.log(WHITE))
        signed: NDArray[np.float32] = np.copysign(grown, x).astype(np.float32, copy=False)
        return signed
    import torch

    sign = _sign(x)
    return sign * torch.log1p(SLOPE * (sign * x)) / float(np.log(WHITE))


@overload
def decode(y: NDArray[np.float32]) -> NDArray[np.float32]: ...
@overload
def decode(y: torch.Tensor) -> torch.Tensor: ...
def decode(y: NDArray[np.float32] | torch.Tensor) -> NDArray[np.float32] | torch.Tensor:
    """Undo `encode`, without a clamp.

    Args:
        y: encoded values of any shape.

    Returns:
        Scene-linear values of the same shape.
    """
    if isinstance(y, np.ndarray):
        grown = np.expm1(np.abs(y).astype(np.float32) * np.float32(np.log(WHITE)))
        signed: NDArray[np.float32] = np.copysign(grown / np.float32(SLOPE), y)
        return signed.astype(np.float32, copy=False)
    import torch

    sign = _sign(y)
    return sign * torch.expm1(sign * y * float(np.log(WHITE))) / SLOPE


def _sign(x: torch.Tensor) -> torch.Tensor:
    """Return 1 or -1, never 0: torch's `sign` and `abs` would have no gradient at 0."""
    import torch

    return torch.copysign(torch.ones_like(x), x.detach())
