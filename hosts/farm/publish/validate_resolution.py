"""Refuse frames of another size or pixel aspect."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import Problem, windows_alike


class ValidateResolution(api.InstancePlugin):
    """Every frame has the size and pixel aspect asked for, and the windows of the others.

    Reads `request` and `facts`.
    """

    label = "Resolution"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse other sizes, windows and aspects."""
        request = instance.data["request"]
        facts = [f for f in instance.data["facts"].values() if not f.problem]
        problems = windows_alike(facts)
        for entry in facts:
            size = (entry.display.width, entry.display.height) if entry.display else ()
            if request.size and size != tuple(request.size):
                text = (
                    f"it is {'×'.join(map(str, size))} and not {'×'.join(map(str, request.size))}"
                )
                problems.append(Problem("windows", text, (entry.frame,)))
            if request.pixel_aspect and abs(entry.pixel_aspect - request.pixel_aspect) > 1e-4:
                text = (
                    f"its pixel aspect is {entry.pixel_aspect:g} and not {request.pixel_aspect:g}"
                )
                problems.append(Problem("windows", text, (entry.frame,)))
        refuse(problems, "Render from the right plate and without --proxy")


def _shown(size: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in size)
