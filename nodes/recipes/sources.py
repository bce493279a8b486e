"""A picture as the recipes are given it: a file name, or the knobs of the node that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.graph import Graph
from relume.node import Node
from relume.nodes.read import Read
from relume.nodes.reformat import Reformat

Knobs = Mapping[str, Any]
Source = str | Knobs
"""A file name, or the knobs of the node that reads it."""


def reader_knobs(source: Source) -> dict[str, Any]:
    """Return the knobs of the node that reads a source."""
    return {"file": source} if isinstance(source, str) else dict(source)


def add_picture(
    graph: Graph, name: str, source: Source, proxy: int, reader: type[Node] = Read
) -> None:
    """Read a picture as the node `name`, at 1/proxy of its size."""
    if proxy == 1:
        graph.add(name, reader, reader_knobs(source))
    else:
        graph.add(f"{name}_full", reader, reader_knobs(source))
        graph.add(name, Reformat, {"scale": 1.0 / proxy}, image=f"{name}_full")
