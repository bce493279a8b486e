"""Pictures as planes of torch, and the part of one that matters: what the matting code shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def planar(pixels: NDArray[np.float32]) -> Tensor:
    """Return H×W×C as 1×C×H×W, a copy: torch refuses to share what is read-only."""
    import torch

    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), np.float32, order="C"))[None]


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """Resize 1×C×H×W, averaging where it shrinks."""
    from torch.nn import functional as fn

    if x.shape[2:] == (height, width):
        return x
    # Averaging makes no difference where it enlarges, and costs several times as much.
    shrinks = height < x.shape[2] or width < x.shape[3]
    return fn.interpolate(
        x, size=(height, width), mode="bilinear", align_corners=False, antialias=shrinks
    )


class Drawn(NamedTuple):
    """What marks say at a size; a pixel that is mixed of both or of unknown is neither.

    Attributes:
        sure: N×1×H×W, 1 where it certainly is foreground, else 0.
        clear: N×1×H×W, 1 where it certainly is background, else 0.
    """

    sure: Tensor
    clear: Tensor

    @property
    def marks(self) -> Tensor:
        """N×2×H×W certain foreground and unknown."""
        import torch

        return torch.cat((self.sure, 1.0 - self.sure - self.clear), 1)

    def over(self, alpha: Tensor) -> Tensor:
        """Return N×1×H×W alpha with what is drawn in it: it is there, or not, whatever it was."""
        return alpha.maximum(self.sure) * (1.0 - self.clear)


def drawn(marks: Tensor, height: int, width: int) -> Drawn:
    """Return what marks say at another size.

    Args:
        marks: N×2×H×W certain foreground and unknown.
        height: rows wanted.
        width: columns wanted.
    """
    mixed = resized(marks, height, width)
    sure = (mixed[:, :1] > 0.99).float()
    return Drawn(sure, (mixed.sum(1, keepdim=True) < 0.01).float())


def around(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice] | None:
    """Return the rows and columns that hold an H×W mask, `margin` wider; None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
    )


def grown(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Return an H×W mask with all that is within so many steps across or down.

    As `ndimage.binary_dilation` with as many iterations, at the cost of one.
    """
    from scipy import ndimage

    if steps < 1 or not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_cdt(~mask, metric="taxicab") <= steps)


def shrunk(mask: NDArray[np.bool_], steps: int, *, border: bool = True) -> NDArray[np.bool_]:
    """Return an H×W mask without all that is within so many steps of what it leaves out.

    Args:
        mask: the mask.
        steps: across or down.
        border: whether it goes on beyond the picture; otherwise it ends there.
    """
    if not border:
        return shrunk(np.pad(mask, 1), steps)[1:-1, 1:-1]
    return ~grown(~mask, steps)
