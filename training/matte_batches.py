"""Training pictures of the matting network: people over backgrounds, photographed badly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from relume.encoding import encode
from relume.matting.planes import drawn
from relume.training.matte_backgrounds import (
    Backgrounds,
    Rng,
    blur,
    clutter,
    log_mean,
    noise_field,
    resize,
)
from relume.training.matte_subjects import Subject, Subjects, proportions, warp

SMALL = ((160, 160), (192, 160), (128, 224), (192, 192))
"""Frame sizes to begin with: many small pictures teach what a person is in less time."""

LARGE = ((256, 256), (320, 224), (192, 320), (352, 352), (288, 512), (384, 384), (320, 576))
"""Frame sizes to end with: about what the coarse pass sees of a plate, and larger."""

FRAMES = (
    (640, 320),
    (640, 288),
    (640, 240),
    (640, 192),
    (640, 144),
    (640, 144),
    (960, 216),
    (512, 256),
    (512, 160),
)
"""Sides of frames that the refiner learns from, and those at which the coarse pass sees them."""

NEAR = 0.35
"""Share of coarse pictures that are as the camera took them; others are shrunk from larger ones."""

_OVERLAP = 3.0
"""Frame pixels by which a side that the view cuts reaches beyond the frame, for resampling."""

BATCH_PIXELS = 6 * 256 * 256


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One composite with its truth.

    Attributes:
        plate: 3×H×W scene-linear, exposed so that its log-mean is near 0.18.
        alpha: H×W.
        contrast: H×W mean |encode(F) - encode(B)|, how much a mistake would show.
        clean: 3×H×W clean plate as a second camera take would give it, or None.
    """

    plate: Tensor
    alpha: Tensor
    contrast: Tensor
    clean: Tensor | None


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """What scenes are like.

    Attributes:
        people: shares of scenes with nobody, one person and two.
        plates: share of scenes that come with a clean plate.
        guides: share of scenes that come with a trimap or hint.
        shapes: share of people whose proportions are changed.
    """

    people: tuple[float, float, float] = (0.1, 0.78, 0.12)
    plates: float = 0.2
    guides: float = 0.25
    shapes: float = 0.0


