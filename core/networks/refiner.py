"""The refiner of the matting network: it sharpens a matte tile by tile, one octave at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.encoding import decode, encode

TILE = 32
HALO = 12
"""Pixels that the refiner reads around a tile: five of half size (3×3, one of them dilated) and two
of full."""

SPARSE = 4
"""Pixels on a side for which colours nearby are worked out once."""

FAR = 4
"""How many of these on a side the wider of their two windows takes for one."""

FULL = 18
"""Planes of the refiner: plate 3, alpha 1, the alpha that colours nearby explain 1, certain
foreground and unknown of a guide 2, error 1, clean plate 3, its flag 1, foreground nearby 3,
background nearby 3."""

ALPHA, ERROR = 3, 7
"""Where among these the matte so far and its expected error stand."""

_SHARP = 5
"""Of these, the first that half size reads as 2×2 blocks and not as means."""

_FINE = 8
"""Of these, the first that full size reads."""

_REST = 1e-4
"""Weight of a pixel's own colour, which is all there is where nothing sure is nearby."""

_DISTANT = 0.05
"""Weight of windows `FAR` times as wide."""

_SURE = 0.01
"""How sure of itself a matte is taken to be at most: what settling makes 0 and 1."""

_STRIDE = 6.0
"""Logits that one unit of the last layer is worth: a wrong matte is far from a right one."""

_BRIGHT = 1e6
"""Up to which colours are told apart."""

_PLAIN = 1e-4
"""Squared distance of two colours below which alpha cannot be told from them, at middle grey."""


def _filter(inputs: int, outputs: int, dilation: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class Refiner(nn.Module):
    """Sharpen the matte of one tile.

    The same weights serve every octave between the coarse pass and the plate: each begins with
    what the last one found, so that a small neighbourhood in pixels is a large one in the plate.

    Source: Lin et al. 2021, Real-Time High-Resolution Background Matting, the refinement network;
    Kirillov et al. 2020, PointRend, section 3.1 (from octave to octave, where it is doubtful).
    Deviations: tiles of 32 pixels where the first takes 4, which spends less on halos; colours
    nearby and the alpha that they explain are read beside the plate; the output is a step in the
    logit of alpha, and how wrong it may still be.

    Args:
        hidden: features of the coarse pass.
        width: channels inside.
    """

    def __init__(self, hidden: int = 8, width: int = 24) -> None:
        super().__init__()
        self.coarser = nn.Sequential(
            *_filter(4 * _SHARP + FULL - _SHARP + hidden, width),
            *_filter(width, width, dilation=2),
            *_filter(width, width),
            *_filter(width, width),
        )
        self.finer = nn.Sequential(*_filter(width + _FINE, 16), nn.Conv2d(16, 2, 3))
        # Starts as the identity: an untrained refiner leaves the coarse matte as it is.
        nn.init.zeros_(self.finer[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.finer[-1].bias)  # type: ignore[arg-type]

    def forward(self, full: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Refine tiles.

        Args:
            full: N×18×(T+24)×(T+24) planes as `FULL` says, T even, halo included.
            hidden: N×hidden×(T+24)/2×(T+24)/2 coarse features at half the tile's resolution.

        Returns:
            N×1×T×T logits of the matte and of its expected error.
        """
        blocks = F.pixel_unshuffle(full[:, :_SHARP], 2)
        y = self.coarser(torch.cat((blocks, F.avg_pool2d(full[:, _SHARP:], 2), hidden), 1))
        y = F.interpolate(y, scale_factor=2, mode="nearest")
        inner = full[:, :_FINE, HALO - 2 : 2 - HALO, HALO - 2 : 2 - HALO]
        step: Tensor = self.finer(torch.cat((y, inner), 1))
        before = full[:, [ALPHA, ERROR], HALO:-HALO, HALO:-HALO]
        alpha, error = (torch.logit(before.float(), eps=_SURE) + _STRIDE * step).chunk(2, 1)
        return alpha, error


def readings(
    plate: Tensor,
    alpha: Tensor,
    error: Tensor,
    front: Tensor,
    behind: Tensor,
    clean: Tensor | None = None,
    marks: Tensor | None = None,
) -> Tensor:
    """Return the refiner's planes, N×18×H×W as `FULL` says.

    Args:
        plate: N×3×H×W scene-linear, exposure anchor applied.
        alpha: N×1×H×W matte so far.
        error: N×1×H×W its expected |alpha - truth|.
        front: N×3×H×W foreground nearby, scene-linear.
        behind: N×3×H×W background nearby, scene-linear.
        clean: N×4×H×W clean plate, scene-linear, and whether there is one; or None.
        marks: N×2×H×W certain foreground and unknown of a guide; or None, as if all were unknown.
    """
    if clean is not None:
        known = clean[:, 3:]
        behind = torch.where(known > 0.5, clean[:, :3], behind)
        seen = torch.cat((encode(clean[:, :3]) * known, known), 1)
    else:
        seen = torch.zeros_like(plate[:, :1]).expand(-1, 4, -1, -1)
    if marks is None:
        marks = torch.cat((torch.zeros_like(alpha), torch.ones_like(alpha)), 1)
    # The share of the way from one colour to the other; squares of larger values overflow.
    low, here, high = (x.clamp(-_BRIGHT, _BRIGHT) for x in (behind, plate, front))
    apart = high - low
    share = ((here - low) * apart).sum(1, keepdim=True)
    share = share / (apart.square().sum(1, keepdim=True) + _PLAIN)
    return torch.cat(
        (
            encode(plate),
            alpha,
            share.clamp(-0.5, 1.5),
            marks,
            error,
            seen,
            encode(front),
            encode(behind),
        ),
        1,
    )


def surroundings(plate: Tensor, alpha: Tensor, inside: Tensor) -> Tensor:
    """Return the colours of what surely is foreground and background around every pixel.

    Means over windows of 36 pixels of the plate, and over windows of 144 that count a twentieth:
    little where the near ones hold anything. They are taken of encoded colours, so that a
    highlight counts as little as it does to the network.

    Args:
        plate: N×3×H×W means of 4×4 pixels, scene-linear; H and W multiples of 4.
        alpha: N×1×H×W likewise.
        inside: 1×1×H×W, 1 in the picture and 0 in what was added at its border.

    Returns:
        Foreground and background, N×6×H×W, scene-linear.
    """
    colour = encode(plate)
    found = []
    for sure in ((alpha - 0.9) / 0.1, (0.1 - alpha) / 0.1):
        weight = sure.clamp(0.0, 1.0) * inside
        near = torch.cat((colour * weight, weight), 1)
        far = F.interpolate(
            _window(F.avg_pool2d(near, FAR)), scale_factor=FAR, mode="bilinear", align_corners=False
        )
        total = (
            _window(near) + _DISTANT * far + _REST * torch.cat((colour, torch.ones_like(weight)), 1)
        )
        found.append(decode(total[:, :3] / total[:, 3:]))
    return torch.cat(found, 1)


def enlarged(nearby: Tensor) -> Tensor:
    """Return tiles of `surroundings`, N×6×S×S with one pixel more on every side, at full size."""
    full = F.interpolate(nearby, scale_factor=SPARSE, mode="bilinear", align_corners=False)
    return full[:, :, SPARSE:-SPARSE, SPARSE:-SPARSE]


def _window(x: Tensor) -> Tensor:
    """Return means over 9×9 pixels, with zeros beyond the border."""
    x = F.avg_pool2d(x, (9, 1), 1, (4, 0))
    return F.avg_pool2d(x, (1, 9), 1, (0, 4))
