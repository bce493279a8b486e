"""Take the light of a coloured screen out of a foreground."""

from __future__ import annotations

import numpy as np

from relume.image import Image

SCREENS = ("red", "green", "blue")
LIMITS = ("average", "maximum", "minimum")

_LUMINANCE = (0.2722287168, 0.6740817658, 0.0536895174)
"""Of ACEScg; what is given back is grey, so that other primaries change its amount alone."""


def despill(
    image: Image,
    screen: str = "green",
    limit: str = "average",
    amount: float = 1.0,
    restore: float = 0.0,
) -> Image:
    """Bring one channel down to what the other two allow.

    With spill s = max(0, G − limit(R, B)) for a green screen, G loses amount·s, and all three
    channels gain restore·amount·s·Y, Y the share of that channel in luminance: with `restore` at 1
    the luminance is what it was. It scales with the picture, so that straight and premultiplied
    colour give the same result, and nothing is clamped.

    Args:
        image: R, G, B and other channels, which are left alone; scene-linear.
        screen: colour of the screen, one of `SCREENS`.
        limit: what the channel may reach of the other two, one of `LIMITS`.
        amount: share of the spill to remove, from 0.
        restore: share of the lost luminance to give back as grey, 0 to 1.

    Returns:
        The image without its spill.

    Raises:
        UsageError: the image has no R, G and B.
    """
    image.take("R", "G", "B")
    at = [image.channels.index(name) for name in ("R", "G", "B")]
    place = SCREENS.index(screen)
    others = [image.pixels[:, :, channel] for channel in at if channel != at[place]]
    if limit == "average":
        allowed = np.float32(0.5) * (others[0] + others[1])
    else:
        allowed = (np.maximum if limit == "maximum" else np.minimum)(others[0], others[1])
    spill = np.float32(amount) * np.maximum(image.pixels[:, :, at[place]] - allowed, 0.0)
    out = image.pixels.copy()
    out[:, :, at[place]] -= spill
    if restore:
        out[:, :, at] += np.float32(restore * _LUMINANCE[place]) * spill[:, :, None]
    return image.like(out)
