"""Refuse a version that exists."""

from __future__ import annotations

from pyblish import api

from relume.hosts.farm.publish import _base
from relume.hosts.farm.publishing import Refusal


class ValidateVersion(_base.Validator):
    """The version is not published yet: what others use never changes.

    Reads `folder`.
    """

    label = "Version"

    def process(self, instance: api.Instance) -> None:
        """Refuse a folder that exists."""
        folder = instance.data["folder"]
        if not folder.exists():
            return
        if folder.is_dir() and not any(folder.iterdir()):
            raise Refusal(
                f"{folder} is reserved by a publish that goes on or was interrupted",
                way_out="Publish under the next version, or remove the empty folder if nobody does",
            )
        raise Refusal(f"{folder} is published", way_out="Publish under the next version")
