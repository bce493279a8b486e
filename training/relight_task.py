"""What the tasks of the relighting networks share: the networks, their batches, who reads whom."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from relume import weights
from relume.encoding import decode, encode
from relume.networks.guided import sides
from relume.training.batches import Batches, Recipe, stacked
from relume.training.echo import mirrored
from relume.training.growth import grow
from relume.training.lit import LitViews, pool
from relume.training.trainer import moved

NAMES = ("normals", "albedo", "transport")
ALL = (*NAMES, "express", "neural")

SETTINGS: dict[str, dict[str, Any]] = {
    # Form is in the shading of a few pixels, which takes more layers where pixels still are.
    "normals": {"side": 256, "blocks": (2, 2, 2, 2, 4)},
    # What costs little time where the picture is small: how cloth, hair and skin are lit together.
    "albedo": {
        "side": 256,
        "leak": 0.1,
        "channels": (32, 48, 64, 128, 192),
        "blocks": (2, 2, 3, 4, 6),
    },
    "transport": {"side": 256, "leak": 0.1},
    # The body of `normals`, which it takes over.
    "express": {"side": 256, "blocks": (2, 2, 2, 2, 4)},
    # Together within 1 % of the parameters of `transport`, so that the two can be compared.
    "neural": {
        "specular": {"channels": (16, 24, 32, 48, 64), "width": 16, "side": 256, "leak": 0.1},
        "renderer": {"channels": (32, 40, 56, 80, 104), "side": 256, "leak": 0.1},
    },
}
"""Keyword arguments of each network's `build`."""

_VALIDATION = 16


def build(name: str) -> nn.Module:
    """Return a fresh network."""
    import importlib

    module = importlib.import_module(f"relume.networks.{name}")
    network: nn.Module = module.build(**SETTINGS[name])
    return network


