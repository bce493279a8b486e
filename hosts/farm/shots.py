"""The shots of an edit, each as a graph and a range to render."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from relume.errors import InputError, UsageError
from relume.frames import Shot
from relume.graph import Graph
from relume.hosts.farm.facts import look_at
from relume.hosts.farm.graphs import file_knobs
from relume.media.sequence import existing_frames, format_frames, path_at
from relume.nodes.registry import REGISTRY

SHOT = "{shot}"
"""Stands for the name of the shot in files of the graph."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip of an edit, in the numbers of its media.

    Attributes:
        name: name of the shot.
        first: first frame seen, transitions included.
        last: last frame seen.
        rate: frames a second.
        plate: sequence that the edit points at, or empty.
    """

    name: str
    first: int
    last: int
    rate: float
    plate: str


@dataclass(frozen=True, slots=True)
class Range:
    """The frames of a shot.

    Attributes:
        cut: what is seen in the edit, numbered as the plate is.
        whole: the cut with its handles, as far as the plate goes.
    """

    cut: Shot
    whole: Shot

    def handles(self) -> tuple[int, int]:
        """Return the frames before and after the cut."""
        return self.cut.first - self.whole.first, self.whole.last - self.cut.last


def read_clips(path: str | Path, rate: float | None = None) -> list[Clip]:
    """Read the clips of a timeline or an EDL, in the order of its video tracks.

    Args:
        path: a file that an adapter of OpenTimelineIO reads.
        rate: frames a second of an EDL, which does not say it.

    Raises:
        InputError: the file cannot be read.
        UsageError: a clip is retimed, nested or has a name that cannot be a folder's.
    """
    try:
        import opentimelineio as otio
    except ImportError:
        raise UsageError(
            "edits are read by OpenTimelineIO, which is not installed",
            way_out="pip install 'relume[farm]'",
        ) from None
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist", way_out="Check the path")
    try:
        more = {"rate": rate} if rate and Path(path).suffix.lower() == ".edl" else {}
        timeline = otio.adapters.read_from_file(str(path), **more)
    except Exception as error:  # every adapter raises its own
        raise InputError(
            f"{path} is no edit OpenTimelineIO reads ({error})", way_out="Export it again"
        ) from error
    if not isinstance(timeline, otio.schema.Timeline):
        raise InputError(f"{path} holds no timeline", way_out="Export the timeline itself")
    clips: list[Clip] = []
    for track in timeline.video_tracks():
        _refuse_retime(track, track.name or "the track")
        for item in track:
            if isinstance(item, otio.schema.Clip) and item.enabled:
                clips.append(_clip(item))
            elif isinstance(item, otio.schema.Stack | otio.schema.Track):
                raise UsageError(
                    f"'{item.name}' is an edit within the edit", way_out="Flatten it first"
                )
    names = [clip.name for clip in clips]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two clips of the edit are named '{name}'", way_out="Rename one of them"
            )
    return clips


def _clip(item: Any) -> Clip:
    import opentimelineio as otio

    name = item.name
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the clip '{name}' has no name a folder can have",
            way_out="Use letters, digits, '_', '-' and '.', a letter or digit first",
        )
    _refuse_retime(item, name)
    seen = item.visible_range()
    media = item.media_reference
    plate, first = "", seen.start_time.to_frames()
    if isinstance(media, otio.schema.ImageSequenceReference):
        if media.frame_step != 1:
            raise UsageError(f"the media of '{name}' leaves frames out", way_out="Link all of them")
        first = media.frame_for_time(seen.start_time)
        file = f"{media.name_prefix}{'#' * max(media.frame_zero_padding, 1)}{media.name_suffix}"
        plate = f"{_local(media.target_url_base).rstrip('/')}/{file}"
    elif isinstance(media, otio.schema.ExternalReference):
        plate = _local(media.target_url)
    last = first + seen.duration.to_frames() - 1
    return Clip(name, first, last, seen.start_time.rate, plate)


def _refuse_retime(item: Any, name: str) -> None:
    import opentimelineio as otio

    for effect in item.effects:
        if isinstance(effect, otio.schema.TimeEffect) and getattr(effect, "time_scalar", 0) != 1:
            speed = getattr(effect, "time_scalar", None)
            how = f" (speed {speed:g})" if speed is not None else ""
            raise UsageError(
                f"'{name}' is retimed{how}, and relume renders the frames of the plate as they are",
                way_out="Render the whole plate and retime the result, or take the retime out",
            )


def _local(url: str) -> str:
    """Return the path of a `file:` address; anything else is a path already."""
    return unquote(urlsplit(url).path) if url.startswith("file:") else url


def range_of(clip: Clip, plate: str, handles: int) -> Range:
    """Return the frames of a clip in the numbers of its plate.

    An edit counts by time code where the plate is numbered otherwise; the time code in the plate's
    first frame then ties the two together.

    Args:
        clip: the clip.
        plate: the sequence, as it lies on disk.
        handles: frames wanted before and after.

    Raises:
        InputError: frames of the cut are missing.
        UsageError: the numbers of the edit and of the plate have nothing to do with each other.
    """
    there = existing_frames(plate)
    if not there:
        raise InputError(f"shot {clip.name}: there is no frame of {plate}", way_out="Check it")
    shift = 0
    if clip.last < there[0] or clip.first > there[-1]:
        code = look_at(path_at(plate, there[0]), there[0]).timecode
        if code is None:
            raise UsageError(
                f"shot {clip.name}: the edit uses {clip.first}-{clip.last}, the plate has "
                f"{there[0]}-{there[-1]} and no time code",
                way_out="Give the plate a time code, or link the edit to the sequence",
            )
        shift = there[0] - code.count(clip.rate)
    cut = Shot(clip.first + shift, clip.last + shift)
    known = set(there)
    missing = set(range(cut.first, cut.last + 1)) - known
    if missing:
        raise InputError(
            f"shot {clip.name}: the cut is {cut}, and {plate} has no frame "
            f"{format_frames(missing)}",
            way_out="Fetch these frames, or leave the shot out with --only",
        )
    first, last = cut.first, cut.last
    while cut.first - first < handles and first - 1 in known:
        first -= 1
    while last - cut.last < handles and last + 1 in known:
        last += 1
    return Range(cut, Shot(first, last))


def plate_of(graph: Graph, clip: Clip, node: str) -> str:
    """Return the plate of a clip: the graph's where it says `{shot}`, else the edit's.

    Raises:
        UsageError: neither names one.
    """
    own = graph.node(node).knobs.get("file", "")
    if isinstance(own, str) and SHOT in own:
        return own.replace(SHOT, clip.name)
    if not clip.plate:
        raise UsageError(
            f"shot {clip.name}: the edit points at no plate",
            way_out=f"Put {SHOT} in the file of the node '{node}': /show/{SHOT}/plate.####.exr",
        )
    return clip.plate


def graph_of(
    graph: Graph,
    clip: Clip,
    whole: Shot,
    plate: str,
    node: str = "plate",
    changes: Mapping[str, Any] | None = None,
) -> Graph:
    """Return the graph of one shot.

    Args:
        graph: the graph of all of them; it is not changed.
        clip: the shot's clip.
        whole: its frames.
        plate: its plate.
        node: the node that reads the plate.
        changes: `node.knob` → value, for this shot alone.

    Raises:
        UsageError: a change is refused.
    """
    copy = Graph.from_json(graph.to_json(REGISTRY), REGISTRY)
    copy.shot = str(whole)
    copy.node(node).knobs["file"] = plate
    for target, value in (changes or {}).items():
        name, _, knob = target.partition(".")
        copy.node(name).knobs[knob] = value
    for name, knob, file, _ in file_knobs(copy):
        copy.nodes[name].knobs[knob] = file.replace(SHOT, clip.name)
    try:
        copy.check(REGISTRY)
    except UsageError as error:
        raise UsageError(f"shot {clip.name}: {error}") from error
    return copy


def check_outputs(graph: Graph, shots: Sequence[Clip]) -> None:
    """Refuse to write several shots to the same files.

    Raises:
        UsageError: an output does not say `{shot}`.
    """
    for name, knob, file, written in file_knobs(graph):
        if written and SHOT not in file and len(shots) > 1:
            raise UsageError(
                f"{len(shots)} shots would be written to {file}",
                way_out=f"Put {SHOT} in it: --set {name}.{knob}=out/{SHOT}/relit.####.exr",
                node=name,
            )


def read_overrides(path: str | Path, shots: Collection[str]) -> dict[str, dict[str, Any]]:
    """Read what is other in some shots: `{shot: {"node.knob": value}}`.

    Raises:
        InputError: the file cannot be read.
        UsageError: it is something else, or names a shot that the edit does not have.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
    help_text = 'Write {"sh010": {"key_light.exposure": 1.0}}'
    if not isinstance(document, dict):
        raise UsageError(f"{path} holds no shots", way_out=help_text)
    for shot, changes in document.items():
        if shot not in shots:
            raise UsageError(
                f"{path} is about the shot '{shot}', which the edit does not have",
                way_out=f"It has {', '.join(shots)}",
            )
        if not isinstance(changes, dict) or not all("." in key for key in changes):
            raise UsageError(f"{path}: '{shot}' sets no knobs", way_out=help_text)
    return document
