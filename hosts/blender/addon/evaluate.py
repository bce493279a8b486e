# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees run in relume's worker, and what comes back put into images of Blender."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import document, tree
from .relume_client import Cancelled, Output, Picture, RelumeError, Worker

COLOURS = {
    "Linear Rec.709": "lin_rec709_scene",
    "Linear Rec.2020": "lin_rec2020_scene",
    "ACEScg": "lin_ap1_scene",
    "ACES2065-1": "lin_ap0_scene",
    "sRGB": "srgb_rec709_scene",
    "Non-Color": "data",
}
"""Colour spaces by Blender's names → by the names that every application shares."""

MISSING = (1.0, 0.0, 1.0, 1.0)
"""What is seen where relume failed: a picture of another frame would not be noticed."""

worker = Worker(f"Blender {bpy.app.version_string}")
stop = threading.Event()
"""Set to make the render under way end."""

Progress = Callable[[str, int, float], None]


@dataclass
class Job:
    """What is to be rendered, free of Blender's data, so that any thread may do it.

    Attributes:
        graph: the document.
        wanted: reference, layer and name of the image for each output.
        inputs: name of an Input node → serial of its image.
        images: serial → the image.
        colour: scene-linear space of Blender.
        folder: what relative paths start from.
    """

    graph: document.Document
    wanted: list[tuple[str, str, str]] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    images: dict[str, Picture] = field(default_factory=dict)
    colour: str = ""
    folder: str | None = None


@dataclass
class Shown:
    """A picture for an image of Blender.

    Attributes:
        name: of the image.
        pixels: H×W×4 float32, the display window, bottom row first, premultiplied.
        is_data: whether it holds numbers rather than light.
    """

    name: str
    pixels: Any
    is_data: bool


def prepare(ntree: Any, scene: Any) -> Job:
    """Return what the outputs of a tree need; call it from Blender's main thread.

    Raises:
        RelumeError: nothing is wired to an output, or an Input node has no image.
    """
    job = Job(document.from_tree(ntree, scene), colour=scene_linear()[1])
    job.folder = str(Path(bpy.data.filepath).parent) if bpy.data.filepath else None
    for node in ntree.nodes:
        if node.bl_idname == tree.OUTPUT and not node.mute:
            source = document.reference(node.inputs[0])
            if source:
                job.wanted.append((source, node.layer, node.image_name))
    if not job.wanted:
        raise RelumeError(
            f"Nothing is wired to an Image Output in '{ntree.name}'; add one.", "usage"
        )
    used = _upstream(job)
    for node in ntree.nodes:
        if node.bl_idname == tree.node_name(tree.INPUT):
            name = tree.name_in_graph(node)
            if name in used:
                serial, picture = _lent(node, name)
                job.inputs[name], job.images[serial] = serial, picture
    return job


def compute(job: Job, frame: int, progress: Progress | None = None) -> list[Shown]:
    """Render a frame; any thread may call this.

    Args:
        job: what to render.
        frame: of the shot.
        progress: called with a node, a frame and the fraction that is done.

    Raises:
        RelumeError: anything that goes wrong, in words for the artist.
    """
    if stop.is_set():
        # A frame that is there already would come before anybody asked.
        raise Cancelled("the render was stopped", "cancelled")
    outputs = [
        Output(
            source,
            layer=layer or None,
            channels="RGBA",
            rows="bottom_up",
            colour=job.colour,
            alpha="premultiplied",
        )
        for source, layer, _ in job.wanted
    ]
    results = worker.render(
        job.graph,
        frame,
        outputs,
        inputs=job.inputs,
        images=job.images,
        folder=job.folder,
        on_progress=progress,
        is_cancelled=stop.is_set,
    )
    names = {}
    for source, layer, name in job.wanted:
        names[source, layer] = name
    shown = []
    for result in results:
        if result.pixels is None:
            continue
        layer = result.fields.get("layer", "")
        name = names.get((result.output, layer)) or f"{names[result.output, '']}.{layer}"
        shown.append(Shown(name, _whole(result), result.colour == "data"))
    return shown


def show(pictures: Iterable[Shown]) -> list[Any]:
    """Put pictures into images of Blender, made where they are missing; return the images."""
    return [_fill(picture) for picture in pictures]


