"""What the page shows, as a graph that the farm runs and as the command that renders the same."""

from __future__ import annotations

import importlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from relume.errors import UsageError
from relume.graph import Graph
from relume.hosts.farm.prepare import absolute
from relume.hosts.view.shelf import ESTIMATED, Shelf
from relume.media.sequence import parse_frames
from relume.node import Node
from relume.nodes.adjust_light import AdjustLight
from relume.nodes.recipes import (
    BACKGROUND,
    ENVIRONMENT,
    ORIGINAL,
    Backdrop,
    Lighting,
    Plate,
    Source,
    relight_graph,
    shade_graph,
)
from relume.nodes.registry import REGISTRY
from relume.nodes.relight import Relight

DIRECTED = ("rotate", "blur")
"""Knobs of AdjustLight that say nothing to the original light, which has no direction."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at.

    Attributes:
        source: the plate or transport, a file or a sequence.
        plate: what is known about the plate, or None for a transport.
        backdrop: the picture that the user wants behind, or None.
        shot: the shot, where the user gave it.
        words: options of the command line that describe the plate, to give again.
        behind: options of the command line that describe the backdrop.
        estimate: options of the command line that describe how light is estimated.
    """

    source: str
    plate: Plate | None = None
    backdrop: Backdrop | None = None
    shot: str = ""
    words: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    estimate: tuple[str, ...] = ()

    @property
    def is_transport(self) -> bool:
        """Whether it is analysed already."""
        return self.plate is None

    @property
    def transport(self) -> str:
        """The reference to the transport in graphs of this subject."""
        return "plate.transport" if self.plate is None else self.plate.transport

    @property
    def backgrounds(self) -> list[str]:
        """What can be behind the subject, by the names the page uses."""
        plate = [] if self.is_transport else ["plate"]
        picture = [] if self.backdrop is None else ["picture"]
        return ["none", *plate, *picture, ENVIRONMENT]

    @property
    def surroundings(self) -> list[str]:
        """Pictures without the actor, around which light can be estimated."""
        pictures = [None if self.backdrop is None else self.backdrop.picture]
        pictures += [None if self.plate is None else self.plate.clean_plate]
        files = (one if one is None or isinstance(one, str) else one["file"] for one in pictures)
        return [str(Path(file).absolute()) for file in files if file is not None]

    def graph(self, lighting: Lighting, out: str, backdrop: Backdrop | None) -> Graph:
        """Return the graph of this subject under lights."""
        if self.plate is None:
            graph = shade_graph(self.source, lighting, out, backdrop)
        else:
            graph = relight_graph(self.plate, lighting, out, backdrop)
        graph.shot = self.shot or None
        return graph


