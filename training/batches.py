"""Batches for the relighting networks: lit views combined, framed anew and spoilt like plates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from relume.exposure import LUMINANCE, anchor_of
from relume.training.dye import Dye
from relume.training.lights import HEIGHT, Pool
from relume.training.lit import LitView, LitViews

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Recipe:
    """How pictures are made from views.

    Attributes:
        size: rows and columns of a picture.
        batch: pictures a batch.
        lights: lights beside the picture's own that a transport is judged under.
        points: points a picture where it is judged.
        pictures: of those lights, the first so many have a whole picture as truth too.
        spoil: whether to reframe, recolour, and add what cameras and mattes do wrong.
    """

    size: int = 256
    batch: int = 6
    lights: int = 0
    points: int = 2000
    spoil: bool = True
    pictures: int = 0


class Batches:
    """Draws batches from lit views.

    A batch holds N×C×H×W tensors: `plate` (straight foreground after the anchor, scene-linear
    ACEScg, zero outside the matte), `matte` (as a matting network might give it), and the truth:
    `alpha`, `normals`, `albedo`, `labels` (one channel). With `lights` also, for M points and L
    lights: `points` N×M×2 in [−1, 1] as `grid_sample` reads them, `turn` N×3×3 from the picture's
    camera space to that of the light, `maps` N×L×12×64×128 (four lobes by R, G, B), `harmonics`
    N×L×16×3 in the picture's camera space, `diffuse` and `specular` N×L×M×3 truth, `transfer`
    N×M×16, `weight` N×M. With `pictures` also `lit` N×K×3×H×W, straight truth under the first K
    of the lights.
    """

    def __init__(self, views: LitViews, pool: Pool, recipe: Recipe) -> None:
        self.views, self.pool, self.recipe = views, pool, recipe

    def draw(self, rng: Rng) -> dict[str, Tensor]:
        """Return a batch of random views."""
        samples = [self.sample(self.views.draw(rng), rng) for _ in range(self.recipe.batch)]
        return stacked(samples)

    def sample(self, view: LitView, rng: Rng) -> dict[str, Tensor]:
        """Return one picture of a view and its truth."""
        recipe = self.recipe
        frame = (
            Frame.random(view, rng, recipe.size) if recipe.spoil else Frame.whole(view, recipe.size)
        )
        dye = Dye.random(view, rng) if recipe.spoil else Dye.none(view)
        plate = np.zeros((*view.alpha.shape, 3), np.float32)
        gains = self._gains(view, rng)
        picture = sum(
            gain * (view.diffuse[place] * dye.body + view.specular[place] * dye.shine)
            for place, gain in gains.items()
        )
        plate.reshape(-1, 3)[view.index] = picture
        albedo = view.albedo.copy()
        albedo.reshape(-1, 3)[view.index] *= dye.albedo
        planes = np.concatenate([plate, view.normals, albedo], -1)
        alpha, straight = frame.cut(planes, view.alpha)
        foreground, normals, albedo_plane = straight[:3], straight[3:6], straight[6:]
        normals = frame.turn(normals)
        # `normalize` over three planes takes four times as long.
        length = (normals * normals).sum(0, keepdim=True).sqrt().clamp_min(1e-6)
        normals = normals / length * (alpha > 0)
        true = self._scenery(view, gains)
        if true is None or (recipe.spoil and rng.random() < 0.15):
            backdrop = self._backdrop(foreground, alpha, rng)
        else:
            backdrop = true
        plate_out, matte = _plate(foreground, alpha, backdrop, rng, recipe.spoil)
        sample = {
            "plate": plate_out,
            "matte": matte,
            "alpha": alpha,
            "normals": normals,
            "albedo": albedo_plane,
            "labels": frame.nearest(view.labels),
        }
        if recipe.lights:
            sample |= self._judge(view, frame, dye, rng)
        return sample

    def _gains(self, view: LitView, rng: Rng) -> dict[int, F32]:
        """Return the gains of a picture's lights: one, two or three, each with its own white."""
        count = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])) if self.recipe.spoil else 1
        gains: dict[int, F32] = {}
        for place in rng.permutation(len(view.lamps))[:count]:
            tint = np.exp(rng.normal(0.0, 0.12, 3)) if self.recipe.spoil else np.ones(3)
            gains[int(place)] = (tint * 2.0 ** rng.uniform(-2.0, 0.0)).astype(np.float32)
        return gains

    def _scenery(self, view: LitView, gains: dict[int, F32]) -> Tensor | None:
        """Return what the camera sees of the lights behind the subject, 3×H×W, or None if nothing.

        Beside it the subject's brightness tells how light it is; without it nothing would.
        """
        texels = HEIGHT / 180.0
        half = max(2, round(0.5 * float(view.meta["fov"]) * texels))
        rows = slice(HEIGHT // 2 - half, HEIGHT // 2 + half)
        columns = slice(HEIGHT - half, HEIGHT + half)
        seen = sum(
            gain * self.pool[int(view.lamps[place])].radiance[rows, columns]
            for place, gain in gains.items()
        )
        seen = np.asarray(seen, np.float32)
        # A lamp's own picture is black but for the lamp, and a studio wall is lit by others.
        if np.percentile(seen, 25) < 0.01 * sum(float(gain.mean()) for gain in gains.values()):
            return None
        return self._spread(seen)

    def _backdrop(self, foreground: Tensor, alpha: Tensor, rng: Rng) -> Tensor:
        """Return a soft 3×H×W background that has nothing to do with the subject's light."""
        if rng.random() < 0.3:
            patch = rng.uniform(0.6, 1.4, (2, 2, 3)).astype(np.float32)
        else:
            image = self.pool[int(rng.integers(len(self.pool)))].radiance
            row, column = rng.integers(HEIGHT // 3, HEIGHT // 2 + 4), rng.integers(0, 112)
            patch = image[row : row + 14, column : column + 14]
        rgb = self._spread(patch)
        level = _level(foreground, alpha) * 2.0 ** float(rng.normal(0.0, 1.0))
        found: Tensor = rgb * (level / max(float(rgb.mean()), 1e-6))
        return found

    def _spread(self, patch: F32) -> Tensor:
        """Return h×w×3 pixels as a picture of 3×H×W."""
        size = self.recipe.size
        rgb = torch.from_numpy(np.ascontiguousarray(patch.transpose(2, 0, 1), np.float32))
        return fn.interpolate(rgb[None], (size, size), mode="bilinear", align_corners=True)[0]

    def _judge(self, view: LitView, frame: Frame, dye: Dye, rng: Rng) -> dict[str, Tensor]:
        """Return truth under several lights at random points."""
        recipe = self.recipe
        inside = frame.inside(view.index)
        rows = inside if len(inside) else np.arange(len(view.index))
        rows = rows[rng.integers(len(rows), size=recipe.points)]
        places = rng.permutation(len(view.lamps))[: recipe.lights]
        lamps = [self.pool[int(view.lamps[place])] for place in places]
        diffuse = view.diffuse[places][:, rows] * dye.body[rows]
        specular = view.specular[places][:, rows] * dye.shine[rows]
        # Each light is judged at a sensible exposure, some stops to either side.
        level = ((diffuse + specular) @ np.array(LUMINANCE, np.float32)).mean(1)
        gain = 0.18 * 2.0 ** rng.uniform(-1.0, 1.5, len(places)) / np.maximum(level, 1e-4)
        gain = gain.astype(np.float32)[:, None, None]
        maps = np.stack([lamp.maps.astype(np.float32) for lamp in lamps])
        maps = maps.reshape(len(lamps), -1, HEIGHT, 2 * HEIGHT) * gain[..., None]
        # Harmonics of the light are wanted in the picture's frame: turn them with the basis.
        turned = frame.harmonics @ np.stack([lamp.harmonics for lamp in lamps]) * gain
        pixels = view.index[rows]
        sample = {
            "points": frame.locate(pixels),
            "turn": frame.matrix3.T,
            "maps": maps,
            "harmonics": turned,
            "diffuse": diffuse * gain,
            "specular": specular * gain,
            "transfer": view.transfer[rows].astype(np.float32) @ frame.harmonics.T,
            "weight": view.alpha.reshape(-1)[pixels],
        }
        found = {
            key: torch.from_numpy(np.ascontiguousarray(value, np.float32))
            for key, value in sample.items()
        }
        if recipe.pictures:
            lit = np.zeros((view.alpha.size, recipe.pictures, 3), np.float32)
            for k, place in enumerate(places[: recipe.pictures]):
                body, shine = view.diffuse[place] * dye.body, view.specular[place] * dye.shine
                lit[view.index, k] = (body + shine) * gain[k]
            _, straight = frame.cut(lit.reshape(*view.alpha.shape, -1), view.alpha)
            found["lit"] = straight.view(recipe.pictures, 3, *straight.shape[1:])
        return found


def stacked(samples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return samples as one batch."""
    return {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A turned, mirrored, scaled square window onto a view.

    Attributes:
        size: rows and columns of the result.
        shape: rows and columns of the view.
        centre: of the window, in view pixels x, y.
        side: of the window, in view pixels.
        matrix: 2×2 orthonormal, from window offsets (x right, y down) to view offsets.
    """

    size: int
    shape: tuple[int, int]
    centre: F32
    side: float
    matrix: F32

    @classmethod
    def random(cls, view: LitView, rng: Rng, size: int) -> Frame:
        """Return a window from half to one and a half times the view, often on the subject.

        What lies outside the view is missing, so most windows are hardly larger.
        """
        height, width = view.alpha.shape
        largest = 1.1 if rng.random() < 0.8 else 1.5
        side = max(height, width) * float(np.exp(rng.uniform(np.log(0.5), np.log(largest))))
        pixel = int(view.index[int(rng.integers(len(view.index)))])
        target = np.array([pixel % width, pixel // width], np.float32)
        middle = np.array([width / 2, height / 2], np.float32)
        share = np.float32(rng.uniform(0.0, 1.0))
        turn = np.radians(rng.uniform(-15.0, 15.0)) if rng.random() < 0.5 else 0.0
        flip = -1.0 if rng.random() < 0.5 else 1.0
        c, s = np.cos(turn), np.sin(turn)
        matrix = np.array([[c * flip, -s], [s * flip, c]], np.float32)
        return cls(size, (height, width), target * share + middle * (1 - share), side, matrix)

    @classmethod
    def whole(cls, view: LitView, size: int) -> Frame:
        """Return the view's own square frame."""
        height, width = view.alpha.shape
        middle = np.array([width / 2, height / 2], np.float32)
        return cls(size, (height, width), middle, max(height, width), np.eye(2, dtype=np.float32))

    @property
    def matrix3(self) -> F32:
        """The matrix that takes camera-space vectors of the view to those of the window."""
        inverse = self.matrix.T.copy()
        # y is down in pictures and up in camera space.
        inverse[0, 1] *= -1
        inverse[1, 0] *= -1
        out = np.eye(3, dtype=np.float32)
        out[:2, :2] = inverse
        return out

    @property
    def harmonics(self) -> F32:
        """The 16×16 matrix that takes harmonics of the view's light to those of the window's."""
        from relume.training.lighting import basis, harmonics
        from relume.training.stage import environment

        towards = environment.texel_directions(16).reshape(-1, 3)
        turned = harmonics(torch.from_numpy(towards @ self.matrix3.T)).numpy()
        # f'(Mω) = f(ω): fit the turned basis to the old values; exact for a closed order.
        found = np.linalg.lstsq(turned.astype(np.float64), basis(16), rcond=None)[0]
        return np.asarray(found, np.float32)

    def turn(self, vectors: Tensor) -> Tensor:
        """Turn 3×H×W camera-space vectors."""
        return torch.einsum("ij,jhw->ihw", torch.from_numpy(self.matrix3), vectors)

    def locate(self, pixels: NDArray[np.int32]) -> F32:
        """Return where view pixels lie in the window, N×2, in [−1, 1] where inside."""
        width = self.shape[1]
        at = np.stack([pixels % width + 0.5, pixels // width + 0.5], 1).astype(np.float32)
        return np.asarray((at - self.centre) @ self.matrix / (0.5 * self.side), np.float32)

    def inside(self, pixels: NDArray[np.int32]) -> I64:
        """Return the positions of the view pixels that lie in the window."""
        return np.flatnonzero(np.abs(self.locate(pixels)).max(1) < 1.0)

    def _grid(self) -> Tensor:
        steps = (np.arange(self.size, dtype=np.float32) + 0.5) / self.size * 2 - 1
        x, y = np.meshgrid(steps, steps)
        offset = np.stack([x, y], -1) @ self.matrix.T * (0.5 * self.side)
        height, width = self.shape
        at = (self.centre + offset) / np.array([width, height], np.float32) * 2 - 1
        return torch.from_numpy(at.astype(np.float32))[None]

    def cut(self, planes: F32, alpha: F32) -> tuple[Tensor, Tensor]:
        """Return 1×H×W alpha and C×H×W straight planes in the window, from H×W×C straight ones."""
        premultiplied = np.concatenate([planes * alpha[..., None], alpha[..., None]], -1)
        stack = torch.from_numpy(premultiplied.transpose(2, 0, 1).copy())[None]
        if self.side > 1.4 * self.size:
            # Bilinear samples further apart than this would skip pixels.
            stack = fn.avg_pool2d(stack, 2, ceil_mode=True, count_include_pad=False)
        found = fn.grid_sample(stack, self._grid(), mode="bilinear", align_corners=False)[0]
        cover = found[-1:]
        inside = cover > 1e-3
        straight = torch.where(inside, found[:-1] / cover.clamp_min(1e-3), torch.zeros(()))
        return cover * inside, straight

    def nearest(self, plane: NDArray[np.uint8]) -> Tensor:
        """Return 1×H×W nearest values."""
        values = torch.from_numpy(plane.astype(np.float32))[None, None]
        return fn.grid_sample(values, self._grid(), mode="nearest", align_corners=False)[0]


def _level(foreground: Tensor, alpha: Tensor) -> float:
    """Return the mean brightness of a subject."""
    return float((foreground * alpha).sum() / (3 * alpha.sum() + 1e-6))


def _plate(
    foreground: Tensor, alpha: Tensor, backdrop: Tensor, rng: Rng, spoil: bool
) -> tuple[Tensor, Tensor]:
    """Return a plate's foreground after the anchor, and its matte.

    Args:
        foreground: 3×H×W straight truth.
        alpha: 1×H×W truth.
        backdrop: 3×H×W.
        rng: random numbers.
        spoil: whether to add faults.
    """
    composite = (alpha * foreground + (1 - alpha) * backdrop).permute(1, 2, 0).numpy()
    stops = anchor_of(composite)
    if spoil:
        # The anchor is the shot's, so a frame may stray from it, or an artist may have chosen it.
        stops += rng.uniform(-1.0, 1.0) if rng.random() < 0.1 else rng.normal(0.0, 0.15)
    # Before a window a subject may be very dark, but not beyond what anybody would work on.
    level = math.log2(max(_level(foreground, alpha), 1e-9) / 0.18) + stops
    stops += float(np.clip(level, -4.5, 3.0)) - level
    gain = 2.0**stops
    foreground, backdrop = foreground * gain, backdrop * gain
    if not spoil:
        return foreground * (alpha > 0), alpha
    matte, foreground = _matted(foreground, alpha, backdrop, rng)
    return _exposed(foreground, rng) * (matte > 0), matte


def _matted(foreground: Tensor, alpha: Tensor, backdrop: Tensor, rng: Rng) -> tuple[Tensor, Tensor]:
    """Return a matte and a straight foreground as an imperfect matting stage gives them."""
    if rng.random() < 0.3:
        soft = _blur(torch.cat((foreground * alpha, alpha)), rng.uniform(0.4, 1.0))
        alpha = torch.where(soft[3:] > 1e-3, soft[3:], torch.zeros(()))
        foreground = soft[:3] / soft[3:].clamp_min(1e-3) * (alpha > 0)
    matte = alpha
    if rng.random() < 0.5:
        matte = _blur(matte, rng.uniform(0.4, 1.6))
        steep, shift = rng.uniform(1.0, 2.0), rng.uniform(-0.15, 0.15)
        matte = ((matte - 0.5) * steep + 0.5 + shift * (4 * matte * (1 - matte))).clamp(0.0, 1.0)
        matte = matte * (matte > 4e-3)
    # Estimated foregrounds keep some of the old background where the matte is soft.
    leak = (1.0 - alpha) * (rng.uniform(0.0, 0.6) if rng.random() < 0.6 else 0.0)
    mixed = foreground * (1 - leak) + backdrop * leak
    return matte, torch.where(alpha > 0, mixed, backdrop)


def _exposed(plate: Tensor, rng: Rng) -> Tensor:
    """Return a plate with a camera's tone curve, clipping and noise."""
    if rng.random() < 0.15:
        # A display-referred photograph, linearised without its tone curve undone.
        plate = 0.18 * (plate.clamp_min(0) / 0.18) ** rng.uniform(0.85, 1.2)
    if rng.random() < 0.3:
        plate = plate.clamp_max(float(2.0 ** rng.uniform(0.0, 2.5)))
    if rng.random() < 0.6:
        seed = int(rng.integers(2**31))
        noise = torch.randn(plate.shape, generator=torch.Generator().manual_seed(seed))
        shot, read = 10.0 ** rng.uniform(-5, -2.8), 10.0 ** rng.uniform(-4, -2.3)
        plate = plate + noise * (shot * plate.clamp_min(0) + read**2).sqrt()
    return plate


def _blur(x: Tensor, sigma: float) -> Tensor:
    """Blur C×H×W by a small Gaussian, edges replicated."""
    radius = max(1, math.ceil(2.5 * sigma))
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    x = fn.conv2d(fn.pad(x[:, None], (radius, radius, 0, 0), mode="replicate"), kernel)
    kernel = kernel.transpose(2, 3).contiguous()
    return fn.conv2d(fn.pad(x, (0, 0, radius, radius), mode="replicate"), kernel)[:, 0]
