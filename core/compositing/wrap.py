"""Light wrap: light of the background that bleeds over the edge of what stands before it."""

from __future__ import annotations

import numpy as np

from relume.compositing.alpha import premultiply
from relume.compositing.convolve import convolve, gaussian
from relume.compositing.merge import seen_behind
from relume.compositing.resample import Fit, fit_into
from relume.image import Image

REACH = 2.0
"""Standard deviations in a radius: a twentieth of the light goes farther."""


def light_wrap(
    foreground: Image,
    background: Image,
    radius: float,
    amount: float = 1.0,
    *,
    fit: Fit = "none",
    threads: int = 1,
) -> Image:
    """Let light of the background bleed over the edges of a foreground.

    What is seen of the background, (1 − a)·B, is spread by a Gaussian G, as a lens or air would
    spread it. Where more foreground than background is, the spread light takes the place of the
    sharp: F + amount·max(0, 2a − 1)·(G∗((1 − a)·B) − (1 − a)·B). Linear in both pictures, and
    nothing at radius 0. On the thin side of an edge the difference is negative, and would draw a
    dark line around the subject.

    Args:
        foreground: R, G, B, A, scene-linear.
        background: R, G, B with or without A, scene-linear, unbounded.
        radius: how far light bleeds, in pixels.
        amount: factor on the bleeding light.
        fit: what to do with a background of another size.
        threads: to compute with; the result does not depend on it.

    Returns:
        R, G, B, A in the foreground's windows, premultiplied, its alpha as it was: ready for Over.

    Raises:
        UsageError: the foreground has no A, or the sizes differ and `fit` is `none`.
    """
    front = premultiply(foreground)
    cover = front.take("A")
    if radius <= 0 or amount == 0:
        return front
    colour, _ = seen_behind(premultiply(fit_into(background, front, fit)), front.data)
    seen = (np.float32(1) - cover) * colour
    spread = convolve(seen, gaussian(radius / REACH, front.pixel_aspect), threads)
    inside = np.clip(2 * cover - 1, 0, 1)
    result = front.rgb + np.float32(amount) * inside * (spread - seen)
    return front.like(
        np.concatenate((result, cover), axis=2), ("R", "G", "B", "A"), alpha="premultiplied"
    )
