"""Evaluation: request → key → compute. A node runs only when no result of its key is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from relume.cache import MemoryCache
from relume.errors import Cancelled, Exit, RelumeError, UsageError
from relume.frames import Shot
from relume.graph import Graph
from relume.image import DATA, Image
from relume.keys import digest
from relume.light.types import Environment
from relume.node import In, Node, Registry

Progress = Callable[[str, int, float], None]
Purpose = Literal["key", "fingerprint"]


class Cache(Protocol):
    """Where results are kept."""

    def get(self, key: str) -> Any | None:
        """Return a result, or None."""

    def put(self, key: str, value: Any) -> None:
        """Keep a result."""


class NodeFailed(RelumeError):
    """A node failed in a way nobody foresaw."""

    exit_code = Exit.FRAMES_FAILED


@dataclass(frozen=True, slots=True)
class Settings:
    """What a job fixes for every frame.

    Attributes:
        shot: the shot that temporal windows are clamped to.
        device: `cpu`, `cuda` or `mps`, with an optional index.
        precision: `float32`, or `float16` on an accelerator.
        threads: threads a network may use; results are the same bits for the same count.
    """

    shot: Shot
    device: str = "cpu"
    precision: str = "float32"
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Context:
    """What a node may ask for while it computes.

    Attributes:
        frame: the frame asked for.
        settings: what the job fixes.
        node: the node's name in the graph.
        externals: images a host lent, by serial.
        working_space: the scene-linear space of the graph.
        on_progress: called with (node, frame, fraction).
        is_cancelled: whether to stop.
        on_notice: called with a sentence the user should read once.
    """

    frame: int
    settings: Settings
    node: str
    working_space: str
    externals: Mapping[str, Image] = field(default_factory=dict)
    on_progress: Progress | None = None
    is_cancelled: Callable[[], bool] | None = None
    on_notice: Callable[[str], None] | None = None

    @property
    def shot(self) -> Shot:
        """The shot."""
        return self.settings.shot

    def weights(self, name: str) -> Any:
        """Return a network with its weights, ready on the job's device."""
        import torch

        from relume.weights import load

        if torch.get_num_threads() != self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        return load(name, self.settings.device)

    def progress(self, fraction: float) -> None:
        """Report how much of the node is done, and stop here if asked to."""
        self.check_cancel()
        if self.on_progress:
            self.on_progress(self.node, self.frame, fraction)

    def check_cancel(self) -> None:
        """Stop if asked to.

        Raises:
            Cancelled: the user or the host asked to stop.
        """
        if self.is_cancelled and self.is_cancelled():
            raise Cancelled("cancelled", node=self.node, frame=self.frame)

    def notice(self, text: str) -> None:
        """Tell the user something worth a look that is no error."""
        if self.on_notice:
            self.on_notice(f"{self.node}, frame {self.frame}: {text}")


class _Request:
    """What one request has found so far: it keeps results that no cache has room for."""

    def __init__(self) -> None:
        self.digests: dict[tuple[str, int, Purpose], str] = {}
        self.results: dict[str, tuple[Any, ...]] = {}


