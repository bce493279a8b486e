# SPDX-License-Identifier: GPL-3.0-or-later
"""Knobs of relume as properties of Blender, and back.

A property holds single precision; what is written to a graph is the shortest number that is the
same one, so that 0.1 stays 0.1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import bpy

Knob = Mapping[str, Any]
"""Declaration of a knob, as the worker describes it."""

HUGE = 3.4e38
WHOLE = 2**31 - 1

OPTIONAL = "optional_"
_TAKEN = {
    *dir(bpy.types.Node),
    *bpy.types.Node.bl_rna.properties.keys(),
    *("declaration", "picture", "tidy"),
}

LISTS = ("texts", "ints")
"""Kinds that are a text with commas in Blender, which has no lists that an artist can edit."""


def properties(knobs: Mapping[str, Knob]) -> dict[str, Any]:
    """Return Blender's properties for knobs, as annotations of a class."""
    made: dict[str, Any] = {}
    for name, knob in knobs.items():
        if knob["kind"].startswith(OPTIONAL):
            made[switch(name)] = bpy.props.BoolProperty(
                name=label(name), description="Whether this is set by hand"
            )
        made[attribute(name)] = _property(name, knob)
    return made


def value_of(node: Any, name: str, knob: Knob) -> Any:
    """Return what a graph says of a knob."""
    if not is_set(node, name, knob):
        return None
    return plain(getattr(node, attribute(name)), knob)


def is_set(node: Any, name: str, knob: Knob) -> bool:
    """Return whether a knob has a value: an optional one may have none."""
    return not knob["kind"].startswith(OPTIONAL) or getattr(node, switch(name))


def plain(value: Any, knob: Knob) -> Any:
    """Return the value of a property as a graph holds it."""
    kind = kind_of(knob)
    if kind == "float":
        return shortest(value)
    if kind == "colour":
        return [shortest(component) for component in value]
    if kind in LISTS:
        words = [word.strip() for word in value.split(",") if word.strip()]
        return [int(word) for word in words] if kind == "ints" else words
    if kind in ("file", "output_file"):
        return bpy.path.abspath(value)
    return value


def default_of(knob: Knob) -> Any:
    """Return the default of a knob, in the precision of a property."""
    default = knob["default"]
    if isinstance(default, float):
        return shortest(default)
    if kind_of(knob) == "colour" and default is not None:
        return [shortest(component) for component in default]
    return default


def put(node: Any, name: str, knob: Knob, value: Any) -> None:
    """Set the property of a knob to what a graph says."""
    if knob["kind"].startswith(OPTIONAL):
        setattr(node, switch(name), value is not None)
    if value is None:
        return
    kind = kind_of(knob)
    if kind == "colour" and not isinstance(value, list):
        value = [value] * 3
    if kind in LISTS:
        value = ", ".join(str(item) for item in value)
    setattr(node, attribute(name), value)


def attribute(name: str) -> str:
    """Return the property of a knob; Blender's nodes have names of their own, such as `width`."""
    return f"{name}_" if name in _TAKEN else name


def switch(name: str) -> str:
    """Return the property that says whether an optional knob is set."""
    return f"{name}_is_set"


def kind_of(knob: Knob) -> str:
    """Return the kind of a knob, whether it is optional or not."""
    kind: str = knob["kind"]
    return kind.removeprefix(OPTIONAL)


def label(name: str) -> str:
    """Return a name as an artist reads it."""
    return name.replace("_", " ").capitalize()


def shortest(value: float) -> float:
    """Return the number with the fewest digits that is the same in single precision."""
    stored = struct.pack("f", value)
    for digits in range(6, 9):
        near = float(f"{value:.{digits}g}")
        if struct.pack("f", near) == stored:
            return near
    return float(f"{value:.9g}")


def _property(name: str, knob: Knob) -> Any:
    kind, default = kind_of(knob), knob["default"]
    unit = f" ({knob['unit']})" if knob.get("unit") else ""
    common: dict[str, Any] = {"name": label(name), "description": knob["doc"] + unit}
    least, most = knob.get("min"), knob.get("max")
    if kind == "int":
        common["min"] = -WHOLE if least is None else int(least)
        common["max"] = WHOLE if most is None else min(int(most), WHOLE)
        return bpy.props.IntProperty(default=_within(default, common), **common)
    if kind in ("float", "colour"):
        common["min"] = -HUGE if least is None else least
        common["max"] = HUGE if most is None else most
        if kind == "float":
            return bpy.props.FloatProperty(default=_within(default, common), precision=3, **common)
        start = default if isinstance(default, list) else [1.0 if default is None else default] * 3
        return bpy.props.FloatVectorProperty(default=start, size=3, subtype="COLOR", **common)
    if kind == "choice":
        items = [(choice, label(choice), "") for choice in knob["choices"]]
        return bpy.props.EnumProperty(items=items, default=default or items[0][0], **common)
    make: Callable[..., Any] = _OTHERS.get(kind, bpy.props.StringProperty)
    if kind in LISTS:
        default = ", ".join(str(item) for item in default)
    extra = {"subtype": "FILE_PATH"} if kind in ("file", "output_file") else {}
    return make(default=default, **extra, **common)


_OTHERS = {"bool": bpy.props.BoolProperty}


def _within(default: float | None, limits: Mapping[str, Any]) -> Any:
    """Return a default that Blender takes; that of an optional knob is not used until it is set."""
    return max(limits["min"], min(limits["max"], 0)) if default is None else default
