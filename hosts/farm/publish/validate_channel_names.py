"""Refuse names of channels that other programs trip over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publish import _base
from relume.hosts.farm.verify import Problem, channels_alike

_NAME = re.compile(r"([RGBAYZ]|(?!(left|right)\.)[A-Za-z][A-Za-z0-9_]*\.[RGBAXYZ])")
"""`left` and `right` are views."""


class ValidateChannelNames(_base.Validator):
    """There is a picture of R, G, B or a pass, and every name is `layer.X` in plain letters.

    Reads `facts`.
    """

    label = "Channel names"
    way_out = "Name layers in plain letters, digits and _, a letter first, and render again"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return odd names, and frames whose channels differ."""
        problems = channels_alike(facts)
        for name in dict.fromkeys(name for f in facts for name in f.channels):
            if not _NAME.fullmatch(name):
                frames = tuple(f.frame for f in facts if name in f.channels)
                problems.append(Problem("channels", f"{name} is no name for a channel", frames))
        return problems
