"""The over operation."""

from __future__ import annotations

import numpy as np

from relume.compositing.alpha import premultiply
from relume.compositing.resample import Fit, fit_into
from relume.errors import UsageError
from relume.image import Box, Image, Pixels


def over(foreground: Image, background: Image, fit: Fit = "none") -> Image:
    """Composite a foreground over a background: C = F + (1 − a)·B, premultiplied.

    Source: Porter and Duff 1984, section 4.3.

    Args:
        foreground: R, G, B, A, scene-linear; its windows are the result's.
        background: R, G, B with or without A, scene-linear; black and transparent outside its
            data window.
        fit: what to do with a background of another size.

    Returns:
        R, G, B, A, premultiplied.

    Raises:
        UsageError: the foreground has no A, or the sizes differ and `fit` is `none`.
    """
    if not foreground.has("A"):
        raise UsageError(
            "the foreground has no alpha to composite with",
            way_out="Wire a premultiplied RGBA image, such as Relight's `relit`",
        )
    front = premultiply(foreground)
    behind = premultiply(fit_into(background, front, fit))
    colour, alpha = seen_behind(behind, front.data)
    cover = front.take("A")
    keep = np.float32(1) - cover
    result = np.concatenate((front.rgb + keep * colour, cover + keep * alpha), axis=2)
    return front.like(result, ("R", "G", "B", "A"), alpha="premultiplied")


def seen_behind(image: Image, window: Box) -> tuple[Pixels, Pixels]:
    """Return the background's premultiplied colour and alpha in a window, zero outside its own."""
    colour = np.zeros((window.height, window.width, 3), np.float32)
    alpha = np.zeros((window.height, window.width, 1), np.float32)
    shared = window.intersect(image.data)
    if shared is not None:
        to, source = shared.slices(window), shared.slices(image.data)
        colour[to] = image.rgb[source]
        alpha[to] = image.take("A")[source] if image.alpha != "none" else np.float32(1)
    return colour, alpha
