"""Options that join a subject with its background."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from relume.hosts.cli.knob_options import knob_option
from relume.hosts.cli.options import refuse, several
from relume.nodes.light_wrap import LightWrap
from relume.nodes.recipes import Backdrop, Integration

_OPTIONS = ("match_levels", "wrap__radius", "match_grain")

join_options = several(
    click.option(
        "--match-levels",
        is_flag=True,
        default=None,
        help="Bring black level and white point of the subject to those of the background.",
    ),
    knob_option(
        LightWrap,
        "radius",
        "--light-wrap",
        on="wrap",
        help="Let light of the background bleed over the subject's edge: how far.",
    ),
    click.option(
        "--match-grain",
        is_flag=True,
        default=None,
        help="Lay the background's grain over the subject.",
    ),
)
"""How a subject is brought closer to its background."""


def joined(backdrop: Backdrop | None, options: Mapping[str, Any]) -> Backdrop | None:
    """Return a backdrop that is joined with the subject as `join_options` say.

    Raises:
        click.UsageError: there is no background to join it with.
    """
    if backdrop is None:
        refuse(options, "without --background", *_OPTIONS)
        return None
    radius = options["wrap__radius"]
    # A background that is fitted for the composite is fitted for the wrap alike.
    wrap = None if radius is None else {"radius": radius, **backdrop.over}
    return replace(
        backdrop,
        join=Integration(
            levels={} if options["match_levels"] else None,
            wrap=wrap,
            grain={} if options["match_grain"] else None,
        ),
    )