@dataclass(frozen=True, slots=True)
class Light:
    """A light that is on.

    Attributes:
        name: of the light, and of its pass.
        source: `original`, `rig:PRESET` or a file.
        knobs: of AdjustLight.
    """

    name: str
    source: str
    knobs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """What the page shows.

    Attributes:
        lights: those that are on, in order.
        relight: knobs of Relight.
        background: one of `Subject.backgrounds`.
        fov: field of view in degrees, for the environment's own picture.
        out: file or sequence to write.
        frames: frames to render, or empty for all.
    """

    lights: Sequence[Light]
    relight: Mapping[str, Any] = field(default_factory=dict)
    background: str = "none"
    fov: float = 40.0
    out: str = "relit.exr"
    frames: str = ""

    @classmethod
    def of(cls, document: Any) -> Self:
        """Return the look that the page describes.

        Raises:
            UsageError: it is something else.
        """
        try:
            lights = [
                Light(str(one["name"]), str(one["source"]), _knobs(AdjustLight, one["knobs"]))
                for one in document["lights"]
            ]
            look = cls(
                lights=lights,
                relight=_look(_knobs(Relight, document["relight"]), lights),
                background=str(document["background"]),
                fov=float(document["fov"]),
                out=str(document["out"]),
                frames=str(document["frames"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"this is no look ({type(error).__name__}: {error})") from None
        if not look.lights:
            raise UsageError("no light is on", way_out="Turn one on")
        if len({light.name for light in look.lights}) < len(look.lights):
            raise UsageError("two lights have one name", way_out="Rename one of them")
        if not look.out:
            raise UsageError("no file to write is named", way_out="Name one, such as relit.exr")
        if look.frames:
            parse_frames(look.frames)
        return look


def graph_of(subject: Subject, look: Look, shelf: Shelf) -> Graph:
    """Return the graph that renders a look, with paths that hold anywhere.

    Raises:
        RelumeError: a light may not be read, or the graph would not be valid.
    """
    lighting = Lighting(
        {light.name: shelf.source(light.source) for light in look.lights},
        each={light.name: _effective(light) for light in look.lights},
        relight=look.relight,
        estimate={**shelf.estimate, "fov": look.fov},
    )
    graph = subject.graph(lighting, look.out, _backdrop(subject, look))
    graph.check(REGISTRY)
    return absolute(graph, REGISTRY)


def command_of(subject: Subject, look: Look, shelf: Shelf) -> str:
    """Return the command that renders a look, as a line for a shell.

    Raises:
        RelumeError: as for `graph_of`.
    """
    graph_of(subject, look, shelf)  # refuses what the command would refuse
    name = "shade" if subject.is_transport else "relight"
    flags = _flags(name)
    words = ["relume", name, str(Path(subject.source).absolute()), *subject.words]
    sources = {light.name: shelf.source(light.source) for light in look.lights}
    for called, source in sources.items():
        words += ["--light", f"{called}={_named(source)}"]
    colour = shelf.knobs.get("colour")
    if colour and any(not isinstance(source, str) for source in sources.values()):
        words += [flags["light__colour"], str(colour)]
    shared = _shared(look.lights)
    for key, value in shared.items():
        words += [flags[f"adjust__{key}"], _text(value)]
    for light in look.lights:
        for key, value in _effective(light).items():
            if key not in shared:
                words += [flags[f"adjust__{key}"], f"{light.name}={_text(value)}"]
    for key, value in look.relight.items():
        words += [flags[f"look__{key}"], _text(value)]
    words += _behind(subject, look)
    estimated = any(light.source.startswith(ESTIMATED) for light in look.lights)
    words += subject.estimate if estimated else ()
    if estimated or look.background == ENVIRONMENT:
        words += [flags["view__fov"], _text(look.fov)]
    words += ["--frames", look.frames] if look.frames else []
    return shlex.join([*words, "--out", str(Path(look.out).absolute())])


def _named(source: Source) -> str:
    """Return a light as a command line names it."""
    if isinstance(source, str):
        return source
    return str(source["file"]) if "file" in source else f"{ESTIMATED}{source[BACKGROUND]}"


def _knobs(node: type[Node], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked knobs of a node, those at their defaults left out."""
    declared = node.knobs()
    found = {}
    for key, value in given.items():
        if key not in declared:
            raise UsageError(f"{node.__name__} has no knob '{key}'")
        knob = declared[key]
        checked = knob.check(tuple(value) if isinstance(value, list) else value)
        if checked != knob.default:
            found[key] = knob.json(checked)
    return found


def _look(relight: dict[str, Any], lights: Sequence[Light]) -> dict[str, Any]:
    """Return the knobs of Relight that change anything."""
    if all(light.source != ORIGINAL for light in lights):
        relight.pop("original", None)
    return relight


def _effective(light: Light) -> dict[str, Any]:
    """Return the knobs of a light that change anything."""
    if light.source == ORIGINAL:
        return {key: value for key, value in light.knobs.items() if key not in DIRECTED}
    return dict(light.knobs)


def _shared(lights: Sequence[Light]) -> dict[str, Any]:
    """Return the knobs that all lights agree on, where there are several."""
    first, *others = lights
    return {
        key: value
        for key, value in first.knobs.items()
        if others and all(light.knobs.get(key) == value for light in others)
    }


def _backdrop(subject: Subject, look: Look) -> Backdrop | None:
    if look.background not in subject.backgrounds:
        raise UsageError(
            f"there is no background '{look.background}'",
            way_out=f"There are: {', '.join(subject.backgrounds)}",
        )
    if look.background == "none":
        return None
    if look.background == "picture":
        return subject.backdrop
    if look.background == "plate" and subject.plate is not None:
        return Backdrop(subject.plate.picture)
    return Backdrop(ENVIRONMENT, view={"fov": look.fov})


def _behind(subject: Subject, look: Look) -> list[str]:
    """Return the words of the command that put the background there."""
    if look.background == "plate" and subject.plate is not None:
        words = ["--background", str(Path(subject.source).absolute())]
        picture = subject.plate.picture
        colour = "" if isinstance(picture, str) else str(picture.get("colour") or "")
        return words + (["--background-space", colour] if colour else [])
    if look.background == "picture":
        return list(subject.behind)
    if look.background == ENVIRONMENT:
        return ["--background", ENVIRONMENT]
    return []


def _flags(command: str) -> dict[str, str]:
    """Return the options of a command by the names of their parameters."""
    module = importlib.import_module(f"relume.hosts.cli.{command}")
    return {parameter.name: parameter.opts[0] for parameter in module.command.params}


def _text(value: Any) -> str:
    """Return a knob's value as a command line writes it."""
    if isinstance(value, list | tuple):
        return ",".join(_text(item) for item in value)
    if isinstance(value, float):
        return json.dumps(int(value) if value.is_integer() else value)
    return str(value)
