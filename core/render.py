"""Render frames of a graph to files: evaluate, write atomically, report, go on."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from relume.errors import Cancelled, Exit, InputError, RelumeError, UsageError, blame
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
        seconds: preparing, computing and writing; not waiting in between.
        warnings: sentences worth reading.
        nodes: seconds of every node that ran for it.
        peak_memory: most bytes the process held while it was computed; 0 where nobody looked.
        digest: SHA-256 of the file; "" where nobody asked.
        attempts: how often it was tried.
        worker: host and process it was rendered on; "" where nobody asked.
    """

    node: str
    frame: int
    path: str
    status: Status
    error: RelumeError | None = None
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    nodes: dict[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    digest: str = ""
    attempts: int = 1
    worker: str = ""


@dataclass(slots=True, eq=False)
class Output:
    """A file on its way.

    Attributes:
        report: what became of it so far.
        fingerprint: what it is made from.
        deliverable: what is to be written, once it is computed.
    """

    report: FrameReport
    fingerprint: str = ""
    deliverable: Deliverable | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is more to be done: it neither failed nor was current."""
        return self.report.status == "done"


class Renderer:
    """The three steps behind every file; each may run in a thread of its own.

    A step that fails marks the report of its file, and the later steps leave it alone.

    Args:
        evaluator: the graph and what the job fixes.
        frames: every frame that will be rendered.
        overwrite: replace files that relume did not write.
        skip_existing: leave files alone that read fully and carry the same fingerprint.

    Raises:
        UsageError: the graph writes nothing.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        frames: Iterable[int],
        *,
        overwrite: bool = False,
        skip_existing: bool = False,
    ) -> None:
        self.evaluator = evaluator
        self.frames = list(frames)
        self.overwrite = overwrite
        self.skip_existing = skip_existing
        self.targets = sinks(evaluator.graph, evaluator.registry)
        self._inputs = _Inputs(_input_files(evaluator, self.frames))

    @property
    def files(self) -> list[tuple[str, int]]:
        """The node and frame of every file, in the order they are rendered."""
        return [(name, frame) for frame in self.frames for name in self.targets]

    def path(self, name: str, frame: int) -> Path:
        """Return the file a node writes at a frame."""
        from relume.media.sequence import path_at

        return path_at(str(self.evaluator.node(name, frame).values[self.targets[name]]), frame)

    def reads(self, path: Path) -> bool:
        """Return whether a path is a file the graph reads at any of the frames."""
        return bool(self._inputs.same_as(path))

    def prepare(self, name: str, frame: int) -> Output:
        """Check the target, find the fingerprint, and see whether the file is current."""
        from relume.media import write as media

        path = self.path(name, frame)
        output = Output(FrameReport(node=name, frame=frame, path=str(path), status="done"))
        with _step(output):
            # Among what the graph reads, only a file that is this one matters.
            inputs = self._inputs.same_as(path)
            media.check_target(path, inputs=inputs, overwrite=self.overwrite or self.skip_existing)
            output.fingerprint = self.evaluator.fingerprint(name, frame)
            if self.skip_existing and media.is_current(path, output.fingerprint):
                output.report.status = "skipped"
            else:
                media.check_target(path, inputs=inputs, overwrite=self.overwrite)
        return output

    def compute(self, output: Output) -> None:
        """Compute what is to be written."""
        report = output.report
        before = dict(self.evaluator.seconds)
        with _step(output):
            output.deliverable = self.evaluator.evaluate(report.node, report.frame)
        for node, seconds in self.evaluator.seconds.items():
            spent = seconds - before.get(node, 0.0)
            if spent > 0.0:
                report.nodes[node] = report.nodes.get(node, 0.0) + spent

    def write(self, output: Output) -> None:
        """Write the file, and let go of its pixels."""
        from relume.media import write as media

        deliverable, output.deliverable = output.deliverable, None
        if deliverable is None:
            return
        with _step(output):
            output.report.warnings += media.write(
                output.report.path,
                deliverable.layers,
                depth=deliverable.depth,
                compression=deliverable.compression,
                multipart=deliverable.multipart,
                fingerprint=output.fingerprint,
                inputs=self._inputs.same_as(Path(output.report.path)),
                overwrite=self.overwrite,
            )


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
    renderer = Renderer(evaluator, frames, overwrite=overwrite, skip_existing=skip_existing)
    reports: list[FrameReport] = []
    for name, frame in renderer.files:
        output = renderer.prepare(name, frame)
        if output.is_open:
            renderer.compute(output)
        renderer.write(output)
        report = output.report
        reports.append(report)
        if on_frame:
            on_frame(report)
        if report.error is not None:
            # A refused target is refused for every frame: there is no use in going on.
            if isinstance(report.error, UsageError) and len(reports) == 1:
                raise report.error
            if fail_fast:
                break
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


class _Inputs:
    """The files a graph reads; a target is compared with all of them at once.

    Args:
        files: their paths.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._files: dict[object, str] = {}
        for file in files:
            self._files[os.path.realpath(file)] = file
            with suppress(OSError):
                status = Path(file).stat()
                self._files[status.st_dev, status.st_ino] = file

    def same_as(self, path: Path) -> list[str]:
        """Return the input that a path is, or would be once it exists; also through a link."""
        places: list[object] = [os.path.realpath(path)]
        with suppress(OSError):
            status = path.stat()
            places.append((status.st_dev, status.st_ino))
        return [self._files[place] for place in places if place in self._files][:1]


@contextmanager
def _step(output: Output) -> Iterator[None]:
    """Time a step of a file, and note in its report what goes wrong."""
    report = output.report
    start = time.perf_counter()
    try:
        with blame(report.node, report.frame):
            yield
    except Cancelled:
        raise
    except RelumeError as error:
        report.status = "failed"
        report.error = error
        _let_go(error)
    finally:
        report.seconds += time.perf_counter() - start


def _let_go(error: BaseException | None) -> None:
    """Free what the places an error passed through held: whole pictures, as long as it is kept."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
