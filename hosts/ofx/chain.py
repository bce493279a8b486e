"""An effect in the making: what feeds each port of a node, back to the clips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relume.hosts.ofx.effects import (
    OFF,
    SOURCE,
    Choice,
    Clip,
    ClipKind,
    Effect,
    Step,
    Unfit,
    Wire,
    resolve,
)
from relume.hosts.ofx.passes import passes
from relume.image import Image, Layers
from relume.knobs import File
from relume.light.types import Environment
from relume.node import In, Node, Out, Registry
from relume.nodes.exposure_anchor import ExposureAnchor
from relume.nodes.foreground import Foreground
from relume.nodes.input import Input
from relume.nodes.over import Over
from relume.nodes.premult import Premult
from relume.nodes.shuffle import Shuffle
from relume.nodes.trimap import Trimap

SLOTS = 3
"""How many references an application can give to a port that takes any number of them."""

CHAIN = {
    "foreground": ("foreground",),
    "matte": ("plate_matte", "matte"),
    "normals": ("normals",),
    "albedo": ("albedo",),
    "background": ("environment_background",),
}
"""Name of a port → nodes that make such a picture where no clip brings it, best first."""

UNMEASURED = frozenset({"original_light", "estimate_light"})
"""Nodes that make a light which nobody measured, so that nothing can be corrected by it."""

_LIGHT = In(Environment, "")
_WITH_ALPHA = {"sources": ["R", "G", "B", "b.A"], "names": ["R", "G", "B", "A"]}


class Chain:
    """Builds the effect of a node.

    Args:
        registry: the node types.
        target: the node.
    """

    def __init__(self, registry: Registry, target: type[Node]) -> None:
        self.registry = registry
        self.target = target
        self.steps: dict[str, Step] = {}
        self.clips: dict[str, Clip] = {}
        self.choices: dict[str, Choice] = {}
        self.pictures: dict[str, list[str]] = {}
        self._made: dict[type, list[str]] = {}
        self._modifiers: list[str] = []
        self._corrected: dict[str, list[str]] = {}
        self._left_out: frozenset[str] = frozenset()
        ports = target.inputs()
        needed = [name for name, port in ports.items() if _is_picture(port) and not port.optional]
        # Without plate and matte a node works on finished pictures, as an application has them.
        self._finishes = bool(needed) and not {"plate", "matte"} & set(ports)
        self._main = needed[0] if self._finishes else "plate"

    def effect(self) -> Effect:
        """Return the effect.

        Raises:
            Unfit: the node needs what nothing brings, or shows nothing that has to do with Source.
        """
        name = self._node(self.target, self.target.id)
        first = {key: choice.options[0] for key, choice in self.choices.items()}
        needed = [clip.name for clip in self.clips.values() if not clip.optional]
        output = next(iter(self.target.outputs()))
        graph, _ = resolve(self.steps, [f"{name}.{output}"], needed, first)
        if SOURCE not in graph.nodes:
            raise Unfit(f"{name} does without {SOURCE}")
        finished = self._finish(name)
        clips = dict(sorted(self.clips.items(), key=lambda item: item[1].optional))
        effect = Effect(self.target, self.steps, clips, self.choices, [])
        effect.passes.extend(passes(self.registry, effect, finished, self._shown()))
        return effect

    def _shown(self) -> dict[str, list[str]]:
        """Return what shows each picture that is made on the way, the last to change it first.

        What corrects a picture comes before what a choice makes in place of it, and that before the
        clip or the node that makes it otherwise.
        """
        chosen = [(name, step.node.outputs()) for name, step in self.steps.items() if step.when]
        return {
            key: [
                *self._corrected.get(key, []),
                *(f"{name}.{key}" for name, outputs in chosen if key in outputs),
                *made,
            ]
            for key, made in self.pictures.items()
        }

    def _node(
        self, node: type[Node], name: str, group: str = "", when: tuple[str, str] | None = None
    ) -> str:
        """Add a node and all that feeds it, and return its name."""
        wires = {}
        for key, port in node.inputs().items():
            sources = self._sources(port, direct=node is self.target)
            if key == "plate" and any(_brings(out, _LIGHT) for out in node.outputs().values()):
                # Light is estimated from what is behind the subject, wherever that is known.
                behind = self._clip("Background", "background_clip", port)
                sources = {"": [*behind, *sources[""]]}
            if any(sources.values()):
                wires[key] = Wire(port, sources)
            elif not port.optional:
                raise Unfit(f"{node.id}.{key}")
        spares = {"plate": "stops"} if node is ExposureAnchor else {}
        self.steps[name] = Step(node, wires, when=when, group=group, spares=spares)
        return name

    def _add(
        self, name: str, node: type[Node], fixed: dict[str, Any], /, **sources: list[str]
    ) -> list[str]:
        """Add a node whose wires are known, and return the reference to its first output."""
        ports = node.inputs()
        wires = {key: Wire(ports[key], {"": refs}) for key, refs in sources.items()}
        if name not in self.steps:
            self.steps[name] = Step(node, wires, fixed=fixed, group=name)
        return [f"{name}.{next(iter(node.outputs()))}"]

    def _finish(self, name: str) -> list[str]:
        """Add what makes the result ready to be merged, and return the reference to it."""
        outputs = self.target.outputs()
        if "relit" in outputs:
            background = self._picture(Over.inputs()["background"])
            return self._add(
                "composite", Over, {}, foreground=[f"{name}.relit"], background=background
            )
        if self.target.category != "Matte" or not {"matte", "foreground"} & set(outputs):
            return []
        ports = Foreground.inputs()
        matte = [f"{name}.matte"] if "matte" in outputs else self._picture(ports["matte"])
        colour = [f"{name}.foreground"]
        if "foreground" not in outputs:
            colour = self._add(
                "foreground", Foreground, {}, plate=self._picture(ports["plate"]), matte=matte
            )
            self.pictures["foreground"] = colour
        straight = self._add("straight", Shuffle, _WITH_ALPHA, image=colour, b=matte)
        return self._add("cutout", Premult, {}, image=straight)

    def _sources(self, port: In, *, direct: bool) -> dict[str, list[str]]:
        """Return what may feed a port, by label; `direct` for one of the target itself."""
        if _is_picture(port):
            return {} if port.many else {"": self._picture(port, direct=direct)}
        if Layers in port.types:
            return {}
        if port.many:
            label = port.name.removesuffix("s")
            slots = [f"{label}{number}" for number in range(1, SLOTS + 1)]
            return {slot: self._slot(port, slot, off=slot != slots[0]) for slot in slots}
        kind = port.types[0]
        if kind not in self._made:
            self._made[kind] = self._modified(port, self._make(port, "", off=port.optional))
        return {"": self._made[kind]}

    def _modified(self, port: In, made: list[str]) -> list[str]:
        """Return what a port takes, as nodes modify it whose further needs the user has met.

        Each such need is a choice that is off at first.
        """
        for node in self.registry.values():
            modified = _modifies(node, port)
            if modified is None or node is self.target:
                continue
            wires = {modified.name: Wire(modified, {"": made})}
            self._left_out = UNMEASURED
            for key, more in node.inputs().items():
                if more is not modified:
                    slot = f"{node.id}_{key}"
                    wires[key] = Wire(more, {"": self._slot(more, slot, off=True)})
            self._left_out = frozenset()
            if len(wires) > 1:
                self.steps[node.id] = Step(node, wires, group=node.id)
                first, *others = node.outputs()
                made = [f"{node.id}.{first}", *made]
                for key in others:
                    self._corrected.setdefault(key, []).insert(0, f"{node.id}.{key}")
        return made

    def _picture(self, port: In, *, direct: bool = False) -> list[str]:
        """Return a clip, and the node that makes the picture where the clip is not connected."""
        name = port.name
        if name == "guide":
            trimap = self._clip("Trimap", "trimap_clip", port)
            mask = self._clip("Mask", "mask_clip", Trimap.inputs()["matte"])
            return [*trimap, *self._add("guide", Trimap, {"measure": "subject"}, matte=mask)]
        if name in ("plate", self._main):
            return self._clip("Source", SOURCE, port, optional=False)
        if name == "sample":
            return [*self._clip("Sample", "sample_clip", port), f"{SOURCE}.image"]
        makers = self._pictured(name)
        if not makers:
            optional = port.optional or not direct
            return self._clip(_camel(name), f"{name}_clip", port, optional=optional)
        if self.target in makers:
            return [f"{self.target.id}.{next(iter(self.target.outputs()))}"]
        found = self._clip(_camel(name), f"{name}_clip", port)
        for maker in makers:
            step = name if maker is makers[-1] else maker.id
            if step not in self.steps:
                self._node(maker, step, step)
                if name == "background":
                    self._follow(step)
            found.append(f"{step}.{next(iter(maker.outputs()))}")
        self.pictures[name] = found
        return found

    def _pictured(self, name: str) -> list[type[Node]]:
        """Return the nodes that make a picture of this name, best first; none for finished ones."""
        if self._finishes or (name == "background" and not self._modifiers):
            return []
        return [self.registry[id] for id in CHAIN.get(name, ()) if id in self.registry]

    def _clip(self, clip: str, step: str, port: In, *, optional: bool = True) -> list[str]:
        """Add a clip and return the reference to its Input node."""
        if step not in self.steps:
            kind: ClipKind = "colour"
            if port.colour == "data":
                kind = "vector" if port.name == "normals" else "mask"
            self.clips[clip] = Clip(clip, kind, optional, port.doc)
            self.steps[step] = Step(Input, clip=clip)
        return [f"{step}.image"]

    def _slot(self, port: In, slot: str, *, off: bool) -> list[str]:
        """Return one of many, taken through every node that modifies such a thing."""
        made = self._make(port, slot, off=off)
        for node in self.registry.values():
            modified = _modifies(node, port)
            if modified is not None:
                name = f"{slot}_{node.id}"
                self.steps[name] = Step(
                    node, {modified.name: Wire(modified, {"": made})}, group=slot
                )
                made = [f"{name}.{next(iter(node.outputs()))}"]
                if not off:
                    self._modifiers.append(name)
        return made

    def _make(self, port: In, slot: str, *, off: bool) -> list[str]:
        """Add the nodes that make what no picture brings, and the choice among them."""
        makers = list(self._makers(port))
        leaves = [leaf for node, _ in makers for leaf in self._leaves(node)]
        # Without a file everything works at once, so a node that reads one is never the default.
        leaves.sort(key=lambda leaf: bool(leaf.members(File)))
        choice = slot or port.name
        if len(leaves) > 1 or off:
            options = (*([OFF] if off else []), *(leaf.id for leaf in leaves))
            self.choices[choice] = Choice(options, slot, port.doc)
        return [self._maker(node, output, slot, choice) for node, output in makers]

    def _maker(self, node: type[Node], output: str, slot: str, choice: str) -> str:
        """Add a maker and return the reference to what it makes.

        One that merely takes on what several others make is there when one of those is, so that
        one choice does: a light is a rig, a file or the original one.
        """
        alone = not slot and choice not in self.choices
        name = choice if alone else f"{slot}_{node.id}" if slot else node.id
        group = f"{slot}.{node.id}" if slot else name
        if name in self.steps:
            return f"{name}.{output}"
        inner = self._inner(node)
        if inner is None:
            when = (choice, node.id) if choice in self.choices else None
            self._node(node, name, group, when)
        else:
            found = [self._maker(leaf, out, slot, choice) for leaf, out in self._makers(inner)]
            self._made.setdefault(inner.types[0], found)
            self.steps[name] = Step(node, {inner.name: Wire(inner, {"": found})}, group=group)
        return f"{name}.{output}"

    def _leaves(self, node: type[Node]) -> list[type[Node]]:
        """Return the nodes among which a choice decides how this one comes to its output."""
        inner = self._inner(node)
        if inner is None:
            return [node]
        return [leaf for maker, _ in self._makers(inner) for leaf in self._leaves(maker)]

    def _inner(self, node: type[Node]) -> In | None:
        """Return the only port of a node where several others could feed it, or None."""
        ports = list(node.inputs().values())
        if len(ports) == 1 and not _is_picture(ports[0]) and len(list(self._makers(ports[0]))) > 1:
            return ports[0]
        return None

    def _makers(self, port: In) -> Iterator[tuple[type[Node], str]]:
        """Yield the nodes that make what a port takes, and the output that brings it."""
        for node in self.registry.values():
            if node is self.target or node.id in self._left_out:
                continue
            if _modifies(node, port) is None:
                yield from ((node, key) for key, o in node.outputs().items() if _brings(o, port))

    def _follow(self, name: str) -> None:
        """Let a step share the knobs of the first light, whose picture it shows."""
        for modifier in self._modifiers:
            shared = self.steps[modifier].node.knobs().keys() & self.steps[name].node.knobs().keys()
            self.steps[name].follows.update(dict.fromkeys(sorted(shared), modifier))


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _is_picture(port: In | Out) -> bool:
    return any(issubclass(t, Image) for t in port.types)


def _brings(out: Out, port: In) -> bool:
    return any(issubclass(t, port.types) for t in out.types)


def _modifies(node: type[Node], port: In) -> In | None:
    """Return the port through which a node takes what it returns too, such as a light."""
    if _is_picture(port) or not any(_brings(out, port) for out in node.outputs().values()):
        return None
    return next((p for p in node.inputs().values() if set(p.types) & set(port.types)), None)
