"""Light transport as a task: what it makes of lights is judged, point by point."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from relume.encoding import encode
from relume.networks.guided import double
from relume.shading.types import EXPONENTS
from relume.training import losses
from relume.training.lighting import COSINE, combine, harmonics, lookup, reflected
from relume.training.relight_task import Later, long_side


class TransportTask(Later):
    """(Foreground, normals, albedo) → transport, judged under several lights at once."""

    name = "transport"

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """The picture, its two parts, what of it is below zero, and the transport's harmonics."""
        at = self.at_points(model, batch)
        return transport_loss(at, lit(batch, *at), batch)

    def at_points(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return N×M×21 coefficients, N×M×3 albedo and normals at the batch's points."""
        normals = self.normals(batch)
        albedo = self.albedo(batch, normals)
        planes = double(model(transport_input(batch, normals, albedo), long_side(batch)).float())
        return at_points(batch, planes, albedo, normals)

    def figures(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """PSNR under held-out lights beside Lambert and Lambert with a constant lobe."""
        return transport_figures(self.at_points(model, batch), batch)


def transport_loss(
    at: tuple[Tensor, Tensor, Tensor],
    shaded: tuple[Tensor, Tensor],
    batch: Mapping[str, Tensor],
) -> tuple[Tensor, dict[str, float | Tensor]]:
    """Return the loss of what `at_points` gives, and of the `shaded` that `lit` makes of it."""
    found, _, normals = at
    body, shine = shaded
    weight = batch["weight"][:, None, :, None]
    picture = losses.radiance(body + shine, batch["diffuse"] + batch["specular"], weight)
    parts = losses.radiance(body, batch["diffuse"], weight) + losses.radiance(
        shine, batch["specular"], weight
    )
    below = losses.weighted_mean((-(body + shine)).clamp_min(0.0), weight)
    whole = transfer(found, normals)
    low = losses.weighted_mean((whole - batch["transfer"]).abs(), batch["weight"][..., None])
    return picture + 0.5 * parts + 20.0 * below + 5.0 * low, {
        "picture": picture.detach(),
        "parts": parts.detach(),
        "below": below.detach(),
        "harmonics": low.detach(),
    }


def transport_figures(
    at: tuple[Tensor, Tensor, Tensor], batch: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return the figures of what `at_points` gives, beside those of plainer shading."""
    found, albedo, normals = at
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
        "psnr": losses.psnr(body + shine, truth, weight),
        "lambert_true_psnr": losses.psnr(lambert, truth, weight),
        "phong_true_psnr": losses.psnr(torch.as_tensor(phong), truth, weight),
        "phong_same_psnr": losses.psnr(torch.as_tensor(phong_same), truth, weight),
    }


def at_points(
    batch: Mapping[str, Tensor], planes: Tensor, albedo: Tensor, normals: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return N×M×21 coefficients, N×M×3 albedo and unit normals at the batch's points.

    Args:
        batch: of which the points are.
        planes: N×21×H×W coefficients.
        albedo: N×3×H×W.
        normals: N×3×H×W.
    """
    grid = batch["points"][:, None]
    found = [
        fn.grid_sample(plane, grid, align_corners=False, padding_mode="border")[:, :, 0]
        for plane in (planes, albedo, normals)
    ]
    coefficients, colour, direction = (plane.transpose(1, 2) for plane in found)
    return coefficients, colour, fn.normalize(direction, dim=-1, eps=1e-6)


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


def transfer(coefficients: Tensor, normals: Tensor) -> Tensor:
    """Return N×M×16 harmonics of the diffuse transport that coefficients stand for."""
    cosine = COSINE.to(coefficients.device) * harmonics(normals)
    return coefficients[..., :1] * cosine + coefficients[..., 1 + len(EXPONENTS) :]


def transport_input(batch: Mapping[str, Tensor], normals: Tensor, albedo: Tensor) -> Tensor:
    """Return what `TransportNet` reads."""
    mask = batch["matte"] > 0
    planes = (encode(batch["plate"]), normals * mask, encode(albedo) * mask, batch["matte"])
    return torch.cat(planes, 1)


def _sampled(batch: Mapping[str, Tensor], key: str) -> Tensor:
    found = fn.grid_sample(batch[key], batch["points"][:, None], align_corners=False)
    return found[:, :, 0].transpose(1, 2)
