"""The two trainings of the matting network: the coarse pass, then the refiner on top of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from relume.networks.matte import MatteNet, build
from relume.training.matte_batches import Composer
from relume.training.matte_losses import coarse_loss

HYPERPARAMETERS: dict[str, object] = {"hidden": 8, "depth": [2, 3, 3]}


@dataclass
class CoarseTask:
    """Train the coarse pass on composites.

    Attributes:
        composer: makes training scenes.
        held: makes validation scenes, from people and places not in training.
        scenes: number of validation batches.
        half: whether the forward pass runs in bfloat16; weights and losses stay float32.
    """

    composer: Composer
    held: Composer
    scenes: int = 6
    half: bool = True
    name: str = "matte"
    _fixed: list[dict[str, Tensor]] = field(default_factory=list)

    def model(self) -> nn.Module:
        """Return a fresh network."""
        return build(**HYPERPARAMETERS)  # type: ignore[arg-type]

    def batch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return about half a million pixels of composites."""
        return self.composer.batch(rng)

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Return the loss of the coarse heads."""
        assert isinstance(model, MatteNet)
        inputs = batch["inputs"].contiguous(memory_format=torch.channels_last)
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=self.half):
            out = model.coarse(inputs)
        return coarse_loss(out, batch["alpha"], batch["contrast"])

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return MAD and MSE × 1e3 on held-out composites with nothing but the plate given."""
        assert isinstance(model, MatteNet)
        if not self._fixed:
            for index in range(self.scenes):
                rng = np.random.default_rng([12345, index])
                self._fixed.append(self.held.batch(rng, (256, 256)))
        return coarse_figures(model, self._fixed)


def coarse_figures(model: MatteNet, batches: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Return MAD, MSE × 1e3 and the share of wrong pixels of the coarse matte without help."""
    total = np.zeros(3)
    for batch in batches:
        inputs = batch["inputs"].clone()
        inputs[:, 3:] = 0
        alpha = torch.sigmoid(model.coarse(inputs).alpha)
        difference = (alpha - batch["alpha"]).double()
        total += [
            float(difference.abs().mean()) * 1e3,
            float(difference.square().mean()) * 1e3,
            float((difference.abs() > 0.5).double().mean()) * 1e3,
        ]
    mad, mse, wrong = (float(value) for value in total / len(batches))
    return {"mad": mad, "mse": mse, "wrong": wrong}
