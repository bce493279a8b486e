"""Options of lights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from relume.errors import UsageError
from relume.hosts.cli.knob_options import knob_option, knobs_of
from relume.hosts.cli.options import refuse, several
from relume.nodes.adjust_light import AdjustLight
from relume.nodes.light_rig import LightRig
from relume.nodes.read_environment import ReadEnvironment
from relume.nodes.recipes import ORIGINAL, RIG, Lighting, Source

_NAMED = re.compile(r"([^=/\\.:]+)=(.+)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_STEREO = ("left", "right")

light_space_option = knob_option(ReadEnvironment, "colour", "--light-space", on="light")

light_options = several(
    click.option(
        "--light",
        "lights",
        multiple=True,
        required=True,
        metavar="LIGHT",
        help="A lat-long environment, rig:PRESET for a drawn one, or original for the plate's own "
        "light; NAME=LIGHT names it. Given again, it adds a light and a pass relit_NAME.",
    ),
    light_space_option,
    knob_option(AdjustLight, "rotate", "--light-rotation", on="adjust"),
    knob_option(AdjustLight, "exposure", "--light-exposure", on="adjust"),
)


def lighting_of(options: Mapping[str, Any]) -> Lighting:
    """Return the lights that `light_options` describe.

    Raises:
        UsageError: a light has no good name, or two have the same.
        click.UsageError: an option would have no effect.
    """
    lights = parse_lights(options["lights"])
    if all(isinstance(light, str) for light in lights.values()):
        refuse(options, "without a light from a file", "light__colour")
    if all(light == ORIGINAL for light in lights.values()):
        refuse(options, "on the original light, which has no direction", "adjust__rotate")
    colour = knobs_of(options, "light")
    sources: dict[str, Source] = {
        name: light if isinstance(light, str) else {**light, **colour}
        for name, light in lights.items()
    }
    return Lighting(sources, knobs_of(options, "adjust"))


def parse_lights(texts: Sequence[str]) -> dict[str, str | Mapping[str, Any]]:
    """Return name → light for what `--light` was given.

    Raises:
        UsageError: a name is not one, a rig is unknown, or two lights have one name.
    """
    found: dict[str, str | Mapping[str, Any]] = {}
    for text in texts:
        match = None if Path(text).exists() else _NAMED.fullmatch(text)
        name, light = (match[1], match[2]) if match else ("", text)
        if match and (not _NAME.fullmatch(name) or name in _STEREO):
            raise UsageError(
                f"'{name}' cannot name a light",
                way_out="Use a letter and then letters, digits or underscores, not left or right",
            )
        name = name or _name_of(light, found)
        if name in found:
            raise UsageError(
                f"two lights are called '{name}'", way_out="Name them: --light NAME=LIGHT"
            )
        found[name] = parse_light(light)
    return found


def parse_light(light: str) -> str | Mapping[str, Any]:
    """Return one light as a recipe takes it: `original`, a rig, or the knobs that read a file.

    Raises:
        UsageError: there is no such rig.
    """
    if light == ORIGINAL:
        return light
    if light.startswith(RIG):
        preset = light.removeprefix(RIG)
        try:
            LightRig.knobs()["preset"].check(preset)
        except UsageError:
            expected = LightRig.knobs()["preset"].expects
            raise UsageError(f"there is no rig '{preset}'", way_out=f"Give {expected}") from None
        return light
    return {"file": light}


def _name_of(light: str, taken: Mapping[str, object]) -> str:
    """Return a name for a light that was given none: of its file or rig, made unlike the others."""
    stem = light.removeprefix(RIG) if light.startswith(RIG) else Path(light).name.partition(".")[0]
    name = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_")
    if not _NAME.fullmatch(name) or name in _STEREO:
        name = f"light_{name}".rstrip("_")
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    return unique
