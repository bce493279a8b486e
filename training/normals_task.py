"""Normals as a task."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from relume.training import losses
from relume.training.relight_task import RelightTask, known, long_side, normals_input


class NormalsTask(RelightTask):
    """Foreground → normals."""

    name = "normals"

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Angle, and edges of the form."""
        return normals_loss(model(normals_input(batch), long_side(batch)).float(), batch)

    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Angles in degrees beside those of a flat normal."""
        return normals_figures(model(normals_input(batch), long_side(batch)).float(), batch)


def normals_loss(
    found: Tensor, batch: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, float | Tensor]]:
    """Return the loss of N×3×H×W normals and its parts."""
    weight = losses.balance(batch["labels"], known(batch))
    angle = losses.angular(found, batch["normals"], weight)
    edges = losses.gradient(found, batch["normals"], weight)
    degrees = losses.degrees(found.detach(), batch["normals"], weight)
    return angle + 0.5 * edges, {
        "angle": angle.detach(),
        "edges": edges.detach(),
        "deg": degrees,
    }


def normals_figures(found: Tensor, batch: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the angles of N×3×H×W normals in degrees, beside those of a flat normal."""
    flat = torch.zeros_like(found)
    flat[:, 2] = 1.0
    alpha = known(batch)
    skin = alpha * (batch["labels"] == 1)
    truth = batch["normals"]
    return {
        "degrees": float(losses.degrees(found, truth, alpha)),
        "degrees_skin": float(losses.degrees(found, truth, skin)),
        "flat_degrees": float(losses.degrees(flat, truth, alpha)),
        "flat_degrees_skin": float(losses.degrees(flat, truth, skin)),
    }
