# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of ComfyUI's nodes, from the declarations of relume's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from . import exr
from .relume_client import RelumeError
from .rendering import rendered
from .values import DATA, Value, joined, taken

CATEGORY = "relume"
SLOTS = 4
"""How many wires ComfyUI can give to a port that takes any number of them."""

HUGE = 1e9
WHOLE = 2**31 - 1
OPTIONAL = "optional_"
SET = "_set"
"""What the switch of a knob that may have no value ends with, as in OpenFX applications."""

LISTS = ("ints", "floats", "texts")
RGB = ("r", "g", "b")

Declaration = Mapping[str, Any]
Wires = Mapping[str, str]


def node_class(declaration: Declaration, wires: Wires) -> type[io.ComfyNode]:
    """Return the class of a declared node.

    Args:
        declaration: as the worker describes the node.
        wires: type of a port → name of the wires that carry it.
    """
    saves = bool(_output_file(declaration))

    def define_schema(cls: type) -> io.Schema:
        del cls
        inputs = [*_ports(declaration, wires), *_knobs(declaration)]
        if saves:
            inputs += _saving()
        return io.Schema(
            node_id=node_id(declaration["id"]),
            display_name=f"Relume {words(declaration['id']).lower()}",
            category=f"{CATEGORY}/{declaration['category']}",
            description=declaration["doc"],
            inputs=inputs,
            outputs=[]
            if saves
            else [
                wire(port["type"], wires).Output(id=name, display_name=name, tooltip=port["doc"])
                for name, port in declaration["outputs"].items()
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=saves,
        )

    def execute(cls: Any, **given: Any) -> io.NodeOutput:
        name = f"{declaration['id']}_{plain_word(cls.hidden.unique_id)}"
        value = composed(declaration, given, name)
        found = [
            Value(value.nodes, f"{name}.{key}", value.lent, port["type"])
            for key, port in declaration["outputs"].items()
        ]
        if saves:
            _save(found[0], given, str(given[_output_file(declaration)]))
            return io.NodeOutput()
        return io.NodeOutput(*found)

    def fingerprint_inputs(cls: type, **given: Any) -> Any:
        del cls
        files = [key for key, knob in declaration["knobs"].items() if knob["kind"] == "file"]
        return [_state(given.get(key) or "") for key in files]

    members: dict[str, Any] = {"define_schema": define_schema, "execute": execute}
    if any(knob["kind"] == "file" for knob in declaration["knobs"].values()):
        members["fingerprint_inputs"] = fingerprint_inputs
    bound: dict[str, Any] = {key: classmethod(member) for key, member in members.items()}
    return type(node_id(declaration["id"]), (io.ComfyNode,), {**bound, "__doc__": ""})


def node_id(id: str) -> str:
    """Return the name under which ComfyUI stores a node: `plate_matte` → `RelumePlateMatte`."""
    return "Relume" + "".join(part.capitalize() for part in id.split("_"))


def wire(type_name: str, wires: Wires) -> Any:
    """Return the wires for a type of relume; pictures travel on `RELUME`."""
    name = wires[type_name]
    return io.Custom("RELUME" if name == "Image" else f"RELUME_{name.upper()}")


def words(name: str) -> str:
    """Return a name as an artist reads it."""
    return name.replace("_", " ").capitalize()


def composed(declaration: Declaration, given: Mapping[str, Any], name: str) -> Value:
    """Return the graph of a node and all that feeds it.

    Args:
        declaration: of the node.
        given: what ComfyUI has for its inputs.
        name: of the node in the graph.
    """
    inputs: dict[str, Any] = {}
    fed: list[Value] = []
    for key, port in declaration["inputs"].items():
        slots = list(_slots(key)) if port["many"] else [key]
        found = {}
        for slot in slots:
            if given.get(slot) is not None:
                value = taken(given[slot], port, key, f"{name}_{slot}")
                fed.append(value)
                found[given.get(f"{slot}_name") or slot] = value.reference
        if found:
            inputs[key] = found if port["many"] else next(iter(found.values()))
    entry: dict[str, Any] = {"type": declaration["id"], "version": declaration["version"]}
    knobs = {key: _value(key, knob, given) for key, knob in declaration["knobs"].items()}
    changed = {
        key: value for key, value in knobs.items() if value != declaration["knobs"][key]["default"]
    }
    if changed:
        entry["knobs"] = changed
    if inputs:
        entry["inputs"] = inputs
    return joined(name, entry, fed)


def _ports(declaration: Declaration, wires: Wires) -> Iterator[Any]:
    for key, port in declaration["inputs"].items():
        kinds = [wire(kind, wires) for kind in port["type"].split(" or ")]
        tip = port["doc"]
        if "Image" in port["type"].split(" or "):
            kinds.append(io.Image)
            if port["colour"] in (DATA, "any"):
                kinds.append(io.Mask)
                tip += " In a MASK, 1 is the subject."
            if port["colour"] != DATA:
                tip += " An IMAGE is taken as sRGB."
        if not port["many"]:
            yield _socket(key, kinds, port["optional"], tip)
            continue
        for number, slot in enumerate(_slots(key)):
            yield _socket(slot, kinds, port["optional"] or number > 0, tip)
            yield io.String.Input(f"{slot}_name", default=_named(key, number), tooltip="Its name.")


def _socket(key: str, kinds: list[Any], optional: bool, tip: str) -> Any:
    if len(kinds) == 1:
        return kinds[0].Input(key, optional=optional, tooltip=tip)
    return io.MultiType.Input(key, types=kinds, optional=optional, tooltip=tip)


def _slots(port: str) -> list[str]:
    return [f"{port.removesuffix('s')}{number}" for number in range(1, SLOTS + 1)]


def _named(port: str, number: int) -> str:
    """Return what a slot is called first; the first layer of a file is its main one."""
    return "rgba" if port == "layers" and not number else _slots(port)[number]


def _knobs(declaration: Declaration) -> Iterator[Any]:
    for key, knob in declaration["knobs"].items():
        tip = knob["doc"] + (f" In {knob['unit']}." if knob.get("unit") else "")
        kind, default = knob["kind"], knob["default"]
        if kind.startswith(OPTIONAL):
            kind = kind[len(OPTIONAL) :]
            yield io.Boolean.Input(
                f"{key}{SET}", default=default is not None, tooltip=f"Use the value below: {tip}"
            )
        low, high = knob.get("min", -HUGE), knob.get("max", HUGE)
        if kind == "colour":
            start = (
                default if isinstance(default, list) else [1.0 if default is None else default] * 3
            )
            for channel, value in zip(RGB, start):  # noqa: B905 - Python 3.9
                yield _float(f"{key}_{channel}", value, low, high, tip)
        elif kind == "float":
            start = min(max(0.0, low), high) if default is None else default
            yield _float(key, start, low, high, tip)
        elif kind == "int":
            low, high = int(max(low, -WHOLE)), int(min(high, WHOLE))
            yield io.Int.Input(key, default=default, min=low, max=high, tooltip=tip)
        elif kind == "bool":
            yield io.Boolean.Input(key, default=default, tooltip=tip)
        elif kind == "choice":
            yield io.Combo.Input(key, options=knob["choices"], default=default, tooltip=tip)
        else:
            if kind in LISTS:
                default = ", ".join(str(item) for item in default)
            yield io.String.Input(key, default=default, tooltip=tip)


def _float(key: str, default: float, low: float, high: float, tip: str) -> Any:
    # ComfyUI's page rounds a number to its step unless told not to.
    return io.Float.Input(
        key, default=default, min=low, max=high, step=0.01, round=False, tooltip=tip
    )


def _value(key: str, knob: Declaration, given: Mapping[str, Any]) -> Any:
    """Return a knob's value as a graph holds it."""
    kind = knob["kind"]
    if kind.startswith(OPTIONAL):
        if not given.get(f"{key}{SET}"):
            return None
        kind = kind[len(OPTIONAL) :]
    if kind == "colour":
        return [float(given[f"{key}_{channel}"]) for channel in RGB]
    value = given.get(key, knob["default"])
    if kind in LISTS and isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        try:
            return [{"ints": int, "floats": float}.get(kind, str)(part) for part in parts]
        except ValueError:
            raise RelumeError(f"{key}: '{value}' is no list of numbers.", "usage") from None
    return float(value) if kind == "float" else value


def _output_file(declaration: Declaration) -> str:
    found = [key for key, knob in declaration["knobs"].items() if knob["kind"] == "output_file"]
    return found[0] if found else ""


def _saving() -> list[Any]:
    return [
        io.String.Input(
            "frames", default="", tooltip="Such as 1001-1010; empty for those of the batch."
        ),
        io.Boolean.Input("overwrite", default=False, tooltip="Replace files that are there."),
    ]


def _save(value: Value, given: Mapping[str, Any], file: str) -> None:
    """Render frames and write each to its OpenEXR file, neither clamped nor encoded."""
    frames = value.frames(str(given.get("frames") or ""))
    depth, compression = given.get("depth", "half"), given.get("compression", "zips")
    if given.get("multipart"):
        raise RelumeError("ComfyUI writes one part only; switch multipart off.", "usage")
    paths = [exr.path_of(file, frame, len(frames) > 1) for frame in frames]
    if not given.get("overwrite"):
        for path in paths:
            if path.exists():
                raise RelumeError(f"{path} exists; switch overwrite on, or name another.", "usage")
    for path, layers in zip(paths, rendered(value, frames)):  # noqa: B905 - Python 3.9
        exr.write(path, layers, depth, compression)


def _state(file: str) -> Any:
    """Return what changes when a file does, or a frame of a sequence."""
    if not file:
        return None
    path = Path(file)
    start = path.name.split("%")[0].split("#")[0]
    found = [path] if path.is_file() else sorted(path.parent.glob(f"{start}*"))
    return [(each.name, each.stat().st_mtime_ns, each.stat().st_size) for each in found]


def plain_word(id: Any) -> str:
    """Return the number of a node as a part of a name; in subgraphs it has colons."""
    return "".join(letter if letter.isalnum() else "_" for letter in str(id))
