"""The matting network: a coarse pass over the whole frame and a refiner of its doubtful tiles."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUTS = 10
"""Planes of the coarse input: plate 3, clean plate 3, its flag 1, guide foreground and unknown 2,
their flag 1; colours encoded after the exposure anchor, absent help all zero."""

STRIDE = 32
"""Height and width of the coarse input are multiples of this."""

TILE = 32
HALO = 8
"""Pixels that the refiner reads around a tile: six at half size (three 3×3), two at full."""

FULL = 11
"""Planes of the refiner at full size: plate 3, clean plate 3, its flag 1, guide 2, alpha 1,
error 1."""

SECOND = 0.7
"""Size of the second look at a frame beside the first."""

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
    """Find people and their soft edges in a frame at a long side of about 512.

    Source: Pandey et al. 2021, section 3.1 and supplement (refined trimap and alpha as separate
    heads); Lin et al. 2021, Real-Time High-Resolution Background Matting (error map and hidden
    features for a refiner). Both use far larger encoders.

    Args:
        hidden: features handed to the refiner.
        depth: blocks at 1/8, 1/16 and 1/32.
    """

    def __init__(self, hidden: int = 8, depth: tuple[int, int, int] = (2, 3, 3)) -> None:
        super().__init__()
        self.hidden = hidden
        self.stem = _conv(INPUTS, 24, 3, 2)
        self.quarter = nn.Sequential(
            Residual(24, 32, stride=2, grow=2, fused=True), Residual(32, 32, grow=2)
        )
        self.eighth = nn.Sequential(
            Residual(32, 48, stride=2),
            *(Residual(48, 48, kernel=5) for _ in range(depth[0])),
        )
        self.sixteenth = nn.Sequential(
            Residual(48, 88, stride=2, grow=4),
            *(Residual(88, 88, kernel=5) for _ in range(depth[1])),
        )
        self.last = nn.Sequential(
            Residual(88, 128, stride=2, grow=4),
            *(Residual(128, 128, kernel=5) for _ in range(depth[2])),
        )
        self.context = Context(128, 96)
        self.up16 = _conv(96 + 88, 64, 3)
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
    """What two looks at a frame agree on.

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


def look_twice(coarse: nn.Module, x: Tensor) -> Seen:
    """Return the mean of two coarse passes: one as it is, one smaller and in a mirror.

    A network that misses somebody, or half of their clothes, seldom does so from both. Edges lose
    a little, which the refiner and the picture give back.

    Args:
        coarse: a `CoarseNet`.
        x: B×10×H×W as `INPUTS` says; H and W are multiples of 32.
    """
    size = x.shape[2:]
    rows, columns = (max(STRIDE, STRIDE * round(n * SECOND / STRIDE)) for n in size)
    small = F.interpolate(
        x.flip(3), (rows, columns), mode="bilinear", align_corners=False, antialias=True
    )

    def look(inputs: Tensor) -> Seen:
        out = coarse(inputs.contiguous(memory_format=torch.channels_last))
        trimap = torch.softmax(out.trimap.float(), 1)
        return Seen(torch.sigmoid(out.alpha.float()), trimap, out.error.float(), out.hidden.float())

    def grown(plane: Tensor) -> Tensor:
        return F.interpolate(plane, size, mode="bilinear", align_corners=False).flip(3)

    one, two = look(x), look(small)
    alpha, trimap, error = (0.5 * (a + grown(b)) for a, b in zip(one[:3], two[:3], strict=True))
    return Seen(alpha, trimap, error, one.hidden)


class Refiner(nn.Module):
    """Sharpen the matte of one tile at the plate's own resolution.

    Source: Lin et al. 2021, Real-Time High-Resolution Background Matting, the refinement network.
    Deviations: tiles of 32 pixels where the paper takes 4, which spends less on halos; three
    convolutions at half size, two at full; the output is a step in the logit of alpha.
    """

    def __init__(self, hidden: int = 8) -> None:
        super().__init__()
        self.coarser = nn.Sequential(
            nn.Conv2d(FULL + hidden, 24, 3),
            nn.ReLU(),
            nn.Conv2d(24, 24, 3),
            nn.ReLU(),
            nn.Conv2d(24, 16, 3),
            nn.ReLU(),
        )
        self.finer = nn.Sequential(
            nn.Conv2d(16 + FULL - 1, 12, 3),
            nn.ReLU(),
            nn.Conv2d(12, 1, 3),
        )
        # Starts as the identity: an untrained refiner leaves the coarse matte as it is.
        nn.init.zeros_(self.finer[2].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.finer[2].bias)  # type: ignore[arg-type]

    def forward(self, full: Tensor, hidden: Tensor) -> Tensor:
        """Refine tiles.

        Args:
            full: N×11×(T+16)×(T+16) planes as `FULL` says, T even, halo included.
            hidden: N×hidden×(T+16)/2×(T+16)/2 coarse features at half the tile's resolution.

        Returns:
            N×1×T×T logits of the matte.
        """
        y = self.coarser(torch.cat((F.avg_pool2d(full, 2), hidden), 1))
        y = F.interpolate(y, scale_factor=2, mode="nearest")
        inner = full[:, : FULL - 1, 6:-6, 6:-6]
        step: Tensor = self.finer(torch.cat((y, inner), 1))
        return logit(full[:, 9:10, HALO:-HALO, HALO:-HALO]) + step


class MatteNet(nn.Module):
    """The coarse network and the refiner, which share weights files and nothing else.

    Args:
        hidden: features handed from one to the other.
        depth: blocks of the coarse network at 1/8, 1/16 and 1/32.
        side: long side in square pixels at which the coarse pass does best; it depends on how
            large the frames of its training were.
    """

    def __init__(
        self, hidden: int = 8, depth: tuple[int, int, int] = (2, 3, 3), side: int = 512
    ) -> None:
        super().__init__()
        self.side = side
        self.coarse = CoarseNet(hidden, depth)
        self.refiner = Refiner(hidden)


def build(
    hidden: int = 8, depth: tuple[int, int, int] | list[int] = (2, 3, 3), side: int = 512
) -> MatteNet:
    """Return the network of the given size, as a manifest's hyperparameters name it."""
    first, second, third = depth
    return MatteNet(hidden, (first, second, third), side)


def logit(alpha: Tensor) -> Tensor:
    """Undo the sigmoid, within ±7."""
    return torch.logit(alpha.float(), eps=1e-3)


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
