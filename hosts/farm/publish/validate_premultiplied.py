"""Refuse colour that is not multiplied by its alpha."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publish import _base
from relume.hosts.farm.verify import Problem

_LEAST = 1e-3
"""Share of the frame that may glow without covering anything, as a flare does."""

_STRAIGHT = ("foreground", "albedo")
"""Passes that are straight by contract."""


class ValidatePremultiplied(_base.Validator):
    """Where alpha is 0 there is no light, in RGBA by A and in `relit` and its parts by `matte.A`.

    Reads `facts`.
    """

    label = "Premultiplied"
    way_out = "Put a Premult node before Write and render again"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return straight colour."""
        problems = []
        for entry in facts:
            for name, held in entry.passes.items():
                if name not in _STRAIGHT and (held.uncovered or 0.0) > _LEAST:
                    text = f"{name} is lit in {held.uncovered:.1%} of the frame where alpha is 0"
                    problems.append(Problem("alpha", text, (entry.frame,)))
        return problems
