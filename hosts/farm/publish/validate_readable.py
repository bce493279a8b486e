"""Refuse files that are cut short."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import Problem


class ValidateReadable(api.InstancePlugin):
    """Every file reads to its last line: one whose copy was cut short opens without complaint.

    Reads `facts`.
    """

    label = "Readable"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse damaged files."""
        damaged = [f for f in instance.data["facts"].values() if f.problem]
        problems = [Problem("unreadable", f.problem, (f.frame,)) for f in damaged]
        refuse(problems, "Render or copy these frames again")
