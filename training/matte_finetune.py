"""Fine-tune the matting network on a user's own shots with clean plates, without any truth."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from relume import weights
from relume.encoding import encode
from relume.networks.matte import MatteNet
from relume.training.export import export, rounded
from relume.training.finetune_shots import (
    Frame,
    Shot,
    coarse_matte,
    consistency,
    load_frames,
    read_place,
)
from relume.training.matte_batches import planes
from relume.training.matte_losses import coarse_loss
from relume.training.trainer import Plan, train

BATCH = 4
"""Frames a step."""

ADVERSARIAL = 0.05
"""What the judge counts beside the teacher at first; the teacher's share is halved from there."""

LEAST = 1.0 / 16.0
"""Share below which the teacher's weight does not fall: minutes on few frames are many epochs, and
a judge alone would let the matte drift."""


class Judge(nn.Module):
    """Tell photographs from composites, patch by patch.

    Source: Isola et al. 2017, Image-to-Image Translation, section 3.2.2 (patches); small, as one
    shot has few pictures.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        sizes = (3, width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Conv2d(sizes[-1], 1, 3, 1, 1))

    def forward(self, encoded: Tensor) -> Tensor:
        """Return N×1×H/8×W/8, 1 for a photograph, 0 for a composite."""
        score: Tensor = self.body(encoded)
        return score


class Pair(nn.Module):
    """The network that learns and its judge; both are trained, saved and resumed together."""

    def __init__(self, student: MatteNet) -> None:
        super().__init__()
        self.student, self.judge = student, Judge()
        self.student.requires_grad_(True)
        self.student.refiner.requires_grad_(False)
        self.taken: Tensor
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))


@dataclass
class FinetuneTask:
    """Adversarial fine-tuning with a teacher.

    Behind a known background B a composite over another background C needs no foreground:
    αF + (1 − α)C = I + (1 − α)(C − B). The judge sees it beside plates; the student is to pass.

    Source: Sengupta et al. 2020, Background Matting, section 3.3: least-squares GAN, composites
    over other and shifted backgrounds, the teacher's matte as supervision whose weight is halved
    every two epochs. Deviations: the teacher is the whole of PlateMatte rather than the network
    alone, and keeps a sixteenth of its weight; student and judge step at once; statistics of batch
    normalisation stay those of the first training, as one shot is no fair sample.

    Attributes:
        frames: to train on.
        held: to measure on.
        base: the network to begin with.
        places: more backgrounds for composites, 3×H×W scene-linear ACEScg.
    """

    frames: Sequence[Frame]
    held: Sequence[Frame]
    base: MatteNet
    places: Sequence[Tensor] = ()
    name: str = "matte_finetune"
    rate: float = 1e-4

    def model(self) -> nn.Module:
        """Return a copy of the base and a fresh judge."""
        return Pair(copy.deepcopy(self.base))

    def batch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return frames of one size, mirrored and exposed at random, and what to put behind."""
        first = self.frames[int(rng.integers(len(self.frames)))]
        alike = [frame for frame in self.frames if frame.plate.shape == first.plate.shape]
        rows = []
        for _ in range(BATCH):
            frame = alike[int(rng.integers(len(alike)))]
            gain = float(np.exp(rng.normal(0.0, 0.2)))
            row = [frame.plate * gain, frame.clean * gain, frame.teacher]
            if rng.random() < 0.5:
                row = [plane.flip(2) for plane in row]
            rows.append([*row, self._place(rng, row[1])])
        names = ("plate", "clean", "teacher", "place")
        return {
            name: torch.stack([row[k] for row in rows]).contiguous() for k, name in enumerate(names)
        }

    def _place(self, rng: np.random.Generator, clean: Tensor) -> Tensor:
        """Return another background of a clean plate's size and level."""
        own = [frame.clean for frame in self.frames]
        choice = int(rng.integers(2 * len(self.places) + 1)) if self.places else 0
        picture = self.places[choice // 2] if choice % 2 else own[int(rng.integers(len(own)))]
        height, width = picture.shape[1:]
        share = float(rng.uniform(0.6, 0.95))
        tall, wide = max(8, int(share * height)), max(8, int(share * width))
        top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
        part = picture[:, top : top + tall, left : left + wide]
        if rng.random() < 0.5:
            part = part.flip(2)
        part = fn.interpolate(part[None], size=clean.shape[1:], mode="bilinear")[0]
        level = clean.abs().mean() / part.abs().mean().clamp(min=1e-4)
        return part * level * float(np.exp(rng.normal(0.0, 0.2)))

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Return the student's loss and the judge's, of which neither moves the other."""
        assert isinstance(model, Pair)
        # Statistics of batch normalisation are not to move; gradients flow all the same.
        model.student.eval()
        plate, clean = batch["plate"], batch["clean"]
        inputs = _inputs(plate, clean).contiguous(memory_format=torch.channels_last)
        out = model.student.coarse(inputs)
        alpha = torch.sigmoid(out.alpha.float())
        fake = encode(plate + (1.0 - alpha) * (batch["place"] - clean))
        real = encode(plate)
        frozen = {name: value.detach() for name, value in model.judge.named_parameters()}
        passed: Tensor = torch.func.functional_call(model.judge, frozen, (fake,))
        fooled = (passed.float() - 1.0).square().mean()
        contrast = (real - encode(clean)).abs().mean(1, keepdim=True)
        taught, figures = coarse_loss(out, batch["teacher"], contrast)
        judged = 0.5 * (
            model.judge(fake.detach()).float().square().mean()
            + (model.judge(real).float() - 1.0).square().mean()
        )
        share = self.teaching(int(model.taken))
        model.taken += 1
        total = share * taught + ADVERSARIAL * fooled + judged
        return total, {
            "from_teacher": figures["mad"],
            "fooled": fooled.detach(),
            "judged": judged.detach(),
            "teaching": share,
        }

    def teaching(self, step: int) -> float:
        """Return the teacher's weight at a step: halved every two epochs, down to `LEAST`."""
        epoch = step * BATCH // max(1, len(self.frames))
        return max(LEAST, 0.5 ** (epoch // 2))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the student's figures on the frames held out."""
        assert isinstance(model, Pair)
        return measure(model.student, model.judge, self.held)


def measure(network: MatteNet, judge: nn.Module, frames: Sequence[Frame]) -> dict[str, float]:
    """Return the figures of `consistency` for a network's coarse mattes."""
    device = next(network.parameters()).device

    def score(pictures: Tensor) -> Tensor:
        rated: Tensor = judge(pictures.to(device))
        return rated.cpu()

    with torch.no_grad():
        mattes = [
            coarse_matte(network, _inputs(frame.plate[None], frame.clean[None]).to(device))[0].cpu()
            for frame in frames
        ]
        return consistency(frames, mattes, score)


def finetune(
    shots: Sequence[Shot],
    out: Path,
    plan: Plan,
    *,
    backgrounds: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, float]]:
    """Fine-tune the installed matting network and write weights that `RELUME_WEIGHTS` finds.

    Args:
        shots: plates and clean plates.
        out: takes checkpoint, log, `matte.safetensors` and `matte.json`; a run there is resumed.
        plan: length and settings.
        backgrounds: pictures to put behind people as well, beside the clean plates.
        say: is told of frames left out.

    Returns:
        Figures on the held-out frames, `before` and `after`, both scored by the final judge.

    Raises:
        InputError: a file is missing or unreadable.
        UsageError: the shots leave nothing to train on.
    """
    base = weights.load("matte")
    assert isinstance(base, MatteNet)
    known = weights.manifest("matte")
    places = [read_place(name, base.side) for name in backgrounds]
    frames, held = load_frames(shots, base, say)
    task = FinetuneTask(frames, held, base, places)
    result = train(task, out, replace(plan, warm_up=min(plan.warm_up, 20)))
    pair = result.model
    assert isinstance(pair, Pair)
    student = rounded(pair.student)
    assert isinstance(student, MatteNet)
    figures = {
        "before": measure(base, pair.judge, held),
        "after": measure(student, pair.judge, held),
    }
    export(
        "matte",
        student,
        folder=out,
        hyperparameters=known["hyperparameters"],
        architecture=known["architecture"],
        recipe=_recipe(shots, len(frames), len(held), known),
        seed=plan.seed,
        steps=weights.steps("matte") + result.step,
        figures=figures,
        command="relume train finetune",
    )
    return figures


def _recipe(
    shots: Sequence[Shot], frames: int, held: int, known: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "base": known["sha256"],
        "shots": [Path(shot.plate).name for shot in shots],
        "frames": frames,
        "held_out": held,
        "truth": "none: figures are of consistency, mad where mattes were given to compare",
    }


def _inputs(plate: Tensor, clean: Tensor) -> Tensor:
    """Return N×10×H×W planes of plates with clean plates and no guide."""
    return torch.stack([planes(*pair, None) for pair in zip(plate, clean, strict=True)])
