"""A page about a delivered sequence that needs nothing but itself."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relume.errors import InputError, RelumeError, UsageError
from relume.files import replacing
from relume.hosts.farm.preview import shrunk
from relume.hosts.farm.report_page import MARK, Sample, page
from relume.hosts.farm.verify import Fingerprint, Verification, verify
from relume.image import DATA, Image
from relume.media.layers import MAIN
from relume.media.read import read
from relume.media.sequence import path_at, resolve
from relume.media.write import write

_WIDTH = 480


@dataclass(slots=True)
class Log:
    """What a frame log tells.

    Attributes:
        seconds: frame → how long its last rendering took.
        nodes: node → seconds in all.
        failures: frame → why it failed, where no later line says it is done.
        unread: lines that are none of a frame log.
    """

    seconds: dict[int, float] = field(default_factory=dict)
    nodes: dict[str, float] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    unread: int = 0


def read_log(path: str | Path) -> Log:
    """Read a log of frames, a line of JSON each; lines of something else are counted.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    log = Log()
    for line in filter(str.strip, lines):
        try:
            entry = json.loads(line)
            frame, status = int(entry["frame"]), str(entry["status"])
            seconds = float(entry["seconds"])
            nodes = {str(name): float(spent) for name, spent in entry.get("nodes", {}).items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            log.unread += 1
            continue
        log.failures.pop(frame, None)
        if status == "failed":
            why = entry.get("error")
            text = why.get("text") or why.get("message") if isinstance(why, dict) else why
            log.failures[frame] = str(text or "no reason given")
        if status != "skipped":
            log.seconds[frame] = seconds
        for name, spent in nodes.items():
            log.nodes[name] = log.nodes.get(name, 0.0) + spent
    return log


def write_report(
    pattern: str,
    target: str | Path,
    *,
    frames: Sequence[int] = (),
    plate: str = "",
    log: Log | None = None,
    fingerprint: Fingerprint | None = None,
    samples: int = 6,
) -> Verification:
    """Verify a sequence and write a page about it.

    Args:
        pattern: the sequence.
        target: the HTML file.
        frames: frames that should be there; by default all from the first to the last.
        plate: what was relit, to be wiped against.
        log: what the render said.
        fingerprint: as for `verify`.
        samples: how many frames are shown, beside those that stand out.

    Returns:
        What was found, which is also what the page says.

    Raises:
        InputError: there is no frame.
        UsageError: the target is a file that is no such page.
        OutputError: it cannot be written.
    """
    path = Path(target)
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace")[:2000]:
        raise UsageError(f"{target} exists and is no report", way_out="Choose another name")
    found = verify(pattern, frames, fingerprint=fingerprint)
    shown = [_sample(found, frame, plate) for frame in _chosen(found, samples)]
    text = page(found, shown, log)
    with replacing(path) as whole:
        whole.write_text(text, encoding="utf-8", errors="replace")
    return found


def _chosen(found: Verification, samples: int) -> list[int]:
    """Return frames at equal distances, and a few that stand out."""
    good = [frame for frame, facts in sorted(found.facts.items()) if not facts.problem]
    if not good:
        return []
    count = min(max(samples, 1), len(good))
    picked = {good[round(i * (len(good) - 1) / max(count - 1, 1))] for i in range(count)}
    odd = [f for p in found.problems if p.kind in ("jump", "finite") for f in p.frames]
    return sorted(picked | set(list(dict.fromkeys(odd))[:samples]))


def _sample(found: Verification, frame: int, plate: str) -> Sample:
    layers = read(path_at(found.pattern, frame)).layers
    names = [MAIN if MAIN in layers else next(iter(layers))]
    pictures: list[tuple[str, Any]] = []
    note = ""
    if plate:
        try:
            pictures.append(("plate", read(resolve(plate, frame)).layer()))
        except RelumeError as error:
            note = error.message
    if "matte" in layers:
        pictures.append(("matte", layers["matte"]))
    elif layers[names[0]].has("A"):
        alpha = layers[names[0]]
        pictures.append(("matte", alpha.like(alpha.take("A"), ("A",), colour=DATA, alpha="none")))
    pictures.append((names[0] if names[0] != MAIN else "relight", layers[names[0]]))
    return Sample(frame, tuple((name, _jpeg(image)) for name, image in pictures), note)


def _jpeg(image: Image) -> str:
    """Return a picture as the text of a `data:` address."""
    with tempfile.TemporaryDirectory(prefix="relume.report.") as folder:
        file = Path(folder) / "picture.jpg"
        write(file, {MAIN: shrunk(image, _WIDTH)}, depth="uint8")
        return "data:image/jpeg;base64," + base64.b64encode(file.read_bytes()).decode()