class Composer:
    """Draw composites.

    Args:
        subjects: where people come from.
        backgrounds: what stands behind them.
        options: what scenes are like.
        shapes: heights and widths that batches have; each holds about as many pixels.
    """

    def __init__(
        self,
        subjects: Subjects,
        backgrounds: Backgrounds,
        *,
        options: SceneOptions | None = None,
        shapes: Sequence[tuple[int, int]] = LARGE,
    ) -> None:
        self._subjects, self._backgrounds = subjects, backgrounds
        self._options, self._shapes = options or SceneOptions(), shapes

    def scene(self, rng: Rng, height: int, width: int, shrunk: float = 1.0) -> Scene:
        """Return one composite of the given size.

        Args:
            rng: random numbers.
            height: in pixels.
            width: in pixels.
            shrunk: how many pixels of the camera's one pixel is the mean of, along a side: what is
                fine in a photograph is gone from it.
        """
        background = self._backgrounds.draw(rng, height, width)
        if rng.random() < 0.5:
            background = blur(background, float(rng.gamma(1.5, 1.5)) * width / 256)
        background = background * float(np.exp(rng.normal(0.0, 0.7)))
        people = int(rng.choice(3, p=self._options.people))
        level = max(log_mean(background), 0.01)
        front = torch.zeros_like(background)
        alpha = torch.zeros(height, width)
        for _ in range(people):
            subject = self._subjects.draw(rng)
            matrix = placement(subject, rng, height, width, crowd=people > 1)
            widths = None
            if rng.random() < self._options.shapes:
                widths = proportions(rng, cut=any(_cut(subject)))
            colour, cover = warp(subject, matrix, height, width, widths)
            colour = colour * _exposure(subject, level, rng)
            front = colour + front * (1 - cover)
            alpha = cover + alpha * (1 - cover)
        if people and rng.random() < 0.01:
            background, front, alpha = _desk(rng, background, front, alpha)
        if people and rng.random() < 0.3:
            # Light from the backdrop that wraps round the edge, as on a real set.
            wrap = blur(background, 12.0 * width / 256) * float(rng.uniform(0, 0.25))
            front = front + wrap * alpha * (1 - blur(alpha[None], 4.0 * width / 256)[0])
        clean = None
        if rng.random() < self._options.plates:
            clean = background
        plate = front + background * (1 - alpha)
        straight = front / alpha.clamp(min=0.02)
        if rng.random() < 0.3:
            sigma = float(rng.uniform(0.3, 1.2)) * max(1.0, min(height, width) / 512) / shrunk
            plate, alpha = blur(plate, sigma), blur(alpha[None], sigma)[0]
            clean = None if clean is None else blur(clean, sigma)
        gain = 0.18 / max(log_mean(plate), 0.005) * float(np.exp(rng.normal(0, 0.35)))
        contrast = (encode(straight * gain) - encode(background * gain)).abs().mean(0)
        clean = None if clean is None else clean * gain
        plate, clean = photograph(plate * gain, clean, rng, shrunk)
        return Scene(plate, alpha.clamp(0, 1), contrast, clean)

    def batch(self, rng: Rng, shape: tuple[int, int] | None = None) -> dict[str, Tensor]:
        """Return coarse inputs N×10×H×W and targets alpha, contrast N×1×H×W, guide N×3×H×W."""
        height, width = shape or self._shapes[int(rng.integers(len(self._shapes)))]
        count = max(1, BATCH_PIXELS // (height * width))
        # The coarse pass mostly sees plates of several times its size.
        shrunk = [
            1.0 if rng.random() < NEAR else float(rng.uniform(1.5, 6.0)) for _ in range(count)
        ]
        scenes = [self.scene(rng, height, width, times) for times in shrunk]
        guides = [guide(scene.alpha, rng, self._options.guides) for scene in scenes]
        inputs = torch.stack(
            [
                planes(scene.plate, scene.clean, hint)
                for scene, hint in zip(scenes, guides, strict=True)
            ]
        )
        return {
            "inputs": inputs,
            "alpha": torch.stack([scene.alpha[None] for scene in scenes]),
            "contrast": torch.stack([scene.contrast[None] for scene in scenes]),
        }

    def frames(self, rng: Rng, count: int = 2) -> dict[str, Tensor]:
        """Return scenes at full size beside what the coarse pass sees of them.

        Returns:
            `inputs` N×10×h×w coarse planes; `plate` N×3×H×W and `clean` N×4×H×W, with its flag,
            scene-linear; `marks` N×2×H×W certain foreground and unknown; `alpha`, `contrast`
            N×1×H×W.
        """
        side, small = FRAMES[int(rng.integers(len(FRAMES)))]
        rows: list[tuple[Tensor, ...]] = []
        for _ in range(count):
            scene = self.scene(rng, side, side)
            hint = guide(scene.alpha, rng, self._options.guides)
            far = resize(scene.plate, small, small)
            behind, mark = None, None
            if scene.clean is not None:
                behind = resize(scene.clean, small, small)
            if hint is not None:
                mark = drawn(hint[None], small, small).marks[0]
            one = torch.ones_like(scene.plate[:1])
            clean = torch.zeros(4, side, side)
            if scene.clean is not None:
                clean = torch.cat((scene.clean, one))
            marks = torch.cat((0 * one, one)) if hint is None else hint
            inputs = planes(far, behind, mark)
            rows.append(
                (inputs, scene.plate, clean, marks, scene.alpha[None], scene.contrast[None])
            )
        names = ("inputs", "plate", "clean", "marks", "alpha", "contrast")
        return {name: torch.stack([row[k] for row in rows]) for k, name in enumerate(names)}


def planes(plate: Tensor, clean: Tensor | None, hint: Tensor | None) -> Tensor:
    """Return the network's 10 input planes; see `relume.networks.matte.INPUTS`.

    Args:
        plate: 3×H×W scene-linear, exposure anchor applied.
        clean: the clean plate likewise, or None.
        hint: 2×H×W, certain foreground and unknown, or None.
    """
    one, none = torch.ones_like(plate[:1]), torch.zeros_like(plate[:1])
    help_ = [none, none, none, none] if clean is None else [encode(clean), one]
    marks = [none, none, none] if hint is None else [hint, one]
    return torch.cat((encode(plate), *help_, *marks))


def placement(
    subject: Subject, rng: Rng, height: int, width: int, *, crowd: bool = False
) -> np.ndarray:
    """Return where a person stands: a 2×3 matrix from frame pixels to subject pixels.

    Views end at the chest, so a person's lower edge lies at or below the frame's.
    """
    body = subject.alpha > 0.5
    rows, columns = torch.nonzero(body.any(1)), torch.nonzero(body.any(0))
    size = subject.alpha.shape
    top, bottom = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, size[0])
    left, right = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, size[1])
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    # Most frames hold a portrait; small figures and close-ups are rarer.
    most, usual = (0.8, 0.55) if crowd else (1.7, 1.0)
    share = float(np.exp(rng.triangular(np.log(0.3), np.log(usual), np.log(most))))
    # A side that the view itself cuts must not end inside the frame.
    cuts = _cut(subject)
    if all(cuts):
        share = max(share, 1.02 * width / size[1] * (bottom - top) / height)
    scale = (bottom - top) / (share * height)
    stretch = float(np.exp(rng.normal(0, 0.05)))
    turn = float(np.radians(rng.normal(0, 1 if any(cuts) else 5)))
    spread = 0.35 if crowd else 0.18
    x = width * (0.5 + float(rng.normal(0, spread)))
    if any(cuts):
        # Frame columns of the view's two borders when its middle lies at x.
        half = size[1] / 2 / scale
        shift = ((left + right) / 2 - size[1] / 2) / scale * mirror
        low, high = x - shift - half, x - shift + half
        cut_low, cut_high = cuts if mirror > 0 else cuts[::-1]
        if cut_low and low > -_OVERLAP:
            x -= low + _OVERLAP
        elif cut_high and high < width + _OVERLAP:
            x += width + _OVERLAP - high
    # A close-up may lose the chest below the frame; small figures stand on its lower edge.
    y = height + max(0.0, share - 0.75) * height * float(rng.uniform(0.3, 1.1))
    y += 0.02 * height + abs(turn) * (right - left) / scale * 0.5
    if subject.floating:
        y -= float(rng.uniform(0.0, 0.5)) * height
    a = np.cos(turn) * scale * mirror * stretch
    b = -np.sin(turn) * scale * mirror
    c = np.sin(turn) * scale
    d = np.cos(turn) * scale
    anchor = np.array([(left + right) / 2, bottom - 1.0])
    linear = np.array([[a, b], [c, d]])
    return np.column_stack((linear, anchor - linear @ np.array([x, y])))


