"""Calibrate."""

from __future__ import annotations

from typing import NamedTuple

from relume.context import Context
from relume.errors import UsageError
from relume.image import Image
from relume.knobs import Float
from relume.light.types import Light, LightMaps
from relume.node import In, Node, Out
from relume.shading.calibrate import calibrate
from relume.shading.types import Transport

UNLIKELY = 2.0
"""Stops between plate and light from which the user is told."""


class Calibration(NamedTuple):
    """The outputs of Calibrate."""

    calibrated: Transport
    albedo: Image


class Calibrate(Node):
    """Correct a transport by the light of the set, as an HDRI taken there holds it.

    No picture tells whether a person is pale or well lit; the light does. The albedo moves towards
    what brings out the plate under that light. What is relit afterwards stays linear in its lights.

    Source: Riklin-Raviv and Shashua 2001, The Quotient Image, as a correction of the albedo.
    """

    id, version, category = "calibrate", 1, "Shade"
    transport = In(Transport, "The subject.")
    light = In(Light, "What the plate was filmed under, turned as the camera saw it.")
    calibrated = Out(Transport, "The subject with another albedo.")
    albedo = Out(Image, "That albedo: R, G, B, scene-linear, straight.")
    level = Float(
        0.6,
        "How much of the error in level and colour to take out; 0 where the HDRI is not exposed "
        "and balanced as the plate is.",
        min=0,
        max=1,
    )
    detail = Float(
        0.6,
        "How much of what is left to take out pixel by pixel; at 1, with level 1, the set's light "
        "brings out the plate, and every fault of the shading is in the albedo.",
        min=0,
        max=1,
    )

    def compute(self, ctx: Context, transport: Transport, light: Light) -> Calibration:
        """Correct the albedo."""
        if not isinstance(light, LightMaps):
            raise UsageError(
                "the plate's own light has no directions to calibrate by",
                way_out="Give an environment taken on the set",
            )
        if transport.calibrated:
            raise UsageError(
                "the transport is calibrated already",
                way_out="Leave out the light of the plate, or analyse the plate without it",
            )
        found = calibrate(
            transport, light, level=self.level, detail=self.detail, threads=ctx.threads
        )
        self._notice(ctx, found.stops)
        return Calibration(found.transport, found.transport.albedo)

    def _notice(self, ctx: Context, stops: tuple[float, float, float]) -> None:
        """Tell the user where light and plate do not go together."""
        known = {name: value for name, value in zip("RGB", stops, strict=True) if value == value}
        if not known:
            ctx.notice("plate or light are too dark to calibrate by; the albedo is left as it is")
            return
        name, far = max(known.items(), key=lambda item: abs(item[1]))
        if abs(far) > UNLIKELY and self.level > 0:
            ctx.notice(
                f"under the light of the set the subject would be {abs(far):.1f} stops "
                f"{'darker' if far > 0 else 'brighter'} than the plate, in {name}; if the HDRI is "
                "not exposed and balanced as the plate is, adjust it, or set level to 0"
            )
