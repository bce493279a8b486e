"""Refuse files of another frame rate."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import Problem, rates_alike

_NONE = "it says no frame rate"


class ValidateFrameRate(api.InstancePlugin):
    """Every file has the frame rate asked for, or that of the others where none is.

    Reads `request` and `facts`.
    """

    label = "Frame rate"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse other rates."""
        wanted = instance.data["request"].fraction
        facts = [f for f in instance.data["facts"].values() if not f.problem]
        problems = rates_alike(facts)
        for entry in facts if wanted else ():
            if entry.rate is None or entry.rate[0] * wanted[1] != entry.rate[1] * wanted[0]:
                rate = f"its frame rate is {entry.rate[0]}/{entry.rate[1]}" if entry.rate else _NONE
                text = f"{rate} and not {wanted[0]}/{wanted[1]}"
                problems.append(Problem("rate", text, (entry.frame,)))
        refuse(problems, "The rate is the plate's: set its framesPerSecond and render again")
