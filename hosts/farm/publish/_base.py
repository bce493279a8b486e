"""What relume's plug-ins share; a class that a plug-in's file names itself would be one as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyblish import api

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.publishing import FAMILY, refuse
from relume.hosts.farm.verify import Problem


class Plugin(api.InstancePlugin):
    """Acts on sequences that `collect_sequence` found."""

    families = [FAMILY]  # noqa: RUF012


class Validator(Plugin):
    """Looks at a sequence, and stops the publish where something is wrong with it.

    Attributes:
        way_out: what the artist can do, a sentence without a final full stop.
    """

    order = api.ValidatorOrder
    way_out = ""

    def process(self, instance: api.Instance) -> None:
        """Refuse what `look` finds."""
        facts = [facts for facts in instance.data["facts"].values() if not facts.problem]
        refuse(self.look(instance.data, facts), self.way_out)

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return what is wrong.

        Args:
            data: what the collectors found: `request`, `frames`, `facts`, `version`, `folder`.
            facts: what every file holds that can be read.
        """
        raise NotImplementedError
