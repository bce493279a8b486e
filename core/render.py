"""Render frames of a graph to files: evaluate, write atomically, report, go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from relume.errors import Cancelled, Exit, InputError, RelumeError, UsageError
from relume.evaluate import Evaluator
from relume.frames import Shot
from relume.graph import Graph
from relume.image import Layers
from relume.knobs import File, OutputFile
from relume.node import Registry

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True, slots=True, eq=False)
class Deliverable:
    """A frame ready to be written: what a node with an output file hands to the renderer.

    Attributes:
        layers: layers by name in their output colour space; `rgba` is the main one.
        depth: `half` or `float`.
        compression: an OpenEXR compression.
        multipart: one part a layer instead of one part for all.
    """

    layers: Layers
    depth: str = "half"
    compression: str = "zips"
    multipart: bool = False


@dataclass(slots=True)
class FrameReport:
    """What became of one frame of one output.

    Attributes:
        node: the node that asked for the file.
        frame: the frame.
        path: the file.
        status: whether it was written, was current already, or failed.
        error: why it failed.
        seconds: computing and writing.
        warnings: sentences worth reading.
    """

    node: str
    frame: int
    path: str
    status: Status
    error: RelumeError | None = None
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)


def sinks(graph: Graph, registry: Registry) -> dict[str, str]:
    """Return the nodes that write files, each with the knob that names the file.

    Raises:
        UsageError: there is none, or a file is not named.
    """
    found = {}
    for name, node in graph.nodes.items():
        for key in registry.find(node.type, name).members(OutputFile):
            found[name] = key
            if not node.knobs.get(key):
                raise UsageError(
                    f"the knob '{key}' names no file to write",
                    way_out=f"Use --set {name}.{key}=OUT.####.exr",
                    node=name,
                )
    if not found:
        raise UsageError("the graph writes no file", way_out="Add a Write node")
    return found


def resolve_shot(graph: Graph, registry: Registry, frames: Iterable[int] = ()) -> Shot:
    """Return the graph's shot; unset, the frames of its first sequence, else those asked for.

    Args:
        graph: the graph.
        registry: the node types.
        frames: the frames to be rendered.

    Raises:
        UsageError: the graph's shot is not a range.
    """
    from relume.media.sequence import existing_frames

    if graph.shot:
        return Shot.parse(graph.shot)
    for name, node in graph.nodes.items():
        for key in registry.find(node.type, name).members(File):
            pattern = node.knobs.get(key)
            found = existing_frames(pattern) if isinstance(pattern, str) and pattern else []
            if found:
                offset = node.knobs.get("offset", 0)
                shift = offset if isinstance(offset, int) else 0
                return Shot(min(found) - shift, max(found) - shift)
    wanted = list(frames) or [1]
    return Shot(min(wanted), max(wanted))


def render(
    evaluator: Evaluator,
    frames: Iterable[int],
    *,
    overwrite: bool = False,
    skip_existing: bool = False,
    fail_fast: bool = False,
    on_frame: Callable[[FrameReport], None] | None = None,
) -> list[FrameReport]:
    """Render every output of a graph at the frames given.

    A frame that fails is reported and the others go on. No target that is an input of the graph,
    and no file that relume did not write, is touched.

    Args:
        evaluator: the graph and what the job fixes.
        frames: frames to render, in this order.
        overwrite: replace files that relume did not write.
        skip_existing: leave files alone that read fully and carry the same fingerprint.
        fail_fast: stop at the first failure.
        on_frame: called after each file.

    Returns:
        One report a file.

    Raises:
        UsageError: the graph writes nothing, or would write over one of its inputs.
        Cancelled: the user asked to stop; finished frames are kept.
    """
    wanted = list(frames)
    targets = sinks(evaluator.graph, evaluator.registry)
    inputs = _input_files(evaluator, wanted)
    reports: list[FrameReport] = []
    for frame in wanted:
        for name, knob in targets.items():
            report = _render_frame(evaluator, name, knob, frame, inputs, overwrite, skip_existing)
            reports.append(report)
            if on_frame:
                on_frame(report)
            if report.error is not None:
                # A refused target is refused for every frame: there is no use in going on.
                if isinstance(report.error, UsageError) and len(reports) == 1:
                    raise report.error
                if fail_fast:
                    return reports
    return reports


def exit_code(reports: Iterable[FrameReport]) -> Exit:
    """Return the exit code of a render: that of the failure where all frames failed alike."""
    everything = list(reports)
    failed = [report.error for report in everything if report.error is not None]
    if not failed:
        return Exit.DONE
    codes = {error.exit_code for error in failed}
    if len(failed) == len(everything) and len(codes) == 1:
        return codes.pop()
    return Exit.FRAMES_FAILED


def _input_files(evaluator: Evaluator, frames: list[int]) -> set[str]:
    """Return every file the graph reads at the frames, so that none is ever written."""
    files: set[str] = set()
    for name in evaluator.graph.nodes:
        for frame in {*frames, evaluator.settings.shot.first}:
            try:
                files.update(evaluator.node(name, frame).files(frame))
            except InputError:
                continue  # a missing file is reported by the frame that needs it
    return files


def _render_frame(
    evaluator: Evaluator,
    name: str,
    knob: str,
    frame: int,
    inputs: set[str],
    overwrite: bool,
    skip_existing: bool,
) -> FrameReport:
    from relume.media import write as media
    from relume.media.sequence import path_at

    start = time.perf_counter()
    node = evaluator.node(name, frame)
    path = path_at(str(node.values[knob]), frame)
    report = FrameReport(node=name, frame=frame, path=str(path), status="done")
    try:
        media.check_target(path, inputs=inputs, overwrite=overwrite or skip_existing)
        fingerprint = evaluator.fingerprint(name, frame)
        if skip_existing and media.is_current(path, fingerprint):
            report.status = "skipped"
        else:
            media.check_target(path, inputs=inputs, overwrite=overwrite)
            deliverable: Deliverable = evaluator.evaluate(name, frame)
            report.warnings = media.write(
                path,
                deliverable.layers,
                depth=deliverable.depth,
                compression=deliverable.compression,
                multipart=deliverable.multipart,
                fingerprint=fingerprint,
                inputs=inputs,
                overwrite=overwrite,
            )
    except Cancelled:
        raise
    except RelumeError as error:
        report.status = "failed"
        report.error = error.locate(node=name, frame=frame)
    report.seconds = time.perf_counter() - start
    return report
