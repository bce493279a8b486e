"""Settle once what every part of a job must agree on: shot, exposure, threads, paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relume.errors import UsageError
from relume.evaluate import Evaluator
from relume.graph import Graph, GraphNode
from relume.knobs import File, OutputFile
from relume.node import Registry
from relume.nodes.exposure_anchor import ExposureAnchor
from relume.render import Renderer, sinks


def settle(evaluator: Evaluator) -> Graph:
    """Return a copy of a graph in which shot and exposure anchors are settled.

    A job so settled gives the same files however it is divided, and a part of it never measures
    what another has measured.

    Args:
        evaluator: a checked graph, and what the job fixes; its shot is the job's.

    Raises:
        InputError: the first frame of the shot cannot be read.
    """
    graph, registry = evaluator.graph, evaluator.registry
    shot = evaluator.settings.shot
    nodes = _copied(graph)
    settled = Graph(nodes, str(shot), graph.working_space, graph.note)
    for name in settled.order(list(sinks(settled, registry))):
        if nodes[name].type == ExposureAnchor.id and nodes[name].knobs.get("stops") is None:
            nodes[name].knobs["stops"] = float(evaluator.evaluate(name, shot.first))
    return settled


def _copied(graph: Graph) -> dict[str, GraphNode]:
    return {
        name: GraphNode(node.type, dict(node.knobs), dict(node.inputs), node.note)
        for name, node in graph.nodes.items()
    }


def safe_targets(evaluator: Evaluator, frames: Sequence[int]) -> list[Path]:
    """Return the files a job writes, none of which any part of it reads.

    A part of a job knows only the inputs of its own frames.

    Raises:
        UsageError: a target is an input, at whichever frames.
    """
    renderer = Renderer(evaluator, frames)
    paths = []
    for name, frame in renderer.files:
        path = renderer.path(name, frame)
        if renderer.reads(path):
            raise UsageError(
                f"{path} is read by this graph, so it is not written over",
                way_out="Choose another name",
                node=name,
                frame=frame,
            )
        paths.append(path)
    return paths


def absolute(graph: Graph, registry: Registry) -> Graph:
    """Return a copy of a graph whose paths hold in any working folder."""
    nodes = _copied(graph)
    for name, node in nodes.items():
        declared = registry.find(node.type, name)
        for key in (*declared.members(File), *declared.members(OutputFile)):
            if key in node.knobs:
                node.knobs[key] = _absolute(node.knobs[key])
    return Graph(nodes, graph.shot, graph.working_space, graph.note)


def _absolute(value: Any) -> Any:
    if isinstance(value, dict):
        keys = [[frame, _absolute(path)] for frame, path in value.get("keys", [])]
        return {**value, "keys": keys}
    return str(Path(value).absolute()) if isinstance(value, str) and value else value
