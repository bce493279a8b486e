"""Refuse a sequence with missing frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publish import _base
from relume.hosts.farm.verify import Problem


class ValidateFrameRange(_base.Validator):
    """Every frame of the cut and its handles is there.

    Reads `request`, `frames` and `facts`.
    """

    label = "Frame range"
    way_out = "Render these frames"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return missing frames; one that is damaged is there."""
        request = data["request"]
        missing = tuple(frame for frame in data["frames"] if frame not in data["facts"])
        needs = f", which the cut {request.cut} with {request.handles} handles needs"
        text = "there is no file" + (needs if request.cut else "")
        return [Problem("missing", text, missing)] if missing else []
