# SPDX-License-Identifier: GPL-3.0-or-later
"""The way between ComfyUI's IMAGE and MASK and relume's wires, and graphs for a farm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from .relume_client import RelumeError
from .rendering import rendered, saved
from .schema import CATEGORY, plain_word
from .values import SRGB, Batch, Layer, Value, lent

RELUME = io.Custom("RELUME")
LAYERS = io.Custom("RELUME_LAYERS")
ENVIRONMENT = io.Custom("RELUME_ENVIRONMENT")

_FRAMES = "Such as 1001-1010; empty for those of the batch that came in."
_SUBJECT, _BACKGROUND = "1 is the subject", "1 is the background"


def _of_masks() -> list[Any]:
    """Return the inputs of a node that takes a MASK and begins at a frame."""
    return [
        io.Combo.Input(
            "mask_is",
            options=[_SUBJECT, _BACKGROUND],
            default=_SUBJECT,
            tooltip="The MASK of ComfyUI's own Load Image is 1 where alpha is 0.",
        ),
        io.Int.Input("first_frame", default=1, min=0, max=2**31 - 1),
    ]


def _matte(mask: Any, mask_is: str) -> Any:
    """Return a MASK in which 1 is the subject."""
    return 1.0 - mask if mask_is == _BACKGROUND else mask


class RelumeFromImage(io.ComfyNode):
    """An IMAGE, with its MASK as alpha, as a picture of relume."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return what ComfyUI shows."""
        return io.Schema(
            node_id="RelumeFromImage",
            display_name="Relume from IMAGE",
            category=CATEGORY,
            description="An IMAGE as a picture of relume. Values beyond 0 and 1 are kept.",
            inputs=[
                io.Image.Input("image", tooltip="Frames of the shot; one holds for all."),
                io.Mask.Input("mask", optional=True, tooltip="Becomes its alpha."),
                io.String.Input(
                    "colour",
                    default=SRGB,
                    tooltip="Its colour space, an interop id or a name "
                    "of OCIO: srgb_rec709_scene, lin_rec709_scene …, or data for numbers.",
                ),
                *_of_masks(),
            ],
            outputs=[RELUME.Output(id="picture", display_name="picture")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, image: Any, colour: str, mask_is: str, first_frame: int, mask: Any = None
    ) -> io.NodeOutput:
        """Return the picture."""
        pixels = image
        if mask is not None:
            alpha = _matte(mask, mask_is)
            if alpha.shape[1:3] != image.shape[1:3]:
                raise RelumeError("The MASK is of another size than the IMAGE.", "usage")
            alpha = alpha[..., None].expand(len(image), -1, -1, -1).to(image)
            pixels = torch.cat((image[..., :3], alpha), dim=-1)
        name = f"image_{plain_word(cls.hidden.unique_id)}"
        batch = Batch(pixels, "RGBA"[: pixels.shape[-1]], colour, first=first_frame)
        return io.NodeOutput(lent(name, batch))


class RelumeFromMask(io.ComfyNode):
    """A MASK as a matte of relume."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return what ComfyUI shows."""
        return io.Schema(
            node_id="RelumeFromMask",
            display_name="Relume from MASK",
            category=CATEGORY,
            description="A MASK as a matte of relume, in which 1 is the subject.",
            inputs=[
                io.Mask.Input("mask", tooltip="Frames of the shot; one holds for all."),
                *_of_masks(),
            ],
            outputs=[RELUME.Output(id="matte", display_name="matte")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, mask: Any, mask_is: str, first_frame: int) -> io.NodeOutput:
        """Return the matte."""
        pixels = _matte(mask, mask_is)[..., None]
        name = f"mask_{plain_word(cls.hidden.unique_id)}"
        return io.NodeOutput(lent(name, Batch(pixels, "A", "data", first=first_frame)))


class RelumeToImage(io.ComfyNode):
    """A picture of relume as IMAGE and MASK."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return what ComfyUI shows."""
        return io.Schema(
            node_id="RelumeToImage",
            display_name="Relume to IMAGE",
            category=CATEGORY,
            description="Render, as an IMAGE of the display window and a MASK in which 1 is the "
            "subject. Nothing is clamped; data such as normals are the stored numbers.",
            inputs=[
                io.MultiType.Input("picture", types=[RELUME, LAYERS, ENVIRONMENT]),
                io.String.Input("layer", default="", tooltip="Which of several layers."),
                io.String.Input(
                    "colour",
                    default=SRGB,
                    tooltip="Colour space of the IMAGE: ComfyUI's own is "
                    "srgb_rec709_scene; lin_rec709_scene and others are for nodes that know.",
                ),
                io.Combo.Input(
                    "alpha",
                    options=["as it is", "straight", "premultiplied"],
                    default="as it is",
                    tooltip="Whether the numbers of the IMAGE are multiplied by the MASK.",
                ),
                io.String.Input("frames", default="", tooltip=_FRAMES),
            ],
            outputs=[
                io.Image.Output(id="image", display_name="image"),
                io.Mask.Output(
                    id="mask", display_name="mask", tooltip="1 is the subject: the alpha."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, picture: Value, layer: str, colour: str, alpha: str, frames: str
    ) -> io.NodeOutput:
        """Return the IMAGE and the MASK."""
        if picture.type == "Layers" and not layer:
            raise RelumeError("There are several layers; name one, such as diffuse.", "usage")
        wanted: dict[str, Any] = {"channels": "RGBA", "colour": colour}
        if layer and picture.type == "Layers":
            wanted["layer"] = layer
        if alpha != "as it is":
            wanted["alpha"] = alpha
        found = [
            torch.from_numpy(_whole(layers[0]))
            for layers in rendered(picture, picture.frames(frames), **wanted)
        ]
        if len({frame.shape for frame in found}) > 1:
            raise RelumeError("The frames are of different sizes; use Relume reformat.", "usage")
        batch = torch.stack(found)
        return io.NodeOutput(batch[..., :3].contiguous(), batch[..., 3].contiguous())


class RelumeSaveGraph(io.ComfyNode):
    """The graph behind a picture, as `relume run` and the farm render it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return what ComfyUI shows."""
        return io.Schema(
            node_id="RelumeSaveGraph",
            display_name="Relume save graph",
            category=CATEGORY,
            description="Write the graph behind a picture for `relume run` and the farm. Pictures "
            "of ComfyUI are its input nodes; on a farm, read nodes of the same names take their "
            "place.",
            inputs=[
                io.MultiType.Input("picture", types=[RELUME, LAYERS]),
                io.String.Input("file", default="", tooltip="JSON file to write."),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, picture: Value, file: str) -> io.NodeOutput:
        """Write the file."""
        if not file:
            raise RelumeError("Name the file to write.", "usage")
        try:
            Path(file).expanduser().write_text(saved(picture), encoding="utf-8")
        except OSError as error:
            raise RelumeError(f"{file} cannot be written: {error.strerror}.", "failed") from error
        return io.NodeOutput()


def bridges() -> list[type[io.ComfyNode]]:
    """Return the nodes of this module."""
    return [RelumeFromImage, RelumeFromMask, RelumeToImage, RelumeSaveGraph]


def _whole(layer: Layer) -> np.ndarray:
    """Return the display window of a layer; black and clear where there is no data."""
    x0, y0, x1, y1 = layer.fields["display"]
    out = np.zeros((y1 - y0, x1 - x0, layer.pixels.shape[-1]), np.float32)
    x, y = layer.fields["x"] - x0, layer.fields["y"] - y0
    height, width = layer.pixels.shape[:2]
    top, left = max(0, y), max(0, x)
    bottom, right = min(y + height, len(out)), min(x + width, out.shape[1])
    if bottom > top and right > left:
        out[top:bottom, left:right] = layer.pixels[top - y : bottom - y, left - x : right - x]
    return out
