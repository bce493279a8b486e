"""Name a colour space: interop id, name, alias or role, in the user's configuration or through it.

A space is looked up in the configuration in force first, so that a show's own definition wins. An
interop id or a well-known space that the show does not define is taken from the pinned
configuration, and conversions cross between the two through their interchange roles.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import PyOpenColorIO as ocio
from numpy.typing import NDArray

from relume.colour.config import config, config_digest, pinned, user_config_path
from relume.errors import UsageError
from relume.image import DATA
from relume.ocio import ACES_WHITE, DISPLAY_ROLE, GAMUTS, SCENE_ROLE, WORKING_SPACE, Chromaticities

Encoding = Literal["scene-linear", "display-linear", "log", "sdr-video", "hdr-video", "data", ""]

MEASURED = "chromaticities"
"""First word of the name of a linear space that only its chromaticities describe."""

_TOLERANCE = 1e-3
"""Chromaticities in headers are rounded to three decimals by some writers."""


_EXAMPLES = "Give a name that the configuration has, or an interop id such as lin_rec709_scene"


@dataclass(frozen=True, slots=True)
class Space:
    """A colour space and where it is defined.

    Attributes:
        name: its name in that configuration, or `data`, or `chromaticities x y …`.
        owner: `show` is the configuration in force, `pinned` is relume's own, `header` is a
            linear space described by chromaticities alone, `data` is no colour at all.
    """

    name: str
    owner: Literal["show", "pinned", "header", "data"]

    @property
    def definition(self) -> ocio.ColorSpace:
        """The space's definition in its configuration."""
        owner = config() if self.owner == "show" else pinned()
        return owner.getColorSpace(self.name)


def working_space() -> str:
    """Return the interop id of the space nodes compute in unless the graph says otherwise."""
    return WORKING_SPACE


def resolve(name: str) -> Space:
    """Find a colour space.

    Args:
        name: interop id, colour space name, alias or role, in any case.

    Raises:
        UsageError: neither the configuration in force nor the pinned one knows the name.
    """
    return _resolve(config_digest(), name)


@lru_cache(maxsize=1024)
def _resolve(digest: str, name: str) -> Space:
    del digest  # another configuration gives another answer
    key = name.strip()
    if key.lower() == DATA:
        return Space(DATA, "data")
    if key.startswith(MEASURED):
        return Space(_measured_name(parse_measured(key)), "header")
    found = _find(config(), key)
    if found is not None:
        return Space(DATA, "data") if found.isData() else Space(found.getName(), "show")
    # A role means what the show says it means; only names and ids are universal.
    if user_config_path() is not None and not pinned().hasRole(key):
        found = _find(pinned(), key)
        if found is not None:
            return Space(DATA, "data") if found.isData() else Space(found.getName(), "pinned")
    close = _close_names(key)
    raise UsageError(
        f"{name!r} is no colour space, alias, role or interop id of {_config_title()}",
        way_out=f"Perhaps {' or '.join(close)} is meant" if close else _EXAMPLES,
    )


def canonical(name: str) -> str:
    """Return the one name by which images carry a space: interop id where there is one.

    Raises:
        UsageError: the space is unknown.
    """
    space = resolve(name)
    if space.owner in ("data", "header"):
        return space.name
    return declared_id(space.definition) or space.name


def from_chromaticities(values: Sequence[float]) -> str:
    """Return the linear space that has the chromaticities of an EXR header.

    Args:
        values: x, y of red, green, blue and white.

    Returns:
        An interop id, or a name `chromaticities x y …` that conversions understand too.
    """
    measured = Chromaticities(*(float(value) for value in values))
    for name, known in GAMUTS.items():
        if np.allclose(measured, known, rtol=0.0, atol=_TOLERANCE):
            return name
    return _measured_name(measured)


def encoding(name: str) -> Encoding:
    """Return how a space encodes light, as its configuration declares it; "" where it does not.

    Raises:
        UsageError: the space is unknown.
    """
    space = resolve(name)
    if space.owner == "data":
        return "data"
    if space.owner == "header":
        return "scene-linear"
    declared: Encoding = space.definition.getEncoding()
    return declared


