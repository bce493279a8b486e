"""Refuse pixels that are NaN or infinite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publish import _base
from relume.hosts.farm.verify import Problem, finite


class ValidateFinite(_base.Validator):
    """Every value is a number: one NaN under a blur blackens a frame.

    Reads `facts`.
    """

    label = "Finite pixels"
    way_out = "Look at these frames of the plate and of the light, and render them again"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return frames with NaN or infinity."""
        return finite(facts)
