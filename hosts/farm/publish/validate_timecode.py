"""Refuse a time code that does not go on."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import timecode


class ValidateTimecode(api.InstancePlugin):
    """The time code goes on as the frames do; a sequence may have none.

    Reads `facts`.
    """

    label = "Time code"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse gaps and steps."""
        refuse(
            timecode([f for f in instance.data["facts"].values() if not f.problem]),
            "The time code is the plate's: correct it there and render these frames again",
        )