def fail(ntree: Any) -> None:
    """Make the images of a tree look wrong."""
    for node in ntree.nodes:
        if node.bl_idname != tree.OUTPUT:
            continue
        for image in bpy.data.images:
            own = image.name == node.image_name or image.name.startswith(node.image_name + ".")
            if own and image.get("relume"):
                pixels = np.empty((image.size[1], image.size[0], 4), np.float32)
                pixels[:] = MISSING
                _fill(Shown(image.name, pixels, image.colorspace_settings.name == "Non-Color"))


def before_render(scene: Any, *unused: Any) -> None:
    """Render the trees of this file for the frame that Blender is about to render."""
    stop.clear()
    for ntree in bpy.data.node_groups:
        outputs = [n for n in ntree.nodes if n.bl_idname == tree.OUTPUT and not n.mute]
        if ntree.bl_idname != tree.TREE or not any(n.inputs[0].is_linked for n in outputs):
            continue
        try:
            show(compute(prepare(ntree, scene), scene.frame_current))
            ntree.problem = ""
        except RelumeError as error:
            ntree.problem = str(error)
            print(f"relume: {error}", file=sys.stderr)
            fail(ntree)


_named: list[str] = []
"""Blender's name of its scene-linear space, once it is known; it holds for the whole session."""


def scene_linear() -> tuple[str, str]:
    """Return Blender's scene-linear space: its name in Blender, and the shared name.

    Before Blender 5 this makes an image, which is not allowed while the interface is drawn.
    """
    space = getattr(bpy.data, "colorspace", None)
    if space is not None:
        return space.working_space, space.working_space_interop_id
    if not _named:
        # A new float image is in the scene-linear space, whatever the configuration calls it.
        image = bpy.data.images.new("relume", 1, 1, float_buffer=True)
        _named.append(image.colorspace_settings.name)
        bpy.data.images.remove(image)
    return _named[0], COLOURS.get(_named[0], _named[0])


def _upstream(job: Job) -> set[str]:
    """Return the nodes of a graph that its outputs depend on."""
    nodes = job.graph["nodes"]
    left = [source.partition(".")[0] for source, *_ in job.wanted]
    found: set[str] = set()
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += document.sources(nodes[name])
    return found


_count = 0


def _lent(node: Any, name: str) -> tuple[str, Picture]:
    """Return the image of an Input node and its serial."""
    global _count
    image = node.picture
    if image is None or 0 in image.size:
        raise RelumeError(f"The node '{name}' has no image; choose one that can be read.", "usage")
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    space = image.colorspace_settings.name
    colour = COLOURS.get(space, space)
    if image.is_float and colour != "data":
        # Blender brings what it reads as float to its own space.
        colour = scene_linear()[1]
    # Nothing tells when an artist paints, so the pixels count as new each time.
    _count += 1
    picture = Picture(
        pixels,
        width,
        height,
        ("Y", "YA", "RGB", "RGBA")[image.channels - 1],
        rows="bottom_up",
        colour=colour,
        alpha="premultiplied" if image.is_float else "straight",
    )
    return f"{image.name}:{_count}", picture


def _whole(result: Any) -> Any:
    """Return the display window of a result, 0 where it has no pixels."""
    x0, y0, x1, y1 = result.display
    pixels = np.frombuffer(result.pixels, np.float32)
    pixels = pixels.reshape(result.height, result.width, len(result.channels))
    whole = np.zeros((y1 - y0, x1 - x0, 4), np.float32)
    left, low = result.x - x0, y1 - (result.y + result.height)
    columns = slice(max(0, left), min(x1 - x0, left + result.width))
    rows = slice(max(0, low), min(y1 - y0, low + result.height))
    whole[rows, columns] = pixels[
        rows.start - low : rows.stop - low, columns.start - left : columns.stop - left
    ]
    return whole


def _fill(picture: Shown) -> Any:
    height, width = picture.pixels.shape[:2]
    image = bpy.data.images.get(picture.name)
    if image is not None and not image.get("relume"):
        raise RelumeError(
            f"There is an image '{picture.name}' that is not relume's; rename the output.", "usage"
        )
    if image is None:
        image = bpy.data.images.new(picture.name, width, height, alpha=True, float_buffer=True)
        image["relume"] = True
        image.alpha_mode = "PREMUL"
        # Blender drops what nothing uses, and a file saved without it would render black.
        image.use_fake_user = True
    if tuple(image.size) != (width, height):
        image.scale(width, height)
    space = "Non-Color" if picture.is_data else scene_linear()[0]
    if image.colorspace_settings.name != space:
        image.colorspace_settings.name = space
    image.pixels.foreach_set(np.ascontiguousarray(picture.pixels).reshape(-1))
    image.update()
    return image
