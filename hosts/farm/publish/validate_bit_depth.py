"""Refuse files of another bit depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publish import _base
from relume.hosts.farm.verify import Problem
from relume.media.repair import HALF_MAX


class ValidateBitDepth(_base.Validator):
    """Channels are stored as asked for; half may be float where its range is too small.

    Reads `request` and `facts`.
    """

    label = "Bit depth"
    way_out = "Set the depth of the Write node to it and render again"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return channels of another sample type."""
        depth = data["request"].depth
        problems = []
        for entry in facts:
            good = {depth, "float"} if _is_beyond_half(entry) else {depth}
            other = sorted({kind for kind in entry.channels.values() if kind not in good})
            if other:
                text = f"it is stored as {', '.join(other)} where {depth} is asked for"
                problems.append(Problem("depth", text, (entry.frame,)))
        return problems


def _is_beyond_half(facts: FrameFacts) -> bool:
    return any(max(-p.minimum, p.maximum) > HALF_MAX for p in facts.passes.values())
