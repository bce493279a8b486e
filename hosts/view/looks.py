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

GRID = 65
"""Lattice points an axis."""

# ACEScct, Academy S-2016-001, equations 6 and 7: a logarithm with a straight toe, which holds
# negatives down to −0.007 and values up to 223 between 0 and 1.
_CUT = 0.155251141552511
_SLOPE, _OFFSET = 10.5402377416545, 0.0729055341958355


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
    """Return a lattice from ACEScct to display code values.

    Args:
        display: a display of the configuration in force.
        view: one of its views.

    Returns:
        B×G×R×4 float16, the axes ACEScct of the working space from 0 to 1, not clipped; A is 1.

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


def linear(encoded: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the scene-linear values of ACEScct code values."""
    code = np.asarray(encoded, np.float64)
    return np.where(code <= _CUT, (code - _OFFSET) / _SLOPE, 2.0 ** (17.52 * code - 9.72))


@lru_cache(maxsize=16)
def _baked(digest: str, display: str, view: str) -> NDArray[np.float16]:
    del digest  # another configuration gives another lattice
    axis = linear(np.linspace(0.0, 1.0, GRID)).astype(np.float32)
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
    lattice[..., :3] = np.clip(np.nan_to_num(coded), -65504.0, 65504.0)
    lattice.flags.writeable = False
    return lattice
