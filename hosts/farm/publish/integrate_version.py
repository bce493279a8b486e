"""Integrate the files as a version that everybody may use."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publish import _base
from relume.hosts.farm.store import store


class IntegrateVersion(_base.Plugin):
    """Copy the files to their folder, which appears complete or not at all; sources stay.

    Reads `files` and `folder`; writes `published`, the folder.
    """

    label = "Integrate"
    order = api.IntegratorOrder

    def process(self, instance: api.Instance) -> None:
        """Store the version."""
        store(instance.data["files"], instance.data["folder"])
        instance.data["published"] = str(instance.data["folder"])
