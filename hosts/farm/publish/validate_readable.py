"""Refuse files that are cut short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publish import _base
from relume.hosts.farm.verify import Problem


class ValidateReadable(_base.Validator):
    """Every file reads to its last line: one whose copy was cut short opens without complaint.

    Reads `facts`.
    """

    label = "Readable"
    way_out = "Render or copy these frames again"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return damaged files."""
        damaged = [entry for entry in data["facts"].values() if entry.problem]
        return [Problem("unreadable", entry.problem, (entry.frame,)) for entry in damaged]
