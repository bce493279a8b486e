"""Refuse files of another bit depth."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import Problem
from relume.media.repair import HALF_MAX


class ValidateBitDepth(api.InstancePlugin):
    """Channels are stored as asked for; half may be float where its range is too small.

    Reads `request` and `facts`.
    """

    label = "Bit depth"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse channels of another sample type."""
        depth = instance.data["request"].depth
        problems = []
        for facts in instance.data["facts"].values():
            good = {depth, "float"} if _is_beyond_half(facts) else {depth}
            other = sorted({kind for kind in facts.channels.values() if kind not in good})
            if other:
                text = f"it is stored as {', '.join(other)} where {depth} is asked for"
                problems.append(Problem("depth", text, (facts.frame,)))
        refuse(problems, f"Set the depth of the Write node to {depth} and render again")


def _is_beyond_half(facts: FrameFacts) -> bool:
    return any(max(-p.minimum, p.maximum) > HALF_MAX for p in facts.passes.values())
