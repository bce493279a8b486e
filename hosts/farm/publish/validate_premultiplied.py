"""Refuse colour that is not multiplied by its alpha."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import Problem

_LEAST = 1e-3
"""Share of the frame that may glow without covering anything, as a flare does."""

_STRAIGHT = ("foreground", "albedo")
"""Passes that are straight by contract."""


class ValidatePremultiplied(api.InstancePlugin):
    """Where alpha is 0 there is no light, in RGBA by A and in `relit` and its parts by `matte.A`.

    Reads `facts`.
    """

    label = "Premultiplied"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse straight colour."""
        problems = []
        for facts in instance.data["facts"].values():
            for name, held in facts.passes.items():
                if name not in _STRAIGHT and (held.uncovered or 0.0) > _LEAST:
                    text = f"{name} is lit in {held.uncovered:.1%} of the frame where alpha is 0"
                    problems.append(Problem("alpha", text, (facts.frame,)))
        refuse(problems, "Put a Premult node before Write and render again")
