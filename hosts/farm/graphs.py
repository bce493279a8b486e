"""What a job on the farm needs to know of a graph: its files, its outputs, its shot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from relume.errors import UsageError
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.hosts.farm.prepare import settle
from relume.knobs import File, OutputFile
from relume.media.sequence import path_at
from relume.nodes.registry import REGISTRY
from relume.render import resolve_shot, sinks


def load(path: str | Path, changes: Iterable[str] = (), shot: str | None = None) -> Graph:
    """Read a graph and set knobs in it.

    Args:
        path: the document.
        changes: `node.knob=value` each.
        shot: first and last frame, in place of the graph's own.

    Raises:
        InputError: the document cannot be read.
        UsageError: it is not valid, or a change is not.
    """
    graph = Graph.load(path, REGISTRY)
    for change in changes:
        target, equals, text = change.partition("=")
        if not equals or "." not in target:
            raise UsageError(f"'{change}' sets no knob", way_out="Write --set node.knob=value")
        graph.set(target, text, REGISTRY)
    if shot:
        graph.shot = shot
    return graph


def outputs(graph: Graph) -> dict[str, str]:
    """Return the nodes that write files, each with the file or sequence it writes.

    Raises:
        UsageError: there is none, or one does not say where.
    """
    return {
        name: str(graph.nodes[name].knobs[knob]) for name, knob in sinks(graph, REGISTRY).items()
    }


def output_of(graph: Graph, pattern: str) -> str:
    """Return the node that writes a sequence; where there is only one, that one.

    Raises:
        UsageError: several nodes write, and none of them this sequence.
    """
    written = outputs(graph)
    if len(written) == 1:
        return next(iter(written))
    wanted = path_at(pattern, 0).resolve()
    for name, file in written.items():
        if path_at(file, 0).resolve() == wanted:
            return name
    listing = ", ".join(f"{name} to {file}" for name, file in written.items())
    raise UsageError(f"no node of the graph writes {pattern}", way_out=f"They write: {listing}")


def evaluator_of(graph: Graph, frames: Sequence[int], threads: int = 1) -> Evaluator:
    """Return what computes keys, fingerprints and small values of a graph, as a job settles it."""
    shot = resolve_shot(graph, REGISTRY, frames)
    evaluator = Evaluator(graph, REGISTRY, Settings(shot=shot, threads=threads))
    evaluator.graph = settle(evaluator)
    return evaluator


def shot_frames(graph: Graph) -> tuple[int, ...]:
    """Return every frame of the graph's shot, or none where it has no shot."""
    if not graph.shot:
        return ()
    shot = Shot.parse(graph.shot)
    return tuple(range(shot.first, shot.last + 1))


def file_knobs(graph: Graph) -> list[tuple[str, str, str, bool]]:
    """Return (node, knob, file, whether it is written) of every file the graph names.

    Raises:
        UsageError: a file changes over time, which a job cannot carry.
    """
    found = []
    for name, node in graph.nodes.items():
        cls = REGISTRY.find(node.type, name)
        for kind, written in ((File, False), (OutputFile, True)):
            for key in cls.members(kind):
                file = node.knobs.get(key)
                if isinstance(file, dict):
                    raise UsageError(
                        f"the knob '{key}' names another file at other frames",
                        way_out="Name a sequence",
                        node=name,
                    )
                if file:
                    found.append((name, key, str(file), written))
    return found
