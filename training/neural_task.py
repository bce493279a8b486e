"""The paper's shading networks as a task: lights go in, whole pictures come out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from relume.encoding import decode, encode
from relume.exposure import LUMINANCE
from relume.shading.types import EXPONENTS, USUAL
from relume.training import losses
from relume.training.lighting import lookup, reflected
from relume.training.relight_task import Later, known, long_side


class NeuralTask(Later):
    """(Foreground, albedo, light at every pixel) → picture, on the batches of TransportTask.

    Every light costs the networks a run of their own, so a batch's first `Recipe.pictures` lights
    are learnt from, each as a whole picture; validation is under all of them, at the very points
    where a transport is judged.
    """

    name = "neural"
    # No body of the other networks reads light.
    has_donor = False

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """The picture, its edges, and the specular part at the batch's points."""
        count = batch["lit"].shape[1]
        normals = self.normals(batch)
        albedo = self.albedo(batch, normals)
        maps, level = batch["maps"][:, :count], levels(batch["harmonics"][:, :count])
        relit, shine = draw(model, batch, normals, albedo, maps, level)
        weight = known(batch)
        whole = weight.repeat_interleave(count, 0)
        found, truth = relit.flatten(0, 1), batch["lit"].flatten(0, 1)
        picture = losses.radiance(found, truth, whole)
        edges = losses.gradient(encode(found), encode(truth), whole)
        at_points = batch["weight"][:, None, :, None]
        specular = losses.radiance(
            sampled(shine, batch["points"]), batch["specular"][:, :count], at_points
        )
        return picture + edges + 0.5 * specular, {
            "picture": picture.detach(),
            "edges": edges.detach(),
            "specular": specular.detach(),
        }

    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """PSNR under held-out lights, and how far two lights at once are from their sum.

        `superposition` is the mean |f(a + b) − f(a) − f(b)| over the mean |f(a + b)|.
        """
        normals = self.normals(batch)
        albedo = self.albedo(batch, normals)
        maps, level = batch["maps"], levels(batch["harmonics"])
        pictures = torch.cat(
            [
                draw(model, batch, normals, albedo, maps[:, k : k + 1], level[:, k : k + 1])[0]
                for k in range(maps.shape[1])
            ],
            1,
        )
        both, _ = draw(
            model,
            batch,
            normals,
            albedo,
            maps[:, :2].sum(1, keepdim=True),
            level[:, :2].sum(1, keepdim=True),
        )
        points = batch["points"]
        weight = (batch["weight"] > 0.99).float()[:, None, :, None]
        found = sampled(pictures, points)
        together = sampled(both, points)
        apart = (together - found[:, :2].sum(1, keepdim=True)).abs()
        linear = losses.weighted_mean(apart, weight)
        return {
            "psnr": losses.psnr(found, batch["diffuse"] + batch["specular"], weight),
            "superposition": float(linear / losses.weighted_mean(together.abs(), weight)),
        }


def levels(harmonics: Tensor) -> Tensor:
    """Return N×L mean luminances over the sphere, of N×L×16×3 lights."""
    weights = torch.tensor(LUMINANCE, dtype=harmonics.dtype, device=harmonics.device)
    found: Tensor = harmonics[..., 0, :] @ weights / (2.0 * math.sqrt(math.pi))
    return found


def draw(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    normals: Tensor,
    albedo: Tensor,
    maps: Tensor,
    level: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return N×K×3×H×W pictures of a batch under K lights, and their specular parts.

    Args:
        model: `NeuralRenderer`.
        batch: gives `plate`, `matte` and `turn`.
        normals: N×3×H×W.
        albedo: N×3×H×W, linear.
        maps: N×K×12×h×w lobes, the first of which is the diffuse map.
        level: N×K mean luminances of the lights.
    """
    count, (rows, columns) = maps.shape[1], normals.shape[2:]
    mask = (batch["matte"] > 0).float()
    gain = (USUAL / level.clamp_min(1e-9)).flatten()[:, None, None, None]

    def read(towards: Tensor, planes: slice) -> Tensor:
        turned = (towards.flatten(2).transpose(1, 2) @ batch["turn"].transpose(1, 2)).float()
        light = lookup(maps.flatten(0, 1)[:, planes], turned.repeat_interleave(count, 0))
        return light.transpose(1, 2).reshape(*light.shape[::2], rows, columns)

    def each(planes: Tensor) -> Tensor:
        return planes.repeat_interleave(count, 0)

    with torch.no_grad():
        mirrored = reflected(normals.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        light = torch.cat(
            (read(normals, slice(0, 3)), read(mirrored, slice(0, 3 * len(EXPONENTS)))), 1
        )
        x = torch.cat(
            (
                each(encode(batch["plate"]) * mask),
                each(encode(albedo) * mask),
                encode(light * gain) * each(mask),
                each(batch["matte"]),
            ),
            1,
        )
    answer = decode(model(x, long_side(batch)).float()) / gain
    relit, shine = answer.view(-1, count, *answer.shape[1:]).split(3, 2)
    return relit, shine


def sampled(planes: Tensor, points: Tensor) -> Tensor:
    """Return N×K×M×3 values of N×K×3×H×W pictures at N×M×2 points."""
    count = planes.shape[1]
    grid = points[:, None].repeat_interleave(count, 0)
    found = fn.grid_sample(planes.flatten(0, 1), grid, align_corners=False, padding_mode="border")[
        :, :, 0
    ]
    return found.transpose(1, 2).reshape(-1, count, *found.shape[:0:-1])