class Evaluator:
    """Computes outputs of a graph, frame by frame.

    Args:
        graph: a checked graph; it must not change while the evaluator lives.
        registry: the node types.
        settings: what the job fixes.
        caches: where results are kept, fastest first.
        externals: images a host lent, by serial, for Input nodes.
        on_progress: called with (node, frame, fraction) as nodes begin, go on and end.
        is_cancelled: asked between and within nodes.
        on_notice: called with sentences the user should read.
    """

    def __init__(
        self,
        graph: Graph,
        registry: Registry,
        settings: Settings,
        *,
        caches: list[Cache] | None = None,
        externals: Mapping[str, Image] | None = None,
        on_progress: Progress | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        self.graph = graph
        self.registry = registry
        self.settings = settings
        self.caches: list[Cache] = [MemoryCache()] if caches is None else caches
        self.externals = dict(externals or {})
        self.on_progress = on_progress
        self.is_cancelled = is_cancelled
        self.on_notice = on_notice
        self.computed: dict[str, int] = {}
        """How often each node ran."""
        self.seconds: dict[str, float] = {}
        """How long each node ran in all, its inputs left out."""

    def evaluate(self, reference: str, frame: int) -> Any:
        """Return an output `node.output` (or `node` with one output) at a frame.

        Raises:
            RelumeError: a node failed; the error names it and the frame.
        """
        name, _, output = reference.partition(".")
        return self._evaluate(name, output, frame, _Request())

    def key(self, name: str, frame: int) -> str:
        """Return the key of a node's results at a frame; no pixels are touched."""
        return self._digest(name, frame, "key", _Request())

    def fingerprint(self, name: str, frame: int) -> str:
        """Return what proves that a file is current, on any machine.

        It holds the contents of input files, node versions, knobs, weights and the frame, and
        no path, time, device or output target.
        """
        return self._digest(name, frame, "fingerprint", _Request())

    def node(self, name: str, frame: int) -> Node:
        """Return a node with its knobs resolved at a frame."""
        entry = self.graph.node(name)
        cls = self.registry.find(entry.type, name)
        declared = cls.knobs()
        try:
            values = {
                key: declared[key].at(value, frame)
                for key, value in entry.knobs.items()
                if key in declared
            }
        except UsageError as error:
            raise error.locate(node=name, frame=frame) from None
        return cls(name, values)

    def _frames(self, port: In, frame: int) -> list[int]:
        """Return the frames a port reads, clamped to the shot."""
        shot = self.settings.shot
        if port.frames == "first":
            return [shot.first]
        first, last = port.frames
        if not port.is_window:
            return [frame]
        return [shot.clamp(frame + offset) for offset in range(first, last + 1)]

    def _digest(self, name: str, frame: int, purpose: Purpose, request: _Request) -> str:
        if (name, frame, purpose) in request.digests:
            return request.digests[name, frame, purpose]
        node = self.node(name, frame)
        try:
            files = self._files(node, frame, purpose)
        except RelumeError as error:
            raise error.locate(node=name, frame=frame) from None
        declared = node.knobs()
        hidden = _file_knobs(declared) if purpose == "fingerprint" or files else set()
        knobs = {
            key: value
            for key, value in node.values.items()
            if declared[key].affects and key not in hidden
        }
        upstream = {}
        for key, port in node.inputs().items():
            wires = [wire for wire in self.graph.upstream(name) if wire[0] == key]
            upstream[key] = [
                [label, output, [self._digest(source, at, purpose, request) for at in times]]
                for _, label, reference in wires
                for source, _, output in [reference.partition(".")]
                for times in [self._frames(port, frame)]
            ]
        machine: list[object] = []
        if node.weights:
            from relume.weights import digest as weights_digest

            machine.append([weights_digest(weights) for weights in node.weights])
            if purpose == "key":
                settings = self.settings
                device = settings.device.partition(":")[0]
                machine.append([device, settings.precision, settings.threads])
        result = digest(
            node.id, node.version, knobs, files, upstream, machine, self._colour(),
            frame if node.uses_frame else None,
        )  # fmt: skip
        request.digests[name, frame, purpose] = result
        return result

    def _files(self, node: Node, frame: int, purpose: Purpose) -> list[object]:
        from relume.media.read import content_digest, identify

        if purpose == "key":
            return [list(identify(path)) for path in node.files(frame)]
        return [content_digest(path) for path in node.files(frame)]

    def _colour(self) -> list[str]:
        from relume.colour import config_digest

        return [self.graph.working_space, config_digest()]

    def _evaluate(self, name: str, output: str, frame: int, request: _Request) -> Any:
        key = self._digest(name, frame, "key", request)
        cls = self.registry.find(self.graph.node(name).type, name)
        outputs = list(cls.outputs())
        if key not in request.results:
            request.results[key] = self._kept(key) or self._compute_and_keep(
                key, name, frame, request
            )
        return request.results[key][outputs.index(output) if output else 0]

    def _kept(self, key: str) -> tuple[Any, ...] | None:
        for position, cache in enumerate(self.caches):
            result: tuple[Any, ...] | None = cache.get(key)
            if result is not None:
                for faster in self.caches[:position]:
                    faster.put(key, result)
                return result
        return None

    def _compute_and_keep(
        self, key: str, name: str, frame: int, request: _Request
    ) -> tuple[Any, ...]:
        result = self._compute(name, frame, request)
        for cache in self.caches:
            cache.put(key, result)
        return result

    def _compute(self, name: str, frame: int, request: _Request) -> tuple[Any, ...]:
        node = self.node(name, frame)
        context = Context(
            frame=frame,
            settings=self.settings,
            node=name,
            working_space=self.graph.working_space,
            externals=self.externals,
            on_progress=self.on_progress,
            is_cancelled=self.is_cancelled,
            on_notice=self.on_notice,
        )
        inputs = {
            key: self._input(node, port, frame, request) for key, port in node.inputs().items()
        }
        context.progress(0.0)
        start = time.perf_counter()
        try:
            result = node.compute(context, **inputs)
        except RelumeError as error:
            raise error.locate(node=name, frame=frame) from error.__cause__
        except MemoryError:
            raise NodeFailed(
                "there is not enough memory",
                way_out="Use --proxy, or a machine with more memory",
                node=name,
                frame=frame,
            ) from None
        except Exception as error:
            raise NodeFailed(
                f"{type(error).__name__}: {error}",
                way_out="This is a fault in relume; --debug shows where",
                node=name,
                frame=frame,
            ) from error
        self.computed[name] = self.computed.get(name, 0) + 1
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        context.progress(1.0)
        return tuple(result) if len(node.outputs()) > 1 else (result,)

    def _input(self, node: Node, port: In, frame: int, request: _Request) -> Any:
        values = {}
        for key, label, reference in self.graph.upstream(node.name):
            if key == port.name:
                source, _, output = reference.partition(".")
                frames = [
                    self._convert(port, self._evaluate(source, output, at, request), node, frame)
                    for at in self._frames(port, frame)
                ]
                values[label] = tuple(frames) if port.is_window else frames[0]
        return values if port.many else values.get("")

    def _convert(self, port: In, value: Any, node: Node, frame: int) -> Any:
        """Bring an image to what the port needs."""
        if port.colour != "scene_linear":
            return value
        image = value.image if isinstance(value, Environment) else value
        if not isinstance(image, Image) or image.colour in (DATA, self.graph.working_space):
            return value
        from relume.colour import convert

        try:
            converted = convert(image, self.graph.working_space)
        except RelumeError as error:
            raise error.locate(node=node.name, frame=frame) from None
        return Environment(converted) if isinstance(value, Environment) else converted


def _file_knobs(declared: Mapping[str, Any]) -> set[str]:
    """Return the knobs that name input files: the files themselves stand in the hash."""
    from relume.knobs import File

    return {key for key, knob in declared.items() if isinstance(knob, File)}
