"""The graph document: nodes, knob values and wires, as one JSON file that diffs well."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from relume.document import FORMAT, read, write
from relume.errors import InputError, UsageError
from relume.frames import Shot
from relume.knobs import Knob
from relume.node import In, Node, Out, Registry, check_names

WORKING_SPACE = "lin_ap1_scene"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

Wire = str | dict[str, str]
"""A reference `node.output`, or `{name: reference}` on a port that takes many."""

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class GraphNode:
    """One node of a document: plain JSON values, nothing resolved.

    Attributes:
        type: id of the node type.
        knobs: values that differ from the defaults; constants or keys.
        inputs: wires by port.
        note: free text of the user.
    """

    type: str
    knobs: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Wire] = field(default_factory=dict)
    note: str = ""


@dataclass(slots=True)
class Graph:
    """A document of named nodes.

    Attributes:
        nodes: nodes by name, in the order they were added.
        shot: frame range of the shot such as `1001-1100`, or None until a job resolves it.
        working_space: the scene-linear space images are converted to between nodes.
        note: free text of the user.
    """

    nodes: dict[str, GraphNode] = field(default_factory=dict)
    shot: str | None = None
    working_space: str = WORKING_SPACE
    note: str = ""

    def add(
        self,
        name: str,
        type: type[Node] | str,
        /,
        knobs: Mapping[str, Any] | None = None,
        **inputs: Wire,
    ) -> str:
        """Add a node and return its name.

        Raises:
            UsageError: the name is taken or is not a letter followed by letters, digits or `_`.
        """
        if name in self.nodes:
            raise UsageError(f"there are two nodes named '{name}'", way_out="Rename one of them")
        _check_name(name)
        id = type if isinstance(type, str) else type.id
        self.nodes[name] = GraphNode(id, dict(knobs or {}), dict(inputs))
        return name

    def set(self, target: str, text: str, registry: Registry) -> None:
        """Set a knob from text, as `--set node.knob=value` does.

        Args:
            target: `node.knob`.
            text: the value; keys as JSON, otherwise what the knob's `parse` reads.
            registry: the node types.

        Raises:
            UsageError: the node or the knob does not exist, or the value is refused.
        """
        name, _, key = target.partition(".")
        node = self.node(name)
        declared = registry.find(node.type, name).knobs()
        check_names(name, "knob", [key], declared)
        value = _keys_in(text) or declared[key].parse(text)
        _check_knob(name, declared[key], value)
        node.knobs[key] = value

    def node(self, name: str) -> GraphNode:
        """Return a node by name.

        Raises:
            UsageError: there is none.
        """
        check_names(None, "node", [name], self.nodes)
        return self.nodes[name]

    def find(self, type: type[Node]) -> list[str]:
        """Return the names of the nodes of a type."""
        return [name for name, node in self.nodes.items() if node.type == type.id]

    def check(self, registry: Registry) -> None:
        """Validate shot, names, knobs, wires, types and the absence of cycles.

        Raises:
            UsageError: the first thing that is wrong, with its node.
        """
        if self.shot:
            Shot.parse(self.shot)
        for name, node in self.nodes.items():
            _check_name(name)
            cls = registry.find(node.type, name)
            check_names(name, "knob", node.knobs, cls.knobs())
            for key, stored in node.knobs.items():
                _check_knob(name, cls.knobs()[key], stored)
            check_names(name, "input", node.inputs, cls.inputs())
            for key, port in cls.inputs().items():
                self._check_port(registry, name, port, node.inputs.get(key))
        self.order(list(self.nodes))

    def _check_port(self, registry: Registry, name: str, port: In, wire: Wire | None) -> None:
        if wire is None or wire == {}:
            if not port.optional:
                raise UsageError(
                    f"the input '{port.name}' is not wired",
                    way_out=f"Wire {port.type_name} to it",
                    node=name,
                )
            return
        references = list(wire.values()) if isinstance(wire, dict) else [wire]
        if isinstance(wire, dict) is not port.many or not all(
            isinstance(reference, str) for reference in references
        ):
            expected = "{name: 'node.output'}" if port.many else "one reference 'node.output'"
            raise UsageError(
                f"the input '{port.name}' is wired to {wire!r}",
                way_out=f"Give {expected}",
                node=name,
            )
        for label in wire if isinstance(wire, dict) else ():
            _check_name(label, f"a name for the input '{port.name}'", name)
        for reference in references:
            _, out = self.source(registry, reference, name)
            if not any(issubclass(t, port.types) for t in out.types):
                raise UsageError(
                    f"the input '{port.name}' takes {port.type_name}, "
                    f"but '{reference}' is {out.type_name}",
                    way_out="Wire another output, or put a converting node between",
                    node=name,
                )

    def source(
        self, registry: Registry, reference: str, node: str | None = None
    ) -> tuple[str, Out]:
        """Return the node and the output that `node.output`, or `node` with one output, names.

        Args:
            registry: the node types.
            reference: the reference.
            node: the node it is wired to, for messages.

        Raises:
            UsageError: there is no such node or output, or the node has several outputs.
        """
        source, _, key = reference.partition(".")
        if source not in self.nodes:
            raise UsageError(
                f"'{reference}' is wanted, but there is no node '{source}'",
                way_out=f"The nodes are: {', '.join(self.nodes)}",
                node=node,
            )
        outputs = registry.find(self.nodes[source].type, source).outputs()
        if not key and len(outputs) == 1:
            key = next(iter(outputs))
        if not key:
            raise UsageError(
                f"'{reference}' has several outputs: {', '.join(outputs)}",
                way_out=f"Name one, such as '{source}.{next(iter(outputs), '')}'",
                node=node,
            )
        check_names(source, "output", [key], outputs)
        return source, outputs[key]

    def upstream(self, name: str) -> Iterator[tuple[str, str, str]]:
        """Yield (port, label, reference) of every wire into a node; label is '' for one wire."""
        for port, wire in self.node(name).inputs.items():
            for label, reference in wire.items() if isinstance(wire, dict) else [("", wire)]:
                yield port, label, reference

    def order(self, targets: list[str]) -> list[str]:
        """Return the targets and everything they need, each after its inputs.

        Raises:
            UsageError: the wires run in a circle.
        """
        return list(
            inputs_first(
                targets, lambda name: [wire.partition(".")[0] for _, _, wire in self.upstream(name)]
            )
        )

    def to_json(self, registry: Registry) -> str:
        """Return the document as text: stable key order, one value a line, defaults left out.

        Raises:
            UsageError: a knob or an input is unknown, or a knob refuses its value.
        """
        document: dict[str, Any] = {"relume": FORMAT}
        if self.note:
            document["note"] = self.note
        if self.shot:
            document["shot"] = self.shot
        document["working_space"] = self.working_space
        document["nodes"] = {}
        for name, node in self.nodes.items():
            cls = registry.find(node.type, name)
            entry: dict[str, Any] = {"type": node.type, "version": cls.version}
            if node.note:
                entry["note"] = node.note
            declared = cls.knobs()
            check_names(name, "knob", node.knobs, declared)
            knobs = {key: node.knobs[key] for key in declared if key in node.knobs}
            for key, stored in knobs.items():
                _check_knob(name, declared[key], stored)
            if knobs:
                entry["knobs"] = knobs
            check_names(name, "input", node.inputs, cls.inputs())
            inputs = {key: node.inputs[key] for key in cls.inputs() if node.inputs.get(key)}
            if inputs:
                entry["inputs"] = inputs
            document["nodes"][name] = entry
        return write(document) + "\n"

    @classmethod
    def from_json(cls, text: str, registry: Registry, file: str | None = None) -> Graph:
        """Read and check a document; older nodes are upgraded.

        Raises:
            UsageError: the text is not JSON, not a graph, from a newer version, or not valid.
        """
        try:
            document = read(text)
            graph = cls(
                shot=document.get("shot"),
                working_space=document.get("working_space", WORKING_SPACE),
                note=document.get("note", ""),
            )
            for name, entry in document["nodes"].items():
                graph.nodes[name] = _read_node(name, entry, registry)
            graph.check(registry)
        except UsageError as error:
            error.locate(file=file)
            raise
        return graph

    @classmethod
    def load(cls, path: str | Path, registry: Registry) -> Graph:
        """Read a document from a file.

        Raises:
            InputError: the file cannot be read.
            UsageError: it is not a valid graph.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise InputError(f"cannot read the graph {path}: {reason}") from None
        return cls.from_json(text, registry, file=str(path))


