"""Refuse names of channels that other programs trip over."""

from __future__ import annotations

import re

from pyblish import api

from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import Problem, channels_alike

_NAME = re.compile(r"([RGBAYZ]|(?!(left|right)\.)[A-Za-z][A-Za-z0-9_]*\.[RGBAXYZ])")
"""`left` and `right` are views."""


class ValidateChannelNames(api.InstancePlugin):
    """There is a picture of R, G, B or a pass, and every name is `layer.X` in plain letters.

    Reads `facts`.
    """

    label = "Channel names"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse odd names, and frames whose channels differ."""
        facts = [f for f in instance.data["facts"].values() if not f.problem]
        problems = channels_alike(facts)
        for name in dict.fromkeys(name for f in facts for name in f.channels):
            if not _NAME.fullmatch(name):
                frames = tuple(f.frame for f in facts if name in f.channels)
                problems.append(Problem("channels", f"{name} is no name for a channel", frames))
        refuse(
            problems,
            "Name layers in plain letters, digits and _, a letter first, and render again",
        )
