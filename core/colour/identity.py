"""What a colour space is, whatever its configuration calls it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import PyOpenColorIO as ocio
from numpy.typing import NDArray

from relume.colour.config import pinned
from relume.colour.spaces import (
    Space,
    attribute_id,
    declared_id,
    encoding,
    parse_measured,
    resolve,
)
from relume.colour.transforms import transform
from relume.errors import UsageError
from relume.image import DATA
from relume.ocio import GAMUTS, Chromaticities


def interop_id(name: str) -> str | None:
    """Return the interop id of a space, also where its configuration does not declare one.

    A space of an older configuration is identified by its numbers: probe colours taken to
    ACES2065-1 must land where the pinned space's land.

    Raises:
        UsageError: the space is unknown.
    """
    space = resolve(name)
    if space.owner == "data":
        return DATA
    if space.owner == "header":
        return None
    declared = declared_id(space.definition)
    if declared is not None or space.owner == "pinned":
        return declared
    try:
        numbers = transform(space, resolve("lin_ap0_scene")).apply_rgb(_PROBES)
    except UsageError:
        return None  # nothing ties this configuration to ACES2065-1
    for candidate, expected in _pinned_numbers():
        if np.allclose(numbers, expected, rtol=2e-3, atol=2e-4):
            return candidate
    return None


def chromaticities(name: str) -> Chromaticities | None:
    """Return the primaries and white of a scene-linear space, or None where they are unknown.

    Raises:
        UsageError: the space is unknown.
    """
    space = resolve(name)
    if space.owner == "header":
        return parse_measured(space.name)
    return GAMUTS.get(interop_id(name) or "")


def is_linear(name: str) -> bool:
    """Return whether doubling the light doubles the numbers of a space.

    Raises:
        UsageError: the space is unknown, or no role ties its configuration to ACES2065-1.
    """
    space = resolve(name)
    if space.owner == "data":
        return False
    declared = encoding(name)
    if declared:
        return declared in ("scene-linear", "display-linear")
    return transform(space, resolve("lin_ap0_scene")).linear


_PROBES = np.array(
    [[0.18, 0.18, 0.18], [0.7, 0.2, 0.1], [0.1, 0.6, 0.2], [0.05, 0.1, 0.8], [0.9, 0.9, 0.9]],
    np.float32,
)


@lru_cache(maxsize=1)
def _pinned_numbers() -> tuple[tuple[str, NDArray[np.float32]], ...]:
    """Return where the probe colours of every scene-referred pinned space land in ACES2065-1."""
    target = Space("ACES2065-1", "pinned")
    found = []
    for space in pinned().getColorSpaces(ocio.SEARCH_REFERENCE_SPACE_SCENE, ocio.COLORSPACE_ALL):
        if attribute_id(space) and not space.isData():
            numbers = transform(Space(space.getName(), "pinned"), target).apply_rgb(_PROBES)
            found.append((attribute_id(space), numbers))
    # Linear spaces first: they are what pictures are exchanged in.
    return tuple(sorted(found, key=lambda item: item[0] not in GAMUTS))