def _read_node(name: str, entry: Mapping[str, Any], registry: Registry) -> GraphNode:
    """Return a node of a document, its knobs brought to today's version."""
    node_class = registry.find(entry["type"], name)
    version = entry.get("version", node_class.version)
    knobs = dict(entry.get("knobs", {}))
    if not 1 <= version <= node_class.version:
        raise UsageError(
            f"version {version} of '{node_class.id}' is not one this relume knows, its own is "
            f"{node_class.version}",
            way_out="Update relume",
            node=name,
        )
    if version < node_class.version:
        try:
            knobs = node_class.upgrade(knobs, version)
        except Exception as error:
            raise UsageError(
                f"the knobs of version {version} of '{node_class.id}' cannot be brought to "
                f"version {node_class.version} ({type(error).__name__}: {error})",
                node=name,
            ) from error
    return GraphNode(entry["type"], knobs, dict(entry.get("inputs", {})), entry.get("note", ""))


def _check_name(name: str, what: str = "a node name", node: str | None = None) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' is not {what}",
            way_out="Use a letter followed by letters, digits or underscores",
            node=node,
        )


def _keys_in(text: str) -> dict[str, Any] | None:
    """Return the keys that text on a command line holds as JSON, or None for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and "keys" in value else None


def _check_knob(node: str, knob: Knob[Any], stored: object) -> None:
    """Check a constant, or every key of an animated value."""
    try:
        if isinstance(stored, Mapping) and "keys" in stored:
            for _, value in knob.keys(stored):
                knob.check(value)
        else:
            knob.check(stored)
    except UsageError as error:
        raise error.locate(node=node) from None


def inputs_first(targets: Iterable[K], inputs: Callable[[K], Iterable[K]]) -> Iterator[K]:
    """Yield the targets and everything they need, each once and after its inputs.

    Args:
        targets: what is wanted.
        inputs: returns what one of them needs; asked once for each, just before its inputs.

    Raises:
        UsageError: something needs itself.
    """
    # A stack of its own: a long chain of nodes must not exhaust Python's.
    done: set[K] = set()
    path: dict[K, Iterator[K]] = {}
    for target in targets:
        if target not in done:
            path[target] = iter(inputs(target))
        while path:
            item, rest = next(reversed(path.items()))
            need = next((need for need in rest if need not in done), None)
            if need is None:
                del path[item]
                done.add(item)
                yield item
            elif need in path:
                ring = [*path, need][list(path).index(need) :]
                raise UsageError(
                    f"the wires run in a circle: {' → '.join(map(str, ring))}",
                    way_out="Cut one of them",
                    node=str(need),
                )
            else:
                path[need] = iter(inputs(need))
