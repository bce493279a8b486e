"""Refuse a sequence with missing frames."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import Problem


class ValidateFrameRange(api.InstancePlugin):
    """Every frame of the cut and its handles is there.

    Reads `request`, `frames` and `facts`.
    """

    label = "Frame range"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse missing frames."""
        request, facts = instance.data["request"], instance.data["facts"]
        missing = tuple(frame for frame in instance.data["frames"] if frame not in facts)
        needs = f", which the cut {request.cut} with {request.handles} handles needs"
        text = "there is no file" + (needs if request.cut else "")
        refuse([Problem("missing", text, missing)] if missing else [], "Render these frames")
