"""Graphs for the usual jobs, as plain functions: every host starts from these.

A picture is given as a file name, or as the knobs of the node that reads it. The names of the
nodes are part of the contract: saved graphs and `--set` rely on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from relume.errors import UsageError
from relume.graph import Graph
from relume.node import Node
from relume.nodes.adjust_light import AdjustLight
from relume.nodes.albedo import Albedo
from relume.nodes.defocus import Defocus
from relume.nodes.environment_background import EnvironmentBackground
from relume.nodes.environment_image import EnvironmentImage
from relume.nodes.estimate_light import EstimateLight
from relume.nodes.exposure_anchor import ExposureAnchor
from relume.nodes.foreground import Foreground
from relume.nodes.integration import Integration, proxied
from relume.nodes.light_layers import LightLayers
from relume.nodes.light_rig import LightRig
from relume.nodes.matte import Matte
from relume.nodes.neural_render import NeuralRender
from relume.nodes.normals import Normals
from relume.nodes.onnx_matte import OnnxMatte
from relume.nodes.original_light import OriginalLight
from relume.nodes.over import Over
from relume.nodes.pack_transport import PackTransport
from relume.nodes.plate_matte import PlateMatte
from relume.nodes.prefilter_light import PrefilterLight
from relume.nodes.premult import Premult
from relume.nodes.read import Read
from relume.nodes.read_environment import ReadEnvironment
from relume.nodes.read_matte import ReadMatte
from relume.nodes.read_transport import ReadTransport
from relume.nodes.reformat import Reformat
from relume.nodes.relight import Relight
from relume.nodes.shuffle import Shuffle
from relume.nodes.steady_matte import SteadyMatte
from relume.nodes.transport import Transport
from relume.nodes.trimap import Trimap
from relume.nodes.trimap_matte import TrimapMatte
from relume.nodes.write import Write

Knobs = Mapping[str, Any]
Source = str | Knobs
"""A file name, or the knobs of the node that reads it."""

ENVIRONMENT = "environment"
"""As a backdrop: what the first light from all around looks like itself."""

ORIGINAL = "original"
"""As a light: the one the plate was filmed under."""

BACKGROUND = "background"
"""As a light: what the background picture says of it; `background:FILE` is another picture."""

RIG = "rig:"
"""As a light: what the name of a preset of LightRig begins with."""

METHODS = ("network", "closed-form")
"""How a matte is pulled."""

RENDERERS = ("transport", "unet")
"""How a subject is relit: linear in the light, or by networks that see the light."""


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate and what is known about it.

    Attributes:
        picture: the plate.
        matte: a finished matte; relume then pulls none.
        trimap: certain background, unknown and certain foreground, for relume's matte.
        mask: a rough mask of the subject, for relume's matte.
        clean_plate: the same view without the subject, for relume's matte.
        method: `network`, or `closed-form`: solved from the trimap or mask, without a network.
        model: knobs of OnnxMatte: a network of the user's own instead of relume's.
        steady: whether the matte is averaged over a few frames.
        proxy: everything is worked at 1/proxy of the size.
    """

    picture: Source
    matte: Source | None = None
    trimap: Source | None = None
    mask: Source | None = None
    clean_plate: Source | None = None
    method: str = "network"
    model: Knobs | None = None
    steady: bool = False
    proxy: int = 1

    def __post_init__(self) -> None:
        if self.matte is not None:
            for name in ("trimap", "mask", "clean_plate"):
                if getattr(self, name) is not None:
                    raise UsageError(
                        f"a finished matte leaves nothing to do for a {name.replace('_', ' ')}",
                        way_out="Give one or the other",
                    )
        if self.trimap is not None and self.mask is not None:
            raise UsageError(
                "a trimap and a mask cannot both guide the matte", way_out="Give one of them"
            )
        if self.method not in METHODS:
            raise UsageError(
                f"there is no matting method '{self.method}'",
                way_out=f"Choose one of {', '.join(METHODS)}",
            )
        if self.model is not None and (self.matte is not None or self.method != "network"):
            raise UsageError(
                "a model has no use beside a finished matte or another method",
                way_out="Give one or the other",
            )
        if self.method == "closed-form":
            if self.trimap is None and self.mask is None:
                raise UsageError(
                    "the closed-form method needs a trimap", way_out="Give --trimap, or --mask"
                )
            if self.clean_plate is not None:
                raise UsageError(
                    "the closed-form method has no use for a clean plate",
                    way_out="Leave one of the two out",
                )

    @property
    def wire(self) -> str:
        """The reference to the matte in the graphs of this module."""
        if self.steady:
            return "steady"
        return "matte.matte" if self.matte is None else "matte"

    @property
    def subject(self) -> dict[str, str]:
        """The wires of a node that looks at the subject."""
        return {"foreground": "foreground", "matte": self.wire, "anchor": "anchor"}


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What is seen behind the subject.

    Attributes:
        picture: a picture, or `environment`.
        view: knobs of EnvironmentBackground.
        over: knobs of Over.
        join: what brings a relit subject closer to it.
    """

    picture: Source
    view: Knobs = field(default_factory=dict)
    over: Knobs = field(default_factory=dict)
    join: Integration = field(default_factory=Integration)


@dataclass(frozen=True, slots=True)
class Lighting:
    """The lights of a picture.

    Attributes:
        lights: name → environment file, `rig:PRESET`, `original`, `background`, or knobs; those of
            a light estimated from a picture have `background` for `file`.
        adjust: knobs of AdjustLight, for every light.
        each: name → knobs of AdjustLight for that light alone, which win.
        relight: knobs of Relight.
        estimate: knobs of EstimateLight, for every light that is estimated.
    """

    lights: Mapping[str, Source]
    adjust: Knobs = field(default_factory=dict)
    each: Mapping[str, Knobs] = field(default_factory=dict)
    relight: Knobs = field(default_factory=dict)
    estimate: Knobs = field(default_factory=dict)

    def knobs_of(self, name: str) -> dict[str, Any]:
        """Return the knobs of the AdjustLight of one light."""
        return {**self.adjust, **self.each.get(name, {})}


def relight_graph(
    plate: Plate,
    lighting: Lighting,
    write: Source,
    backdrop: Backdrop | None = None,
    renderer: str = "transport",
) -> Graph:
    """Return the graph that relights a plate and writes every intermediate as a pass.

    Without a backdrop the picture is the relit subject alone, premultiplied.

    Args:
        plate: the plate.
        lighting: the lights.
        write: where to.
        backdrop: what is seen behind the subject.
        renderer: one of `RENDERERS`.

    Raises:
        UsageError: there is no such renderer, or it has no use for the knobs of Relight.
    """
    graph = Graph()
    background = _background_of(backdrop, plate.proxy)
    if renderer == "transport":
        _add_transport(graph, plate)
        _add_relight(graph, lighting, "transport", background)
    elif renderer == "unet":
        if lighting.relight:
            raise UsageError(
                f"the renderer 'unet' has no {next(iter(lighting.relight))}",
                way_out="Leave it out, or take the renderer 'transport'",
            )
        _add_albedo(graph, plate)
        wires = {**plate.subject, "normals": "normals", "albedo": "albedo"}
        lights = _add_lights(graph, lighting, background)
        graph.add("relight", NeuralRender, None, **wires, lights=lights)
    else:
        raise UsageError(
            f"there is no renderer '{renderer}'", way_out=f"Choose one of {', '.join(RENDERERS)}"
        )
    picture = _add_backdrop(graph, backdrop, lighting, "plate", plate.proxy)
    _add_write(
        graph,
        write,
        rgba=picture,
        foreground="foreground",
        albedo="albedo",
        normal="normals",
        matte=plate.wire,
        relit="relight.relit",
        passes="relight.passes",
    )
    return graph


def matte_graph(plate: Plate, write: Source, backdrop: Backdrop | None = None) -> Graph:
    """Return the graph that pulls a matte.

    RGBA is the subject cut out, premultiplied, or its composite over a backdrop.
    """
    graph = Graph()
    _add_foreground(graph, plate)
    graph.add("straight", Shuffle, _WITH_ALPHA, image="foreground", b=plate.wire)
    graph.add("cutout", Premult, image="straight")
    picture = "cutout"
    if backdrop is not None:
        _add_picture(graph, "background", backdrop.picture, plate.proxy)
        picture = graph.add(
            "over", Over, backdrop.over, foreground="cutout", background="background"
        )
    layers = {"rgba": picture, "foreground": "foreground", "matte": plate.wire}
    if plate.matte is None:
        layers["trimap"] = "matte.trimap"
    _add_write(graph, write, **layers)
    return graph


def normals_graph(plate: Plate, write: Source) -> Graph:
    """Return the graph that estimates normals."""
    graph = Graph()
    _add_normals(graph, plate)
    _add_write(graph, write, normal="normals", matte=plate.wire)
    return graph


def albedo_graph(plate: Plate, write: Source) -> Graph:
    """Return the graph that estimates albedo."""
    graph = Graph()
    _add_albedo(graph, plate)
    _add_write(graph, write, albedo="albedo", matte=plate.wire)
    return graph


def light_graph(light: Source, write: Source, estimate: Knobs | None = None) -> Graph:
    """Return the graph that convolves an environment and writes its maps.

    Args:
        light: the environment.
        write: where to.
        estimate: knobs of EstimateLight, for a light that is estimated.
    """
    graph = Graph()
    graph.add("maps", LightLayers, light_maps=_add_maps(graph, "light", light, estimate or {}))
    _add_write(graph, write, maps="maps")
    return graph


def environment_graph(light: Source, write: Source, estimate: Knobs | None = None) -> Graph:
    """Return the graph that writes an environment itself, see `light_graph`."""
    graph = Graph()
    around = _add_environment(graph, "light", light, estimate or {})
    graph.add("picture", EnvironmentImage, environment=around)
    _add_write(graph, write, rgba="picture")
    return graph


def defocus_graph(plate: Plate, lens: Knobs, write: Source) -> Graph:
    """Return the graph that blurs what is behind the subject.

    Args:
        plate: the plate.
        lens: knobs of Defocus, in pixels of the full size.
        write: where to.
    """
    graph = Graph()
    _add_foreground(graph, plate)
    wires = {"plate": "plate", "matte": plate.wire, "foreground": "foreground"}
    graph.add("defocus", Defocus, proxied(Defocus, lens, plate.proxy), **wires)
    _add_write(
        graph,
        write,
        rgba="defocus.picture",
        background="defocus.background",
        foreground="foreground",
        matte=plate.wire,
    )
    return graph


def analyse_graph(plate: Plate, write: Source) -> Graph:
    """Return the graph that estimates the transport of a plate, to be shaded later."""
    graph = Graph()
    _add_transport(graph, plate)
    graph.add("packed", PackTransport, transport="transport")
    _add_write(graph, write, transport="packed")
    return graph


def shade_graph(
    transport: Source, lighting: Lighting, write: Source, backdrop: Backdrop | None = None
) -> Graph:
    """Return the graph that relights an analysed plate; no network runs."""
    graph = Graph()
    graph.add("plate", ReadTransport, _knobs(transport))
    _add_relight(graph, lighting, "plate.transport", _background_of(backdrop, 1))
    picture = _add_backdrop(graph, backdrop, lighting, "relight.relit", 1)
    _add_write(
        graph,
        write,
        rgba=picture,
        given="plate.passes",
        relit="relight.relit",
        passes="relight.passes",
    )
    return graph


_WITH_ALPHA = {"sources": ["R", "G", "B", "b.A"], "names": ["R", "G", "B", "A"]}


def _knobs(source: Source) -> dict[str, Any]:
    return {"file": source} if isinstance(source, str) else dict(source)


def _add_picture(
    graph: Graph, name: str, source: Source, proxy: int, reader: type[Node] = Read
) -> None:
    """Read a picture as the node `name`, at 1/proxy of its size."""
    if proxy == 1:
        graph.add(name, reader, _knobs(source))
    else:
        graph.add(f"{name}_full", reader, _knobs(source))
        graph.add(name, Reformat, {"scale": 1.0 / proxy}, image=f"{name}_full")


def _add_foreground(graph: Graph, plate: Plate) -> None:
    """Add plate, anchor, matte and foreground."""
    known: dict[str, str] = {}
    _add_picture(graph, "plate", plate.picture, plate.proxy)
    graph.add("anchor", ExposureAnchor, plate="plate")
    if plate.matte is not None:
        _add_picture(graph, "matte", plate.matte, plate.proxy, ReadMatte)
    else:
        wires = {"plate": "plate", "anchor": "anchor"}
        if plate.trimap is not None:
            _add_picture(graph, "guide", plate.trimap, plate.proxy, ReadMatte)
            wires["guide"] = "guide"
        if plate.mask is not None:
            # A hand is as exact as the picture is large, so the doubt is measured on the subject.
            _add_picture(graph, "mask", plate.mask, plate.proxy, ReadMatte)
            graph.add("guide", Trimap, {"measure": "subject"}, matte="mask")
            wires["guide"] = "guide"
        if plate.method == "closed-form":
            graph.add("matte", TrimapMatte, None, **wires)
        elif plate.model is not None:
            if plate.clean_plate is not None:
                _add_picture(graph, "clean_plate", plate.clean_plate, plate.proxy)
                wires["clean_plate"] = "clean_plate"
            graph.add("matte", OnnxMatte, plate.model, **wires)
        elif plate.clean_plate is not None:
            _add_picture(graph, "clean_plate", plate.clean_plate, plate.proxy)
            graph.add("matte", PlateMatte, None, **wires, clean_plate="clean_plate")
            known["clean_plate"] = "matte.aligned"
        else:
            graph.add("matte", Matte, None, **wires)
    if plate.steady:
        shaky = replace(plate, steady=False).wire
        graph.add("steady", SteadyMatte, plate="plate", matte=shaky, anchor="anchor")
    graph.add("foreground", Foreground, None, plate="plate", matte=plate.wire, **known)


def _add_normals(graph: Graph, plate: Plate) -> None:
    _add_foreground(graph, plate)
    graph.add("normals", Normals, None, **plate.subject)


def _add_albedo(graph: Graph, plate: Plate) -> None:
    _add_normals(graph, plate)
    graph.add("albedo", Albedo, None, **plate.subject, normals="normals")


def _add_transport(graph: Graph, plate: Plate) -> None:
    _add_albedo(graph, plate)
    graph.add("transport", Transport, None, **plate.subject, normals="normals", albedo="albedo")


def _add_environment(
    graph: Graph, name: str, source: Source, estimate: Knobs, background: str | None = None
) -> str:
    """Add an environment and return the reference to it.

    Args:
        graph: the graph.
        name: of the light.
        source: what it is.
        estimate: knobs of EstimateLight.
        background: reference to the background picture, at its full size.
    """
    wanted = f"{name}_environment"
    knobs = _knobs(source)
    if isinstance(source, str) and source.startswith(RIG):
        knobs = {"preset": source.removeprefix(RIG)}
    if source == BACKGROUND and background is None:
        raise UsageError(
            "there is no background picture to take the light from",
            way_out=f"Give a background picture, or {BACKGROUND}:FILE as the light",
        )
    if source == BACKGROUND and background is not None:
        return graph.add(wanted, EstimateLight, estimate, plate=background)
    if BACKGROUND in knobs:
        knobs["file"] = knobs.pop(BACKGROUND)
        graph.add(f"{name}_picture", Read, knobs)
        return graph.add(wanted, EstimateLight, estimate, plate=f"{name}_picture")
    return graph.add(wanted, LightRig if "preset" in knobs else ReadEnvironment, knobs)


def _add_maps(
    graph: Graph, name: str, source: Source, estimate: Knobs, background: str | None = None
) -> str:
    """Add an environment and its maps, and return the reference to the maps."""
    around = _add_environment(graph, name, source, estimate, background)
    return graph.add(f"{name}_maps", PrefilterLight, environment=around)


def _background_of(backdrop: Backdrop | None, proxy: int) -> str | None:
    """Return the reference to the background picture at its full size, if there is one."""
    if backdrop is None or backdrop.picture == ENVIRONMENT:
        return None
    return "background" if proxy == 1 else "background_full"


def _add_relight(graph: Graph, lighting: Lighting, transport: str, background: str | None) -> None:
    lights = _add_lights(graph, lighting, background)
    graph.add("relight", Relight, lighting.relight, transport=transport, lights=lights)


def _add_lights(graph: Graph, lighting: Lighting, background: str | None) -> dict[str, str]:
    """Add the lights and return references to them by name."""
    lights: dict[str, str] = {}
    for name, source in lighting.lights.items():
        if source == ORIGINAL:
            light = graph.add(f"{name}_original", OriginalLight)
        else:
            light = _add_maps(graph, name, source, lighting.estimate, background)
        lights[name] = graph.add(f"{name}_light", AdjustLight, lighting.knobs_of(name), light=light)
    return lights


def _add_backdrop(
    graph: Graph, backdrop: Backdrop | None, lighting: Lighting, frame: str, proxy: int
) -> str:
    """Add what is behind the relit subject and return the reference to the finished picture.

    Args:
        graph: the graph.
        backdrop: what is wanted.
        lighting: the lights, one of which may be the backdrop.
        frame: the image whose windows an environment's picture takes.
        proxy: as in Plate.
    """
    if backdrop is None:
        return "relight.relit"
    if backdrop.picture == ENVIRONMENT:
        around = [name for name in lighting.lights if f"{name}_environment" in graph.nodes]
        if not around:
            raise UsageError(
                "there is no environment among the lights to show as the background",
                way_out="Give a light from a file or rig:PRESET, or a background picture",
            )
        seen = EnvironmentBackground.knobs()
        turned = {k: v for k, v in lighting.knobs_of(around[0]).items() if k in seen}
        graph.add(
            "background",
            EnvironmentBackground,
            {**turned, **backdrop.view},
            environment=f"{around[0]}_environment",
            plate=frame,
        )
    else:
        _add_picture(graph, "background", backdrop.picture, proxy)
    subject = backdrop.join.add(graph, "relight.relit", "relight.passes", "background", proxy)
    return graph.add("over", Over, backdrop.over, foreground=subject, background="background")


def _add_write(graph: Graph, write: Source, **layers: str) -> None:
    graph.add("write", Write, _knobs(write), layers=layers)


TEMPLATES = {
    "relight": lambda: relight_graph(
        Plate("plate.####.exr"),
        Lighting({"key": "environment.exr"}),
        "relit.####.exr",
        Backdrop(ENVIRONMENT),
    ),
    "matte": lambda: matte_graph(Plate("plate.####.exr"), "matte.####.exr"),
    "normals": lambda: normals_graph(Plate("plate.####.exr"), "normals.####.exr"),
    "albedo": lambda: albedo_graph(Plate("plate.####.exr"), "albedo.####.exr"),
    "defocus": lambda: defocus_graph(Plate("plate.####.exr"), {}, "defocused.####.exr"),
    "light": lambda: light_graph("environment.exr", "maps.exr"),
    "analyse": lambda: analyse_graph(Plate("plate.####.exr"), "transport.####.exr"),
    "shade": lambda: shade_graph(
        "transport.####.exr", Lighting({"key": "environment.exr"}), "relit.####.exr"
    ),
}
"""Name → a graph of that kind to start from, its files still to be set."""
