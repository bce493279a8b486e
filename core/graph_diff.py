"""What differs between two graphs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from relume.graph import Graph

_UNSET = object()


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
        sides = [("", old.knobs, new.knobs), ("input ", old.inputs, new.inputs)]
        sides.append(("", {"note": old.note}, {"note": new.note}))
        for what, a, b in sides:
            for key in [*a, *(k for k in b if k not in a)]:
                if _plain(a, key) != _plain(b, key):
                    lines.append(f"{name}.{what}{key}: {_shown(a, key)} → {_shown(b, key)}")
    return lines


def _plain(values: Mapping[str, Any], key: str) -> object:
    """Return a value to compare: named wires keep their order, tuples and lists are alike."""
    value = values.get(key, _UNSET)
    if isinstance(value, dict):
        return list(value.items())
    return list(value) if isinstance(value, tuple) else value


def _shown(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key], ensure_ascii=False) if key in values else "unset"
