"""Coarse to fine: judge the whole frame small, then add detail where the subject is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from relume.networks.blocks import STRIDE, Refiner, UNet, pad_to, resize

Window = tuple[int, int, int, int]
"""y0, y1, x0, x1 of the half-resolution grid, half open."""

LOOKS = (1.0, 0.75)
"""Size of each look at a frame, the whole size first; each is repeated in a mirror."""


def sides(first: int) -> tuple[int, ...]:
    """Return the long side of each look at a frame, given that of the first."""
    return tuple(2 * round(first * look / 2) for look in LOOKS)


class Guided(nn.Module):
    """A U-Net over the whole frame, shrunk, and a refiner over a window of it at full size.

    Colour is averaged with the alpha as weight on the way down, so that the black outside the
    subject does not bleed into its edge.

    Args:
        planes: input channels, the last of which is alpha.
        answers: channels of the coarse answer.
        features: further coarse channels, for the refiner alone.
        corrections: channels of the refiner's answer.
        shuffle: refine to full resolution; otherwise to half.
        channels: of the U-Net's levels.
        blocks: of the U-Net's levels.
        width: channels of the refiner.
        leak: slope of the U-Net's activations below zero.
        side: long side of the coarse pass, in square pixels: a frame then looks as large as those
            of the training, where the network does best.

    Attributes:
        turned: planes whose sign changes in a mirror.
        turned_answers: channels of the coarse answer of which the same is true.
    """

    turned: ClassVar[Sequence[int]] = ()
    turned_answers: ClassVar[Sequence[int]] = ()

    def __init__(
        self,
        planes: int,
        answers: int,
        corrections: int,
        *,
        features: int = 12,
        shuffle: bool = True,
        channels: Sequence[int] = (32, 48, 64, 96, 128),
        blocks: Sequence[int] = (1, 1, 1, 2, 4),
        width: int = 32,
        leak: float = 0.0,
        side: int = 512,
    ) -> None:
        super().__init__()
        self.side = side
        self.answers = answers
        self.unet = UNet(planes, answers + features, channels, blocks, leak=leak)
        self.refiner = Refiner(planes, answers + features, corrections, width, shuffle=shuffle)

    def shrink(self, x: Tensor, long_side: int | None = None) -> Tensor:
        """Return the frame with a long side of at most `long_side`, sides even.

        Args:
            x: N×planes×H×W, H and W even, alpha last.
            long_side: in pixels; None for the network's own.
        """
        height, width = x.shape[-2:]
        scale = min(1.0, (self.side if long_side is None else long_side) / max(height, width))
        size = (max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2)))
        if size == (height, width):
            return x
        return resize_covered(x, *size)

    def coarse(self, x: Tensor) -> Tensor:
        """Return answers and features of a shrunk frame at half its size."""
        height, width = x.shape[-2:]
        out: Tensor = self.unet(pad_to(x, STRIDE))
        return out[:, :, : height // 2, : width // 2]

    def look_around(
        self, x: Tensor, small: Tensor, window: Window | None = None, *, once: bool = False
    ) -> Tensor:
        """Return coarse planes on the half-resolution grid of the full frame, cut to a window.

        A user's frame is looked at as `LOOKS` says, and the mean of the answers taken: what one
        look sees wrongly the others seldom do, and a frame in a mirror gives the answer in a
        mirror. Features for the refiner are not turned, as nobody says what a mirror makes of them.

        Args:
            x: N×planes×H×W, the full frame.
            small: the frame as `shrink` gives it, for the first look.
            window: the part to answer for, in half-resolution pixels.
            once: whether to look no more than that, as in training.
        """
        if once:
            return self.enlarge(self.coarse(small), x, window)
        pictures = (small, *(self.shrink(x, side) for side in sides(self.side)[1:]))
        # A frame that is smaller than two looks would be seen twice as it is.
        looks = {picture.shape: picture for picture in pictures}
        found: Tensor | None = None
        for seen in looks.values():
            plain, mirrored = self.coarse(seen), self.coarse(_turned(seen, self.turned))
            answers = plain[:, : self.answers] + _turned(
                mirrored[:, : self.answers], self.turned_answers
            )
            both = torch.cat((0.5 * answers, plain[:, self.answers :]), 1)
            grown = self.enlarge(both, x, window)
            found = grown if found is None else found + grown
        assert found is not None
        return found / len(looks)

    def enlarge(self, coarse: Tensor, x: Tensor, window: Window | None = None) -> Tensor:
        """Return coarse planes on the half-resolution grid of the full frame, cut to a window."""
        grown = resize(coarse, x.shape[-2] // 2, x.shape[-1] // 2)
        return grown if window is None else _cut(grown, window)

    def correct(self, x: Tensor, coarse: Tensor, window: Window | None = None) -> Tensor:
        """Return the refiner's answer inside a window.

        Args:
            x: N×planes×H×W, the full frame.
            coarse: N×(answers+features)×h×w on the half-resolution grid, already cut.
            window: where; None for the whole frame.
        """
        out: Tensor = self.refiner(fine(x, window), coarse)
        return out


def resize_covered(x: Tensor, height: int, width: int) -> Tensor:
    """Resample N×planes×H×W, alpha last, its weight: none of the black outside enters."""
    alpha = x[:, -1:]
    found = resize(torch.cat((x[:, :-1] * alpha, alpha), 1), height, width)
    weight = found[:, -1:]
    return torch.cat((found[:, :-1] / weight.clamp_min(1e-3), weight), 1)


def fine(x: Tensor, window: Window | None) -> Tensor:
    """Return the full-resolution pixels under a half-resolution window."""
    if window is None:
        return x
    y0, y1, x0, x1 = window
    return x[:, :, 2 * y0 : 2 * y1, 2 * x0 : 2 * x1]


def double(x: Tensor) -> Tensor:
    """Return N×C×h×w at twice the size, bilinear."""
    return resize(x, 2 * x.shape[-2], 2 * x.shape[-1])


def positive(x: Tensor, knee: float = 0.05) -> Tensor:
    """Map any number to a positive one, the identity above `knee`, smooth at it."""
    below = knee * torch.exp(torch.clamp_max(x, knee) / knee - 1.0)
    return torch.where(x > knee, x, below)


def _turned(x: Tensor, channels: Sequence[int]) -> Tensor:
    """Return N×C×H×W in a mirror; some channels change their sign there."""
    signs = x.new_ones(x.shape[1])
    signs[list(channels)] = -1.0
    return x.flip(-1) * signs[:, None, None]


def _cut(x: Tensor, window: Window) -> Tensor:
    y0, y1, x0, x1 = window
    return x[:, :, y0:y1, x0:x1]
