"""Refuse pixels that are NaN or infinite."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import finite


class ValidateFinite(api.InstancePlugin):
    """Every value is a number: one NaN under a blur blackens a frame.

    Reads `facts`.
    """

    label = "Finite pixels"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse NaN and infinity."""
        refuse(
            finite(list(instance.data["facts"].values())),
            "Look at these frames of the plate and of the light, and render them again",
        )
