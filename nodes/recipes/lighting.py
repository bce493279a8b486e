"""The lights of a picture, and the nodes that make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relume.errors import UsageError
from relume.graph import Graph
from relume.nodes.adjust_light import AdjustLight
from relume.nodes.calibrate import Calibrate
from relume.nodes.estimate_light import EstimateLight
from relume.nodes.light_rig import LightRig
from relume.nodes.original_light import OriginalLight
from relume.nodes.prefilter_light import PrefilterLight
from relume.nodes.read import Read
from relume.nodes.read_environment import ReadEnvironment
from relume.nodes.recipes.sources import Knobs, Source, reader_knobs

ORIGINAL = "original"
"""As a light: the one the plate was filmed under."""

BACKGROUND = "background"
"""As a light: what the background picture says of it; `background:FILE` is another picture."""

CALIBRATED_ALBEDO = "calibration.albedo"
"""Reference to the albedo in graphs whose transport is calibrated."""

_OWN = "plates_own"
"""What the nodes of the light of the plate are named after: not what users name a light."""

RIG = "rig:"
"""As a light: what the name of a preset of LightRig begins with."""


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


def is_estimated(light: Source) -> bool:
    """Return whether a light, as one of `Lighting.lights`, is estimated from a picture."""
    return light == BACKGROUND if isinstance(light, str) else BACKGROUND in light


@dataclass(frozen=True, slots=True)
class PlateLight:
    """The light a plate was filmed under.

    Attributes:
        light: as one of `Lighting.lights`, but neither the original light nor an estimated one.
        adjust: knobs of AdjustLight.
        calibrate: knobs of Calibrate.
    """

    light: Source
    adjust: Knobs = field(default_factory=dict)
    calibrate: Knobs = field(default_factory=dict)


def add_calibrated(graph: Graph, filmed: PlateLight | None, transport: str) -> str:
    """Calibrate a transport by the light its plate was filmed under, and return the reference.

    Args:
        graph: the graph.
        filmed: that light; None where it is not known.
        transport: reference to the transport.

    Raises:
        UsageError: it is no light of a set.
    """
    if filmed is None:
        return transport
    if filmed.light == ORIGINAL or is_estimated(filmed.light):
        raise UsageError(
            "the light of the plate can neither be 'original' nor an estimate of it",
            way_out="Give an environment that was taken on the set",
        )
    maps = add_maps(graph, _OWN, filmed.light, {})
    light = graph.add(f"{_OWN}_light", AdjustLight, filmed.adjust, light=maps)
    wires = {"transport": transport, "light": light}
    return graph.add("calibration", Calibrate, filmed.calibrate, **wires) + ".calibrated"


def add_lights(graph: Graph, lighting: Lighting, background: str | None) -> dict[str, str]:
    """Add the lights and return references to them by name."""
    lights: dict[str, str] = {}
    for name, source in lighting.lights.items():
        if source == ORIGINAL:
            light = graph.add(f"{name}_original", OriginalLight)
        else:
            light = add_maps(graph, name, source, lighting.estimate, background)
        lights[name] = graph.add(f"{name}_light", AdjustLight, lighting.knobs_of(name), light=light)
    return lights


def add_maps(
    graph: Graph, name: str, source: Source, estimate: Knobs, background: str | None = None
) -> str:
    """Add an environment and its maps, and return the reference to the maps."""
    around = add_environment(graph, name, source, estimate, background)
    return graph.add(f"{name}_maps", PrefilterLight, environment=around)


def add_environment(
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
    knobs = reader_knobs(source)
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
