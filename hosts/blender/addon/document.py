# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree of the editor as the graph document that the farm runs, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import bpy

from . import properties, tree
from .relume_client import RelumeError

FORMAT = 1

KEPT = ("note", "working_space")
"""What a graph says that has no place among the nodes."""

Document = dict[str, Any]


def from_tree(ntree: Any, scene: Any) -> Document:
    """Return the graph of a tree; what is animated in it becomes keys over the scene's frames.

    Args:
        ntree: the tree.
        scene: its frames are the shot.

    Raises:
        RelumeError: two nodes have the same name in a graph.
    """
    nodes: dict[str, Any] = {}
    curves = _curves(ntree)
    for node in ntree.nodes:
        if not isinstance(node, tree.RelumeNode):
            continue
        name = tree.name_in_graph(node)
        if name in nodes:
            raise RelumeError(
                f"Two nodes are called '{name}' in a graph, where names hold letters, digits and _ "
                "only; rename one.",
                "usage",
            )
        nodes[name] = _entry(node, curves, scene)
    made: Document = {"relume": FORMAT, "shot": f"{scene.frame_start}-{scene.frame_end}"}
    for name in KEPT:
        if getattr(ntree, name):
            made[name] = getattr(ntree, name)
    return {**made, "nodes": nodes}


def to_tree(document: Mapping[str, Any], ntree: Any) -> None:
    """Put a graph into an empty tree.

    Raises:
        RelumeError: the graph has a node or knob that this version does not know.
    """
    for name in KEPT:
        setattr(ntree, name, document.get(name, ""))
    entries = document.get("nodes", {})
    made: dict[str, Any] = {}
    for name, entry in entries.items():
        if entry["type"] not in tree.declared:
            raise RelumeError(
                f"The graph has a node of type '{entry['type']}', which this version of the "
                "extension does not know; update relume and reload its nodes.",
                "usage",
            )
        node = made[name] = ntree.nodes.new(tree.node_name(entry["type"]))
        node.name = name
        if "note" in entry:
            node["note"] = entry["note"]
        knobs = node.declaration["knobs"]
        for knob, value in entry.get("knobs", {}).items():
            if knob not in knobs:
                raise RelumeError(f"The node '{name}' has no knob '{knob}'.", "usage")
            if isinstance(value, Mapping):
                _animate(node, knob, knobs[knob], value)
            else:
                properties.put(node, knob, knobs[knob], value)
    for name, entry in entries.items():
        for port, source in entry.get("inputs", {}).items():
            if isinstance(source, Mapping):
                for key, each in source.items():
                    free = [s for s in made[name].inputs if s.port == port and not s.is_linked]
                    socket = free[0] if free else tree.add_socket(made[name], port)
                    socket.key = key
                    _link(ntree, made, each, socket)
            else:
                _link(ntree, made, source, made[name].inputs[port])
    _arrange(made, entries)


