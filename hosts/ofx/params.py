"""Knobs and choices as the parameters of an effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from relume.hosts.ofx.effects import OFF, Effect, Step
from relume.knobs import (
    Bool,
    Choice,
    Colour,
    File,
    Float,
    Floats,
    Int,
    Ints,
    Knob,
    OptionalColour,
    OptionalFloat,
    OutputFile,
    Texts,
)
from relume.nodes.input import Input

SET = "_set"
"""What the name of the switch ends with that says whether an optional knob has a value."""

LARGEST = 2**31 - 1
"""The largest whole number of an application, in size."""

WIDEST = 1e9
"""How far a number without a limit of its own may go: some applications take no infinity."""

Param = dict[str, Any]


def parameters(effect: Effect) -> list[Param]:
    """Return the parameters of an effect in the order they are shown, groups among them."""
    shown = [*_choices(effect, ""), *_own(effect)]
    groups: dict[str, list[Param]] = {choice.group: [] for choice in effect.choices.values()}
    for name, step in effect.steps.items():
        if step.group:
            groups.setdefault(step.group, []).extend(_knobs(effect, name, step))
    for path in sorted(groups, key=lambda path: list(groups).index(path.partition(".")[0])):
        inside = [*_choices(effect, path), *groups[path]] if path else []
        if inside:
            shown += [_group(path), *inside]
    return shown


def words(name: str) -> str:
    """Return a name in words: `specular_gain` → `Specular gain`, `light1` → `Light 1`."""
    return re.sub(r"(?<=[a-z])(\d+)$", r" \1", name.replace("_", " ")).capitalize()


def _own(effect: Effect) -> list[Param]:
    return _knobs(effect, effect.node.id, effect.steps[effect.node.id])


def _group(path: str) -> Param:
    parent, _, name = path.rpartition(".")
    return {
        "name": f"group_{path.replace('.', '_')}",
        "type": "group",
        "label": words(name),
        "parent": f"group_{parent.replace('.', '_')}" if parent else "",
        "open": path == "light1",
    }


def _choices(effect: Effect, group: str) -> Iterator[Param]:
    for name, choice in effect.choices.items():
        if choice.group == group:
            yield {
                "name": f"{name}_from",
                "type": "choice",
                "label": words(name),
                "hint": choice.doc,
                "parent": f"group_{group}" if group else "",
                "options": [words(option) for option in choice.options],
                "values": list(choice.options),
                "default": 0,
                "chooses": name,
                "off": choice.options[0] == OFF,
            }


def _knobs(effect: Effect, name: str, step: Step) -> list[Param]:
    """Return the parameters of a step's knobs."""
    if step.node is Input:
        return []
    own = name == effect.node.id
    found: list[Param] = []
    for key, knob in step.node.knobs().items():
        if key in step.fixed or key in step.follows or isinstance(knob, OutputFile):
            continue
        common: Param = {
            "name": key if own else f"{name}_{key}",
            "label": words(key) + (f" ({knob.unit})" if knob.unit else ""),
            "hint": knob.doc,
            "parent": f"group_{step.group.replace('.', '_')}" if step.group and not own else "",
            "targets": [[name, key], *_followers(effect, name, key)],
            "knob": knob.kind,
            "standard": knob.json(knob.default),
            "animates": knob.animates,
            "pixels": knob.unit == "px",
        }
        if isinstance(knob, OptionalFloat | OptionalColour):
            switch = f"{common['name']}{SET}"
            common["switch"] = switch
            found.append(
                {
                    "name": switch,
                    "type": "boolean",
                    "label": f"Set {words(key).lower()}",
                    "hint": f"Use the value beside it: {knob.doc}",
                    "parent": common["parent"],
                    "default": int(knob.default is not None),
                }
            )
        if isinstance(knob, File) and step.when is not None:
            common["selects"] = [f"{step.when[0]}_from", step.when[1]]
        found.append(common | _value(knob))
    return found


def _followers(effect: Effect, name: str, key: str) -> list[list[str]]:
    return [[other, key] for other, step in effect.steps.items() if step.follows.get(key) == name]


def _value(knob: Knob[Any]) -> Param:
    """Return type, default, range and options of a parameter."""
    if isinstance(knob, Float | OptionalFloat):
        angle = knob.unit == "degrees"
        default = knob.default if knob.default is not None else _nearest(0.0, knob.min, knob.max)
        return {"type": "double", "default": default, "angle": angle, **_range(knob)}
    if isinstance(knob, Int):
        span = {key: int(value) for key, value in _range(knob, float(LARGEST)).items()}
        return {"type": "integer", "default": knob.default, **span}
    if isinstance(knob, Bool):
        return {"type": "boolean", "default": int(knob.default)}
    if isinstance(knob, Choice):
        return {
            "type": "choice",
            "options": [words(option) or "None" for option in knob.choices],
            "values": list(knob.choices),
            "default": knob.choices.index(knob.default),
        }
    if isinstance(knob, Colour | OptionalColour):
        colour = knob.default or (_nearest(1.0, knob.min, knob.max),) * 3
        return {"type": "rgb", "default": list(colour), **_range(knob)}
    stored = knob.json(knob.default)
    if isinstance(knob, Ints | Floats | Texts):
        stored = ", ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in stored)
    return {"type": "file" if isinstance(knob, File) else "string", "default": stored}


def _range(knob: Any, widest: float = WIDEST) -> dict[str, float]:
    """Return the range of a knob, and the part of it that a slider shows."""
    low, high = max(knob.min, -widest), min(knob.max, widest)
    reach = 180.0 if knob.unit == "degrees" else 10.0
    if isinstance(knob.default, int | float):
        reach = max(reach, 4.0 * abs(knob.default))
    narrow = 400.0
    return {
        "min": low,
        "max": high,
        "shown_min": low if low >= -narrow else -reach,
        "shown_max": high if high <= narrow else max(reach, low),
    }


def _nearest(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
