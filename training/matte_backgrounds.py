"""What stands behind people in the training pictures of the matting network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from relume.errors import InputError

Rng = np.random.Generator
F32 = NDArray[np.float32]


def read_rgb(path: Path) -> F32:
    """Return the first three channels of a picture as stored, H×W×3 float32, finite.

    Raises:
        InputError: the file cannot be read.
    """
    buffer = oiio.ImageBuf(str(path))
    pixels = buffer.get_pixels(oiio.FLOAT)
    if buffer.has_error or pixels is None:
        raise InputError(f"cannot read {path.name}", file=str(path))
    rgb = np.asarray(pixels, np.float32)[..., :3]
    return np.nan_to_num(rgb, nan=0.0, posinf=65504.0, neginf=0.0)


class Backgrounds:
    """Crops of real environments and stills, procedural clutter, and plain studio backdrops.

    Args:
        environments: lat-long H×W×3 scene-linear maps, any scale.
        stills: H×W×3 scene-linear pictures.
    """

    def __init__(self, environments: list[F32], stills: list[F32]) -> None:
        self._environments = [_planar(map) for map in environments]
        self._stills = [_planar(picture) for picture in stills]

    def draw(self, rng: Rng, height: int, width: int) -> Tensor:
        """Return one background, 3×H×W scene-linear, log-mean about 0.18."""
        kinds = ["clutter", "plain"]
        shares = [0.25, 0.12]
        if self._environments:
            kinds.append("environment")
            shares.append(0.43)
        if self._stills:
            kinds.append("still")
            shares.append(0.2)
        kind = rng.choice(kinds, p=np.array(shares) / sum(shares))
        if kind == "environment":
            picture = self._perspective(rng, height, width)
        elif kind == "still":
            picture = self._still(rng, height, width)
        elif kind == "clutter":
            return clutter(rng, height, width)
        else:
            return plain(rng, height, width)
        picture = picture * (0.18 / log_mean(picture))
        if rng.random() < 0.45:
            # Objects stand about in real rooms; without them, anything compact is a person.
            picture = scatter(rng, picture, int(rng.integers(1, 7)))
        return picture

    def _perspective(self, rng: Rng, height: int, width: int) -> Tensor:
        """Return what a camera sees of a random environment, turned and tilted at random."""
        map = self._environments[rng.integers(len(self._environments))]
        tangent = np.tan(np.radians(rng.uniform(25, 95)) / 2)
        x = torch.linspace(-tangent, tangent, width)
        y = torch.linspace(tangent, -tangent, height) * height / width
        pitch = np.radians(rng.normal(0, 12))
        right, up = torch.meshgrid(x, y, indexing="xy")
        ahead = torch.full_like(right, float(np.cos(pitch))) - up * float(np.sin(pitch))
        lift = up * float(np.cos(pitch)) + float(np.sin(pitch))
        latitude = torch.atan2(lift, torch.hypot(right, ahead))
        longitude = torch.atan2(right, ahead) + float(rng.uniform(0, 2 * np.pi))
        u = (longitude / torch.pi + 1.0) % 2.0 - 1.0
        grid = torch.stack((u, -latitude * 2 / torch.pi), -1)
        return fn.grid_sample(
            map[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False
        )[0]

    def _still(self, rng: Rng, height: int, width: int) -> Tensor:
        """Return a random crop of a random still, mirrored at random."""
        still = self._stills[rng.integers(len(self._stills))]
        most = min(still.shape[1] / height, still.shape[2] / width)
        scale = float(np.exp(rng.uniform(np.log(0.5 * min(most, 1.0)), np.log(most))))
        rows, columns = max(8, int(height * scale)), max(8, int(width * scale))
        top = int(rng.integers(0, max(1, still.shape[1] - rows + 1)))
        left = int(rng.integers(0, max(1, still.shape[2] - columns + 1)))
        crop = still[:, top : top + rows, left : left + columns]
        if rng.random() < 0.5:
            crop = crop.flip(2)
        return resize(crop, height, width)


def _planar(picture: F32) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float()


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resize C×H×W by area-weighted bilinear filtering."""
    return fn.interpolate(
        x[None], size=(height, width), mode="bilinear", align_corners=False, antialias=True
    )[0]


