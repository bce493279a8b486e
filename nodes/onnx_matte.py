"""OnnxMatte."""

from __future__ import annotations

from typing import Any, NamedTuple

from relume.context import Context
from relume.errors import UsageError
from relume.image import Image
from relume.knobs import File
from relume.node import In, Node, Out


class OnnxResult(NamedTuple):
    """The outputs of OnnxMatte."""

    matte: Image
    trimap: Image
    foreground: Image


class OnnxMatte(Node):
    """Pull a matte with a network of your own: an ONNX file, and a small JSON adapter beside it.

    The adapter says which input gets the plate, clean plate, trimap or hint and which output is
    alpha, foreground or trimap, and in what layout, range, encoding and size. Every frame is the
    network's first, so that chunks do not matter. Where a guide is certain the matte is exactly 0
    or 1. Needs the extra [onnx].
    """

    id, version, category = "onnx_matte", 1, "Matte"
    engine = "onnxruntime"
    plate = In(Image, "The plate.", colour="network")
    anchor = In(float, "Exposure anchor, for adapters that ask for it.", optional=True)
    guide = In(Image, "Trimap or hint mask; it always wins.", colour="data", optional=True)
    clean_plate = In(
        Image, "The same view without the subject, in register.", colour="network", optional=True
    )
    matte = Out(Image, "The matte, A from 0 to 1.")
    trimap = Out(Image, "Background 0, unknown 0.5, foreground 1.")
    foreground = Out(
        Image, "R, G, B, straight: the network's own where the matte is soft, else the plate."
    )
    model = File("", "A network of your own, an .onnx file.")
    adapter = File("", "How to call that network, a .json file.")

    def compute(
        self,
        ctx: Context,
        plate: Image,
        anchor: float | None,
        guide: Image | None,
        clean_plate: Image | None,
    ) -> OnnxResult:
        """Run the network."""
        from relume.matting.onnx_adapter import load_adapter
        from relume.matting.onnx_model import onnx_matte, onnx_notices, open_model

        for name in ("model", "adapter"):
            if not self.values[name]:
                raise UsageError(f"no {name} is named", way_out=f"Set the knob {name} to a file")
        adapter = load_adapter(self.adapter)
        session = open_model(self.model, ctx.device, ctx.threads)
        known: dict[str, Any] = {
            "anchor": anchor or 0.0,
            "guide": guide,
            "clean_plate": clean_plate,
        }
        result = onnx_matte(session, adapter, plate, **known)
        for notice in onnx_notices(adapter, plate, result.matte, **known):
            ctx.notice(notice)
        return OnnxResult(result.matte, result.trimap, result.foreground)
