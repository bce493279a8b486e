"""The colour space of an image file: told, tagged, ruled or, at the very last, guessed aloud."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import PyOpenColorIO as ocio

from relume import notices
from relume.colour.config import config, user_config_path
from relume.colour.spaces import canonical, from_chromaticities
from relume.errors import InputError, UsageError
from relume.ocio import UNTAGGED_ENCODED, UNTAGGED_LINEAR

Rule = Literal["option", "tag", "chromaticities", "file rules", "convention"]

_LEGACY = {"srgb": "srgb_rec709_scene", "rec709": "ocio:itu709_rec709_scene"}
"""Values of `oiio:ColorSpace` that OpenImageIO wrote before interop ids existed."""

_NO_TAG = frozenset({"", "unknown", "linear"})
"""Tags that name no gamut: `Linear` only said that no curve is in the way."""

_PROFILES = (
    ("srgb", "srgb_rec709_scene"),
    ("display p3", "srgb_p3d65_scene"),
    ("adobe rgb", "g22_adobergb_scene"),
)
"""Beginnings of ICC profile names that are colour spaces we know."""


@dataclass(frozen=True, slots=True)
class InputSpace:
    """The colour space of a file, and how it is known.

    Attributes:
        name: canonical name: interop id, or the configuration's name.
        rule: what decided it.
    """

    name: str
    rule: Rule


def input_space(
    path: str | Path,
    attributes: Mapping[str, Any],
    *,
    file_format: str,
    sample: str,
    explicit: str = "",
    option: str = "--input-space",
) -> InputSpace:
    """Find the colour space of a file.

    In this order: what the user says; the tags `colorInteropID` and `oiio:ColorSpace`, and ICC
    profiles by name; chromaticities; a file rule of the user's `$OCIO`; the convention of the
    format. The catch-all rule of `$OCIO` speaks only for formats that have no convention of
    their own (OpenEXR, DPX, floating point): 8-bit scene-linear pictures do not exist, whatever
    the role `default` says. A guess is announced once a sequence.

    Args:
        path: the file.
        attributes: its header, name → value.
        file_format: OpenImageIO's name of the format, `openexr`, `png`, `dpx` ….
        sample: type of its samples, `half`, `uint8` ….
        explicit: the space the user named, or "".
        option: the option that names the space, for what is said about it.

    Raises:
        UsageError: the user named a space that is unknown.
        InputError: the file is tagged with an unknown space, or is a DPX or Cineon file that
            nothing speaks for.
    """
    if explicit:
        return InputSpace(canonical(explicit), "option")
    tag = _tag(attributes, file_format)
    if tag:
        try:
            return InputSpace(canonical(tag), "tag")
        except UsageError as error:
            raise InputError(
                f"the file is tagged {tag!r}, which the OCIO configuration does not know",
                way_out=f"Name its colour space with {option}",
                file=str(path),
            ) from error
    primaries = attributes.get("chromaticities")
    if primaries is not None and len(primaries) == 8:
        try:
            return InputSpace(canonical(from_chromaticities(primaries)), "chromaticities")
        except UsageError as error:
            raise InputError(
                "its chromaticities describe no colour space",
                way_out=f"Name its colour space with {option}",
                file=str(path),
            ) from error
    found = _guess(Path(path), file_format, sample, option)
    sequence = re.sub(r"\d+", "#", str(path))
    notices.once(
        f"{path} has no colour tag: read as {found.name} by {_EXPLAINED[found.rule]}; "
        f"{option} says otherwise",
        "input space",
        sequence,
        found.name,
    )
    return found


_EXPLAINED: Mapping[Rule, str] = {
    "file rules": "the file rules of $OCIO",
    "convention": "convention",
}


def _tag(attributes: Mapping[str, Any], file_format: str) -> str:
    """Return the space the file itself names, or ""."""
    declared = str(attributes.get("colorInteropID", ""))
    if declared.lower() not in _NO_TAG:
        return declared
    profile = str(attributes.get("ICCProfile:profile_description", "")).lower()
    for beginning, name in _PROFILES:
        if profile.startswith(beginning):
            return name
    stored = str(attributes.get("oiio:ColorSpace", ""))
    if stored.lower() in _NO_TAG or file_format in ("dpx", "cineon"):
        return ""
    if file_format == "openexr":
        return _LEGACY.get(stored.lower(), stored)
    # OpenImageIO gives PNG, JPEG … and HDR a space even where the file names none.
    presumed = UNTAGGED_LINEAR if file_format == "hdr" else UNTAGGED_ENCODED
    evident = "CICP" in attributes or attributes.get("Exif:ColorSpace") == 1
    return stored if evident or stored != presumed else ""


def _guess(path: Path, file_format: str, sample: str, option: str) -> InputSpace:
    integer = sample.startswith(("uint", "int")) and file_format not in ("dpx", "cineon", "openexr")
    ruled, catch_all = _file_rule(path)
    if ruled and not (catch_all and (integer or file_format == "hdr")):
        return InputSpace(ruled, "file rules")
    if file_format in ("dpx", "cineon"):
        raise InputError(
            "a DPX or Cineon file does not say which camera's or film's log it holds",
            way_out=f"Name its colour space with {option}, such as 'ADX10' or 'ARRI LogC4'",
            file=str(path),
        )
    return InputSpace(canonical(UNTAGGED_ENCODED if integer else UNTAGGED_LINEAR), "convention")


def _file_rule(path: Path) -> tuple[str, bool]:
    """Return the space that `$OCIO` gives a path, or "", and whether only the catch-all matched."""
    if user_config_path() is None:
        return "", False
    try:
        name, _ = config().getColorSpaceFromFilepath(str(path))
        return canonical(name), config().filepathOnlyMatchesDefaultRule(str(path))
    except (ocio.Exception, UsageError):
        return "", False  # an OCIO-1 configuration may have no role `default`
