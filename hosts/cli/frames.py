"""Which frames to render where the user does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from relume.errors import InputError, UsageError
from relume.frames import Shot
from relume.graph import Graph
from relume.knobs import File
from relume.media.sequence import existing_frames, format_frames, is_sequence, parse_frames
from relume.nodes.registry import REGISTRY


def frames_of(graph: Graph, asked: str) -> list[int]:
    """Return the frames to render.

    Args:
        graph: the graph.
        asked: a frame range; empty for the frames there are of the first sequence the graph reads,
            or those of the shot where it reads none, or frame 1.

    Raises:
        UsageError: the range is none, or goes beyond the shot.
        InputError: there is no frame of the sequence, or none of them lies in the shot.
    """
    shot = Shot.parse(graph.shot) if graph.shot else None
    if asked:
        wanted = list(parse_frames(asked))
        outside = [frame for frame in wanted if shot and not shot.first <= frame <= shot.last]
        if outside:
            raise UsageError(
                f"the shot {shot} has no frame {format_frames(outside)}",
                way_out="Correct --frames or --shot",
            )
        return wanted
    pattern, offset = _first_sequence(graph)
    if not pattern:
        return list(range(shot.first, shot.last + 1)) if shot else [1]
    found = [frame - offset for frame in existing_frames(pattern)]
    if not found:
        raise InputError(f"there is no frame of {pattern}", way_out="Check the path")
    if shot:
        found = [frame for frame in found if shot.first <= frame <= shot.last]
        if not found:
            raise InputError(
                f"no frame of {pattern} lies in the shot {shot}", way_out="Check --shot"
            )
    gaps = set(range(found[0], found[-1] + 1)) - set(found)
    if gaps:
        numbers = format_frames(frame + offset for frame in gaps)
        click.echo(f"Warning: {pattern} has no frame {numbers}; left out.", err=True)
    return found


def check_tokens(graph: Graph, targets: Mapping[str, str], frames: Sequence[int]) -> None:
    """Refuse to write several frames to one file.

    Args:
        graph: the graph.
        targets: nodes that write, each with the knob that names the file.
        frames: the frames to render.

    Raises:
        UsageError: a name has no frame token.
    """
    for name, knob in targets.items():
        file = str(graph.nodes[name].knobs[knob])
        if len(frames) > 1 and not is_sequence(file):
            raise UsageError(
                f"{len(frames)} frames cannot be written to the one file {file}",
                way_out="Put #### in the name, or ask for a single frame with --frames",
                node=name,
            )


def _first_sequence(graph: Graph) -> tuple[str, int]:
    """Return the first sequence that the graph reads, and its offset; else an empty name."""
    for name, node in graph.nodes.items():
        for key in REGISTRY.find(node.type, name).members(File):
            pattern = node.knobs.get(key)
            # A file may have a # in its name and be no sequence.
            if isinstance(pattern, str) and is_sequence(pattern) and not Path(pattern).is_file():
                offset = node.knobs.get("offset", 0)
                return pattern, offset if isinstance(offset, int) else 0
    return "", 0
