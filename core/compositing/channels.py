"""Choosing and naming channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relume.errors import UsageError
from relume.image import AlphaState, Image

_CONSTANTS = {"0": 0.0, "1": 1.0}


def shuffle(
    image: Image, sources: Sequence[str], names: Sequence[str], other: Image | None = None
) -> Image:
    """Build an image from named channels of one or two images.

    Args:
        image: H×W×C.
        sources: one entry an output channel: a channel of `image`, `b.NAME` of `other`, `0`, `1`.
        names: names of the output channels.
        other: a second image with the same data window.

    Returns:
        An image with `names` as its channels, in the windows of `image`.

    Raises:
        UsageError: the lists differ in length, a channel is missing, or the windows differ.
    """
    if len(sources) != len(names):
        raise UsageError(
            f"{len(sources)} sources cannot fill {len(names)} channels",
            way_out="Give one source for each channel",
        )
    if other is not None and other.data != image.data:
        raise UsageError(
            f"the images cover different windows, {image.data} and {other.data}",
            way_out="Reformat or Crop one of them",
        )
    planes = []
    for source in sources:
        if source in _CONSTANTS:
            shape = (image.height, image.width, 1)
            planes.append(np.full(shape, _CONSTANTS[source], np.float32))
        elif source.startswith("b."):
            if other is None:
                raise UsageError(f"'{source}' needs a second image", way_out="Wire the input 'b'")
            planes.append(other.take(source[2:]))
        else:
            planes.append(image.take(source))
    alpha: AlphaState = "none"
    if "A" in names:
        alpha = "straight" if image.alpha == "none" else image.alpha
    return image.like(np.concatenate(planes, axis=2), tuple(names), alpha=alpha)
