"""The relighting networks as tasks, and the command that trains them.

`python -m relume.training.relight_nets normals LIT OUT --minutes 20`
"""

from __future__ import annotations

import argparse
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from relume import weights
from relume.encoding import decode, encode
from relume.networks.guided import double
from relume.shading.types import EXPONENTS
from relume.training import losses
from relume.training.batches import Batches, Recipe, stacked
from relume.training.echo import mirrored
from relume.training.lighting import COSINE, combine, harmonics, lookup, reflected
from relume.training.lit import LitViews, pool
from relume.training.trainer import Plan, Result, averaged, train

NAMES = ("normals", "albedo", "transport")
ALL = (*NAMES, "neural")

SETTINGS: dict[str, dict[str, Any]] = {
    # Form is in the shading of a few pixels, which takes more layers where pixels still are.
    "normals": {"side": 256, "blocks": (2, 2, 2, 2, 4)},
    "albedo": {"side": 256, "leak": 0.1, "blocks": (2, 2, 2, 2, 4)},
    "transport": {"side": 256, "leak": 0.1},
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


class _Task(ABC):
    """What the tasks share: batches, validation pictures, the coarse pass at any scale."""

    name = ""
    donor: nn.Module | None = None
    start: nn.Module | None = None
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
        """Return a network to train: the start's weights, or the donor's body, or all fresh.

        Blocks that the start does not have begin near the identity, so a network can grow.
        """
        network = build(self.name)
        if self.start is not None:
            left = network.load_state_dict(self.start.state_dict(), strict=False)
            assert not left.unexpected_keys
        elif self.donor is not None:
            take_over(network, self.donor)
        return network

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
        size = self.recipe.size
        choices = [side for side in (96, 128, 160, 192, 256) if side <= size]
        return {**batch, "long_side": torch.tensor(choices[int(rng.integers(len(choices)))])}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return means of the figures over the held-out pictures."""
        device = next(model.parameters()).device
        found = [
            self.figures(model, {key: value.to(device) for key, value in batch.items()})
            for batch in self.held
        ]
        return {key: float(np.mean([f[key] for f in found])) for key in (found or [{}])[0]}

    @abstractmethod
    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Return the scalar to minimise and figures to log."""

    @abstractmethod
    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the figures of one batch."""


def long_side(batch: Mapping[str, Tensor]) -> int:
    """Return the long side of a batch's coarse pass."""
    return int(batch["long_side"]) if "long_side" in batch else 160


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
            if key.startswith("unet.") and not key.startswith(("unet.stem.weight", "unet.head")):
                value.copy_(source[key])
        stem, known = target["unet.stem.weight"], source["unet.stem.weight"]
        stem.zero_()
        stem[:, :rgb].copy_(known[:, :rgb])
        stem[:, -4:].copy_(known[:, -4:])


class NormalsTask(_Task):
    """Foreground → normals."""

    name = "normals"

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Angle, and edges of the form."""
        found = model(normals_input(batch), long_side(batch)).float()
        weight = losses.balance(batch["labels"], known(batch))
        angle = losses.angular(found, batch["normals"], weight)
        edges = losses.gradient(found, batch["normals"], weight)
        degrees = losses.degrees(found.detach(), batch["normals"], weight)
        return angle + 0.5 * edges, {
            "angle": angle.detach(),
            "edges": edges.detach(),
            "deg": degrees,
        }

    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Angles in degrees beside those of a flat normal."""
        found = model(normals_input(batch), 160).float()
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


class Later(_Task):
    """A task that reads what an earlier network answers.

    Args:
        data: folder of lit views.
        recipe: of the pictures.
        earlier: networks by name; without them the truth is read instead.
        share: of batches that read the earlier networks' answers, at random.
    """

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
        self.donor = self.earlier.get("normals")
        if self.donor is not None:
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


class AlbedoTask(Later):
    """(Foreground, normals) → albedo."""

    name = "albedo"

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Encoded colour, edges, and colour up to a gain."""
        found = model(albedo_input(batch, self.normals(batch)), long_side(batch)).float()
        truth = encode(batch["albedo"])
        weight = losses.balance(batch["labels"], known(batch))
        colour = losses.weighted_mean((found - truth).abs(), weight)
        edges = losses.gradient(found, truth, weight)
        relative = losses.scale_invariant(found, truth, weight)
        return colour + 3.0 * edges + relative, {
            "colour": colour.detach(),
            "edges": edges.detach(),
            "relative": relative.detach(),
        }

    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Linear RMSE, absolute and up to one gain a picture, beside the mean colour's."""
        found = decode(model(albedo_input(batch, self.normals(batch)), 160).float())
        weight = known(batch)
        truth = batch["albedo"]
        mean = (truth * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True)
        return {
            "rmse": rmse(found, truth, weight),
            "rmse_scaled": rmse(scaled(found, truth, weight), truth, weight),
            "mean_colour_rmse": rmse(mean.expand_as(truth), truth, weight),
            "plate_rmse_scaled": rmse(scaled(batch["plate"], truth, weight), truth, weight),
        }


class TransportTask(Later):
    """(Foreground, normals, albedo) → transport, judged under several lights at once."""

    name = "transport"

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """The picture, its two parts, and the harmonics of the transport."""
        found, albedo, normals = self.at_points(model, batch)
        body, shine = lit(batch, found, albedo, normals)
        weight = batch["weight"][:, None, :, None]
        picture = losses.radiance(body + shine, batch["diffuse"] + batch["specular"], weight)
        parts = losses.radiance(body, batch["diffuse"], weight) + losses.radiance(
            shine, batch["specular"], weight
        )
        cosine = COSINE.to(found.device)
        whole = found[..., :1] * cosine * harmonics(normals) + found[..., 1 + len(EXPONENTS) :]
        low = losses.weighted_mean((whole - batch["transfer"]).abs(), batch["weight"][..., None])
        return picture + 0.5 * parts + 5.0 * low, {
            "picture": picture.detach(),
            "parts": parts.detach(),
            "harmonics": low.detach(),
        }

    def at_points(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return N×M×21 coefficients, N×M×3 albedo and normals at the batch's points."""
        normals = self.normals(batch)
        albedo = self.albedo(batch, normals)
        planes = double(model(transport_input(batch, normals, albedo), long_side(batch)).float())
        grid = batch["points"][:, None]
        found = [
            fn.grid_sample(plane, grid, align_corners=False, padding_mode="border")[:, :, 0]
            for plane in (planes, albedo, normals)
        ]
        coefficients, colour, direction = (plane.transpose(1, 2) for plane in found)
        return coefficients, colour, fn.normalize(direction, dim=-1, eps=1e-6)

    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """PSNR under held-out lights beside Lambert and Lambert with a constant lobe."""
        found, albedo, normals = self.at_points(model, batch)
        true_normals = fn.normalize(_sampled(batch, "normals"), dim=-1, eps=1e-6)
        true_albedo = _sampled(batch, "albedo")
        truth = batch["diffuse"] + batch["specular"]
        weight = (batch["weight"] > 0.99).float()[:, None, :, None]
        plain = torch.zeros_like(found)
        plain[..., 0] = 1.0
        glossy = plain.clone()
        glossy[..., 2] = 0.04
        body, shine = lit(batch, found, albedo, normals)
        lambert, _ = lit(batch, plain, true_albedo, true_normals)
        phong = sum(lit(batch, glossy, true_albedo, true_normals))
        phong_same = sum(lit(batch, glossy, albedo, normals))
        return {
            "psnr": psnr(body + shine, truth, weight),
            "lambert_true_psnr": psnr(lambert, truth, weight),
            "phong_true_psnr": psnr(torch.as_tensor(phong), truth, weight),
            "phong_same_psnr": psnr(torch.as_tensor(phong_same), truth, weight),
        }


def lit(
    batch: Mapping[str, Tensor], coefficients: Tensor, albedo: Tensor, normals: Tensor
) -> tuple[Tensor, Tensor]:
    """Return N×L×M×3 body and specular of the batch's points under its lights."""
    count, lights = batch["maps"].shape[:2]
    points = normals.shape[1]
    turn = batch["turn"].transpose(1, 2)
    maps = batch["maps"].flatten(0, 1)

    def read(directions: Tensor, planes: slice) -> Tensor:
        turned = (directions @ turn).repeat_interleave(lights, 0)
        return lookup(maps[:, planes], turned).view(count, lights, points, -1, 3)

    with torch.no_grad():
        diffuse = read(normals, slice(0, 3))[..., 0, :]
        specular = read(reflected(normals), slice(0, 3 * len(EXPONENTS)))
    return combine(coefficients[:, None], albedo[:, None], diffuse, specular, batch["harmonics"])


def normals_input(batch: Mapping[str, Tensor]) -> Tensor:
    """Return what `NormalsNet` reads."""
    return torch.cat((encode(batch["plate"]), batch["matte"]), 1)


def albedo_input(batch: Mapping[str, Tensor], normals: Tensor) -> Tensor:
    """Return what `AlbedoNet` reads."""
    mask = batch["matte"] > 0
    return torch.cat((encode(batch["plate"]), normals * mask, batch["matte"]), 1)


def transport_input(batch: Mapping[str, Tensor], normals: Tensor, albedo: Tensor) -> Tensor:
    """Return what `TransportNet` reads."""
    mask = batch["matte"] > 0
    planes = (encode(batch["plate"]), normals * mask, encode(albedo) * mask, batch["matte"])
    return torch.cat(planes, 1)


def rmse(found: Tensor, truth: Tensor, weight: Tensor) -> float:
    """Return the root of the weighted mean square difference."""
    return float(losses.weighted_mean((found - truth) ** 2, weight).sqrt())


def scaled(found: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return N×C×H×W scaled by the one gain a picture that fits the truth best."""
    dims = (1, 2, 3)
    gain = (found * truth * weight).sum(dims, keepdim=True)
    return found * gain / (found * found * weight).sum(dims, keepdim=True).clamp_min(1e-9)


def psnr(found: Tensor, truth: Tensor, weight: Tensor) -> float:
    """Return the peak signal-to-noise ratio of encoded values in dB."""
    error = losses.weighted_mean((encode(found) - encode(truth)) ** 2, weight)
    return float(-10.0 * torch.log10(error.clamp_min(1e-12)))


def _sampled(batch: Mapping[str, Tensor], key: str) -> Tensor:
    found = fn.grid_sample(batch[key], batch["points"][:, None], align_corners=False)
    return found[:, :, 0].transpose(1, 2)


def make_task(name: str, data: Path, runs: Path, *, size: int = 192, batch: int = 8) -> _Task:
    """Return the task of a network; later ones read the earlier ones' checkpoints in `runs`.

    Args:
        name: `normals`, `albedo`, `transport` or `neural`.
        data: folder of lit views.
        runs: folder of the runs, one folder a network.
        size: of the pictures.
        batch: pictures a batch.
    """
    if name == "normals":
        return NormalsTask(data, Recipe(size, batch))
    earlier: dict[str, nn.Module] = {}
    for before in NAMES[: min(ALL.index(name), 2)]:
        if (runs / before / "checkpoint.pt").exists():
            earlier[before] = averaged_of(before, runs)
    if name == "albedo":
        return AlbedoTask(data, Recipe(size, batch), earlier)
    if name == "neural":
        from relume.training.neural_task import NeuralTask

        return NeuralTask(data, Recipe(size, batch, lights=4, pictures=2), earlier)
    return TransportTask(data, Recipe(size, batch, lights=4), earlier)


def averaged_of(name: str, runs: Path) -> nn.Module:
    """Return the averaged network of a run's checkpoint, frozen."""
    return averaged(lambda: build(name), runs / name).requires_grad_(False)


def train_one(
    name: str, data: Path, runs: Path, plan: Plan, *, size: int = 192, batch: int = 8
) -> Result:
    """Train one network in `runs/name`, going on where it stopped."""
    return train(make_task(name, data, runs, size=size, batch=batch), runs / name, plan)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="relume.training.relight_nets", description=__doc__)
    parser.add_argument("name", choices=ALL)
    parser.add_argument("data", type=Path, help="folder of lit views (relume.training.lit)")
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="threads that prepare batches")
    parser.add_argument("--echo", type=int, default=1, help="how often a batch is used")
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true", help="bfloat16 arithmetic on a CPU too")
    parser.add_argument("--shipped", action="store_true", help="start from the shipped weights")
    given = parser.parse_args()
    plan = Plan(
        steps=given.steps,
        minutes=given.minutes,
        seed=given.seed,
        threads=given.threads,
        rate=given.rate,
        device=given.device,
        half=given.half or None,
        workers=given.workers,
        echo=given.echo,
    )
    torch.set_num_threads(given.threads)
    task = make_task(given.name, given.data, given.runs, size=given.size, batch=given.batch)
    if given.shipped:
        task.start = weights.load(given.name)
    result = train(task, given.runs / given.name, plan)
    print(given.name, result.step, "steps", result.figures, file=sys.stderr)


if __name__ == "__main__":
    main()
