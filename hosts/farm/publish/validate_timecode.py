"""Refuse a time code that does not go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publish import _base
from relume.hosts.farm.verify import Problem, timecode


class ValidateTimecode(_base.Validator):
    """The time code goes on as the frames do; a sequence may have none.

    Reads `facts`.
    """

    label = "Time code"
    way_out = "The time code is the plate's: correct it there and render these frames again"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return gaps and steps."""
        return timecode(facts)
