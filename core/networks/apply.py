"""Run a coarse-to-fine network on the planes of a frame."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from relume.encoding import encode
from relume.geometry.subject import Subject
from relume.networks.blocks import pad_to, resize
from relume.networks.guided import double

F32 = NDArray[np.float32]

_REACH = 16
"""Pixels around a window that the refiner's answer inside it depends on, with room to spare."""


def masked(colour: F32, subject: Subject, gain: float = 1.0) -> F32:
    """Return H×W×3 encoded colour, zero outside the subject.

    Args:
        colour: H×W×3 scene-linear, straight.
        subject: where to look.
        gain: factor before the encoding.
    """
    out = np.zeros_like(colour)
    rows, columns = subject.box.slices(subject.box.of_size(subject.shape[1], subject.shape[0]))
    part = encode(colour[rows, columns] * np.float32(gain))
    out[rows, columns] = part * (subject.alpha[rows, columns, None] > 0)
    return out


def apply(
    model: nn.Module, planes: F32, subject: Subject, pixel_aspect: float, *, half: bool = False
) -> F32:
    """Return a network's answer over the subject's box.

    The coarse pass always sees the whole frame, so the answer does not depend on the box.

    Args:
        model: a network of `relume.networks.guided`.
        planes: H×W×C input, alpha last.
        subject: whose box to answer for.
        pixel_aspect: width of a pixel over its height; networks work in square pixels.
        half: half-precision arithmetic, on an accelerator only.

    Returns:
        h×w×K float32 of the box.
    """
    height, width = subject.shape
    box = subject.box
    device = next(model.parameters()).device
    with torch.inference_mode():
        # H×W×C memory read as N×C×H×W is what convolutions like best: channels last.
        x = torch.from_numpy(planes).to(device).permute(2, 0, 1)[None]
        square = max(1, round(width * pixel_aspect))
        x = pad_to(resize(x, height, square), 2)
        if square == width:
            y0, y1 = max(0, box.y0 - _REACH) // 2, min(x.shape[2], box.y1 + _REACH + 1) // 2
            x0, x1 = max(0, box.x0 - _REACH) // 2, min(x.shape[3], box.x1 + _REACH + 1) // 2
        else:
            y0, y1, x0, x1 = 0, x.shape[2] // 2, 0, x.shape[3] // 2
        with torch.autocast(device.type, enabled=half and device.type != "cpu"):
            out = model(x, window=(y0, y1, x0, x1))
        out = out.float()
        if out.shape[2] == y1 - y0:
            out = double(out)
        if square == width:
            out = out[:, :, box.y0 - 2 * y0 :, box.x0 - 2 * x0 :][:, :, : box.height, : box.width]
        else:
            out = resize(out[:, :, :height, :square], height, width)
            out = out[:, :, box.y0 : box.y1, box.x0 : box.x1]
        return np.asarray(out[0].permute(1, 2, 0).contiguous().cpu().numpy())


def spread(answer: F32, subject: Subject) -> F32:
    """Return H×W×K: an answer over the box on the whole frame, its margin filled, 0 elsewhere."""
    out = np.zeros((*subject.shape, answer.shape[-1]), np.float32)
    rows, columns = subject.box.slices(subject.box.of_size(subject.shape[1], subject.shape[0]))
    out[rows, columns] = answer * (subject.alpha[rows, columns, None] > 0)
    subject.extend(out)
    return out
