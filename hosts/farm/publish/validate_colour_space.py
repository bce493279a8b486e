"""Refuse files that do not say which colour space they are in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publish import _base
from relume.hosts.farm.verify import Problem, colour


class ValidateColourSpace(_base.Validator):
    """Every file declares one colour space, the one that was asked for.

    Reads `request` and `facts`.
    """

    label = "Colour space"
    way_out = "Set the colour of the Write node, or --output-space, and render again"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return files without a colour space, or in another."""
        wanted = data["request"].colour
        problems = colour(facts)
        other = tuple(f.frame for f in facts if wanted and f.colour and f.colour != wanted)
        if other:
            problems.append(Problem("colour", f"it is not in {wanted}", other))
        return problems
