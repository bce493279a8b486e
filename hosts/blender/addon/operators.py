# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist can do in the Relume editor."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from . import document, evaluate, transport_group, tree
from .relume_client import Cancelled, RelumeError

POLL = 0.1
"""Seconds between two looks at a render under way."""


def tree_of(context: Any) -> Any:
    """Return the tree that an editor shows, else the only one of the file, or None."""
    space = context.space_data
    if space is not None and getattr(space, "tree_type", "") == tree.TREE:
        return space.edit_tree
    trees = [ntree for ntree in bpy.data.node_groups if ntree.bl_idname == tree.TREE]
    return trees[0] if len(trees) == 1 else None


class OnTree:
    """An operator that needs a tree."""

    report: Any

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Return whether there is a tree."""
        return tree_of(context) is not None

    def fails(self, ntree: Any, error: Exception) -> set[str]:
        """Tell the artist, and keep the sentence in the panel."""
        ntree.problem = str(error)
        self.report({"ERROR"}, str(error))
        return {"CANCELLED"}


class RELUME_OT_evaluate(OnTree, bpy.types.Operator):
    """Run the graph and fill the images that are wired to its outputs."""

    bl_idname = "relume.evaluate"
    bl_label = "Run"

    scope: bpy.props.EnumProperty(
        name="Frames",
        items=[
            ("STILL", "Still", "This frame"),
            ("CLIP", "Clip", "The frames of a movie clip"),
            ("SEQUENCE", "Sequence", "The frames of the scene"),
        ],
    )
    clip: bpy.props.StringProperty(name="Clip", description="Movie clip; the first by default")
    directory: bpy.props.StringProperty(
        name="Folder",
        subtype="DIR_PATH",
        description="Where the images of clips and sequences are saved as IMAGE.####.exr",
        default="//relume/",
    )

    def execute(self, context: Any) -> set[str]:
        """Run to the end."""
        ntree = tree_of(context)
        try:
            frames = self._frames(context)
            job = self._begin(ntree, context)
            for frame in frames:
                self._finish(evaluate.compute(job, frame), frame)
        except RelumeError as error:
            return self.fails(ntree, error)
        return {"FINISHED"}

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Run beside the interface, which stays alive: Esc cancels."""
        del event
        if bpy.app.background:
            return self.execute(context)
        self.ntree = tree_of(context)
        try:
            self.frames = list(self._frames(context))
            self.job = self._begin(self.ntree, context)
        except RelumeError as error:
            return self.fails(self.ntree, error)
        self.total = len(self.frames)
        self.told = ""
        self._start()
        manager = context.window_manager
        manager.progress_begin(0, self.total)
        self.timer = manager.event_timer_add(POLL, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        """Look whether a frame is done."""
        if event.type == "ESC":
            evaluate.stop.set()
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        context.workspace.status_text_set(f"relume: {self.told}   (Esc cancels)")
        context.window_manager.progress_update(self.total - len(self.frames))
        if self.thread.is_alive():
            return {"PASS_THROUGH"}
        if self.error is not None:
            return self._end(context, self.error)
        try:
            self._finish(self.pictures, self.frames.pop(0))
        except RelumeError as error:
            return self._end(context, error)
        if not self.frames:
            return self._end(context, None)
        self._start()
        return {"RUNNING_MODAL"}

    def _begin(self, ntree: Any, context: Any) -> evaluate.Job:
        if self.scope != "STILL" and self.directory.startswith("//") and not bpy.data.filepath:
            raise RelumeError(
                "The images are saved beside the Blender file, which has no place yet; save it "
                "first, or name a folder.",
                "usage",
            )
        evaluate.stop.clear()
        ntree.problem = ""
        return evaluate.prepare(ntree, context.scene)

    def _start(self) -> None:
        self.error: RelumeError | None = None
        self.pictures: list[evaluate.Shown] = []

        def work() -> None:
            try:
                self.pictures = evaluate.compute(self.job, self.frames[0], self._tell)
            except RelumeError as error:
                self.error = error

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def _tell(self, node: str, frame: int, fraction: float) -> None:
        self.told = f"{node}, frame {frame}, {fraction:.0%}"

    def _end(self, context: Any, error: RelumeError | None) -> set[str]:
        context.window_manager.event_timer_remove(self.timer)
        context.window_manager.progress_end()
        context.workspace.status_text_set(None)
        if isinstance(error, Cancelled):
            return {"CANCELLED"}
        return self.fails(self.ntree, error) if error else {"FINISHED"}

    def _frames(self, context: Any) -> Sequence[int]:
        scene = context.scene
        if self.scope == "STILL":
            return [scene.frame_current]
        if self.scope == "SEQUENCE":
            return range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
        clip = _clip(self.clip)
        return range(clip.frame_start, clip.frame_start + clip.frame_duration)

    def _finish(self, pictures: Sequence[evaluate.Shown], frame: int) -> None:
        images = evaluate.show(pictures)
        if self.scope != "STILL":
            folder = Path(bpy.path.abspath(self.directory))
            folder.mkdir(parents=True, exist_ok=True)
            save(images, folder, frame)


class RELUME_OT_cancel(bpy.types.Operator):
    """Stop what relume computes, also during a render of Blender."""

    bl_idname = "relume.cancel"
    bl_label = "Stop"

    def execute(self, context: Any) -> set[str]:
        """Ask for it."""
        del context
        evaluate.stop.set()
        return {"FINISHED"}


class RELUME_OT_save_graph(OnTree, bpy.types.Operator):
    """Write the graph as the document that `relume run` and the farm render."""

    bl_idname = "relume.save_graph"
    bl_label = "Save Graph…"

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask for the file."""
        del event
        self.filepath = self.filepath or f"{tree_of(context).name}.json"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Let relume check the graph and write it."""
        ntree = tree_of(context)
        try:
            graph = document.from_tree(ntree, context.scene)
            text = evaluate.worker.open(graph)["json"]
            Path(bpy.path.abspath(self.filepath)).write_text(text, encoding="utf-8")
        except (OSError, RelumeError) as error:
            return self.fails(ntree, error)
        return {"FINISHED"}


class RELUME_OT_open_graph(bpy.types.Operator):
    """Make a tree of a graph document."""

    bl_idname = "relume.open_graph"
    bl_label = "Open Graph…"

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask for the file."""
        del event
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Read it."""
        path = Path(bpy.path.abspath(self.filepath))
        ntree = bpy.data.node_groups.new(path.stem, tree.TREE)
        try:
            # relume checks it, and brings what an older version wrote up to date.
            checked = evaluate.worker.open(json.loads(path.read_text(encoding="utf-8")))
            document.to_tree(json.loads(checked["json"]), ntree)
        except (OSError, ValueError, KeyError, TypeError, RelumeError) as error:
            bpy.data.node_groups.remove(ntree)
            self.report({"ERROR"}, f"{path.name} cannot be opened: {error}")
            return {"CANCELLED"}
        if getattr(context.space_data, "tree_type", "") == tree.TREE:
            context.space_data.node_tree = ntree
        return {"FINISHED"}


class RELUME_OT_to_compositor(OnTree, bpy.types.Operator):
    """Run this frame, and add an Image node to the compositor for each image it fills."""

    bl_idname = "relume.to_compositor"
    bl_label = "Add to Compositor"

    def execute(self, context: Any) -> set[str]:
        """Run, and add what is not there yet."""
        ntree, scene = tree_of(context), context.scene
        try:
            job = evaluate.prepare(ntree, scene)
            evaluate.stop.clear()
            images = evaluate.show(evaluate.compute(job, scene.frame_current))
        except RelumeError as error:
            return self.fails(ntree, error)
        target = transport_group.compositor(scene)
        there = {getattr(node, "image", None) for node in target.nodes}
        for image in images:
            if image not in there:
                node = target.nodes.new("CompositorNodeImage")
                node.image = image
                node.location = (-500, -320 * len(target.nodes))
        # The images change while a render runs, and the interface must not read them meanwhile.
        scene.render.use_lock_interface = True
        return {"FINISHED"}


class RELUME_OT_read_clip(OnTree, bpy.types.Operator):
    """Add a Read node for a movie clip that is a sequence of images."""

    bl_idname = "relume.read_clip"
    bl_label = "Read Clip"

    clip: bpy.props.StringProperty(name="Clip", description="Movie clip; the first by default")

    def execute(self, context: Any) -> set[str]:
        """Add the node."""
        ntree = tree_of(context)
        try:
            clip = _clip(self.clip)
            file, offset = sequence_of(clip)
        except RelumeError as error:
            return self.fails(ntree, error)
        node = ntree.nodes.new(tree.node_name("read"))
        node.file, node.offset = file, offset
        return {"FINISHED"}


class RELUME_OT_reload_nodes(bpy.types.Operator):
    """Ask relume which nodes it has, as after an update of it."""

    bl_idname = "relume.reload_nodes"
    bl_label = "Reload Nodes"

    def execute(self, context: Any) -> set[str]:
        """Make the nodes again."""
        from . import panels

        del context
        try:
            declarations = evaluate.worker.nodes()
        except RelumeError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        panels.unregister()
        tree.register(declarations)
        panels.register()
        return {"FINISHED"}


class RELUME_OT_transport_group(bpy.types.Operator):
    """Make the node group that lights a transport without relume."""

    bl_idname = "relume.transport_group"
    bl_label = "Add Transport Group"

    def execute(self, context: Any) -> set[str]:
        """Make it; it is found under Add, Group."""
        del context
        transport_group.transport_group()
        return {"FINISHED"}


def save(images: Sequence[Any], folder: Path, frame: int) -> None:
    """Write images as IMAGE.####.exr, in float and in Blender's scene-linear space."""
    # `Image.save` would encode them for a display; the settings of a scene of its own do not.
    scene = bpy.data.scenes.new("relume")
    try:
        settings = scene.render.image_settings
        settings.file_format, settings.color_depth, settings.color_mode = "OPEN_EXR", "32", "RGBA"
        for image in images:
            image.save_render(str(folder / f"{image.name}.{frame:04d}.exr"), scene=scene)
    finally:
        bpy.data.scenes.remove(scene)


def sequence_of(clip: Any) -> tuple[str, int]:
    """Return the pattern of a clip's files, and what is added to a frame to find its number.

    Raises:
        RelumeError: the clip is a movie.
    """
    path = Path(bpy.path.abspath(clip.filepath))
    numbers = list(re.finditer(r"\d+", path.stem))
    if clip.source != "SEQUENCE" or not numbers:
        raise RelumeError(
            f"The clip '{clip.name}' is a movie, and relume reads images; make frames of it with "
            f"`ffmpeg -i {path.name} {path.stem}.%04d.png`.",
            "usage",
        )
    last = numbers[-1]
    pattern = f"{path.stem[: last.start()]}{'#' * len(last[0])}{path.stem[last.end() :]}"
    number = int(last[0]) + clip.frame_offset
    return str(path.with_name(pattern + path.suffix)), number - clip.frame_start


def _clip(name: str) -> Any:
    clips = bpy.data.movieclips
    clip = clips.get(name) if name else (clips[0] if len(clips) else None)
    if clip is None:
        raise RelumeError("There is no such movie clip in this file; open one first.", "usage")
    return clip


CLASSES = (
    RELUME_OT_evaluate,
    RELUME_OT_cancel,
    RELUME_OT_save_graph,
    RELUME_OT_open_graph,
    RELUME_OT_to_compositor,
    RELUME_OT_read_clip,
    RELUME_OT_reload_nodes,
    RELUME_OT_transport_group,
)
