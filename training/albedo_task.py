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
        """Encoded colour and edges; linear colour, also up to a gain; regions beside each other.

        Up to a gain alone the answers drift: a fifth of a stop too dark.
        """
        found = model(albedo_input(batch, self.normals(batch)), long_side(batch)).float()
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

    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Linear RMSE, absolute and up to one gain a picture, beside the mean colour's."""
        found = decode(model(albedo_input(batch, self.normals(batch)), 160).float())
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
