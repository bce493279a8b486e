"""The two trainings of the matting network: the coarse pass, then the refiner on top of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from relume.matting.cascade import (
    Frame,
    Octave,
    cut,
    octaves,
    refine_octave,
    windows,
)
from relume.matting.planes import resized
from relume.networks.matte import UNKNOWN, MatteNet, Residual, Seen, build, look_around
from relume.networks.refiner import ALPHA, HALO, TILE
from relume.training.echo import mirrored
from relume.training.growth import between, grow
from relume.training.matte_batches import Composer
from relume.training.matte_losses import coarse_loss, matte_loss, trimap_classes
from relume.training.trainer import moved

HYPERPARAMETERS: dict[str, object] = {
    "hidden": 8,
    "depth": [4, 6, 4],
    "side": 352,
    "channels": [128, 192],
}
"""`side` is what did best on validation composites: 352 of 288, 320, 352 and 384."""


def fresh(start: MatteNet | None = None) -> MatteNet:
    """Return an untrained network, or one that begins as `start` answers."""
    network = build(**HYPERPARAMETERS)  # type: ignore[arg-type]
    if start is not None:
        take_over(network, start)
    return network


def take_over(network: MatteNet, donor: MatteNet) -> None:
    """Let a network begin with the answers of one whose coarse pass is as large or smaller.

    Further blocks begin as the identity: the last scale of their residual is zero.
    """
    network.refiner.load_state_dict(donor.refiner.state_dict())
    grow(network.coarse, donor.coarse)
    known = donor.coarse.state_dict()
    for name, part in network.coarse.named_modules():
        if isinstance(part, Residual) and f"{name}.body.0.0.weight" not in known:
            nn.init.zeros_(part.body[-1].weight)  # type: ignore[arg-type]


def blended(network: MatteNet, donor: MatteNet, share: float) -> MatteNet:
    """Return a network whose coarse pass lies between that of a donor and what became of it.

    Args:
        network: what began as the donor; its refiner stays.
        donor: as large or smaller.
        share: of the network, 0 to 1.
    """
    out, start = copy.deepcopy(network), copy.deepcopy(network)
    take_over(start, donor)
    out.coarse = between(start.coarse, network.coarse, share)
    return out


@dataclass
class CoarseTask:
    """Train the coarse pass on composites.

    Attributes:
        composer: makes training scenes.
        held: makes validation scenes, from people and places not in training.
        scenes: number of validation batches.
        start: a network to go on from, perhaps a shallower one; or None.
        before: steps that it had.
    """

    composer: Composer
    held: Composer
    scenes: int = 6
    start: MatteNet | None = None
    before: int = 0
    name: str = "matte"
    rate: float = 2e-3
    _fixed: list[dict[str, Tensor]] = field(default_factory=list)

    def model(self) -> nn.Module:
        """Return a fresh network, or one that begins as `start` answers."""
        return fresh(self.start)

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
        return coarse_loss(model.coarse(inputs), batch["alpha"], batch["contrast"])

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return MAD and MSE × 1e3 on held-out composites with nothing but the plate given."""
        assert isinstance(model, MatteNet)
        if not self._fixed:
            for index in range(self.scenes):
                rng = np.random.default_rng([12345, index])
                self._fixed.append(self.held.batch(rng, (256, 256)))
        device = next(model.parameters()).device
        return coarse_figures(model, [moved(batch, device) for batch in self._fixed])


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

    Every octave from the coarse pass to the plate teaches, as the same weights serve them all.

    Attributes:
        composer: makes training scenes.
        held: makes validation scenes.
        coarse: the trained coarse pass, which stays as it is.
        tiles: most tiles of an octave that a step learns from.
        start: a network whose refiner to go on from; or None.
        before: steps that it had.
    """

    composer: Composer
    held: Composer
    coarse: nn.Module
    tiles: int = 96
    start: MatteNet | None = None
    before: int = 0
    name: str = "matte_refiner"
    rate: float = 4e-3
    _fixed: list[dict[str, Tensor]] = field(default_factory=list)

    def model(self) -> nn.Module:
        """Return the network with its coarse part loaded and frozen."""
        model = fresh(self.start)
        model.coarse.load_state_dict(self.coarse.state_dict())
        model.coarse.requires_grad_(False)
        return model

    def batch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return two scenes, and the order in which their tiles are taken."""
        return _ordered(self.composer.frames(rng), rng)

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
        if self.start is not None:
            # What it learns from now on holds for the statistics that it is used with.
            model.refiner.eval()
        total = sum((p.sum() * 0.0 for p in model.refiner.parameters()), torch.zeros(()))
        figures: dict[str, float | Tensor] = {}
        for at, tiles in walk(model, batch, coarse_look(model, batch)):
            if not len(tiles):
                continue
            chosen = tiles[batch["order"][: len(tiles)].argsort()[: self.tiles]]
            full, hidden = cut(at, chosen)
            alpha, error = model.refiner(full, hidden)
            fine = torch.sigmoid(alpha.float())
            truth, contrast, unknown = targets(batch, at, chosen)
            loss, found = matte_loss(fine, truth, contrast, unknown)
            doubt = (torch.sigmoid(error.float()) - (fine.detach() - truth).abs()).square().mean()
            total = total + loss + doubt
            # The last octave's stay.
            before = full[:, ALPHA : ALPHA + 1, HALO:-HALO, HALO:-HALO]
            figures = {**found, "before": (before - truth).abs().mean() * 1e3}
        return total, figures

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return MAD x 1e3 inside doubtful tiles of held-out scenes, before and after."""
        assert isinstance(model, MatteNet)
        if not self._fixed:
            for index in range(12):
                self._fixed.append(self.held.frames(np.random.default_rng([54321, index])))
        total = np.zeros(3)
        device = next(model.parameters()).device
        for batch in (moved(batch, device) for batch in self._fixed):
            seen = coarse_look(model, batch)
            *_, (at, tiles) = walk(model, batch, seen)
            if len(tiles):
                after = windows(settled(model, at, tiles)[:, :1], tiles, TILE)
                first = resized(seen.alpha, *at.size)
                truth = windows(batch["alpha"], tiles, TILE)
                total += [
                    float((after - truth).abs().sum()),
                    float((windows(first, tiles, TILE) - truth).abs().sum()),
                    after.numel(),
                ]
        refined, coarse, pixels = (float(value) for value in total)
        pixels = max(pixels, 1.0)
        return {"mad": refined / pixels * 1e3, "before": coarse / pixels * 1e3}


def _ordered(batch: Mapping[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
    return {**batch, "order": torch.from_numpy(rng.random(4096).astype(np.float32))}


def coarse_look(model: MatteNet, batch: Mapping[str, Tensor]) -> Seen:
    """Return what the coarse pass says of a batch of frames."""
    with torch.no_grad():
        return look_around(model.coarse, batch["inputs"])


def walk(
    model: MatteNet, batch: Mapping[str, Tensor], seen: Seen
) -> Iterator[tuple[Octave, Tensor]]:
    """Return the octaves of a batch of frames and their doubtful tiles, as mattes are refined.

    Args:
        model: it refines what lies between, without gradients.
        batch: as `Composer.frames` makes it.
        seen: what the coarse pass says of it.
    """
    frame = Frame(batch["plate"], seen.hidden, batch["clean"], batch["marks"])
    return octaves(frame, seen.alpha, seen.error, partial(settled, model))


def settled(model: MatteNet, at: Octave, tiles: Tensor) -> Tensor:
    """Return an octave as users get it, without gradients; no statistics are moved."""
    was = model.refiner.training
    model.refiner.eval()
    with torch.no_grad():
        out = refine_octave(model, at, tiles)
    model.refiner.train(was)
    return out


def targets(
    batch: Mapping[str, Tensor], at: Octave, tiles: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return matte, contrast and where the matte is soft, of an octave's tiles, M×1×T×T each."""
    truth, contrast = (resized(batch[name], *at.size) for name in ("alpha", "contrast"))
    unknown = (trimap_classes(truth) == UNKNOWN).float()[:, None]
    truth, contrast, unknown = (windows(x, tiles, TILE) for x in (truth, contrast, unknown))
    return truth, contrast, unknown
