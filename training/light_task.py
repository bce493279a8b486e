"""Train the light network: one member after the other, each without some of the scenes.

`python -m relume.training.light_task OUT` trains and writes `light.safetensors` and `light.json`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relume.files import replacing
from relume.light import harmonics, latlong
from relume.light.fills import LOST, RANGE
from relume.networks.light import LightNet, stacked
from relume.training.export import export
from relume.training.light_views import ROWS, Views, views, without
from relume.training.stage import environment

F64 = NDArray[np.float64]

FOLDS = 8
SEEDS = 2
"""Members to each fold: what they guess is averaged."""

EACH = 192
"""Views of a scene."""

MAPS = {1: (8, 1.0), 16: (10, 0.3)}
"""Phong exponent → rows of the map that is compared and its weight; exponent 1 is diffuse."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train a member.

    Attributes:
        steps: optimiser steps.
        batch: views in a step.
        rate: largest learning rate.
        decay: of the weights.
        hidden: width of the network.
        order: of the harmonics it answers.
        drop: share of hidden values left out.
        noise: added to the clues, in standard deviations.
        balance: weight of the error of the total light, in stops: errors of the maps alone would
            be smallest for guesses that are too dark.
    """

    steps: int = 1000
    batch: int = 96
    rate: float = 2e-3
    decay: float = 0.1
    hidden: int = 48
    order: int = 4
    drop: float = 0.2
    noise: float = 0.1
    balance: float = 0.15


class Judge:
    """Turns answers into environments and compares them with the truth by their light maps."""

    def __init__(self, order: int) -> None:
        towards = latlong.directions(ROWS)
        self.waves = _tensor(harmonics.evaluate(towards, order).reshape(2 * ROWS * ROWS, -1))
        self.solid = _tensor(np.repeat(latlong.solid_angles(ROWS), 2 * ROWS))
        self.maps = [(*_kernel(n, rows), weight) for n, (rows, weight) in MAPS.items()]

    def environments(self, answer: Tensor, batch: Batch) -> Tensor:
        """Return what `relume.light.estimate` makes of an answer, N×T×3.

        Args:
            answer: N×(3·(order+1)² + 3).
            batch: the views.
        """
        light = answer[:, :-3].reshape(len(answer), -1, 3)
        stops = torch.einsum("tk,nkc->ntc", self.waves, light).clamp(*RANGE)
        around = torch.exp2(stops + batch.mean[:, None])
        lost = torch.exp2(answer[:, -3:].clamp(*LOST))[:, None]
        return batch.kept + batch.unseen[..., None] * around + batch.burnt * (1 + lost)

    def errors(self, guess: Tensor, truth: Tensor) -> list[Tensor]:
        """Return the relative RMSE of each map, N each."""
        found = []
        for kernel, area, _ in self.maps:
            wrong = torch.einsum("dt,ntc->ndc", kernel, guess - truth)
            right = torch.einsum("dt,ntc->ndc", kernel, truth)
            powers = [(area[:, None] * each * each).sum((1, 2)) for each in (wrong, right)]
            found.append((powers[0] / powers[1]).clamp_min(1e-12).sqrt())
        return found

    def loss(self, guess: Tensor, truth: Tensor, balance: float) -> Tensor:
        """Return the loss of a batch."""
        maps = zip(self.errors(guess, truth), self.maps, strict=True)
        total = sum((error.mean() * weight for error, (_, _, weight) in maps), torch.zeros(()))
        light, real = ((each * self.solid[:, None]).sum((1, 2)) for each in (guess, truth))
        return total + balance * (torch.log2(light) - torch.log2(real)).abs().mean()


@dataclass(slots=True, eq=False)
class Batch:
    """Some views as tensors, see `relume.training.light_views.Views`."""

    clues: Tensor
    mean: Tensor
    kept: Tensor
    burnt: Tensor
    unseen: Tensor
    truth: Tensor

    @classmethod
    def of(cls, found: Views, chosen: NDArray[np.int64], flip: bool) -> Batch:
        """Return chosen views, or their mirror images."""

        def picture(planes: NDArray[np.float32]) -> Tensor:
            taken = planes[chosen].reshape(len(chosen), ROWS, 2 * ROWS, -1)
            taken = taken[:, :, ::-1] if flip else taken
            return _tensor(taken.reshape(len(chosen), 2 * ROWS * ROWS, -1))

        clues = found.reversed if flip else found.clues
        return cls(
            _tensor(clues[chosen]),
            _tensor(found.mean[chosen]),
            picture(found.kept),
            picture(found.burnt),
            picture(found.unseen)[..., 0],
            picture(found.truth),
        )


def train_member(found: Views, plan: Plan, seed: int) -> LightNet:
    """Return a network of one member.

    Args:
        found: the views to train on.
        plan: how.
        seed: of the first weights and all choices.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = LightNet(1, found.clues.shape[1], plan.hidden, plan.order, plan.drop)
    # Clues that hardly differ say little: they are not blown up.
    model.mean.copy_(_tensor(found.clues.mean(0)))
    model.spread.copy_(_tensor(found.clues.std(0) + 0.1))
    judge = Judge(plan.order)
    optimiser = torch.optim.AdamW(model.parameters(), plan.rate, weight_decay=plan.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, plan.steps)
    for _ in range(plan.steps):
        chosen = rng.integers(len(found.clues), size=plan.batch)
        batch = Batch.of(found, chosen, bool(rng.random() < 0.5))
        clues = batch.clues + plan.noise * model.spread * torch.randn_like(batch.clues)
        guess = judge.environments(model(clues)[:, 0], batch)
        loss = judge.loss(guess, batch.truth, plan.balance)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    model.eval()
    return model


