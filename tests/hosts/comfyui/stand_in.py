"""A small stand-in of ComfyUI: what the pack uses of `comfy_api.latest`, a loader, an executor.

Written from the published interface. It is stricter than ComfyUI where that catches mistakes:
unknown arguments of an input are refused, and so are wires of another type.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any


class Interrupted(Exception):
    """What ComfyUI raises where it was interrupted."""


class Progress:
    """What the page is told, and whether somebody pressed stop."""

    shown: list[tuple[int, int]]

    def __init__(self) -> None:
        self.shown = []
        self.stop = False


class _Input:
    extra: tuple[str, ...] = ()
    widget = False

    def __init__(self, id: str, *, optional: bool = False, tooltip: str = "", **rest: Any) -> None:
        allowed = {"display_name", *self.extra, *(("default",) if self.widget else ())}
        assert set(rest) <= allowed, set(rest) - allowed
        self.id, self.optional, self.tooltip = id, optional, tooltip
        self.fields = rest
        if self.widget and self.extra != ("options",):
            assert rest["default"] is not None, id

    def accepts(self) -> set[str]:
        return {self.parent.io_type}

    parent: Any


class _Output:
    parent: Any

    def __init__(self, id: str = "", display_name: str = "", tooltip: str = "") -> None:
        self.id, self.display_name, self.tooltip = id, display_name, tooltip


def _type(name: str, *extra: str, widget: bool = False) -> Any:
    made = type(name, (), {"io_type": name})
    made.Input = type("Input", (_Input,), {"extra": extra, "widget": widget, "parent": made})
    made.Output = type("Output", (_Output,), {"parent": made})
    return made


class _MultiInput(_Input):
    def __init__(self, id: str, types: list[Any], **rest: Any) -> None:
        super().__init__(id, **rest)
        self.types = types

    def accepts(self) -> set[str]:
        return {kind.io_type for kind in self.types}


class Hidden(Enum):
    """What a node may ask for."""

    unique_id = "UNIQUE_ID"


class Schema:
    """What a node says of itself."""

    def __init__(
        self,
        node_id: str,
        display_name: str,
        category: str,
        inputs: list[Any],
        outputs: list[Any],
        description: str = "",
        hidden: list[Hidden] | None = None,
        is_output_node: bool = False,
    ) -> None:
        names = [each.id for each in inputs]
        assert len(set(names)) == len(names), names
        self.node_id, self.display_name, self.category = node_id, display_name, category
        self.inputs = {each.id: each for each in inputs}
        self.outputs = outputs
        self.description, self.hidden = description, hidden or []
        self.is_output_node = is_output_node


class ComfyNode:
    """Base of all nodes."""

    hidden: Any = None


class NodeOutput:
    """What a node returns."""

    def __init__(self, *args: Any) -> None:
        self.args = args


def modules(progress: Progress) -> dict[str, ModuleType]:
    """Return the modules of ComfyUI by name."""
    io = ModuleType("io")
    numbers = ("min", "max", "step")
    io.Float = _type("FLOAT", *numbers, "round", widget=True)
    io.Int = _type("INT", *numbers, widget=True)
    io.Boolean = _type("BOOLEAN", widget=True)
    io.Combo = _type("COMBO", "options", widget=True)
    io.String = _type("STRING", "multiline", widget=True)
    io.Image, io.Mask = _type("IMAGE"), _type("MASK")
    io.Custom = _type
    io.MultiType = type("MultiType", (), {"Input": _MultiInput})
    io.Schema, io.Hidden, io.ComfyNode, io.NodeOutput = Schema, Hidden, ComfyNode, NodeOutput
    latest = ModuleType("comfy_api.latest")
    latest.io = io
    latest.ComfyExtension = type("ComfyExtension", (), {})
    utils = ModuleType("comfy.utils")

    class ProgressBar:
        def __init__(self, total: int) -> None:
            self.total = total

        def update_absolute(self, value: int, total: int | None = None) -> None:
            progress.shown.append((value, total or self.total))

    utils.ProgressBar = ProgressBar
    management = ModuleType("comfy.model_management")
    management.processing_interrupted = lambda: progress.stop

    def throw() -> None:
        if progress.stop:
            progress.stop = False
            raise Interrupted

    management.throw_exception_if_processing_interrupted = throw
    comfy, api = ModuleType("comfy"), ModuleType("comfy_api")
    comfy.utils, comfy.model_management, api.latest = utils, management, latest
    return {
        "comfy": comfy,
        "comfy.utils": utils,
        "comfy.model_management": management,
        "comfy_api": api,
        "comfy_api.latest": latest,
    }


class Comfy:
    """A ComfyUI with one pack.

    Args:
        pack: folder of the pack, loaded as ComfyUI loads it.
    """

    def __init__(self, pack: Path) -> None:
        name = str(pack).replace(".", "_x_")
        spec = importlib.util.spec_from_file_location(
            name, pack / "__init__.py", submodule_search_locations=[str(pack)]
        )
        self.module = importlib.util.module_from_spec(spec)
        sys.modules[name] = self.module
        spec.loader.exec_module(self.module)

        async def load() -> list[type[Any]]:
            extension = await self.module.comfy_entrypoint()
            return await extension.get_node_list()

        found = [(node, node.define_schema()) for node in asyncio.run(load())]
        self.nodes = {schema.node_id: (node, schema) for node, schema in found}
        assert len(self.nodes) == len(found)

    def part(self, name: str) -> ModuleType:
        """Return a module of the pack."""
        return sys.modules[f"{self.module.__name__}.{name}"]

    def run(self, prompt: Mapping[str, Any], wanted: str) -> tuple[Any, ...]:
        """Execute a prompt as the page sends it, and return the outputs of a node."""
        done: dict[str, tuple[Any, ...]] = {}

        def outputs(id: str) -> tuple[Any, ...]:
            if id not in done:
                done[id] = self._execute(id, prompt, outputs)
            return done[id]

        return outputs(wanted)

    def _execute(self, id: str, prompt: Mapping[str, Any], outputs: Any) -> tuple[Any, ...]:
        if "value" in prompt[id]:  # something of another pack
            return (prompt[id]["value"],)
        node, schema = self.nodes[prompt[id]["class_type"]]
        given: dict[str, Any] = {}
        inputs = prompt[id]["inputs"]
        assert set(inputs) <= set(schema.inputs), set(inputs) - set(schema.inputs)
        for key, port in schema.inputs.items():
            if key not in inputs:
                assert port.optional or port.widget, f"{id}: {key} is required"
                if port.widget:
                    given[key] = port.fields["default"]
            elif isinstance(inputs[key], list):
                source, slot = inputs[key]
                entry = prompt[source]
                kind = entry.get("type") or (
                    self.nodes[entry["class_type"]][1].outputs[slot].parent.io_type
                )
                assert kind in port.accepts(), f"{id}: {key} takes {port.accepts()}, not {kind}"
                given[key] = outputs(source)[slot]
            else:
                value = inputs[key]
                if "min" in port.fields:
                    assert port.fields["min"] <= value <= port.fields["max"]
                if "options" in port.fields:
                    assert value in port.fields["options"]
                given[key] = value
        hidden = type("Holder", (), {"unique_id": id})
        clone = type(node.__name__, (node,), {"hidden": hidden})
        return clone.execute(**given).args
