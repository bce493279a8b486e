"""Options of what is seen behind the subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from relume.hosts.cli.knob_options import knob_option, knobs_of
from relume.hosts.cli.lights import parse_lights
from relume.hosts.cli.options import FILE, refuse, several
from relume.nodes.environment_background import EnvironmentBackground
from relume.nodes.over import Over
from relume.nodes.read import Read
from relume.nodes.recipes import ENVIRONMENT, Backdrop, is_estimated

_picture_options = several(
    knob_option(Read, "colour", "--background-space", on="background"),
    knob_option(Read, "offset", "--offset", on="background"),
    knob_option(Over, "fit", "--fit", on="over"),
)
_OF_PICTURES = ("background__colour", "background__offset", "over__fit")
_OF_ENVIRONMENTS = ("view__fov",)

background_options = several(
    click.option("--background", type=FILE, help="Picture or sequence to put the subject over."),
    _picture_options,
)
"""A picture behind the subject."""

backdrop_options = several(
    click.option(
        "--background",
        metavar="BG|environment",
        help="Picture or sequence to put behind, or what the first light itself looks like.  "
        "[default: nothing; the picture is premultiplied]",
    ),
    _picture_options,
    knob_option(EnvironmentBackground, "fov", "--fov", on="view"),
)
"""A picture or the light's own behind the subject."""


def backdrop_of(options: Mapping[str, Any]) -> Backdrop | None:
    """Return what the options describe, or None where nothing is to be seen behind.

    Raises:
        click.UsageError: an option would have no effect.
    """
    background = options["background"]
    lights = parse_lights(options["lights"]) if "lights" in options else {}
    # A light estimated from a picture needs that picture's field of view too.
    of_views = () if any(map(is_estimated, lights.values())) else _OF_ENVIRONMENTS
    if background is None:
        refuse(options, "without --background", *_OF_PICTURES, *of_views)
        return None
    if background == ENVIRONMENT and "lights" in options:
        refuse(options, "on --background environment", *_OF_PICTURES)
        return Backdrop(ENVIRONMENT, view=knobs_of(options, "view"))
    refuse(options, "without --background environment", *of_views)
    from relume.media.sequence import is_sequence

    if not is_sequence(background):
        refuse(options, "on a single picture, which holds for every frame", "background__offset")
    picture = {"file": background, **knobs_of(options, "background")}
    return Backdrop(picture, over=knobs_of(options, "over"))
