"""The effects of an OpenFX application: what each is made of, and which nodes are one.

A node is an **effect** when one of its outputs is a picture, when everything it must have can be
made of knobs and of pictures that an application has, when what it shows lies over the clip Source,
and when its job is not one that every application does itself (`FOREIGN`).

An effect's graph is written with **alternatives**: each port names the references it would take,
best first. A reference counts when its step is there: a clip's when the clip is connected, a
node's when its condition holds and its required ports are fed. So a connected Matte replaces the
network, and what nobody needs is left out. The plug-in resolves the alternatives at each render, as
`resolve` does here, and sends an ordinary graph to the worker.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from relume.graph import Graph
from relume.image import Image
from relume.node import In, Node, Registry

FOREIGN = frozenset({"Media", "Channels", "Transform", "Merge", "Colour"})
"""Categories of which every application has better nodes of its own."""

SOURCE = "plate"
"""The step of the clip Source: what the effect is applied to."""

OFF = "off"
"""The option of a choice that makes nothing."""

ClipKind = Literal["colour", "mask", "vector"]


class Unfit(Exception):
    """A port can be fed neither by an application nor by another node."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A picture the application may connect.

    Attributes:
        name: what the application calls it.
        kind: light, a mask of one channel, or vectors X, Y, Z.
        optional: whether the effect renders without it.
        doc: what it is for.
    """

    name: str
    kind: ClipKind
    optional: bool
    doc: str


@dataclass(frozen=True, slots=True)
class Wire:
    """What a port takes.

    Attributes:
        port: the port.
        sources: references, best first, by label; the label is "" where the port takes one.
    """

    port: In
    sources: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Step:
    """A node of an effect's graph.

    Attributes:
        node: its type.
        wires: by port.
        clip: the clip an Input node stands for, or "".
        when: choice and option under which the step is there; None for always.
        fixed: knobs that are settled and so are no parameters.
        group: path of the group its parameters stand in, such as `light1.light_rig`; "" for none.
        follows: knob → step of which it takes the value.
        spares: port → knob that makes the port needless once it is set.
    """

    node: type[Node]
    wires: dict[str, Wire] = field(default_factory=dict)
    clip: str = ""
    when: tuple[str, str] | None = None
    fixed: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    follows: dict[str, str] = field(default_factory=dict)
    spares: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter that says which of several nodes makes something.

    Attributes:
        options: ids of nodes, or `off`; the first is the default.
        group: as in Step.
        doc: what is chosen.
    """

    options: tuple[str, ...]
    group: str
    doc: str


@dataclass(frozen=True, slots=True)
class Pass:
    """A picture an effect can show.

    Attributes:
        name: of the pass.
        sources: references, best first.
        doc: what it shows.
        layer: the layer wanted where the reference has several, or "".
        data: whether it holds numbers rather than light.
        premultiplied: whether it has an alpha that its colour is multiplied by; a mask is white
            with itself as alpha, and a pass without an alpha is opaque.
    """

    name: str
    sources: list[str]
    doc: str
    layer: str = ""
    data: bool = False
    premultiplied: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect.

    Attributes:
        node: the type it is named after.
        steps: its graph, each step after those it may take from.
        clips: by name.
        choices: by name.
        passes: what it can show, the first by default.
    """

    node: type[Node]
    steps: dict[str, Step]
    clips: dict[str, Clip]
    choices: dict[str, Choice]
    passes: list[Pass]


def effects(registry: Registry) -> list[Effect]:
    """Return the effects of a registry, in its order."""
    from relume.hosts.ofx.chain import Chain

    found = []
    for node in registry.values():
        shown = [t for out in node.outputs().values() for t in out.types if issubclass(t, Image)]
        if node.category in FOREIGN or not shown:
            continue
        with suppress(Unfit):
            found.append(Chain(registry, node).effect())
    return found


def resolve(
    steps: Mapping[str, Step],
    target: list[str],
    connected: Collection[str],
    chosen: Mapping[str, str],
) -> tuple[Graph, str]:
    """Return the graph that some alternatives come to, and the one that is taken.

    Args:
        steps: of an effect.
        target: references, best first.
        connected: names of the connected clips.
        chosen: choice → option.

    Raises:
        Unfit: nothing feeds the target.
    """
    there: set[str] = set()

    def taken(sources: list[str]) -> str:
        return next((ref for ref in sources if ref.partition(".")[0] in there), "")

    for name, step in steps.items():
        met = step.when is None or chosen[step.when[0]] == step.when[1]
        fed = all(
            wire.port.optional or any(map(taken, wire.sources.values()))
            for wire in step.wires.values()
        )
        if met and fed and (not step.clip or step.clip in connected):
            there.add(name)
    reference = taken(target)
    if not reference:
        raise Unfit(target[0])
    needed = {reference.partition(".")[0]}
    found: list[tuple[str, dict[str, Any]]] = []
    for name, step in reversed(list(steps.items())):
        if name not in needed:
            continue
        inputs: dict[str, Any] = {}
        for key, wire in step.wires.items():
            refs = {label: ref for label, s in wire.sources.items() if (ref := taken(s))}
            needed |= {ref.partition(".")[0] for ref in refs.values()}
            if refs:
                inputs[key] = refs if wire.port.many else refs[""]
        found.append((name, inputs))
    graph = Graph()
    for name, inputs in reversed(found):
        graph.add(name, steps[name].node, steps[name].fixed, **inputs)
    return graph, reference
