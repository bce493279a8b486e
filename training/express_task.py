"""The fast network as a task: it learns from the truth and from what the others answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from relume.encoding import decode
from relume.networks.express import ALBEDO, NORMALS, TRANSPORT
from relume.networks.guided import double
from relume.training.albedo_task import albedo_figures, albedo_loss
from relume.training.batches import Recipe
from relume.training.normals_task import normals_figures, normals_loss
from relume.training.relight_task import RelightTask, albedo_input, long_side, normals_input
from relume.training.transport_task import (
    at_points,
    lit,
    transfer,
    transport_figures,
    transport_input,
    transport_loss,
)

TAUGHT = "taught_"
"""What the names of the teachers' answers in a batch begin with."""


class ExpressTask(RelightTask):
    """Foreground → normals, albedo and transport.

    Half of the loss is against the truth and half against the teachers, which look several times at
    what the student looks at once: they tell what can be told from a picture at all. They look as
    batches are made, on the CPU; `Plan.echo` and `Plan.workers` keep an accelerator from waiting.

    Source: Hinton et al. 2015, Distilling the Knowledge in a Neural Network, section 2.

    Args:
        data: folder of lit views.
        recipe: of the pictures.
        teachers: `normals`, `albedo` and `transport`.
    """

    name = "express"
    rate = 8e-4

    def __init__(self, data: Path, recipe: Recipe, teachers: Mapping[str, nn.Module]) -> None:
        super().__init__(data, recipe)
        self.teachers = dict(teachers)
        self.donor = self.teachers["normals"]

    def batch(self, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Return one batch with the teachers' answers."""
        batch = dict(super().batch(rng))
        return {**batch, **{TAUGHT + key: value for key, value in self.taught(batch).items()}}

    @torch.no_grad()
    def taught(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return truth as the teachers see it: normals, albedo, light and its transfer."""
        normals = self.teachers["normals"](normals_input(batch))
        albedo = decode(self.teachers["albedo"](albedo_input(batch, normals)))
        planes = double(self.teachers["transport"](transport_input(batch, normals, albedo)))
        at = at_points(batch, planes, albedo, normals)
        diffuse, specular = lit(batch, *at)
        return {
            "normals": normals,
            "albedo": albedo,
            "diffuse": diffuse,
            "specular": specular,
            "transfer": transfer(at[0], at[2]),
        }

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """What each of the three is judged by, against the truth and against the teachers."""
        found = model(normals_input(batch), long_side(batch)).float()
        answers = {
            key.removeprefix(TAUGHT): value
            for key, value in batch.items()
            if key.startswith(TAUGHT)
        }
        # The transport is fitted to the colour that there is, not the colour to the transport.
        at = at_points(
            batch,
            found[:, TRANSPORT],
            decode(found[:, ALBEDO].detach()),
            found[:, NORMALS].detach(),
        )
        shaded = lit(batch, *at)
        true, figures = judged(found, at, shaded, batch)
        same, from_teacher = judged(found, at, shaded, {**batch, **answers})
        told = {f"{TAUGHT}{key}": value for key, value in from_teacher.items()}
        return 0.5 * (true + same), {**figures, **told}

    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """What the three networks' own tasks report."""
        found = model(normals_input(batch), long_side(batch)).float()
        normals, albedo = found[:, NORMALS], found[:, ALBEDO]
        at = at_points(batch, found[:, TRANSPORT], decode(albedo), normals)
        return {
            **normals_figures(normals, batch),
            **albedo_figures(albedo, batch),
            **transport_figures(at, batch),
        }


def judged(
    found: Tensor,
    at: tuple[Tensor, Tensor, Tensor],
    shaded: tuple[Tensor, Tensor],
    batch: Mapping[str, Tensor],
) -> tuple[Tensor, dict[str, float | Tensor]]:
    """Return the loss of N×27×H×W answers and the parts that tell most.

    Args:
        found: the answers.
        at: what `at_points` gives for them.
        shaded: what `lit` gives for those.
        batch: with the truth, or with what stands for it.
    """
    form, angles = normals_loss(found[:, NORMALS], batch)
    colour, colours = albedo_loss(found[:, ALBEDO], batch)
    light, pictures = transport_loss(at, shaded, batch)
    # A network of one of them alone has losses of about 0.12, 0.3 and 0.2.
    return 2.0 * form + colour + light, {
        "deg": angles["deg"],
        "level": colours["level"],
        "linear": colours["linear"],
        "picture": pictures["picture"],
    }
