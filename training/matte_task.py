"""The two trainings of the matting network: the coarse pass, then the refiner on top of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from relume.matting.network import DOUBT, ERROR
from relume.networks.matte import HALO, TILE, UNKNOWN, MatteNet, build
from relume.training.echo import mirrored
from relume.training.matte_batches import Composer
from relume.training.matte_losses import coarse_loss, matte_loss, trimap_classes

HYPERPARAMETERS: dict[str, object] = {"hidden": 8, "depth": [2, 3, 3], "side": 320}
"""`side` is what did best on the validation split: 320 of 288, 304, 320, 352 and 384."""


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

    @staticmethod
    def model() -> nn.Module:
        """Return a fresh network."""
        return build(**HYPERPARAMETERS)  # type: ignore[arg-type]

    def batch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return about half a million pixels of composites."""
        return self.composer.batch(rng)

    @staticmethod
    def again(batch: Mapping[str, Tensor], rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Return a batch seen in a mirror, or as it is."""
        return batch if rng.random() < 0.5 else mirrored(batch)

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


@dataclass
class RefineTask:
    """Train the refiner on the doubtful tiles that a finished coarse pass leaves.

    Attributes:
        composer: makes training scenes.
        held: makes validation scenes.
        coarse: the trained coarse pass, which stays as it is.
        tiles: tiles a step.
    """

    composer: Composer
    held: Composer
    coarse: nn.Module
    tiles: int = 64
    name: str = "matte_refiner"
    _fixed: list[dict[str, Tensor]] = field(default_factory=list)

    def model(self) -> nn.Module:
        """Return the network with its coarse part loaded and frozen."""
        model = build(**HYPERPARAMETERS)  # type: ignore[arg-type]
        model.coarse.load_state_dict(self.coarse.state_dict())
        model.coarse.requires_grad_(False)
        return model

    def batch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return two scenes, and the order in which their tiles are taken."""
        return _ordered(self.composer.pairs(rng), rng)

    @staticmethod
    def again(batch: Mapping[str, Tensor], rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Return a batch with its tiles in another order, in a mirror or as it is."""
        return _ordered(batch if rng.random() < 0.5 else mirrored(batch), rng)

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Return the loss of the refined tiles, and what it was before."""
        assert isinstance(model, MatteNet)
        model.coarse.eval()
        cut = cut_tiles(model, batch, self.tiles)
        if cut is None:
            return sum(p.sum() * 0.0 for p in model.refiner.parameters()), {}  # type: ignore[return-value]
        alpha = torch.sigmoid(model.refiner(cut["full"], cut["hidden"]).float())
        classes = trimap_classes(batch["alpha"])
        unknown = _tiles((classes == UNKNOWN).float()[:, None], cut["at"], TILE)
        total, figures = matte_loss(alpha, cut["alpha"], cut["contrast"], unknown)
        before = cut["full"][:, 9:10, HALO:-HALO, HALO:-HALO]
        figures["before"] = (before - cut["alpha"]).abs().mean() * 1e3
        return total, figures

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return MAD x 1e3 inside doubtful tiles of held-out scenes, before and after."""
        assert isinstance(model, MatteNet)
        if not self._fixed:
            for index in range(12):
                self._fixed.append(self.held.pairs(np.random.default_rng([54321, index])))
        total = np.zeros(3)
        for batch in self._fixed:
            cut = cut_tiles(model, batch, 4096)
            if cut is not None:
                after = torch.sigmoid(model.refiner(cut["full"], cut["hidden"]))
                before = cut["full"][:, 9:10, HALO:-HALO, HALO:-HALO]
                total += [
                    float((after - cut["alpha"]).abs().sum()),
                    float((before - cut["alpha"]).abs().sum()),
                    after.numel(),
                ]
        refined, coarse, pixels = (float(value) for value in total)
        return {"mad": refined / pixels * 1e3, "before": coarse / pixels * 1e3}


def _ordered(batch: Mapping[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
    return {**batch, "order": torch.from_numpy(rng.random(4096).astype(np.float32))}


def cut_tiles(model: MatteNet, batch: Mapping[str, Tensor], most: int) -> dict[str, Tensor] | None:
    """Return the doubtful tiles of a batch of pairs as the refiner reads them, or None.

    Args:
        model: its coarse pass is run without gradients.
        batch: as `Composer.pairs` makes it.
        most: tiles to take, in the batch's random order.
    """
    height, width = batch["full"].shape[2:]
    with torch.no_grad():
        out = model.coarse(batch["inputs"])

        def grow(x: Tensor, part: int = 1) -> Tensor:
            size = (height // part, width // part)
            return fn.interpolate(x, size=size, mode="bilinear", align_corners=False)

        alpha, error = grow(torch.sigmoid(out.alpha.float())), grow(out.error.float())
        hidden = grow(out.hidden.float(), 2)
        doubt = ((alpha > DOUBT[0]) & (alpha < DOUBT[1])) | (error > ERROR)
        at = torch.nonzero(fn.max_pool2d(doubt.float(), TILE)[:, 0])
        if not len(at):
            return None
        if "order" in batch:
            at = at[batch["order"][: len(at)].argsort()[:most]]
        full = torch.cat((batch["full"], alpha, error), 1)
        edge = HALO // 2
        full = fn.pad(full, (HALO,) * 4, mode="replicate")
        hidden = fn.pad(hidden, (edge,) * 4, mode="replicate")
        return {
            "full": _tiles(full, at, TILE, TILE + 2 * HALO),
            "hidden": _tiles(hidden, at, TILE // 2, TILE // 2 + 2 * edge),
            "alpha": _tiles(batch["alpha"], at, TILE),
            "contrast": _tiles(batch["contrast"], at, TILE),
            "at": at,
        }


def _tiles(x: Tensor, at: Tensor, step: int, size: int | None = None) -> Tensor:
    """Return windows of N×C×H×W at M×3 (picture, row, column) of a grid, M×C×size×size."""
    side = size or step
    windows = x.unfold(2, side, step).unfold(3, side, step)
    return windows[at[:, 0], :, at[:, 1], at[:, 2]]