def _cut(subject: Subject) -> tuple[bool, bool]:
    """Return whether the view cuts the person at its left and at its right border."""
    body = subject.alpha > 0.5
    return bool(body[:, 0].float().mean() > 0.02), bool(body[:, -1].float().mean() > 0.02)


def _exposure(subject: Subject, level: float, rng: Rng) -> Tensor:
    """Return per-channel gains that bring a person near the background's level."""
    covered = subject.alpha > 0.5
    grey = subject.foreground.mean(0)[covered] if bool(covered.any()) else torch.ones(1)
    own = max(float(grey.clamp(min=1e-4).log().mean().exp()), 1e-3)
    gain = level / own * np.exp(rng.normal(0.1, 0.45)) * np.exp(rng.normal(0, 0.08, 3))
    return torch.from_numpy(gain.astype("f4"))[:, None, None]


def _desk(
    rng: Rng, background: Tensor, front: Tensor, alpha: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Hide the lower part of the people behind an object of the scene."""
    _, height, width = background.shape
    edge = int(height * rng.uniform(0.6, 0.9))
    start = int(width * rng.uniform(-0.5, 0.5))
    stop = start + int(width * rng.uniform(0.5, 1.5))
    mask = torch.zeros(height, width)
    mask[edge:, max(0, start) : max(0, stop)] = 1
    mask = blur(mask[None], 0.6)[0]
    thing = clutter(rng, height, width)
    return background + (thing - background) * mask, front * (1 - mask), alpha * (1 - mask)


def photograph(
    plate: Tensor, clean: Tensor | None, rng: Rng, shrunk: float = 1.0
) -> tuple[Tensor, Tensor | None]:
    """Return plate and clean plate as a camera would deliver them.

    White balance and tone are common to both; noise, a small move, exposure drift and shadows are
    not. Half of the cameras clip and quantise to 8 bits as web photographs do, and some compress.
    A picture that has been shrunk has less noise, finer codes and no blocks left.
    """
    white = torch.from_numpy(np.exp(rng.normal(0, 0.12, 3)).astype("f4"))[:, None, None]
    gamma = float(np.exp(rng.normal(0.0, 0.18)))
    display = rng.random() < 0.5
    quality = float(rng.uniform(0.01, 0.06)) if display and rng.random() < 0.5 else 0.0
    quality, codes = (quality, 255) if shrunk == 1.0 else (0.0, round(255 * shrunk))
    shot, read = 0.012 * rng.random() ** 2 * 4 / shrunk, 0.004 * rng.random() ** 2 / shrunk
    lift = float(rng.normal(0, 0.004)) if rng.random() < 0.2 else 0.0
    top = float(np.exp(rng.uniform(np.log(0.8), np.log(2.0))))

    def develop(picture: Tensor) -> Tensor:
        _, height, width = picture.shape
        grain = torch.from_numpy(rng.standard_normal((3, height, width), dtype=np.float32))
        if rng.random() < 0.5:
            grain = blur(grain, 0.6) * 1.8
        sigma = (shot**2 * picture.clamp(min=0) + read**2).sqrt()
        picture = picture * white + grain * sigma + lift
        if gamma != 1.0:
            picture = torch.sign(picture) * 0.18 * (picture.abs() / 0.18 + 1e-8) ** gamma
        if display:
            code = (picture / top).clamp(0, 1) ** (1 / 2.2)
            if quality:
                code = compress(code, quality)
            picture = (torch.round(code.clamp(0, 1) * codes) / codes) ** 2.2 * top
        return picture

    if clean is not None:
        clean = _second_take(clean, rng)
    return develop(plate), None if clean is None else develop(clean)


def _second_take(clean: Tensor, rng: Rng) -> Tensor:
    """Return a clean plate that does not quite match: moved, brighter, without the shadow."""
    _, height, width = clean.shape
    if rng.random() < 0.5:
        shift = rng.normal(0, 0.003, 2)
        turn = rng.normal(0, 0.004)
        theta = np.array([[1, -turn, shift[0]], [turn, 1, shift[1]]], np.float32)
        grid = fn.affine_grid(
            torch.from_numpy(theta[None]), [1, 3, height, width], align_corners=False
        )
        clean = fn.grid_sample(
            clean[None], grid, mode="bilinear", padding_mode="border", align_corners=False
        )[0]
    clean = clean * float(np.exp(rng.normal(0, 0.05)))
    if rng.random() < 0.4:
        shadow = torch.sigmoid(2 * noise_field(rng, height, width, octaves=2))
        clean = clean * (1 + 0.5 * float(rng.random()) * shadow)
    return clean


def compress(code: Tensor, step: float) -> Tensor:
    """Return 3×H×W as block compression leaves it: 8×8 cosine coefficients rounded to steps.

    Args:
        code: display-encoded values, 0 to 1.
        step: quantisation step of the lowest frequency; it grows with frequency as in JPEG.
    """
    _, height, width = code.shape
    padded = fn.pad(code[None], (0, -width % 8, 0, -height % 8), mode="replicate")[0]
    k = torch.arange(8.0)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) * 0.5
    basis[0] *= 0.5**0.5
    blocks = padded.unfold(1, 8, 8).unfold(2, 8, 8)
    spectrum = basis @ blocks @ basis.T
    steps = step * (1 + 0.6 * (k[:, None] + k[None]))
    spectrum = torch.round(spectrum / steps) * steps
    back = (basis.T @ spectrum @ basis).permute(0, 1, 3, 2, 4)
    return back.reshape(padded.shape)[:, :height, :width]


def guide(alpha: Tensor, rng: Rng, share: float) -> Tensor | None:
    """Return a help mask 2×H×W (certain foreground, unknown), or None for most scenes.

    Half are trimaps (everything soft is unknown), half rough hints whose certain part is small.
    """
    if rng.random() > share:
        return None
    wide = int(rng.integers(1, 5)) if rng.random() < 0.5 else int(rng.integers(4, 20))
    low = -fn.max_pool2d(-alpha[None, None], 2 * wide + 1, 1, wide)[0]
    high = fn.max_pool2d(alpha[None, None], 2 * wide + 1, 1, wide)[0]
    sure = (low > 0.95).float()
    return torch.cat((sure, (high > 0.05).float() - sure))
