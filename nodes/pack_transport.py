"""PackTransport."""

from __future__ import annotations

from relume.context import Context
from relume.image import Layers
from relume.node import In, Node, Out
from relume.shading.transport_file import pack
from relume.shading.types import Transport


class PackTransport(Node):
    """Lay a transport out as layers to write: coefficients, foreground, albedo, normal, matte."""

    id, version, category = "pack_transport", 1, "Shade"
    transport = In(Transport, "The subject.")
    layers = Out(Layers, "`transport_00` … and the layers they apply to.")

    def compute(self, ctx: Context, transport: Transport) -> Layers:
        """Name the layers."""
        return pack(transport)
