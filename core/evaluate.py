"""Evaluation: request → key → compute. A node runs only when no result of its key is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import metadata
from typing import Any, Literal, NamedTuple, Protocol

from relume.cache import MemoryCache
from relume.context import Context as Context
from relume.context import Notice as Notice
from relume.context import Progress as Progress
from relume.context import Settings as Settings
from relume.encoding import NETWORK_SPACE
from relume.errors import UsageError, blame
from relume.graph import Graph, inputs_first
from relume.image import DATA, Image, Layers
from relume.keys import digest
from relume.knobs import File
from relume.light.types import Environment
from relume.node import In, Node, Registry

Purpose = Literal["key", "fingerprint"]


class Cache(Protocol):
    """Where results are kept."""

    def get(self, key: str) -> Any | None:
        """Return a result, or None."""

    def put(self, key: str, value: Any) -> None:
        """Keep a result."""


class _Step(NamedTuple):
    """A node at a frame."""

    node: str
    frame: int

    def __str__(self) -> str:
        return self.node


class _Wire(NamedTuple):
    """A wire into a node, at a frame: which output it brings, from which frames."""

    port: In
    label: str
    source: str
    output: str
    frames: list[int]


class _Request:
    """What one request has found so far: it keeps results that no cache has room for."""

    def __init__(self, keys: Mapping[_Step, str]) -> None:
        self.keys = keys
        self.results: dict[str, tuple[Any, ...]] = {}
        self.converted: dict[tuple[str, str, str], Any] = {}


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
        on_notice: called with (node, frame, sentence) for what the user should read.
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
        on_notice: Notice | None = None,
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
        self._told: set[str] = set()

    def evaluate(self, reference: str, frame: int) -> Any:
        """Return an output `node.output` (or `node` with one output) at a frame.

        Raises:
            RelumeError: a node failed; the error names it and the frame.
        """
        name, output = self.graph.source(self.registry, reference)
        target = _Step(name, frame)
        request = _Request(self._digests(target, "key"))
        for key, step in self._missing(target, request):
            notices: list[str] = []
            request.results[key] = self._compute(step, request, notices)
            for cache in self.caches:
                if notices:
                    cache.put(_notices(key), tuple(notices))
                cache.put(key, request.results[key])
            if self.on_progress:
                self.on_progress(*step, 1.0)
        return self._output(request, target, output.name)

    def pending(self, reference: str, frame: int) -> dict[str, tuple[str, int]]:
        """Return what `evaluate` would have to compute, inputs first: key → (node, frame)."""
        name, _ = self.graph.source(self.registry, reference)
        target = _Step(name, frame)
        return dict(self._missing(target, _Request(self._digests(target, "key"))))

    def needs(self, reference: str, frame: int) -> list[tuple[str, int]]:
        """Return every (node, frame) that an output is made from, inputs first."""
        name, _ = self.graph.source(self.registry, reference)
        return [(step.node, step.frame) for step in inputs_first([_Step(name, frame)], self._needs)]

    def key(self, name: str, frame: int) -> str:
        """Return the key of a node's results at a frame; no pixels are touched."""
        target = _Step(name, frame)
        return self._digests(target, "key")[target]

    def fingerprint(self, name: str, frame: int) -> str:
        """Return what proves that a file is current, on any machine.

        It holds the contents of input files, node versions, knobs, weights and the frame, and
        no path, time, device or output target.
        """
        target = _Step(name, frame)
        return digest(self._digests(target, "fingerprint")[target], frame)

    def node(self, name: str, frame: int) -> Node:
        """Return a node with its knobs resolved at a frame."""
        entry = self.graph.node(name)
        cls = self.registry.find(entry.type, name)
        declared = cls.knobs()
        try:
            values = {
                key: declared[key].at(value, frame) if key in declared else value
                for key, value in entry.knobs.items()
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

    def _wires(self, step: _Step) -> list[_Wire]:
        """Return the wires into a node, in the order its ports are declared."""
        node = self.graph.node(step.node)
        ports = self.registry.find(node.type, step.node).inputs()
        wires = []
        for name, port in ports.items():
            frames = self._frames(port, step.frame)
            for key, label, reference in self.graph.upstream(step.node):
                if key == name:
                    source, output = self.graph.source(self.registry, reference, step.node)
                    wires.append(_Wire(port, label, source, output.name, frames))
        return wires

    def _needs(self, step: _Step) -> list[_Step]:
        return [_Step(wire.source, at) for wire in self._wires(step) for at in wire.frames]

    def _missing(self, target: _Step, request: _Request) -> Iterator[tuple[str, _Step]]:
        """Yield what no cache keeps of all that a step needs; what one keeps joins the request."""
        steps = {key: step for step, key in request.keys.items()}

        def needs(key: str) -> list[str]:
            kept = self._kept(steps[key], request)
            if kept is not None:
                request.results[key] = kept
                return []
            return [request.keys[need] for need in self._needs(steps[key])]

        for key in inputs_first([request.keys[target]], needs):
            if key not in request.results:
                yield key, steps[key]

    def _digests(self, target: _Step, purpose: Purpose) -> dict[_Step, str]:
        """Return the hashes of a step and of everything it needs."""
        digests: dict[_Step, str] = {}
        for step in inputs_first([target], self._needs):
            digests[step] = self._digest(step, purpose, digests)
        return digests

    def _digest(self, step: _Step, purpose: Purpose, digests: Mapping[_Step, str]) -> str:
        node = self.node(*step)
        with blame(*step):
            files = self._files(node, step.frame, purpose)
        knobs = {key: node.values[key] for key, knob in node.knobs().items() if knob.affects}
        if purpose == "fingerprint":
            # A path proves nothing about a picture: the content of the file stands for it.
            knobs |= {key: bool(knobs[key]) for key in node.members(File)}
        upstream = [
            [wire.port.name, wire.label, wire.output]
            + [digests[_Step(wire.source, at)] for at in wire.frames]
            for wire in self._wires(step)
        ]
        machine: list[object] = []
        if node.weights:
            from relume.weights import digest as weights_digest

            with blame(*step):
                machine.append([weights_digest(weights) for weights in node.weights])
        if purpose == "key":
            if node.weights or node.engine:
                settings = self.settings
                device = settings.device.partition(":")[0]
                engine = _version(node.engine or "torch")
                machine.append([device, settings.precision, settings.threads, engine])
            # A cache on disk outlives an update of relume, the same bits may not.
            machine.append(_version("relume"))
        return digest(
            node.id, node.version, knobs, files, upstream, machine, self._colour(),
            step.frame if node.uses_frame else None,
        )  # fmt: skip

    def _files(self, node: Node, frame: int, purpose: Purpose) -> list[object]:
        from relume.media.identity import content_digest, identify

        if purpose == "key":
            return [list(identify(path)) for path in node.files(frame)]
        return [content_digest(path) for path in node.files(frame)]

    def _colour(self) -> list[str]:
        from relume.colour import config_digest

        return [self.graph.working_space, config_digest()]

    def _kept(self, step: _Step, request: _Request) -> tuple[Any, ...] | None:
        key = request.keys[step]
        for position, cache in enumerate(self.caches):
            result: tuple[Any, ...] | None = cache.get(key)
            if result is not None:
                for faster in self.caches[:position]:
                    faster.put(key, result)
                if self.on_notice and not isinstance(cache, MemoryCache):
                    self._repeat(step, request)
                return result
        return None

    def _repeat(self, step: _Step, request: _Request) -> None:
        """Tell what was said when a result was computed, maybe by a process that is long gone."""
        for needed in inputs_first([step], self._needs):
            key = request.keys[needed]
            if key in self._told or self.on_notice is None:
                continue
            self._told.add(key)
            kept = (cache.get(_notices(key)) for cache in self.caches)
            for text in next((texts for texts in kept if texts), ()):
                self.on_notice(*needed, text)

    def _compute(self, step: _Step, request: _Request, notices: list[str]) -> tuple[Any, ...]:
        name, frame = step

        def notice(node: str, frame: int, text: str) -> None:
            notices.append(text)
            self._told.add(request.keys[step])
            if self.on_notice:
                self.on_notice(node, frame, text)

        node = self.node(name, frame)
        context = Context(
            frame=frame,
            settings=self.settings,
            node=name,
            working_space=self.graph.working_space,
            externals=self.externals,
            on_progress=self.on_progress,
            is_cancelled=self.is_cancelled,
            on_notice=notice,
        )
        inputs = self._inputs(node, step, request)
        context.progress(0.0)
        start = time.perf_counter()
        with blame(name, frame):
            result = node.compute(context, **inputs)
            outputs = list(node.outputs())
            # By name, so that a NamedTuple in another order than the ports swaps nothing.
            several = len(outputs) > 1
            kept = tuple(getattr(result, key) for key in outputs) if several else (result,)
        self.computed[name] = self.computed.get(name, 0) + 1
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return kept

    def _inputs(self, node: Node, step: _Step, request: _Request) -> dict[str, Any]:
        """Return what compute receives on each port."""
        inputs: dict[str, Any] = {
            key: {} if port.many else None for key, port in node.inputs().items()
        }
        for wire in self._wires(step):
            frames = [self._value(wire, at, step, request) for at in wire.frames]
            value = tuple(frames) if wire.port.is_window else frames[0]
            if wire.port.many:
                inputs[wire.port.name][wire.label] = value
            else:
                inputs[wire.port.name] = value
        return inputs

    def _output(self, request: _Request, step: _Step, output: str) -> Any:
        node = self.graph.node(step.node)
        outputs = list(self.registry.find(node.type, step.node).outputs())
        return request.results[request.keys[step]][outputs.index(output)]

    def _value(self, wire: _Wire, at: int, step: _Step, request: _Request) -> Any:
        """Return what a wire brings from a frame, converted to what its port needs."""
        source = _Step(wire.source, at)
        value = self._output(request, source, wire.output)
        space = {
            "scene_linear": self.graph.working_space,
            "network": NETWORK_SPACE,
        }.get(wire.port.colour)
        if space is None:
            return value
        # Several ports want the same plate in the same space: it is converted once.
        where = request.keys[source], wire.output, space
        if where not in request.converted:
            with blame(*step):
                request.converted[where] = _in_space(value, space)
        return request.converted[where]


def _notices(key: str) -> str:
    """Return the key of what a node said when it computed the result of a key."""
    return f"{key}-notices"


@lru_cache
def _version(package: str) -> str:
    """Return the installed version of a package; empty where it is not there to compute."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _in_space(value: Any, space: str) -> Any:
    """Convert the light in a value to a colour space; numbers that are no light stay."""
    if isinstance(value, Environment):
        return replace(value, image=_in_space(value.image, space))
    if isinstance(value, Layers):
        return Layers({name: _in_space(layer, space) for name, layer in value.items()})
    if not isinstance(value, Image) or value.colour in (DATA, space):
        return value
    from relume.colour import convert

    return convert(value, space)