def missing_role(space: Space) -> UsageError:
    """Return the error for a configuration that cannot be tied to interop ids."""
    display = (
        space.owner == "show"
        and space.definition.getReferenceSpaceType() == ocio.REFERENCE_SPACE_DISPLAY
    )
    role = DISPLAY_ROLE if display else SCENE_ROLE
    meaning = "CIE XYZ D65" if display else "ACES2065-1"
    return UsageError(
        f"{_config_title()} has no role {role}, so {space.name!r} cannot be "
        "converted to or from a space outside it",
        way_out=f"Add the role {role} for its {meaning} space, or name a space of its own",
    )


def to_ap0(values: Chromaticities) -> NDArray[np.float64]:
    """Return the 3×3 matrix from linear RGB with these chromaticities to ACES2065-1.

    Whites are matched with the Bradford transform, as the pinned configuration does for Rec.709.

    Source: SMPTE RP 177 (normalised primary matrix); Lam 1985 (Bradford).
    """
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    aces = GAMUTS["lin_ap0_scene"]
    white, target = _xyz(values.white_x, values.white_y), _xyz(*ACES_WHITE)
    cone = np.diag((bradford @ target) / (bradford @ white))
    adapt = np.linalg.inv(bradford) @ cone @ bradford
    return np.asarray(np.linalg.inv(_to_xyz(aces)) @ adapt @ _to_xyz(values))


def _find(where: ocio.Config, name: str) -> ocio.ColorSpace | None:
    found = where.getColorSpace(name)
    if found is not None:
        return found
    for space in _all_spaces(where):
        if attribute_id(space).lower() == name.lower():
            return space
    return None


def _all_spaces(where: ocio.Config) -> list[ocio.ColorSpace]:
    return list(where.getColorSpaces(ocio.SEARCH_REFERENCE_SPACE_ALL, ocio.COLORSPACE_ALL))


def attribute_id(space: ocio.ColorSpace) -> str:
    """Return the interop id attribute of a definition, or ""."""
    declared: str = space.getInteropID()
    return declared


def declared_id(space: ocio.ColorSpace) -> str | None:
    """Return the interop id a definition gives itself, as attribute or as alias."""
    if attribute_id(space):
        return attribute_id(space)
    names = [space.getName(), *space.getAliases()]
    return next((name for name in names if name in _pinned_ids()), None)


@lru_cache(maxsize=1)
def _pinned_ids() -> tuple[str, ...]:
    return tuple(identity for s in _all_spaces(pinned()) if (identity := attribute_id(s)))


def _measured_name(values: Chromaticities) -> str:
    return " ".join([MEASURED, *(f"{value:.5g}" for value in values)])


def parse_measured(name: str) -> Chromaticities:
    """Return the chromaticities in a name `chromaticities x y …`.

    Raises:
        UsageError: there are not eight numbers, or they describe no space.
    """
    try:
        values = Chromaticities(*(float(word) for word in name.split()[1:]))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{name!r} is no set of chromaticities",
            way_out="Write `chromaticities` and the x and y of red, green, blue and white",
        ) from error
    if not np.isfinite(values).all() or min(values.green_y, values.white_y) <= 0.0:
        raise UsageError(f"{name!r} describes no colour space")
    return values


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1.0, (1.0 - x - y) / y])


def _to_xyz(values: Chromaticities) -> NDArray[np.float64]:
    """Return the normalised primary matrix; primaries stay unscaled, as AP0's blue has y < 0."""
    xy = np.array(values).reshape(4, 2)
    primaries = np.stack([xy[:3, 0], xy[:3, 1], 1.0 - xy[:3].sum(axis=1)])
    scale = np.linalg.solve(primaries, _xyz(values.white_x, values.white_y))
    return np.asarray(primaries * scale)


def _config_title() -> str:
    where = user_config_path()
    return f"the configuration $OCIO={where}" if where else "the built-in ACES configuration"


def _close_names(name: str) -> list[str]:
    known: dict[str, str] = {}
    for space in (*_all_spaces(config()), *_all_spaces(pinned())):
        for word in (space.getName(), *space.getAliases()):
            known.setdefault(word.lower(), word)
    return [repr(known[word]) for word in difflib.get_close_matches(name.lower(), known, n=3)]
