"""Albedo as a task."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from relume.encoding import decode, encode
from relume.training import losses
from relume.training.relight_task import Later, albedo_input, known, long_side


class AlbedoTask(Later):
    """(Foreground, normals) → albedo."""

    name = "albedo"

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Encoded colour and edges; linear colour, also up to a gain; regions beside each other."""
        seen = albedo_input(batch, self.normals(batch))
        return albedo_loss(model(seen, long_side(batch)).float(), batch)

    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Linear RMSE, absolute and up to one gain a picture, beside the mean colour's."""
        return albedo_figures(
            model(albedo_input(batch, self.normals(batch)), long_side(batch)).float(), batch
        )


def albedo_loss(
    found: Tensor, batch: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, float | Tensor]]:
    """Return the loss of N×3×H×W encoded albedo and its parts.

    Up to a gain alone the answers drift: a fifth of a stop too dark.
    """
    surface, truth = decode(found), encode(batch["albedo"])
    inside = known(batch)
    weight = losses.balance(batch["labels"], inside)
    colour = losses.weighted_mean((found - truth).abs(), weight)
    edges = losses.gradient(found, truth, weight)
    level = losses.weighted_mean((surface - batch["albedo"]).abs(), inside)
    linear = losses.linear(surface, batch["albedo"], inside)
    regions = losses.regions(found, truth, inside)
    return colour + 1.5 * edges + 2.0 * (level + linear) + regions, {
        "colour": colour.detach(),
        "level": level.detach(),
        "edges": edges.detach(),
        "linear": linear.detach(),
        "regions": regions.detach(),
    }


def albedo_figures(encoded: Tensor, batch: Mapping[str, Tensor]) -> dict[str, float]:
    """Return errors of N×3×H×W encoded albedo, beside those of trivial answers."""
    found = decode(encoded)
    weight = known(batch)
    truth = batch["albedo"]
    mean = (truth * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True)
    return {
        "rmse": losses.rmse(found, truth, weight),
        "rmse_scaled": losses.rmse(losses.scaled(found, truth, weight), truth, weight),
        "mean_colour_rmse": losses.rmse(mean.expand_as(truth), truth, weight),
        "plate_rmse_scaled": losses.rmse(
            losses.scaled(batch["plate"], truth, weight), truth, weight
        ),
    }