def sources(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the nodes that an entry of a graph is wired to."""
    for source in entry.get("inputs", {}).values():
        for each in source.values() if isinstance(source, Mapping) else (source,):
            yield each.partition(".")[0]


def reference(socket: Any) -> str | None:
    """Return what an input is wired to, as a graph writes it."""
    source = _source(socket)
    if source is None:
        return None
    name = tree.name_in_graph(source.node)
    return name if len(source.node.outputs) == 1 else f"{name}.{source.port}"


def _source(socket: Any) -> Any:
    """Return the output at the other end of an input's link; reroutes are looked through."""
    while socket.is_linked:
        other = socket.links[0].from_socket
        if other.node.bl_idname != "NodeReroute":
            return other
        socket = other.node.inputs[0]
    return None


def _entry(node: Any, curves: Mapping[tuple[str, int], Any], scene: Any) -> Document:
    entry: Document = {"type": node.declaration["id"], "version": node.declaration["version"]}
    if "note" in node:
        entry["note"] = node["note"]
    knobs = {}
    for name, knob in node.declaration["knobs"].items():
        value = properties.value_of(node, name, knob)
        keys = _keys(node, name, knob, curves, scene) if value is not None else None
        if keys is not None or value != properties.default_of(knob):
            knobs[name] = keys or value
    if knobs:
        entry["knobs"] = knobs
    inputs: Document = {}
    for socket in node.inputs:
        source = reference(socket)
        if source is None:
            continue
        if socket.many:
            inputs.setdefault(socket.port, {})[socket.key] = source
        else:
            inputs[socket.port] = source
    if inputs:
        entry["inputs"] = inputs
    return entry


def _keys(
    node: Any, name: str, knob: Mapping[str, Any], curves: Mapping[tuple[str, int], Any], scene: Any
) -> Document | None:
    """Return the keys of a knob that is animated, or None.

    Straight and stepped curves keep the keys they have; others get one for each frame.
    """
    path = _path(node, name)
    found = {index: curve for (at, index), curve in curves.items() if at == path}
    kind = properties.kind_of(knob)
    if not found or kind not in ("float", "int", "bool", "colour"):
        return None
    held = getattr(node, properties.attribute(name))
    interp, frames = _shape(list(found.values()))
    if interp is None or (interp == "linear" and kind in ("int", "bool")):
        interp = "linear" if kind in ("float", "colour") else "hold"
        frames = list(range(scene.frame_start, scene.frame_end + 1))
    keys = []
    for frame in frames:
        if kind == "colour":
            value: Any = [
                properties.shortest(found[i].evaluate(frame) if i in found else held[i])
                for i in range(3)
            ]
        else:
            value = found[0].evaluate(frame)
            value = properties.shortest(value) if kind == "float" else round(value)
        keys.append([frame, bool(value) if kind == "bool" else value])
    return {"keys": keys, "interp": interp}


def _shape(curves: list[Any]) -> tuple[str | None, list[int]]:
    """Return how a graph interpolates between the keys of curves, or None, and the keys' frames."""
    points = [[(p.co[0], p.interpolation) for p in curve.keyframe_points] for curve in curves]
    kinds = {kind for each in points for _, kind in each}
    frames = {tuple(frame for frame, _ in each) for each in points}
    plain = all(curve.extrapolation == "CONSTANT" and not curve.modifiers for curve in curves)
    if not plain or len(kinds) != 1 or len(frames) != 1:
        return None, []
    (numbers,) = frames
    interp = {"LINEAR": "linear", "CONSTANT": "hold"}.get(kinds.pop())
    whole = all(float(number).is_integer() for number in numbers)
    return interp if whole else None, [int(number) for number in numbers]


def _path(node: Any, name: str) -> str:
    """Return where Blender's animation finds a knob."""
    return f'nodes["{bpy.utils.escape_identifier(node.name)}"].{properties.attribute(name)}'


def _curves(ntree: Any) -> dict[tuple[str, int], Any]:
    """Return the animation curves of a tree by data path and component."""
    data = ntree.animation_data
    if data is None or data.action is None:
        return {}
    if hasattr(data.action, "fcurves"):
        curves = data.action.fcurves
    else:
        from bpy_extras import anim_utils

        bag = anim_utils.action_get_channelbag_for_slot(data.action, data.action_slot)
        curves = bag.fcurves if bag else []
    return {(curve.data_path, curve.array_index): curve for curve in curves}


def _animate(node: Any, name: str, knob: Mapping[str, Any], value: Mapping[str, Any]) -> None:
    for frame, each in value["keys"]:
        properties.put(node, name, knob, each)
        node.keyframe_insert(properties.attribute(name), frame=frame)
    kind = "CONSTANT" if value.get("interp") == "hold" else "LINEAR"
    path = _path(node, name)
    for (at, _), curve in _curves(node.id_data).items():
        if at == path:
            for point in curve.keyframe_points:
                point.interpolation = kind


def _link(ntree: Any, made: Mapping[str, Any], source: str, socket: Any) -> None:
    name, _, port = source.partition(".")
    if name not in made:
        raise RelumeError(f"The graph is wired to a node '{name}', which it does not have.")
    outputs = made[name].outputs
    output = outputs[port] if port else outputs[0]
    ntree.links.new(output, socket)


def _arrange(made: Mapping[str, Any], entries: Mapping[str, Any]) -> None:
    """Place each node to the right of what it is wired to."""
    columns: dict[str, int] = {}

    def column(name: str) -> int:
        if name not in columns:
            columns[name] = 0
            columns[name] = max(
                (column(each) + 1 for each in sources(entries[name]) if each in entries), default=0
            )
        return columns[name]

    rows: dict[int, int] = {}
    for name, node in made.items():
        at = column(name)
        node.location = (230 * at, -260 * rows.get(at, 0))
        rows[at] = rows.get(at, 0) + 1