def log_mean(x: Tensor) -> float:
    """Return the geometric mean of the luminance of 3×H×W, never below 1e-4."""
    grey = x.mean(0).clamp(min=1e-4)
    return float(grey.log().mean().exp())


def blur(x: Tensor, sigma: float) -> Tensor:
    """Blur C×H×W with a Gaussian, edges replicated."""
    if sigma < 0.2:
        return x
    factor = int(sigma / 1.5)
    if factor > 1:
        # What is that smooth needs few samples: average, blur, interpolate.
        small = resize(x, max(1, x.shape[1] // factor), max(1, x.shape[2] // factor))
        rest = float(np.sqrt(max(sigma**2 - 0.5 * factor**2, 0.1)))
        return resize(blur(small, rest / factor), x.shape[1], x.shape[2])
    radius = int(np.ceil(2.5 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    taps = taps / taps.sum()
    planes = x[:, None]
    planes = fn.pad(planes, (radius, radius, 0, 0), mode="replicate")
    planes = fn.conv2d(planes, taps.view(1, 1, 1, -1))
    planes = fn.pad(planes, (0, 0, radius, radius), mode="replicate")
    return fn.conv2d(planes, taps.view(1, 1, -1, 1))[:, 0]


def noise_field(rng: Rng, height: int, width: int, *, octaves: int = 4, first: int = 2) -> Tensor:
    """Return fractal noise, H×W, mean about 0 and standard deviation about 1."""
    total = torch.zeros(height, width)
    for octave in range(octaves):
        cells = first * 2**octave
        grid = torch.from_numpy(rng.standard_normal((1, 1, cells + 1, cells + 1)).astype("f4"))
        layer = fn.interpolate(grid, size=(height, width), mode="bicubic", align_corners=True)
        total += layer[0, 0] * 0.55**octave
    return total / (total.std() + 1e-6)


def colour(rng: Rng) -> Tensor:
    """Return a random reflectance, 3: often greyish, sometimes vivid."""
    value = np.exp(rng.uniform(np.log(0.02), np.log(0.9)))
    hue = rng.random(3)
    strength = rng.beta(1.0, 1.6)
    return torch.from_numpy((value * (1 - strength + strength * hue)).astype("f4"))


def texture(rng: Rng, height: int, width: int) -> Tensor:
    """Return a 3×H×W reflectance: plain, noisy, striped, checked or blotched."""
    base = colour(rng)[:, None, None].expand(3, height, width)
    kind = rng.integers(5)
    if kind == 0:
        return base * (1 + 0.1 * noise_field(rng, height, width, first=8)).clamp(min=0.1)
    other = colour(rng)[:, None, None]
    if kind == 1:
        mix = torch.sigmoid(3 * noise_field(rng, height, width, first=int(rng.integers(2, 8))))
    else:
        angle = rng.uniform(0, np.pi)
        period = float(np.exp(rng.uniform(np.log(3.0), np.log(60.0))))
        x = torch.arange(width)[None, :] * float(np.cos(angle))
        y = torch.arange(height)[:, None] * float(np.sin(angle))
        phase = (x + y) * (2 * np.pi / period)
        if kind == 2:
            phase = phase + noise_field(rng, height, width, octaves=2)
        mix = torch.sigmoid(float(rng.uniform(1, 12)) * torch.sin(phase))
        if kind == 4:
            across = torch.arange(height)[:, None] * float(np.cos(angle)) - torch.arange(width)[
                None, :
            ] * float(np.sin(angle))
            mix = (mix + torch.sigmoid(6 * torch.sin(across * (2 * np.pi / period)))) / 2
    return base + (other - base) * mix[None]


def scatter(rng: Rng, picture: Tensor, count: int, level: float | None = None) -> Tensor:
    """Put shaded boxes, balls, bottles and blobs into a picture, 3×H×W.

    Args:
        rng: draws everything.
        picture: scene-linear.
        count: how many.
        level: brightness of a white surface; about the picture's own by default.
    """
    _, height, width = picture.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    picture = picture.clone()
    if level is None:
        level = float(picture.mean(0).median()) + 0.02
    for _ in range(count):
        cx, cy = rng.uniform(-0.1, 1.1) * width, rng.uniform(0.0, 1.15) * height
        rx = float(np.exp(rng.uniform(np.log(0.02), np.log(0.3)))) * width
        ry = rx * float(np.exp(rng.normal(0.2, 0.6)))
        turn = rng.normal(0, 0.3)
        u = ((x - cx) * float(np.cos(turn)) + (y - cy) * float(np.sin(turn))) / rx
        v = ((y - cy) * float(np.cos(turn)) - (x - cx) * float(np.sin(turn))) / ry
        power = float(rng.choice([2.0, 2.0, 3.0, 8.0]))
        if rng.random() < 0.3:
            u = u * (1 + 0.5 * torch.tanh(3 * (v + float(rng.uniform(-0.5, 0.8)))))
        radius = (u.abs() ** power + v.abs() ** power + 1e-6) ** (1 / power)
        soft = float(rng.choice([1.0, 1.5, 4.0])) / rx
        mask = ((1 - radius) / soft + 0.5).clamp(0, 1)
        lx, ly = rng.normal(0, 0.6), rng.normal(-0.4, 0.5)
        round_ = (1 - radius.clamp(max=1) ** 2).sqrt()
        shade = (0.25 + 0.75 * (float(lx) * u + float(ly) * v + round_)).clamp(min=0.05)
        skin = rng.random() < 0.25
        tint = _skin(rng)[:, None, None] if skin else texture(rng, height, width)
        solid = tint * shade * level * float(np.exp(rng.normal(0.7, 0.5)))
        if rng.random() < 0.25:
            gleam = ((u - float(lx) * 0.4) ** 2 + (v - float(ly) * 0.4) ** 2) * 40
            solid = solid + torch.exp(-gleam) * level * float(rng.uniform(1, 12))
        picture = picture + (solid - picture) * mask
    return picture


def _skin(rng: Rng) -> Tensor:
    """Return a plausible skin reflectance, 3: objects may have it too."""
    depth = rng.random()
    light, dark = np.array([0.55, 0.36, 0.27]), np.array([0.07, 0.035, 0.02])
    mixed = np.exp(np.log(light) * depth + np.log(dark) * (1 - depth))
    return torch.from_numpy((mixed * np.exp(rng.normal(0, 0.1, 3))).astype("f4"))


def clutter(rng: Rng, height: int, width: int) -> Tensor:
    """Return textured walls with objects before them, 3×H×W, sometimes out of focus."""
    picture = texture(rng, height, width)
    for _ in range(int(rng.integers(0, 3))):
        part = texture(rng, height, width)
        if rng.random() < 0.5:
            edge = int(rng.uniform(0.1, 0.9) * width)
            picture = torch.cat((picture[:, :, :edge], part[:, :, edge:]), 2)
        else:
            edge = int(rng.uniform(0.2, 0.9) * height)
            picture = torch.cat((picture[:, :edge], part[:, edge:]), 1)
    picture = scatter(rng, picture, int(rng.integers(0, 9)))
    shade = noise_field(rng, height, width, octaves=2)
    picture = picture * torch.exp(float(rng.uniform(0, 0.6)) * shade)
    picture = picture * (0.18 / log_mean(picture))
    if rng.random() < 0.4:
        picture = blur(picture, float(rng.uniform(1, 8)) * width / 256)
    return picture


def plain(rng: Rng, height: int, width: int) -> Tensor:
    """Return a studio backdrop, 3×H×W: black, white, a key colour, or a mottled gradient."""
    kind = rng.integers(4)
    if kind == 0:
        level = rng.choice([0.0, 0.0005, 0.005])
        return torch.full((3, height, width), float(level))
    tint = colour(rng)
    if kind == 1:
        tint = torch.tensor([0.05, 0.45, 0.08] if rng.random() < 0.6 else [0.04, 0.1, 0.5])
    if kind == 2:
        tint = torch.full((3,), float(rng.uniform(0.2, 1.2)))
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    cx, cy = rng.normal(0, 0.6, 2)
    fall = torch.exp(-float(rng.uniform(0, 1.2)) * ((x - float(cx)) ** 2 + (y - float(cy)) ** 2))
    mottle = torch.exp(float(rng.uniform(0, 0.35)) * noise_field(rng, height, width, octaves=3))
    return tint[:, None, None] * fall * mottle