class RelightTask(ABC):
    """What the tasks share: batches, validation pictures, the coarse pass at any scale.

    Attributes:
        name: of the network.
        donor: network whose body a fresh one takes over.
        start: network to go on from.
        before: steps that the start had been trained.
        rate: peak learning rate.
    """

    name = ""
    donor: nn.Module | None = None
    start: nn.Module | None = None
    before = 0
    rate = 2e-3

    def __init__(self, data: Path, recipe: Recipe, rescan: int = 200) -> None:
        self.recipe = recipe
        self.batches = Batches(LitViews(data, "train", rescan=rescan), pool("train", data), recipe)
        held = LitViews(data, "val", limit=_VALIDATION)
        lights = 4 if recipe.lights else 0
        still = Recipe(size=256, batch=4, lights=lights, points=3000, spoil=False)
        maker = Batches(held, pool("val", data), still)
        # Half of the validation pictures are spoilt as in training, half are clean.
        hard = Batches(held, pool("val", data), Recipe(256, 4, lights, 3000))
        samples = [
            (maker if number % 2 else hard).sample(view, np.random.default_rng([99, number]))
            for number, view in enumerate(held)
        ]
        self.held = [stacked(samples[k : k + 4]) for k in range(0, len(samples), 4)]

    def model(self) -> nn.Module:
        """Return a network to train: grown from the start, with the donor's body, or fresh.

        Blocks that the start does not have begin near the identity.
        """
        network = build(self.name)
        if self.start is not None:
            grow(network, self.start)
        elif self.donor is not None:
            take_over(network, self.donor)
        return network

    def start_from_shipped(self) -> None:
        """Go on from the weights that ship, and tell how long those were trained."""
        self.start = weights.load(self.name)
        self.before = weights.steps(self.name)

    def batch(self, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Return one batch, with the long side its coarse pass shall have."""
        return self.chosen(self.batches.draw(rng), rng)

    def again(self, batch: Mapping[str, Tensor], rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Return a batch with what is cheap to draw drawn anew: which way round, how coarse."""
        # Points and lights of a transport would have to turn with the picture.
        turns = "points" not in batch and rng.random() < 0.5
        return self.chosen(mirrored(batch) if turns else batch, rng)

    def chosen(self, batch: Mapping[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        """Return a batch with how it shall be read: at which long side."""
        choices = sides(self.recipe.size)
        return {**batch, "long_side": torch.tensor(choices[int(rng.integers(len(choices)))])}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return means of the figures over the held-out pictures."""
        device = next(model.parameters()).device
        found = [self.figures(model, moved(batch, device)) for batch in self.held]
        return {key: float(np.mean([f[key] for f in found])) for key in (found or [{}])[0]}

    @abstractmethod
    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Return the scalar to minimise and figures to log."""

    @abstractmethod
    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the figures of one batch."""


class Later(RelightTask):
    """A task that reads what an earlier network answers.

    Args:
        data: folder of lit views.
        recipe: of the pictures.
        earlier: networks by name; without them the truth is read instead.
        share: of batches that read the earlier networks' answers, at random.

    Attributes:
        has_donor: whether the network can take over the body of that of the normals.
    """

    has_donor = True

    def __init__(
        self,
        data: Path,
        recipe: Recipe,
        earlier: Mapping[str, nn.Module] | None = None,
        share: float = 0.7,
    ) -> None:
        super().__init__(data, recipe)
        self.earlier = dict(earlier or {})
        self.share = share
        if self.has_donor and "normals" in self.earlier:
            self.donor = self.earlier["normals"]
            # A body that has learnt is easily shaken by a head that has not.
            self.rate = 5e-4

    def chosen(self, batch: Mapping[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        """Return a batch with how it shall be read: at which long side, predicted or true."""
        predicted = torch.tensor(bool(self.earlier) and rng.random() < self.share)
        return {**super().chosen(batch, rng), "predicted": predicted}

    def normals(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the normals to read: true, or as the earlier network sees them."""
        if "normals" in self.earlier and bool(batch.get("predicted", torch.tensor(True))):
            with torch.no_grad():
                network = self.earlier["normals"].to(batch["plate"].device)
                found: Tensor = network(normals_input(batch), long_side(batch)).float()
                return found
        return batch["normals"]

    def albedo(self, batch: Mapping[str, Tensor], normals: Tensor) -> Tensor:
        """Return the albedo to read: true, or as the earlier network sees it."""
        if "albedo" in self.earlier and bool(batch.get("predicted", torch.tensor(True))):
            with torch.no_grad():
                network = self.earlier["albedo"].to(batch["plate"].device)
                colour: Tensor = network(albedo_input(batch, normals), long_side(batch)).float()
                return decode(colour)
        return batch["albedo"]


def long_side(batch: Mapping[str, Tensor]) -> int:
    """Return the long side of a batch's coarse pass."""
    return int(batch["long_side"]) if "long_side" in batch else 256


def known(batch: Mapping[str, Tensor]) -> Tensor:
    """Return where the truth exists and the network sees it."""
    return batch["alpha"] * (batch["matte"] > 0)


def take_over(network: nn.Module, donor: nn.Module) -> None:
    """Start a network's U-Net from one that has learnt to see the same pictures.

    Where the stem reads more planes than the donor's, what both read is copied – colour first,
    alpha last – and the rest starts at zero. Heads and refiner start afresh: they answer something
    else, and the donor's large features would drive the new heads' first steps too far.
    """
    target, source = network.state_dict(), donor.state_dict()
    rgb = 12
    with torch.no_grad():
        for key, value in target.items():
            elsewhere = key.startswith(("unet.stem.weight", "unet.head"))
            # Blocks that the donor does not have begin near the identity, other widths afresh.
            same = key in source and source[key].shape == value.shape
            if key.startswith("unet.") and same and not elsewhere:
                value.copy_(source[key])
        stem, known = target["unet.stem.weight"], source["unet.stem.weight"]
        stem.zero_()
        stem[:, :rgb].copy_(known[:, :rgb])
        stem[:, -4:].copy_(known[:, -4:])


def normals_input(batch: Mapping[str, Tensor]) -> Tensor:
    """Return what `NormalsNet` reads."""
    return torch.cat((encode(batch["plate"]), batch["matte"]), 1)


def albedo_input(batch: Mapping[str, Tensor], normals: Tensor) -> Tensor:
    """Return what `AlbedoNet` reads."""
    mask = batch["matte"] > 0
    return torch.cat((encode(batch["plate"]), normals * mask, batch["matte"]), 1)
