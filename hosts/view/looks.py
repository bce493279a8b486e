"""How a display shows scene-linear light, baked so that the page does what OCIO does."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import PyOpenColorIO as ocio
from numpy.typing import NDArray

from relume.colour import config, config_digest, working_space
from relume.colour.spaces import resolve
from relume.colour.transforms import prepare, transform
from relume.errors import UsageError

GRID = 81
"""Lattice points an axis. On relit photographs and on wild ones, 99.9 % of the pixels come within
2/255 of OCIO itself, in tone-mapped views and in others."""

SCALE = 64.0
"""The shaper is ±log2(1 + SCALE·|x|): nearly straight around 0, so that negatives are no corner."""

RANGE = (-0.25, 128.0)
"""Scene-linear values at the ends of the lattice; what lies beyond is clipped to them."""


def displays() -> dict[str, list[str]]:
    """Return the displays of the configuration in force, the default one first, with views."""
    here = config()
    names = sorted(here.getDisplays(), key=lambda name: name != here.getDefaultDisplay())
    found = {}
    for name in names:
        first = here.getDefaultView(name)
        found[name] = sorted(here.getViews(name), key=lambda view: view != first)
    return found


def bake(display: str, view: str) -> NDArray[np.float16]:
    """Return a lattice from shaped scene-linear light to the light of the display.

    Code values bend sharply at black, where out-of-gamut colours are clipped, and the light behind
    them does not. So the lattice holds code values through the inverse of the sRGB curve, whatever
    the display's own curve is, and the page applies the sRGB curve to what it interpolates.

    Args:
        display: a display of the configuration in force.
        view: one of its views.

    Returns:
        B×G×R×4 float16, not clipped; A is 1. Point i of an axis is `shaped` at i / (GRID − 1).

    Raises:
        UsageError: there is no such display or view, or OCIO cannot make the transform.
    """
    known = displays()
    if view not in known.get(display, ()):
        raise UsageError(
            f"the OCIO configuration has no view '{view}' of '{display}'",
            way_out=f"Its displays are {', '.join(known)}",
        )
    return _baked(config_digest(), display, view)


def shaper() -> dict[str, float]:
    """Return the shaper for the page: x → (±log2(1 + scale·|x|) − low) / span."""
    low, high = (float(_shape(np.float64(end))) for end in RANGE)
    return {"scale": SCALE, "low": low, "span": high - low}


def unshaped(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scene-linear values at places from 0 to 1 along an axis."""
    low, high = _shape(np.array(RANGE))
    at = low + places * (high - low)
    return np.asarray(np.sign(at) * (2.0 ** np.abs(at) - 1.0) / SCALE, np.float64)


def _shape(light: Any) -> Any:
    return np.sign(light) * np.log2(1.0 + SCALE * np.abs(light))


def _decoded(code: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return code values through the inverse sRGB curve, mirrored at 0.

    Source: IEC 61966-2-1.
    """
    size = np.abs(code)
    light = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.copysign(light, code).astype(np.float32)


@lru_cache(maxsize=16)
def _baked(digest: str, display: str, view: str) -> NDArray[np.float16]:
    del digest  # another configuration gives another lattice
    axis = unshaped(np.linspace(0.0, 1.0, GRID)).astype(np.float32)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    colours = np.stack((red, green, blue), axis=-1)
    here = config()
    own = resolve(working_space())
    name = own.name
    if own.owner != "show":
        # The show does not define the working space, so the show's own scene-linear is the way.
        target = resolve(ocio.ROLE_SCENE_LINEAR)
        colours = transform(own, target).apply_rgb(colours)
        name = target.name
    try:
        shown = ocio.DisplayViewTransform(src=name, display=display, view=view)
        coded = prepare(here.getProcessor(shown)).apply_rgb(colours)
    except ocio.Exception as error:
        raise UsageError(
            f"OCIO cannot show '{view}' on '{display}' ({str(error).splitlines()[0].rstrip('.')})",
            way_out="Choose another view",
        ) from error
    lattice = np.ones((*coded.shape[:3], 4), np.float16)
    lattice[..., :3] = np.clip(_decoded(np.nan_to_num(coded)), -65504.0, 65504.0)
    lattice.flags.writeable = False
    return lattice
