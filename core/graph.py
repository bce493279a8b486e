"""The graph document: nodes, knob values and wires, as one JSON file that diffs well."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relume.errors import InputError, UsageError
from relume.node import In, Node, Out, Registry, check_names

FORMAT = 1
WORKING_SPACE = "lin_ap1_scene"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

Wire = str | dict[str, str]
"""A reference `node.output`, or `{name: reference}` on a port that takes many."""


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
        knobs: Mapping[str, Any] | None = None,
        **inputs: Wire,
    ) -> str:
        """Add a node and return its name.

        Raises:
            UsageError: the name is taken or is not a letter followed by letters, digits or `_`.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"'{name}' is not a node name",
                way_out="Use a letter followed by letters, digits or underscores",
            )
        if name in self.nodes:
            raise UsageError(f"there are two nodes named '{name}'", way_out="Rename one of them")
        id = type if isinstance(type, str) else type.id
        self.nodes[name] = GraphNode(id, dict(knobs or {}), dict(inputs))
        return name

    def set(self, target: str, text: str, registry: Registry) -> None:
        """Set a knob from text, as `--set node.knob=value` does.

        Args:
            target: `node.knob`.
            text: the value; JSON for keys, otherwise what the knob's `parse` reads.
            registry: the node types.

        Raises:
            UsageError: the node or the knob does not exist, or the value is refused.
        """
        name, _, key = target.partition(".")
        node = self.node(name)
        declared = registry.find(node.type, name).knobs()
        check_names(name, "knob", [key], declared)
        value = json.loads(text) if text.lstrip().startswith("{") else declared[key].parse(text)
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
        """Validate names, knobs, wires, types and the absence of cycles.

        Raises:
            UsageError: the first thing that is wrong, with its node.
        """
        for name, node in self.nodes.items():
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
                    way_out=f"Wire a {port.type_name} to it",
                    node=name,
                )
            return
        if isinstance(wire, dict) is not port.many:
            expected = "{name: reference}" if port.many else "one reference 'node.output'"
            raise UsageError(f"the input '{port.name}' takes {expected}", node=name)
        for label, reference in wire.items() if isinstance(wire, dict) else [("", wire)]:
            if label and not _NAME.fullmatch(label):
                raise UsageError(
                    f"'{label}' on the input '{port.name}' is not a name",
                    way_out="Use a letter followed by letters, digits or underscores",
                    node=name,
                )
            out = self._output(registry, name, reference)
            if not any(issubclass(t, port.types) for t in out.types):
                raise UsageError(
                    f"the input '{port.name}' takes {port.type_name}, "
                    f"but '{reference}' is {out.type_name}",
                    way_out="Wire another output, or put a converting node between",
                    node=name,
                )

    def _output(self, registry: Registry, node: str, reference: str) -> Out:
        source, _, key = reference.partition(".")
        if source not in self.nodes:
            raise UsageError(
                f"'{reference}' is wired, but there is no node '{source}'",
                way_out=f"The nodes are: {', '.join(self.nodes)}",
                node=node,
            )
        outputs = registry.find(self.nodes[source].type, source).outputs()
        key = key or (next(iter(outputs)) if len(outputs) == 1 else "")
        check_names(source, "output", [key], outputs)
        return outputs[key]

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
        done: dict[str, None] = {}
        path: list[str] = []

        def visit(name: str) -> None:
            if name in done:
                return
            if name in path:
                ring = " → ".join([*path[path.index(name) :], name])
                raise UsageError(
                    f"the wires run in a circle: {ring}", way_out="Cut one of them", node=name
                )
            path.append(name)
            for _, _, reference in self.upstream(name):
                visit(reference.partition(".")[0])
            path.pop()
            done[name] = None

        for target in targets:
            visit(target)
        return list(done)

    def to_json(self, registry: Registry) -> str:
        """Return the document as text: stable key order, one knob a line, defaults left out."""
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
            if knobs:
                entry["knobs"] = knobs
            inputs = {key: node.inputs[key] for key in cls.inputs() if node.inputs.get(key)}
            if inputs:
                entry["inputs"] = inputs
            document["nodes"][name] = entry
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, registry: Registry, file: str | None = None) -> Graph:
        """Read and check a document; older nodes are upgraded.

        Raises:
            UsageError: the text is not JSON, not a graph, from a newer version, or not valid.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(
                f"line {error.lineno}, column {error.colno} is not JSON: {error.msg}", file=file
            ) from None
        if not isinstance(document, dict) or not isinstance(document.get("nodes"), dict):
            raise UsageError("this is not a relume graph", file=file, way_out=_A_GRAPH)
        if document.get("relume") != FORMAT:
            raise UsageError(
                f"the graph has format {document.get('relume')!r}, this relume reads {FORMAT}",
                file=file,
                way_out="Open it with the version of relume that wrote it",
            )
        check_names(None, "field", document, _DOCUMENT_FIELDS)
        graph = cls(
            shot=document.get("shot"),
            working_space=document.get("working_space", WORKING_SPACE),
            note=document.get("note", ""),
        )
        for name, entry in document["nodes"].items():
            graph._read_node(name, entry, registry)
        graph.check(registry)
        return graph

    def _read_node(self, name: str, entry: Any, registry: Registry) -> None:
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            raise UsageError("a node is an object with a 'type'", node=name)
        check_names(name, "field", entry, _NODE_FIELDS)
        node_class = registry.find(entry["type"], name)
        version = entry.get("version", node_class.version)
        if type(version) is not int or version > node_class.version:
            raise UsageError(
                f"version {version} of '{node_class.id}' is newer than this relume's "
                f"{node_class.version}",
                way_out="Update relume",
                node=name,
            )
        knobs = dict(entry.get("knobs", {}))
        if version < node_class.version:
            knobs = node_class.upgrade(knobs, version)
        self.add(name, node_class, knobs, **entry.get("inputs", {}))
        self.nodes[name].note = entry.get("note", "")

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


_A_GRAPH = 'A graph is {"relume": 1, "nodes": {name: {"type", "knobs", "inputs"}}}'
_DOCUMENT_FIELDS = dict.fromkeys(("relume", "note", "shot", "working_space", "nodes"))
_NODE_FIELDS = dict.fromkeys(("type", "version", "note", "knobs", "inputs"))


def _check_knob(node: str, knob: Any, stored: object) -> None:
    """Check a constant, or every key of an animated value."""
    try:
        if isinstance(stored, Mapping) and "keys" in stored:
            for _, value in knob.keys(stored):
                knob.check(value)
        else:
            knob.check(stored)
    except UsageError as error:
        raise error.locate(node=node) from None


def diff(before: Graph, after: Graph) -> list[str]:
    """Return the changes from one graph to another, one line each."""
    lines = []
    for attribute in ("shot", "working_space", "note"):
        a, b = getattr(before, attribute), getattr(after, attribute)
        if a != b:
            lines.append(f"{attribute}: {a!r} → {b!r}")
    for name in [*before.nodes, *(n for n in after.nodes if n not in before.nodes)]:
        old, new = before.nodes.get(name), after.nodes.get(name)
        if old is None or new is None:
            sign, node = ("+", new) if old is None else ("-", old)
            lines.append(f"{sign} {name} ({node.type if node else ''})")
            continue
        if old.type != new.type:
            lines.append(f"{name}: {old.type} → {new.type}")
        for what, a, b in (("", old.knobs, new.knobs), ("input ", old.inputs, new.inputs)):
            for key in [*a, *(k for k in b if k not in a)]:
                if a.get(key) != b.get(key):
                    lines.append(f"{name}.{what}{key}: {_shown(a, key)} → {_shown(b, key)}")
    return lines


def _shown(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key], ensure_ascii=False) if key in values else "unset"
