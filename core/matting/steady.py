"""Mattes that do not flicker: what was the same a few frames ago keeps its alpha.

Frame t depends on the frames of [t − K, t] alone and on nothing that was made of them before, so
any chunk of a shot gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from relume.encoding import encode
from relume.errors import UsageError
from relume.image import Image
from relume.matting.align import follower
from relume.matting.planes import planar

F32 = NDArray[np.float32]

_LEAST = 0.01
"""Encoded difference that counts as the same even in a plate without noise."""

_ALIKE = 0.1
"""Differences of alpha up to about this are flicker wherever they are."""

_NEAR = 0.02
"""Of the long side: how far beyond the matte the subject's motion is measured."""


def steady_matte(
    plates: Sequence[Image], mattes: Sequence[Image], anchor: float, strength: float = 1.0
) -> Image:
    """Return the matte of the last frame, averaged with those before it where nothing changed.

    Every earlier frame is brought to the last one by the motion of the subject – a homography and
    a mesh, fitted around the matte – and counts by how well it then agrees:
    α = Σ wₖ αₖ / Σ wₖ with w = exp(−d²/2s²), d the difference of the encoded pictures over a few
    pixels and s its usual size, or d the difference of alpha and s = 0.1, whichever agrees better;
    so what moved by itself, appeared or was uncovered keeps its own alpha.

    Source: Bennett and McMillan 2005, Video enhancement using per-pixel virtual exposures, section
    4 (a causal bilateral filter over time), after motion compensation.

    Args:
        plates: R, G, B, scene-linear, oldest first.
        mattes: A of each.
        anchor: stops to add before pictures are compared.
        strength: 0 leaves the matte alone, 1 counts an equal frame as much as the current one.

    Raises:
        UsageError: plates and mattes differ in number or size.
    """
    plate, matte = plates[-1], mattes[-1]
    if len(plates) != len(mattes) or any(
        image.pixels.shape[:2] != plate.pixels.shape[:2] for image in (*plates, *mattes)
    ):
        raise UsageError(
            "plates and mattes differ in size or number", way_out="Wire a matte of the same plate"
        )
    alpha = matte.take("A")[:, :, 0]
    if strength <= 0.0 or not alpha.any():
        return matte
    import torch

    gain = np.float32(2.0**anchor)
    now = encode(plate.rgb * gain)
    around = _around(alpha)
    total, weight = alpha.astype(np.float64), np.ones(alpha.shape)
    find = follower(plate, anchor, around)
    with torch.inference_mode():
        for later, then, was in zip(
            reversed(plates[1:]), reversed(plates[:-1]), reversed(mattes[:-1]), strict=True
        ):
            if np.array_equal(then.pixels, later.pixels):
                # Before the shot its first frame is repeated; it has nothing to add.
                continue
            warp = find(then)
            stack = np.concatenate([then.rgb * gain, was.take("A")], -1)
            moved = warp.distance(*alpha.shape) > 0.05
            if moved:
                stack = warp.apply(planar(stack), "bicubic")[0].permute(1, 2, 0).numpy()
            share = _share(now, encode(np.ascontiguousarray(stack[..., :3])), around)
            # At an edge the background behind the subject changes the picture, not the matte.
            share = np.maximum(share, np.exp(-0.5 * ((stack[..., 3] - alpha) / _ALIKE) ** 2))
            if moved:
                share[warp.outside(*alpha.shape)] = 0.0
            share *= strength
            total += share * np.clip(stack[..., 3], 0.0, 1.0)
            weight += share
    steady = (total / weight).astype(np.float32)
    return matte.like(steady[:, :, None], ("A",))


def _around(alpha: F32) -> NDArray[np.bool_]:
    """Return H×W: the subject and a rim about it."""
    wide = max(2, round(_NEAR * max(alpha.shape)))
    near: F32 = ndimage.maximum_filter(alpha, 2 * wide + 1)
    return near > 0.05


def _share(now: F32, then: F32, around: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return H×W weights, 0 to 1, of how well two encoded pictures agree."""
    square = ((now - then) ** 2).mean(-1, dtype=np.float64)
    # Over a few pixels, so that one strand that moved does not hide in the noise.
    near = ndimage.uniform_filter(square, 3, mode="nearest")
    usual = float(np.median(near[around])) if around.any() else float(np.median(near))
    scale = max(_LEAST**2, 2.0 * usual)
    # Agreement to within the usual is agreement.
    weight: NDArray[np.float64] = np.exp(-0.5 * np.maximum(near / scale - 0.5, 0.0) ** 2)
    return weight
