"""Building blocks of the networks: a coarse U-Net and a guided full-resolution refiner.

There are no normalisation layers. Each would tie a pixel to the statistics of a batch or of the
crop, and the encoded input is bounded already; residual branches that start near zero keep the
training stable without them.

Dense 3×3 convolutions do the work where the picture is large and channels few: a 512-bit CPU runs
them at three to five times the arithmetic rate of depthwise ones, so they cost less time there.
Inverted residuals take over where channels are many and parameters would grow.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

STRIDE = 32
"""The coarse network's sides are multiples of this."""


def rectify(x: Tensor, leak: float) -> Tensor:
    """Return x where it is positive, else `leak`·x.

    Without normalisation layers a stream can drift below zero for good; a leak lets it recover.
    """
    return fn.leaky_relu(x, leak) if leak else fn.relu(x)


class Conv(nn.Conv2d):
    """A convolution that training in half precision does not slow down.

    Autocast pads in full precision, and back; and on a processor the gradient of a depthwise
    convolution takes up to four times as long in half precision as in full.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return N×outputs×H×W, in autocast's precision where there is one."""
        device = x.device.type
        if not torch.is_autocast_enabled(device):
            return super().forward(x)
        half = torch.get_autocast_dtype(device)
        inside = torch.float32 if self.groups > 1 and device == "cpu" else half
        bias = None if self.bias is None else self.bias.to(inside)
        with torch.autocast(device, enabled=False):
            out: Tensor = self._conv_forward(x.to(inside), self.weight.to(inside), bias).to(half)
        return out


def conv(inputs: int, outputs: int, size: int = 3, *, stride: int = 1, groups: int = 1) -> Conv:
    """Return a convolution that keeps the size, padding by edge replication.

    Zero padding would make a frame's border look like the edge of a silhouette.
    """
    return Conv(
        inputs,
        outputs,
        size,
        stride=stride,
        padding=size // 2,
        groups=groups,
        padding_mode="replicate" if size > 1 else "zeros",
    )


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), dense 3×3; `leak` is the slope of the negative half."""

    def __init__(self, channels: int, leak: float = 0.0) -> None:
        super().__init__()
        self.leak = leak
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)
        _quiet(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """Return N×C×H×W features of the same shape."""
        out: Tensor = x + self.second(rectify(self.first(rectify(x, self.leak)), self.leak))
        return out


class InvertedResidual(nn.Module):
    """x + project(relu(depthwise(relu(expand(x))))) with a 5×5 depthwise kernel.

    Source: Sandler et al. 2018, MobileNetV2, section 3.3, without batch normalisation and ReLU6.
    """

    def __init__(self, channels: int, leak: float = 0.0, expansion: int = 3) -> None:
        super().__init__()
        self.leak = leak
        wide = channels * expansion
        self.expand = conv(channels, wide, 1)
        self.depthwise = conv(wide, wide, 5, groups=wide)
        self.project = conv(wide, channels, 1)
        _quiet(self.project)

    def forward(self, x: Tensor) -> Tensor:
        """Return N×C×H×W features of the same shape."""
        wide = rectify(self.depthwise(rectify(self.expand(x), self.leak)), self.leak)
        out: Tensor = x + self.project(wide)
        return out


class UNet(nn.Module):
    """A U-Net that reads N×C×H×W, H and W multiples of 32, and answers at half that size.

    Five levels at 1/2 … 1/32; the first `dense` of them use dense blocks, the others inverted
    residuals. The smallest level sees the whole picture several times over, so light and form can
    be judged globally.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: Sequence[int] = (32, 48, 64, 96, 128),
        blocks: Sequence[int] = (1, 1, 1, 2, 4),
        dense: int = 3,
        leak: float = 0.0,
    ) -> None:
        super().__init__()
        self.leak = leak
        levels = range(len(channels))
        self.stem = conv(4 * inputs, channels[0])
        self.down = nn.ModuleList(
            conv(channels[level - 1], channels[level], stride=2) for level in levels[1:]
        )
        self.encoder = nn.ModuleList(
            _stack(channels[level], blocks[level], level < dense, leak) for level in levels
        )
        self.up = nn.ModuleList(
            conv(channels[level + 1], channels[level], 1) for level in levels[:-1]
        )
        self.decoder = nn.ModuleList(
            _stack(channels[level], 1, level < dense, leak) for level in levels[:-1]
        )
        self.head = conv(channels[0], outputs)
        _quiet(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Return N×outputs×H/2×W/2."""
        x = self.stem(fn.pixel_unshuffle(x, 2))
        skips = []
        for level, encoder in enumerate(self.encoder):
            if level:
                skips.append(x)
                x = self.down[level - 1](rectify(x, self.leak))
            x = encoder(x)
        for level in reversed(range(len(skips))):
            # The 1×1 convolution and the bilinear filter commute; this order is cheaper.
            x = fn.interpolate(
                self.up[level](x), scale_factor=2.0, mode="bilinear", align_corners=False
            )
            x = self.decoder[level](x + skips[level])
        out: Tensor = self.head(rectify(x, self.leak))
        return out


class Refiner(nn.Module):
    """A few convolutions at half resolution that add detail to an upsampled coarse answer.

    Args:
        guide: channels of the full-resolution guide (read as 2×2 cells).
        coarse: channels of the coarse answer and features.
        outputs: channels of the correction.
        width: channels inside.
        shuffle: answer at full resolution (each cell gives 2×2 pixels) rather than at half.
    """

    def __init__(
        self, guide: int, coarse: int, outputs: int, width: int = 32, *, shuffle: bool = True
    ) -> None:
        super().__init__()
        self.shuffle = shuffle
        self.first = conv(4 * guide + coarse, width)
        self.second = conv(width, width)
        self.head = conv(width, outputs * (4 if shuffle else 1))
        _quiet(self.head)

    def forward(self, guide: Tensor, coarse: Tensor) -> Tensor:
        """Return the correction.

        Args:
            guide: N×guide×H×W, H and W even.
            coarse: N×coarse×H/2×W/2.

        Returns:
            N×outputs×H×W, or half that size without `shuffle`.
        """
        x = torch.cat((fn.pixel_unshuffle(guide, 2), coarse), 1)
        x = fn.relu(self.second(fn.relu(self.first(x))))
        out: Tensor = self.head(x)
        return fn.pixel_shuffle(out, 2) if self.shuffle else out


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resample N×C×H×W: area-like when shrinking, bilinear when growing."""
    if x.shape[-2:] == (height, width):
        return x
    shrinks = height < x.shape[-2] or width < x.shape[-1]
    return fn.interpolate(
        x, (height, width), mode="bilinear", align_corners=False, antialias=shrinks
    )


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """Pad N×C×H×W at the right and bottom to a multiple, by edge replication."""
    height, width = x.shape[-2:]
    right, bottom = -width % multiple, -height % multiple
    if not right and not bottom:
        return x
    return fn.pad(x, (0, right, 0, bottom), mode="replicate")


def parameters(model: nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(p.numel() for p in model.parameters())


def _stack(channels: int, count: int, dense: bool, leak: float) -> nn.Sequential:
    block = Residual if dense else InvertedResidual
    return nn.Sequential(*(block(channels, leak) for _ in range(count)))


def _quiet(layer: nn.Conv2d) -> None:
    """Start a layer near zero, so that the branch it ends begins as a small correction."""
    with torch.no_grad():
        layer.weight.mul_(0.1)
        if layer.bias is not None:
            layer.bias.zero_()
