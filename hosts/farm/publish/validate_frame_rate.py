"""Refuse files of another frame rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publish import _base
from relume.hosts.farm.verify import Problem, rates_alike

_NONE = "it says no frame rate"


class ValidateFrameRate(_base.Validator):
    """Every file has the frame rate asked for, or that of the others where none is.

    Reads `request` and `facts`.
    """

    label = "Frame rate"
    way_out = "The rate is the plate's: set its framesPerSecond and render again"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return files of other rates."""
        wanted = data["request"].fraction
        problems = rates_alike(facts)
        for entry in facts if wanted else ():
            if entry.rate is None or entry.rate[0] * wanted[1] != entry.rate[1] * wanted[0]:
                rate = f"its frame rate is {entry.rate[0]}/{entry.rate[1]}" if entry.rate else _NONE
                text = f"{rate} and not {wanted[0]}/{wanted[1]}"
                problems.append(Problem("rate", text, (entry.frame,)))
        return problems
