"""The node reference: one Markdown page a node, made from its declaration and nothing else.

`python -m relume.hosts.reference docs/nodes` writes the pages again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from relume import document
from relume.errors import UsageError
from relume.knobs import Knob
from relume.node import In, Node

INDEX = "README.md"

_COLOURS = {
    "data": "Stored numbers, taken unchanged.",
    "network": "Brought to the colour space the networks were trained in.",
}

_COMMAND = "python -m relume.hosts.reference docs/nodes"
_MADE = f"<!-- Made from the declaration by `{_COMMAND}`; edit the class, not this page. -->"


def page(node: type[Node]) -> str:
    """Return the page of a node type as Markdown."""
    parts = [
        f"# {node.id}",
        _MADE,
        f"{node.category} · version {node.version} · [all nodes]({INDEX})",
        node.doc(),
    ]
    if inputs := node.inputs():
        rows = [[f"`{name}`", _takes(port), _note(port)] for name, port in inputs.items()]
        parts += ["## Inputs", _table(["name", "takes", "what it is for"], rows)]
    rows = [[f"`{name}`", port.type_name, port.doc] for name, port in node.outputs().items()]
    parts += ["## Outputs", _table(["name", "type", "what it is"], rows)]
    if knobs := node.knobs():
        rows = [_knob(name, knob) for name, knob in knobs.items()]
        parts += ["## Knobs", _table(["name", "default", "accepts", "unit", "what it does"], rows)]
    parts += ["## In a graph", "```json\n" + _entry(node) + "\n```"]
    return "\n\n".join(parts) + "\n"


def index(registry: Mapping[str, type[Node]]) -> str:
    """Return the page that lists every node type, grouped by category in registry order."""
    categories: dict[str, list[list[str]]] = {}
    for id, node in registry.items():
        summary = node.doc().partition("\n\n")[0].replace("\n", " ")
        categories.setdefault(node.category, []).append([f"[{id}]({id}.md)", summary])
    parts = ["# Nodes", _MADE]
    for category, rows in categories.items():
        parts += [f"## {category}", _table(["node", "what it does"], rows)]
    return "\n\n".join(parts) + "\n"


def pages(registry: Mapping[str, type[Node]]) -> dict[str, str]:
    """Return the text of every page by file name."""
    return {INDEX: index(registry)} | {f"{id}.md": page(node) for id, node in registry.items()}


def write(folder: Path, registry: Mapping[str, type[Node]]) -> None:
    """Write every page, and remove those of nodes that are no more.

    Args:
        folder: where the pages lie; made if missing. Pages that were not made here are kept.
        registry: the node types.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages(registry)
    for path in folder.glob("*.md"):
        if path.name not in wanted and _MADE in path.read_text(encoding="utf-8"):
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


def _takes(port: In) -> str:
    return f"{port.type_name} by name, any number" if port.many else port.type_name


def _note(port: In) -> str:
    notes = [port.doc]
    if port.optional:
        notes.append("May be left unwired.")
    if port.frames == "first":
        notes.append("Read at the first frame of the shot.")
    elif port.is_window:
        notes.append(f"Read at frames {port.frames[0]:+d} to {port.frames[1]:+d} around this one.")
    notes += [text for colour, text in _COLOURS.items() if port.colour == colour]
    return " ".join(notes)


def _knob(name: str, knob: Knob[Any]) -> list[str]:
    default = json.dumps(knob.json(knob.default), ensure_ascii=False)
    return [f"`{name}`", f"`{default}`", knob.expects, knob.unit, knob.doc]


def _entry(node: type[Node]) -> str:
    """Return the node as a graph document holds it, with every knob at its default."""
    inputs = {
        name: {"name": "node.output"} if port.many else "node.output"
        for name, port in node.inputs().items()
    }
    entry: dict[str, Any] = {"type": node.id, "version": node.version}
    if knobs := {name: knob.json(knob.default) for name, knob in node.knobs().items()}:
        entry["knobs"] = knobs
    if inputs:
        entry["inputs"] = inputs
    return f'"{node.id}": {document.write(entry)}'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *(line(row) for row in rows)])


def main(arguments: Sequence[str]) -> int:
    """Write the pages to the folder named on the command line; return the exit code."""
    from relume.nodes.registry import REGISTRY

    if len(arguments) != 1:
        error = UsageError("one folder is wanted", way_out=f"Run `{_COMMAND}`")
        print(error, file=sys.stderr)
        return error.exit_code
    write(Path(arguments[0]), REGISTRY)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
