"""Graphs for the usual jobs. The names of their nodes are a contract: `--set` relies on them."""

from __future__ import annotations

from relume.errors import UsageError
from relume.graph import Graph
from relume.nodes.defocus import Defocus
from relume.nodes.environment_image import EnvironmentImage
from relume.nodes.light_layers import LightLayers
from relume.nodes.neural_render import NeuralRender
from relume.nodes.over import Over
from relume.nodes.pack_transport import PackTransport
from relume.nodes.premult import Premult
from relume.nodes.read_transport import ReadTransport
from relume.nodes.recipes.backdrop import ENVIRONMENT, Backdrop, add_backdrop, background_of
from relume.nodes.recipes.integration import proxied
from relume.nodes.recipes.lighting import (
    CALIBRATED_ALBEDO,
    Lighting,
    PlateLight,
    add_calibrated,
    add_environment,
    add_lights,
    add_maps,
)
from relume.nodes.recipes.plate import (
    Plate,
    add_albedo,
    add_foreground,
    add_normals,
    add_transport,
)
from relume.nodes.recipes.sources import Knobs, Source, add_picture, reader_knobs
from relume.nodes.relight import Relight
from relume.nodes.shuffle import Shuffle
from relume.nodes.write import Write

RENDERERS = ("transport", "unet")
"""How a subject is relit: linear in the light, or by networks that see the light."""


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
        UsageError: there is no such renderer, or it has no use for the knobs of Relight or for the
            light of the plate, or that is no light of a set.
    """
    graph = Graph()
    background = background_of(backdrop, plate.proxy)
    if renderer == "transport":
        _add_relight(graph, lighting, add_transport(graph, plate), background)
    elif renderer == "unet":
        if lighting.relight:
            raise UsageError(
                f"the renderer 'unet' has no {next(iter(lighting.relight))}",
                way_out="Leave it out, or take the renderer 'transport'",
            )
        if plate.light is not None:
            raise UsageError(
                "the renderer 'unet' has no use for the light of the plate",
                way_out="Leave it out, or take the renderer 'transport'",
            )
        add_albedo(graph, plate)
        wires = {**plate.subject, "normals": plate.normals, "albedo": plate.albedo}
        lights = add_lights(graph, lighting, background)
        graph.add("relight", NeuralRender, None, **wires, lights=lights)
    else:
        raise UsageError(
            f"there is no renderer '{renderer}'", way_out=f"Choose one of {', '.join(RENDERERS)}"
        )
    picture = add_backdrop(graph, backdrop, lighting, "plate", plate.proxy)
    _add_write(
        graph,
        write,
        rgba=picture,
        foreground="foreground",
        albedo=plate.colour,
        normal=plate.normals,
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
    add_foreground(graph, plate)
    graph.add("straight", Shuffle, _WITH_ALPHA, image="foreground", b=plate.wire)
    graph.add("cutout", Premult, image="straight")
    picture = "cutout"
    if backdrop is not None:
        add_picture(graph, "background", backdrop.picture, plate.proxy)
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
    add_normals(graph, plate)
    _add_write(graph, write, normal=plate.normals, matte=plate.wire)
    return graph


def albedo_graph(plate: Plate, write: Source) -> Graph:
    """Return the graph that estimates albedo."""
    graph = Graph()
    add_albedo(graph, plate)
    _add_write(graph, write, albedo=plate.albedo, matte=plate.wire)
    return graph


def light_graph(light: Source, write: Source, estimate: Knobs | None = None) -> Graph:
    """Return the graph that convolves an environment and writes its maps.

    Args:
        light: the environment.
        write: where to.
        estimate: knobs of EstimateLight, for a light that is estimated.
    """
    graph = Graph()
    graph.add("maps", LightLayers, light_maps=add_maps(graph, "light", light, estimate or {}))
    _add_write(graph, write, maps="maps")
    return graph


def environment_graph(light: Source, write: Source, estimate: Knobs | None = None) -> Graph:
    """Return the graph that writes an environment itself, see `light_graph`."""
    graph = Graph()
    around = add_environment(graph, "light", light, estimate or {})
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
    add_foreground(graph, plate)
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
    graph.add("packed", PackTransport, transport=add_transport(graph, plate))
    _add_write(graph, write, transport="packed")
    return graph


def shade_graph(
    transport: Source,
    lighting: Lighting,
    write: Source,
    backdrop: Backdrop | None = None,
    filmed: PlateLight | None = None,
) -> Graph:
    """Return the graph that relights an analysed plate; no network runs.

    Args:
        transport: what `analyse_graph` wrote.
        lighting: the lights.
        write: where to.
        backdrop: what is seen behind the subject.
        filmed: the light the plate was filmed under, unless it is calibrated already.

    Raises:
        UsageError: that is no light of a set.
    """
    graph = Graph()
    graph.add("plate", ReadTransport, reader_knobs(transport))
    subject = add_calibrated(graph, filmed, "plate.transport")
    _add_relight(graph, lighting, subject, background_of(backdrop, 1))
    picture = add_backdrop(graph, backdrop, lighting, "relight.relit", 1)
    # Of two layers of one name the later is written.
    corrected = {} if filmed is None else {"albedo": CALIBRATED_ALBEDO}
    _add_write(
        graph,
        write,
        rgba=picture,
        given="plate.passes",
        **corrected,
        relit="relight.relit",
        passes="relight.passes",
    )
    return graph


_WITH_ALPHA = {"sources": ["R", "G", "B", "b.A"], "names": ["R", "G", "B", "A"]}


def _add_relight(graph: Graph, lighting: Lighting, transport: str, background: str | None) -> None:
    lights = add_lights(graph, lighting, background)
    graph.add("relight", Relight, lighting.relight, transport=transport, lights=lights)


def _add_write(graph: Graph, write: Source, **layers: str) -> None:
    graph.add("write", Write, reader_knobs(write), layers=layers)


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
