"""Collect the version under which a sequence will be published."""

from __future__ import annotations

from pathlib import Path

from pyblish import api

from relume.hosts.farm.publish import _base
from relume.hosts.farm.store import next_version, version_name


class CollectVersion(_base.Plugin):
    """Choose the next version where none is asked for.

    Reads `request`; writes `version` and `folder`.
    """

    label = "Collect version"
    order = api.CollectorOrder + 0.1  # after the instances

    def process(self, instance: api.Instance) -> None:
        """Find the version's number and folder."""
        request = instance.data["request"]
        versions = Path(request.to) / request.name
        number = request.version or next_version(versions)
        instance.data["version"] = number
        instance.data["folder"] = versions / version_name(number)
