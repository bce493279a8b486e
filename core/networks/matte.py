"""The matting network: a coarse pass over the whole frame, which a refiner sharpens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.networks.refiner import Refiner

INPUTS = 10
"""Planes of the coarse input: plate 3, clean plate 3, its flag 1, guide foreground and unknown 2,
their flag 1; colours encoded after the exposure anchor, absent help all zero."""

STRIDE = 32
"""Height and width of the coarse input are multiples of this."""

LOOKS = ((1.0, False), (0.85, True), (1.0, True))
"""Size of each look at a frame, and whether it is in a mirror."""

BACKGROUND, UNKNOWN, FOREGROUND = range(3)
"""Classes of the trimap."""


class Coarse(NamedTuple):
    """What the coarse pass says of every pixel.

    Attributes:
        alpha: B×1×H×W logits of the matte.
        trimap: B×3×H×W logits of background, unknown, foreground.
        error: B×1×H×W expected |alpha - truth|, 0 to 1.
        person: B×1×H/16×W/16 logits of the share of each cell that a person covers.
        hidden: B×hidden×H/2×W/2 features for the refiner.
    """

    alpha: Tensor
    trimap: Tensor
    error: Tensor
    person: Tensor
    hidden: Tensor


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.Hardswish(),
    )


class Residual(nn.Module):
    """An inverted residual block: expand, filter each channel, project.

    Source: Sandler et al. 2018, MobileNetV2, section 3.3; the first blocks expand with a full
    3×3 convolution as in Gupta and Tan 2019 (EfficientNet-EdgeTPU), which is faster on a CPU at
    high resolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        grow: int = 3,
        kernel: int = 3,
        stride: int = 1,
        fused: bool = False,
    ) -> None:
        super().__init__()
        middle = inputs * grow
        expand = (
            [_conv(inputs, middle, kernel, stride)]
            if fused
            else [
                _conv(inputs, middle, 1),
                _conv(middle, middle, kernel, stride, groups=middle),
            ]
        )
        self.body = nn.Sequential(
            *expand, nn.Conv2d(middle, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.skip = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, B×outputs×H/stride×W/stride."""
        y: Tensor = self.body(x)
        return x + y if self.skip else y


class Context(nn.Module):
    """Let every position see the whole frame: features scaled by gates from their global mean.

    Source: Howard et al. 2019, MobileNetV3, section 6.4 (LR-ASPP), pooled over the whole frame.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.local = _conv(inputs, outputs, 1)
        self.gate = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return B×outputs×H×W."""
        gate = torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        y: Tensor = self.local(x) * gate
        return y


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class CoarseNet(nn.Module):
    """Find people and their soft edges in a small frame.

    Source: Pandey et al. 2021, section 3.1 and supplement (refined trimap and alpha as separate
    heads); Lin et al. 2021, Real-Time High-Resolution Background Matting (error map and hidden
    features for a refiner). Both use far larger encoders.

    Args:
        hidden: features handed to the refiner.
        depth: blocks at 1/8, 1/16 and 1/32.
        channels: at 1/16 and 1/32.
    """

    def __init__(
        self,
        hidden: int = 8,
        depth: tuple[int, int, int] = (2, 3, 3),
        channels: tuple[int, int] = (88, 128),
    ) -> None:
        super().__init__()
        self.hidden = hidden
        middle, last = channels
        self.stem = _conv(INPUTS, 24, 3, 2)
        self.quarter = nn.Sequential(
            Residual(24, 32, stride=2, grow=2, fused=True), Residual(32, 32, grow=2)
        )
        self.eighth = nn.Sequential(
            Residual(32, 48, stride=2),
            *(Residual(48, 48, kernel=5) for _ in range(depth[0])),
        )
        self.sixteenth = nn.Sequential(
            Residual(48, middle, stride=2, grow=4),
            *(Residual(middle, middle, kernel=5) for _ in range(depth[1])),
        )
        self.last = nn.Sequential(
            Residual(middle, last, stride=2, grow=4),
            *(Residual(last, last, kernel=5) for _ in range(depth[2])),
        )
        self.context = Context(last, 96)
        self.up16 = _conv(96 + middle, 64, 3)
        self.up8 = _conv(64 + 48, 48, 3)
        self.up4 = _conv(48 + 32, 32, 3)
        # The input enters again as 2×2 blocks, so that the full-size heads have seen every pixel
        # although nothing is computed above half size.
        self.up2 = _conv(32 + 24 + 12, 24, 3)
        self.person = nn.Conv2d(64, 1, 1)
        self.heads = nn.Conv2d(24, 4 * 5, 1)
        self.keep = nn.Conv2d(24, hidden, 1)

    def forward(self, x: Tensor) -> Coarse:
        """Look at a frame.

        Args:
            x: B×10×H×W as `INPUTS` says; H and W are multiples of 32.
        """
        half = self.stem(x)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        y = self.context(self.last(sixteenth))
        y = self.up16(torch.cat((_double(y), sixteenth), 1))
        person = self.person(y)
        y = self.up8(torch.cat((_double(y), eighth), 1))
        y = self.up4(torch.cat((_double(y), quarter), 1))
        y = self.up2(torch.cat((_double(y), half, F.pixel_unshuffle(x[:, :3], 2)), 1))
        out = F.pixel_shuffle(self.heads(y), 2)
        return Coarse(
            alpha=out[:, :1],
            trimap=out[:, 1:4],
            error=torch.sigmoid(out[:, 4:]),
            person=person,
            hidden=self.keep(y),
        )


class Seen(NamedTuple):
    """What most of the looks at a frame agree on.

    Attributes:
        alpha: B×1×H×W matte, 0 to 1.
        trimap: B×3×H×W probabilities of background, unknown, foreground.
        error: B×1×H×W expected |alpha - truth|, 0 to 1.
        hidden: B×hidden×H/2×W/2 features for the refiner, of the first look.
    """

    alpha: Tensor
    trimap: Tensor
    error: Tensor
    hidden: Tensor


def look_around(coarse: nn.Module, x: Tensor) -> Seen:
    """Return what the looks of `LOOKS` agree on, pixel by pixel: the one of middle alpha.

    A network that misses somebody, or half of their clothes, or takes a wall for them, seldom does
    so every time; their mean would be half a mistake, their median is none.

    Args:
        coarse: a `CoarseNet`.
        x: B×10×H×W as `INPUTS` says; H and W are multiples of 32.
    """
    rows, columns = x.shape[2:]

    def look(scale: float, mirror: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        seen = x.flip(3) if mirror else x
        size = [max(STRIDE, STRIDE * round(n * scale / STRIDE)) for n in (rows, columns)]
        seen = F.interpolate(seen, size, mode="bilinear", align_corners=False, antialias=True)
        out = coarse(seen.contiguous(memory_format=torch.channels_last))

        def grown(plane: Tensor) -> Tensor:
            plane = F.interpolate(
                plane.float(), (rows, columns), mode="bilinear", align_corners=False
            )
            return plane.flip(3) if mirror else plane

        trimap = torch.softmax(out.trimap.float(), 1)
        alpha = torch.sigmoid(out.alpha.float())
        return grown(alpha), grown(trimap), grown(out.error), out.hidden.float()

    *looks, hidden = zip(*(look(*each) for each in LOOKS), strict=True)
    alphas, trimaps, errors = (torch.stack(planes) for planes in looks)
    # Where two looks agree to the bit, the first of them counts, on any device.
    middle = alphas.argsort(dim=0, stable=True)[len(LOOKS) // 2][None]
    alpha, trimap = (x.gather(0, middle.expand_as(x[:1]))[0] for x in (alphas, trimaps))
    return Seen(alpha, trimap, errors.mean(0), hidden[0])


class MatteNet(nn.Module):
    """The coarse network and the refiner, which share weights files and nothing else.

    Args:
        hidden: features handed from one to the other.
        depth: blocks of the coarse network at 1/8, 1/16 and 1/32.
        side: of the square of as many pixels as the frames that the coarse pass does best on; it
            depends on how large those of its training were.
        channels: of the coarse network at 1/16 and 1/32.
    """

    def __init__(
        self,
        hidden: int = 8,
        depth: tuple[int, int, int] = (2, 3, 3),
        side: int = 512,
        channels: tuple[int, int] = (88, 128),
    ) -> None:
        super().__init__()
        self.side = side
        self.coarse = CoarseNet(hidden, depth, channels)
        self.refiner = Refiner(hidden)


def build(
    hidden: int = 8,
    depth: Sequence[int] = (2, 3, 3),
    side: int = 512,
    channels: Sequence[int] = (88, 128),
) -> MatteNet:
    """Return the network of the given size, as a manifest's hyperparameters name it."""
    first, second, third = depth
    middle, last = channels
    return MatteNet(hidden, (first, second, third), side, (middle, last))


def settle(alpha: Tensor, trimap: Tensor | None = None) -> Tensor:
    """Make a matte exactly 0 and 1 where it nearly is or where the trimap is sure.

    The trimap takes over gradually between 85 % and 97 % of certainty, so that a pixel whose
    certainty drifts from frame to frame does not jump.

    Args:
        alpha: B×1×H×W matte, 0 to 1.
        trimap: B×3×H×W probabilities of background, unknown, foreground.
    """
    alpha = ((alpha - 0.01) / 0.98).clamp(0.0, 1.0)
    if trimap is None:
        return alpha
    sure = ((trimap - 0.85) / 0.12).clamp(0.0, 1.0)
    alpha = alpha * (1.0 - sure[:, BACKGROUND : BACKGROUND + 1])
    return alpha + (1.0 - alpha) * sure[:, FOREGROUND : FOREGROUND + 1]
