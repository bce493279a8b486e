"""Extract the list of files that will be published, with their checksums."""

from __future__ import annotations

import json
from pathlib import Path

from pyblish import api

import relume
from relume.hosts.farm.publish import _base
from relume.hosts.farm.store import sha256, version_name
from relume.media.sequence import is_sequence


class ExtractManifest(_base.Plugin):
    """Name every file of the version and write `manifest.json`.

    Reads `request`, `frames`, `facts`, `version` and `thumbnail`; writes `files`, name → source and
    checksum, manifest and thumbnail included.
    """

    label = "Manifest"
    order = api.ExtractorOrder + 0.1  # after the thumbnail, which it lists

    def process(self, instance: api.Instance) -> None:
        """Take the checksums and write the manifest."""
        request, facts = instance.data["request"], instance.data["facts"]
        stem = f"{request.name}_{version_name(instance.data['version'])}"
        files: dict[str, tuple[Path, str]] = {}
        entries = []
        for frame, entry in facts.items():
            number = f".{frame:04d}" if is_sequence(request.file) else ""
            name = f"{stem}{number}{entry.path.suffix}"
            files[name] = entry.path, sha256(entry.path)
            entries.append(
                {
                    "name": name,
                    "frame": frame,
                    "bytes": entry.size,
                    "sha256": files[name][1],
                    "fingerprint": entry.fingerprint,
                    "timecode": str(entry.timecode) if entry.timecode else None,
                }
            )
        picture = instance.data["thumbnail"]
        files["thumbnail.png"] = picture, sha256(picture)
        first = next(iter(facts.values()))
        manifest = {
            "name": request.name,
            "version": instance.data["version"],
            "frames": [min(facts), max(facts)],
            "cut": request.cut or None,
            "handles": request.handles,
            "colour": first.colour,
            "channels": dict(first.channels),
            "size": [first.display.width, first.display.height],
            "pixel_aspect": first.pixel_aspect,
            "rate": list(first.rate) if first.rate else None,
            "thumbnail": {"name": "thumbnail.png", "sha256": files["thumbnail.png"][1]},
            "files": entries,
            "relume": relume.__version__,
        }
        target = Path(instance.context.data["relume_work"]) / "manifest.json"
        target.write_text(json.dumps(manifest, indent=2, ensure_ascii=False), encoding="utf-8")
        files["manifest.json"] = target, sha256(target)
        instance.data["files"] = files
