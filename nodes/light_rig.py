"""LightRig."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from relume.context import Context
from relume.knobs import Choice, Float, Int, OptionalColour, OptionalFloat
from relume.light.rig import PRESETS, Colour, draw
from relume.light.types import Environment
from relume.node import Node, Out


def _angle(doc: str, reach: float) -> OptionalFloat:
    return OptionalFloat(None, doc, unit="degrees", min=-reach, max=reach)


def _span(doc: str) -> OptionalFloat:
    return OptionalFloat(None, doc, unit="degrees", min=0.1, max=170)


def _power(doc: str) -> OptionalFloat:
    return OptionalFloat(None, doc, min=0, max=1e6)


def _radiance(doc: str) -> OptionalColour:
    return OptionalColour(None, doc, min=0, max=1e6)


class LightRig(Node):
    """Draw studio lights, sun and sky as an HDR environment.

    A preset sets every lamp; a knob that is set replaces the preset's value. Azimuth 0 is at the
    camera, +90 at screen right, 180 behind the subject. An intensity is what a white surface
    facing the lamp shows, so that a larger lamp is softer and not brighter.
    """

    id, version, category = "light_rig", 1, "Light"
    environment = Out(Environment, "The drawn environment, in the working space.")
    preset = Choice("key_left", "Rig to start from.", choices=tuple(PRESETS))
    intensity = Float(1.0, "Factor on everything.", min=0, max=1e6)
    height = Int(256, "Rows of the environment, which is twice as wide.", min=16, max=4096)
    key_azimuth = _angle("Azimuth of the main light.", 360)
    key_elevation = _angle("Elevation of the main light.", 90)
    key_width = _span("How wide the main light is.")
    key_height = _span("How high the main light is.")
    key_intensity = _power("Intensity of the main light; 0 turns it off.")
    key_colour = _radiance("Colour of the main light.")
    key_softness = OptionalFloat(None, "How soft the edge of the main light is.", min=0, max=1)
    fill_azimuth = _angle("Azimuth of the light that opens the shadows.", 360)
    fill_elevation = _angle("Elevation of the light that opens the shadows.", 90)
    fill_width = _span("How wide the light that opens the shadows is.")
    fill_height = _span("How high the light that opens the shadows is.")
    fill_intensity = _power("Intensity of the light that opens the shadows; 0 turns it off.")
    fill_colour = _radiance("Colour of the light that opens the shadows.")
    fill_softness = OptionalFloat(
        None, "How soft the edge of the light that opens the shadows is.", min=0, max=1
    )
    rim_azimuth = _angle("Azimuth of the light on the edge.", 360)
    rim_elevation = _angle("Elevation of the light on the edge.", 90)
    rim_width = _span("How wide the light on the edge is.")
    rim_height = _span("How high the light on the edge is.")
    rim_intensity = _power("Intensity of the light on the edge; 0 turns it off.")
    rim_colour = _radiance("Colour of the light on the edge.")
    rim_softness = OptionalFloat(
        None, "How soft the edge of the light on the edge is.", min=0, max=1
    )
    sun_azimuth = _angle("Azimuth of the sun.", 360)
    sun_elevation = _angle("Elevation of the sun.", 90)
    sun_diameter = OptionalFloat(None, "Angle the sun spans.", unit="degrees", min=0.1, max=90)
    sun_intensity = _power("Intensity of the sun; 0 turns it off.")
    sun_colour = _radiance("Colour of the sun.")
    sky_zenith = _radiance("Radiance of the sky overhead.")
    sky_horizon = _radiance("Radiance of the sky at the horizon.")
    sky_ground = _radiance("Radiance below the horizon.")
    ambient = _radiance("Radiance added from everywhere.")

    def compute(self, ctx: Context) -> Environment:
        """Draw the rig."""
        rig = PRESETS[self.preset]
        parts = {
            part: replace(getattr(rig, part), **self._given(f"{part}_"))
            for part in ("key", "fill", "rim", "sun", "sky")
        }
        ambient = rig.ambient if self.ambient is None else cast(Colour, self.ambient)
        rig = replace(rig, **parts, ambient=ambient)
        drawn = draw(rig, self.height, colour=ctx.working_space)
        return Environment(drawn.image.like(drawn.image.pixels * self.intensity))

    def _given(self, prefix: str) -> dict[str, Any]:
        """Return the knobs of one lamp that are set, by the lamp's own names."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.values.items()
            if name.startswith(prefix) and value is not None
        }