def folds(names: Sequence[str], count: int = FOLDS) -> list[list[str]]:
    """Return the scenes in groups of nearly equal size, by chance but always the same."""
    order = np.random.default_rng(0).permutation(len(names))
    return [sorted(names[int(number)] for number in order[start::count]) for start in range(count)]


def stored(path: Path, names: Sequence[str], each: int, seed: int) -> Views:
    """Return views of scenes from a file, which is made if missing."""
    if not path.exists():
        made = views(names, each, seed)
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, **{each.name: getattr(made, each.name) for each in fields(Views)})
    with np.load(path, allow_pickle=False) as kept:
        return Views(**{each.name: kept[each.name] for each in fields(Views)})


def train(found: Views, names: Sequence[str], plan: Plan) -> tuple[LightNet, list[list[str]]]:
    """Return a network of `SEEDS` members to a fold, and the scenes that each fold left out."""
    groups = folds(names)
    states = []
    for number, group in enumerate(groups):
        rest = without(found, [names.index(name) for name in group])
        for seed in range(SEEDS):
            states.append(train_member(rest, plan, SEEDS * number + seed).state_dict())
            print(f"member {len(states)} of {SEEDS * len(groups)}", flush=True)
    return stacked(states, plan.order), groups


def release(model: LightNet, groups: list[list[str]], plan: Plan, out: Path, **known: Any) -> Path:
    """Write the weights and what is known of them.

    Args:
        model: the network.
        groups: the scenes that each fold left out.
        plan: how it was trained.
        out: the folder.
        known: `figures` and `command`.
    """
    return export(
        "light",
        model,
        folder=out,
        hyperparameters={
            "members": model.members,
            "clues": model.mean.shape[1],
            "hidden": plan.hidden,
            "order": plan.order,
        },
        recipe={
            "light": "Poly Haven environments (CC0) of the splits train and val, turned, mirrored, "
            "tinted, exposed, clipped and mixed",
            "views": f"{EACH} of each environment, 25 to 90 degrees wide",
            "held_out": groups,
            "members_to_a_fold": SEEDS,
            "made_by": "relume.training.light_task",
            "space": "ACEScg, relative to the exposure anchor",
            "photographs": "none",
        },
        seed=0,
        steps=plan.steps * model.members,
        figures=known["figures"],
        command=known["command"],
    )


def _kernel(exponent: int, rows: int) -> tuple[Tensor, Tensor]:
    """Return a normalised lobe, map texels × environment texels, and the map's solid angles."""
    here = latlong.directions(rows).reshape(-1, 3)
    there = latlong.directions(ROWS).reshape(-1, 3)
    lobe = np.maximum(here @ there.T, 0.0) ** exponent
    lobe *= np.repeat(latlong.solid_angles(ROWS), 2 * ROWS)
    area = np.repeat(latlong.solid_angles(rows), 2 * rows)
    return _tensor(lobe / lobe.sum(axis=1, keepdims=True)), _tensor(area)


def _tensor(array: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="relume.training.light_task", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--views", type=Path, help="file that keeps the views")
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = [*environment.names("train"), *environment.names("val")]
    found = stored(given.views or given.out / "light_views.npz", names, EACH, seed=1)
    model, groups = train(found, names, Plan())
    command = f"python -m relume.training.light_task {given.out.name}"
    path = release(model, groups, Plan(), given.out, figures={}, command=command)
    print(path, file=sys.stderr)


if __name__ == "__main__":
    main()
