"""The text of a graph document: JSON with a known set of fields, each of a known type."""

from __future__ import annotations

import json
from typing import Any

from relume.errors import UsageError
from relume.node import check_names

FORMAT = 1

_A_GRAPH = 'A graph is {"relume": 1, "nodes": {name: {"type", "knobs", "inputs"}}}'
_DOCUMENT: dict[str, type] = {
    "relume": int, "note": str, "shot": str, "working_space": str, "nodes": dict,
}  # fmt: skip
_NODE: dict[str, type] = {
    "type": str, "version": int, "note": str, "knobs": dict, "inputs": dict,
}  # fmt: skip
_IN_WORDS: dict[type, str] = {int: "a whole number", str: "text", dict: "an object"}


def read(text: str) -> dict[str, Any]:
    """Return the fields of a document and of its nodes; knob values and wires are not looked at.

    Raises:
        UsageError: the text is not JSON, is no graph, has a newer format, a field that is unknown
            or of the wrong type, or a name that stands twice.
    """
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"line {error.lineno}, column {error.colno} is not JSON: {error.msg}"
        ) from None
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all sense
        raise UsageError(f"this is not a relume graph: {error}", way_out=_A_GRAPH) from None
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), dict):
        raise UsageError("this is not a relume graph", way_out=_A_GRAPH)
    if document.get("relume") != FORMAT:
        raise UsageError(
            f"the graph has format {document.get('relume')!r}, this relume reads {FORMAT}",
            way_out="Open it with the version of relume that wrote it",
        )
    _check(document, _DOCUMENT, None)
    for name, entry in document["nodes"].items():
        if not isinstance(entry, dict) or not entry.get("type"):
            raise UsageError("a node is an object with a 'type'", node=name)
        _check(entry, _NODE, name)
    return document


def write(value: Any, indent: str = "") -> str:
    """Return JSON that diffs well: a line for each field and each key of an animated value."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{write(key)}: {write(item, inner)}" for key, item in value.items()]
        opening, closing = "{}"
    elif isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):
        lines = [write(item, inner) for item in value]
        opening, closing = "[]"
    else:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    body = ",\n".join(inner + line for line in lines)
    return f"{opening}\n{body}\n{indent}{closing}"


def _check(entry: dict[str, Any], fields: dict[str, type], node: str | None) -> None:
    """Refuse unknown fields and values of the wrong type; drop those that are null."""
    check_names(node, "field", entry, fields)
    for key, kind in fields.items():
        if entry.get(key) is None:
            entry.pop(key, None)
        elif type(entry[key]) is not kind:
            raise UsageError(
                f"the field '{key}' is {entry[key]!r}",
                way_out=f"It must be {_IN_WORDS[kind]}",
                node=node,
            )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what JSON would silently drop: the first of two nodes or knobs of one name."""
    entry = dict(pairs)
    if len(entry) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"'{twice}' stands twice in one place", way_out="Rename or remove one")
    return entry
