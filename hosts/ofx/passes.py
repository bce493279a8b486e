"""What an effect can show: its results, their layers, and the pictures it makes on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.hosts.ofx.effects import OFF, Effect, Pass, Step, resolve
from relume.image import DATA, Image, Layers
from relume.node import Registry
from relume.nodes.input import Input

_CHANNELS = {"colour": ("R", "G", "B", "A"), "mask": ("A",), "vector": ("X", "Y", "Z")}


def passes(
    registry: Registry, effect: Effect, finished: list[str], pictures: Mapping[str, list[str]]
) -> list[Pass]:
    """Return the passes of an effect, the picture itself first.

    Args:
        registry: the node types.
        effect: the effect without its passes.
        finished: the result ready to be merged, or empty.
        pictures: what brings the pictures that are made on the way, by name.
    """
    found: dict[str, Pass] = {}
    target = effect.node.id
    for key, out in effect.node.outputs().items():
        reference = f"{target}.{key}"
        if issubclass(out.types[0], Layers):
            for layer, data in _layers(effect, key).items():
                doc = f"Layer {layer}: {out.doc}"
                found[layer] = Pass(layer, [reference], doc, layer, data)
        elif issubclass(out.types[0], Image):
            found[key] = _picture(registry, key, [reference], out.doc)
    if finished:
        name = finished[0].partition(".")[0]
        doc = effect.steps[name].node.doc().partition("\n")[0]
        found[name] = Pass(name, finished, doc, premultiplied=True)
    for name, sources in _on_the_way(effect, pictures).items():
        step, _, output = sources[-1].partition(".")
        doc = effect.steps[step].node.outputs()[output].doc
        found.setdefault(name, _picture(registry, name, sources, doc))
    return list(found.values())


def _on_the_way(effect: Effect, pictures: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the pictures that an effect makes before its own, and what brings them."""
    found = {name: list(sources) for name, sources in pictures.items()}
    for sources in pictures.values():
        for step, _, first in (source.partition(".") for source in sources):
            outputs = effect.steps[step].node.outputs()
            others = [key for key in outputs if key != first and not effect.steps[step].clip]
            for key in others:
                if issubclass(outputs[key].types[0], Image):
                    found.setdefault(key, []).append(f"{step}.{key}")
    return found


def _picture(registry: Registry, name: str, sources: list[str], doc: str) -> Pass:
    """Return a pass of one picture; a port that takes it says whether it holds numbers."""
    ports = [port for node in registry.values() for port in node.inputs().values()]
    data = name == "trimap" or any(p.name == name and p.colour == DATA for p in ports)
    vectors = name == "normals"
    return Pass(name, sources, doc, "", data, name in ("relit", "out") or (data and not vectors))


def _layers(effect: Effect, output: str) -> dict[str, bool]:
    """Return the layers of an output by name, and whether they hold numbers.

    They are found out on pictures of one pixel. A network would have to be loaded for that: of a
    node that has one, they are those its documentation names.
    """
    if effect.node.weights:
        outputs = effect.node.outputs()
        named = re.findall(r"`([a-z][a-z0-9_]*)`", outputs[output].doc)
        return {name: False for name in named if name not in outputs}
    chosen = {
        name: next(
            option
            for option in choice.options
            if option != OFF and not any(s.node.weights for s in _of(effect, name, option))
        )
        for name, choice in effect.choices.items()
    }
    graph, taken = resolve(effect.steps, [f"{effect.node.id}.{output}"], effect.clips, chosen)
    registry = Registry({effect.steps[name].node for name in graph.nodes})
    externals = {}
    for name in graph.find(Input):
        kind = effect.clips[effect.steps[name].clip].kind
        graph.nodes[name].knobs = {"serial": name}
        externals[name] = Image(
            np.ones((1, 1, len(_CHANNELS[kind])), np.float32),
            _CHANNELS[kind],
            colour=graph.working_space if kind == "colour" else DATA,
        )
    settings = Settings(Shot(1, 1), threads=1)
    layers: Layers = Evaluator(graph, registry, settings, externals=externals).evaluate(taken, 1)
    return {name: image.is_data for name, image in layers.items()}


def _of(effect: Effect, choice: str, option: str) -> list[Step]:
    return [step for step in effect.steps.values() if step.when == (choice, option)]
