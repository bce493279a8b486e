"""Extract a small picture of the frame in the middle."""

from __future__ import annotations

from pathlib import Path

from pyblish import api

from relume.hosts.farm.preview import thumbnail
from relume.hosts.farm.publish import _base
from relume.media.sequence import path_at
from relume.media.write import write


class ExtractThumbnail(_base.Plugin):
    """Write `thumbnail.png` as an sRGB screen shows the picture, through the ACES view.

    Reads `request` and `frames`; writes `thumbnail`.
    """

    label = "Thumbnail"
    order = api.ExtractorOrder

    def process(self, instance: api.Instance) -> None:
        """Write the picture into the working folder."""
        frames = instance.data["frames"]
        source = path_at(instance.data["request"].file, frames[len(frames) // 2])
        target = Path(instance.context.data["relume_work"]) / "thumbnail.png"
        write(target, {"rgba": thumbnail(source)}, depth="uint8")
        instance.data["thumbnail"] = target
