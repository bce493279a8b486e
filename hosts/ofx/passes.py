"""What an effect can show: its results, their layers, and the pictures it makes on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.hosts.ofx.effects import OFF, Choice, Clip, Pass, Step, resolve
from relume.image import DATA, Image, Layers
from relume.node import Registry
from relume.nodes.input import Input

_CHANNELS = {"colour": ("R", "G", "B", "A"), "mask": ("A",), "vector": ("X", "Y", "Z")}


def passes(
    registry: Registry,
    steps: Mapping[str, Step],
    clips: Mapping[str, Clip],
    choices: Mapping[str, Choice],
    target: str,
    finished: list[str],
) -> list[Pass]:
    """Return the passes of an effect, the picture itself first.

    Args:
        registry: the node types.
        steps: its graph.
        clips: its clips.
        choices: its choices.
        target: name of the step that the effect is named after.
        finished: the result ready to be merged, or empty.
    """
    found: dict[str, Pass] = {}
    for key, out in steps[target].node.outputs().items():
        reference = f"{target}.{key}"
        if issubclass(out.types[0], Layers):
            for layer, image in _layers(steps, clips, choices, reference).items():
                doc = f"Layer {layer}: {out.doc}"
                found[layer] = Pass(layer, [reference], doc, layer, image.is_data)
        elif issubclass(out.types[0], Image):
            premultiplied = key == "relit"
            found[key] = Pass(key, [reference], out.doc, "", _is_data(registry, key), premultiplied)
    if finished:
        name = finished[0].partition(".")[0]
        doc = steps[name].node.doc().partition("\n")[0]
        found[name] = Pass(name, finished, doc, premultiplied=True)
    for name, step in steps.items():
        for key, out in step.node.outputs().items():
            picture = issubclass(out.types[0], Image)
            if picture and not step.clip and not step.fixed and step.group and key not in found:
                clip = [f"{name}_clip.image"] if f"{name}_clip" in steps else []
                sources = [*clip, f"{name}.{key}"] if key == name else [f"{name}.{key}"]
                called = name if key in ("image", "out") else key
                data = _is_data(registry, called)
                found.setdefault(called, Pass(called, sources, out.doc, data=data))
    return list(found.values())


def _is_data(registry: Registry, name: str) -> bool:
    """Return whether a picture of this name holds numbers: a port that takes it says so."""
    ports = [port for node in registry.values() for port in node.inputs().values()]
    return name == "trimap" or any(p.name == name and p.colour == DATA for p in ports)


def _layers(
    steps: Mapping[str, Step],
    clips: Mapping[str, Clip],
    choices: Mapping[str, Choice],
    reference: str,
) -> Layers:
    """Return the layers of an output, found out on pictures of one pixel and without a network."""
    chosen = {
        name: next(
            option
            for option in choice.options
            if option != OFF and not any(s.node.weights for s in _of(steps, name, option))
        )
        for name, choice in choices.items()
    }
    graph, taken = resolve(steps, [reference], clips, chosen)
    used: dict[str, type] = {node.type: steps[name].node for name, node in graph.nodes.items()}
    registry: Any = Registry(used.values())
    externals = {}
    for name in graph.find(Input):
        kind = clips[steps[name].clip].kind
        graph.nodes[name].knobs = {"serial": name}
        externals[name] = Image(
            np.ones((1, 1, len(_CHANNELS[kind])), np.float32),
            _CHANNELS[kind],
            colour=graph.working_space if kind == "colour" else DATA,
        )
    settings = Settings(Shot(1, 1), threads=1)
    result: Layers = Evaluator(graph, registry, settings, externals=externals).evaluate(taken, 1)
    return result


def _of(steps: Mapping[str, Step], choice: str, option: str) -> list[Step]:
    return [step for step in steps.values() if step.when == (choice, option)]
