"""What a batch can cheaply be turned into before it is used again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def mirrored(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return pictures seen in a mirror: N×C×H×W planes, normals with their X turned round."""
    found = {key: value.flip(3) if value.dim() == 4 else value for key, value in batch.items()}
    if "normals" in found:
        found["normals"] = found["normals"] * torch.tensor([-1.0, 1.0, 1.0])[:, None, None]
    return found
