"""Collect the sequence to be published."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publishing import FAMILY, Request
from relume.hosts.farm.verify import existing


class CollectSequence(api.ContextPlugin):
    """Make an instance of what `context.data["relume"]` asks for.

    Writes `request` and `frames`, the frames that should be there.
    """

    label = "Collect sequence"
    order = api.CollectorOrder

    def process(self, context: api.Context) -> None:
        """Make the instance; without a request there is none."""
        if "relume" not in context.data:
            return
        request = Request.of(context.data["relume"])
        there = existing(request.file)
        instance = context.create_instance(request.name, family=FAMILY, families=[FAMILY])
        instance.data["request"] = request
        instance.data["frames"] = request.frames or there
