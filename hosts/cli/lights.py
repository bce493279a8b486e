"""Options of lights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from relume.errors import UsageError
from relume.hosts.cli.knob_options import knob_option, knobs_of, limits
from relume.hosts.cli.options import refuse, several
from relume.nodes.adjust_light import AdjustLight
from relume.nodes.calibrate import Calibrate
from relume.nodes.estimate_light import EstimateLight
from relume.nodes.light_rig import LightRig
from relume.nodes.read_environment import ReadEnvironment
from relume.nodes.recipes import (
    BACKGROUND,
    ORIGINAL,
    RIG,
    Lighting,
    PlateLight,
    Source,
    is_estimated,
)
from relume.nodes.relight import Relight

F = TypeVar("F", bound=Callable[..., Any])

_NAMED = re.compile(r"([^=/\\.:]+)=(.+)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_STEREO = ("left", "right")

_DIRECTED = ("rotate", "blur")
"""Knobs of AdjustLight that say nothing to the original light, which has no direction."""


def _adjust_option(knob: str, *flags: str) -> Callable[[F], F]:
    """Return the option that adjusts every light, or with NAME= one of them."""
    declared = AdjustLight.knobs()[knob]

    def read(
        context: click.Context, parameter: click.Parameter, texts: Sequence[str]
    ) -> dict[str, Any] | None:
        found: dict[str, Any] = {}
        for text in texts:
            name, equals, value = text.rpartition("=")
            if name in found or (equals and not name):
                raise click.BadParameter(
                    f"{text!r} does not say which light, or one is named twice.", context, parameter
                )
            try:
                found[name] = declared.json(declared.check(declared.parse(value)))
            except UsageError:
                unit = f" in {declared.unit}" if declared.unit else ""
                raise click.BadParameter(
                    f"{value!r} is not {declared.expects}{unit}.", context, parameter
                ) from None
        return found or None

    return click.option(
        *flags,
        f"adjust__{knob}",
        multiple=True,
        metavar=f"[NAME=]{declared.unit.upper() or declared.kind.upper()}",
        callback=read,
        help=f"{declared.doc} NAME= is for one light; repeatable.  [{limits(declared)}]",
    )


light_space_option = knob_option(ReadEnvironment, "colour", "--light-space", on="light")

estimate_options = several(
    knob_option(EstimateLight, "horizon", "--horizon", on="estimate"),
    knob_option(EstimateLight, "fill", "--fill", on="estimate"),
    knob_option(EstimateLight, "clip", "--clip", on="estimate"),
    knob_option(EstimateLight, "sun_azimuth", "--sun-azimuth", on="estimate"),
    knob_option(EstimateLight, "sun_elevation", "--sun-elevation", on="estimate"),
    knob_option(EstimateLight, "sun_intensity", "--sun-intensity", on="estimate"),
)
"""How a light is estimated, its field of view apart."""

OF_ESTIMATES = tuple(
    f"estimate__{knob}"
    for knob in ("fov", "horizon", "fill", "clip", "sun_azimuth", "sun_elevation", "sun_intensity")
)

light_options = several(
    click.option(
        "--light",
        "lights",
        multiple=True,
        required=True,
        metavar="LIGHT",
        help="A lat-long environment, rig:PRESET for a drawn one, background for what the "
        "background picture says of the light around it (background:FILE for another picture), or "
        "original for the plate's own light; NAME=LIGHT names it. Given again, it adds a light and "
        "a pass relit_NAME.",
    ),
    light_space_option,
    estimate_options,
    _adjust_option("rotate", "--light-rotation"),
    _adjust_option("exposure", "--light-exposure"),
    _adjust_option("gain", "--light-gain"),
    _adjust_option("blur", "--light-blur"),
    knob_option(Relight, "diffuse_gain", "--diffuse-gain", on="look"),
    knob_option(Relight, "specular_gain", "--specular-gain", on="look"),
    knob_option(Relight, "gloss", "--gloss", on="look"),
    knob_option(Relight, "residual_gain", "--shadow-strength", on="look"),
    knob_option(Relight, "original", "--original-amount", on="look"),
    knob_option(Relight, "skin_hue_limit", "--skin-hue-limit", on="look"),
)


plate_light_options = several(
    click.option(
        "--plate-light",
        "filmed",
        metavar="LIGHT",
        help="The light the plate was filmed under: a lat-long HDRI of the set, or rig:PRESET. The "
        "albedo is then calibrated so that the plate comes out under it.",
    ),
    knob_option(ReadEnvironment, "colour", "--plate-light-space", on="filmed_read"),
    knob_option(AdjustLight, "rotate", "--plate-light-rotation", on="filmed_adjust"),
    knob_option(AdjustLight, "exposure", "--plate-light-exposure", on="filmed_adjust"),
    knob_option(AdjustLight, "gain", "--plate-light-gain", on="filmed_adjust"),
    knob_option(Calibrate, "level", "--calibrate-level", on="calibrate"),
    knob_option(Calibrate, "detail", "--calibrate-detail", on="calibrate"),
)
"""The light a plate was filmed under, and what is made of it."""


def plate_light_of(options: Mapping[str, Any]) -> PlateLight | None:
    """Return the light that `plate_light_options` describe.

    Raises:
        UsageError: there is no such rig.
        click.UsageError: an option would have no effect.
    """
    if options["filmed"] is None:
        knobs = [name for name in options if name.startswith(("filmed_", "calibrate__"))]
        refuse(options, "without --plate-light", *knobs)
        return None
    light = parse_light(options["filmed"])
    if isinstance(light, str):
        refuse(options, "without a --plate-light from a file", "filmed_read__colour")
    else:
        light = {**light, **knobs_of(options, "filmed_read")}
    return PlateLight(light, knobs_of(options, "filmed_adjust"), knobs_of(options, "calibrate"))


def lighting_of(options: Mapping[str, Any]) -> Lighting:
    """Return the lights that `light_options` describe.

    Raises:
        UsageError: a light has no good name, or two have the same.
        click.UsageError: an option would have no effect.
    """
    lights = parse_lights(options["lights"])
    if all(isinstance(light, str) for light in lights.values()):
        refuse(options, "without a light from a file", "light__colour")
    directed = [name for name, light in lights.items() if light != ORIGINAL]
    for knob in _DIRECTED:
        named = (options[f"adjust__{knob}"] or {"": None}).keys()
        if not directed or any(name in lights and name not in directed for name in named):
            refuse(options, "on the original light, which has no direction", f"adjust__{knob}")
    if len(directed) == len(lights):
        refuse(options, "without --light original", "look__original")
    if not any(is_estimated(light) for light in lights.values()):
        refuse(options, "without --light background", *OF_ESTIMATES)
    colour = knobs_of(options, "light")
    sources: dict[str, Source] = {
        name: light if isinstance(light, str) else {**light, **colour}
        for name, light in lights.items()
    }
    adjust, each = _adjustments(options, lights)
    # One field of view: that of the camera behind which the background and the light lie.
    seen = {**knobs_of(options, "view"), **knobs_of(options, "estimate")}
    return Lighting(sources, adjust, each, knobs_of(options, "look"), seen)


def _adjustments(
    options: Mapping[str, Any], lights: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the knobs of AdjustLight for every light, and those of each light alone.

    Raises:
        UsageError: one is for a light that there is not.
    """
    adjust: dict[str, Any] = {}
    each: dict[str, dict[str, Any]] = {}
    for knob, values in knobs_of(options, "adjust").items():
        for name, value in values.items():
            if name and name not in lights:
                raise UsageError(
                    f"there is no light '{name}'", way_out=f"There are: {', '.join(lights)}"
                )
            (each.setdefault(name, {}) if name else adjust)[knob] = value
    return adjust, each


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
    """Return one light as a recipe takes it: `original`, a rig … or the knobs that read a file.

    Raises:
        UsageError: there is no such rig.
    """
    if light in (ORIGINAL, BACKGROUND):
        return light
    if light.startswith(f"{BACKGROUND}:"):
        return {BACKGROUND: light.removeprefix(f"{BACKGROUND}:")}
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
    light = light.removeprefix(f"{BACKGROUND}:")
    stem = light.removeprefix(RIG) if light.startswith(RIG) else Path(light).name.partition(".")[0]
    name = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_")
    if not _NAME.fullmatch(name) or name in _STEREO:
        name = f"light_{name}".rstrip("_")
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    return unique
