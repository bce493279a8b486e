"""Refuse files that do not say which colour space they are in."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import Problem, colour


class ValidateColourSpace(api.InstancePlugin):
    """Every file declares one colour space, the one that was asked for.

    Reads `request` and `facts`.
    """

    label = "Colour space"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse files without a colour space, or in another."""
        wanted = instance.data["request"].colour
        facts = [f for f in instance.data["facts"].values() if not f.problem]
        problems = colour(facts)
        other = tuple(f.frame for f in facts if wanted and f.colour and f.colour != wanted)
        if other:
            problems.append(Problem("colour", f"it is not in {wanted}", other))
        refuse(problems, "Set the colour of the Write node, or --output-space, and render again")
