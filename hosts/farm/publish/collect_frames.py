"""Collect what every frame holds."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.facts import look_at
from relume.hosts.farm.publish import _base
from relume.media.sequence import path_at


class CollectFrames(_base.Plugin):
    """Read every frame to its last line, once for all validators.

    Reads `request` and `frames`; writes `facts`, frame → what its file holds, without those that
    are missing.
    """

    label = "Collect frames"
    order = api.CollectorOrder + 0.1  # after the instances

    def process(self, instance: api.Instance) -> None:
        """Look at every file there is."""
        paths = {f: path_at(instance.data["request"].file, f) for f in instance.data["frames"]}
        instance.data["facts"] = {f: look_at(p, f) for f, p in paths.items() if p.is_file()}
