"""Refuse frames of another size or pixel aspect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publish import _base
from relume.hosts.farm.verify import Problem, windows_alike


class ValidateResolution(_base.Validator):
    """Every frame has the size and pixel aspect asked for, and the windows of the others.

    Reads `request` and `facts`.
    """

    label = "Resolution"
    way_out = "Render from the right plate and without --proxy"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return other sizes, windows and aspects."""
        request = data["request"]
        problems = windows_alike(facts)
        for entry in facts:
            size = (entry.display.width, entry.display.height) if entry.display else ()
            if request.size and size != tuple(request.size):
                text = f"it is {_shown(size)} and not {_shown(request.size)}"
                problems.append(Problem("windows", text, (entry.frame,)))
            if request.pixel_aspect and abs(entry.pixel_aspect - request.pixel_aspect) > 1e-4:
                text = (
                    f"its pixel aspect is {entry.pixel_aspect:g} and not {request.pixel_aspect:g}"
                )
                problems.append(Problem("windows", text, (entry.frame,)))
        return problems


def _shown(size: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in size)
