"""What a host asks to be rendered: a graph brought into a form that the evaluator takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relume.errors import RelumeError, UsageError
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph, GraphNode
from relume.hosts.worker.fields import Fields
from relume.hosts.worker.images import Images
from relume.hosts.worker.outputs import Wanted
from relume.hosts.worker.wire import Malformed
from relume.image import Image
from relume.knobs import File, OutputFile
from relume.node import Registry
from relume.nodes.input import Input
from relume.render import resolve_shot

_FRAMES = 1 << 31


class Missing(RelumeError):
    """Images that the worker does not have.

    Args:
        serials: the client's names for them.
    """

    def __init__(self, serials: Iterable[str]) -> None:
        self.serials = sorted(set(serials))
        super().__init__(f"the images {', '.join(self.serials)} have not been lent")


@dataclass(frozen=True, slots=True)
class Request:
    """A graph, checked, and what is wanted of it.

    Attributes:
        graph: its paths absolute, its Input nodes as the host left them.
        document: the graph as text, to be saved.
        frame: the frame; None where only the graph is to be checked.
        settings: shot, device, precision, threads.
        outputs: references `node.output`.
        wanted: the outputs of a render.
        inputs: Input node → serial, or frame → serial.
        progress: whether the host wants to hear how far it is.
    """

    graph: Graph
    document: str
    frame: int | None
    settings: Settings
    outputs: tuple[str, ...]
    wanted: tuple[Wanted, ...] = ()
    inputs: Mapping[str, str | Mapping[int, str]] | None = None
    progress: bool = False

    @classmethod
    def to_open(cls, fields: Fields, registry: Registry, settings: Settings) -> Request:
        """Read an `open` request.

        Raises:
            UsageError: the request or the graph is not valid.
        """
        frame = _frame(fields) if fields.has("frame") else None
        outputs = tuple(fields.entries("outputs", str, []))
        document, graph, settings = _graph(fields, registry, settings, frame or 1, runs=False)
        return cls(graph, document, frame, settings, outputs)

    @classmethod
    def to_render(cls, fields: Fields, registry: Registry, settings: Settings) -> Request:
        """Read a `render` request.

        Raises:
            UsageError: the request or the graph is not valid.
        """
        frame = _frame(fields)
        entries = fields.entries("outputs", dict)
        if not 0 < len(entries) <= 256:
            raise Malformed("a render wants 1 to 256 outputs")
        wanted = tuple(Wanted.read(Fields(entry, "an output")) for entry in entries)
        inputs = {name: _serials(given) for name, given in fields.mapping("inputs", {}).items()}
        progress = fields.flag("progress")
        settings = replace(
            settings,
            device=fields.text("device", settings.device),
            precision=fields.choice("precision", ("float32", "float16"), settings.precision),
            threads=fields.whole("threads", settings.threads, least=1, most=1024),
        )
        document, graph, settings = _graph(fields, registry, settings, frame)
        outputs = tuple(one.output for one in wanted)
        return cls(graph, document, frame, settings, outputs, wanted, inputs, progress)

    def lent_frames(self, registry: Registry) -> dict[str, list[int]]:
        """Return the Input nodes that the outputs need, each with the frames it is needed at."""
        evaluator = Evaluator(self.graph, registry, self.settings, caches=[])
        found: dict[str, set[int]] = {}
        for output in self.outputs:
            if self.frame is None:
                self.graph.source(registry, output)
                continue
            for name, frame in evaluator.needs(output, self.frame):
                if self.graph.nodes[name].type == Input.id:
                    found.setdefault(name, set()).add(frame)
        return {name: sorted(frames) for name, frames in found.items()}

    def lend(
        self, registry: Registry, images: Images, client: str
    ) -> tuple[Graph, dict[str, Image]]:
        """Return the graph with the host's images wired in, and these by the names it has now.

        Every image has a name that no other pixels ever had, so that no cache takes one for
        another, whatever serials clients use.

        Raises:
            UsageError: the host names no image for a frame that is needed.
            Missing: images that it names are not there.
        """
        nodes = dict(self.graph.nodes)
        externals: dict[str, Image] = {}
        missing = []
        for name, frames in self.lent_frames(registry).items():
            keys = []
            for frame in frames:
                serial = self._serial(name, frame)
                lent = images.get(client, serial)
                if lent is None:
                    missing.append(serial)
                else:
                    keys.append([frame, lent.token])
                    externals[lent.token] = lent.image
            node = nodes[name]
            knobs = {**node.knobs, "serial": {"keys": keys, "interp": "hold"}}
            nodes[name] = GraphNode(node.type, knobs, node.inputs, node.note)
        if missing:
            raise Missing(missing)
        graph = self.graph
        return Graph(nodes, graph.shot, graph.working_space, graph.note), externals

    def _serial(self, name: str, frame: int) -> str:
        given = (self.inputs or {}).get(name)
        serial = given if isinstance(given, str) or given is None else given.get(frame)
        if serial is None:
            raise UsageError(
                "the application gave no image",
                way_out="Connect a clip that has this frame",
                node=name,
                frame=frame,
            )
        return serial


def _frame(fields: Fields) -> int:
    return fields.whole("frame", least=-_FRAMES, most=_FRAMES)


def _serials(given: object) -> str | dict[int, str]:
    if isinstance(given, str):
        return given
    if not isinstance(given, dict):
        raise Malformed("an entry of 'inputs' is neither a serial nor an object of them")
    serials = {}
    for frame, serial in given.items():
        try:
            number = int(frame)
        except ValueError:
            raise Malformed(f"'{frame[:40]}' in 'inputs' is no frame") from None
        if not isinstance(serial, str):
            raise Malformed("a serial in 'inputs' is no text")
        serials[number] = serial
    return serials


def _graph(
    fields: Fields, registry: Registry, settings: Settings, frame: int, *, runs: bool = True
) -> tuple[str, Graph, Settings]:
    """Return the document as text, the graph ready to run, and the settings with its shot."""
    text = json.dumps(fields.mapping("graph"))
    shot = fields.text("shot", "")
    folder = fields.text("folder", "", longest=4096)
    fields.end()
    if folder and not Path(folder).is_absolute():
        raise Malformed(f"the folder '{folder}' is no absolute path")
    graph = Graph.from_json(text, registry)
    document = graph.to_json(registry)
    if folder or runs:
        _make_absolute(graph, registry, folder)
    whole = Shot.parse(shot) if shot else resolve_shot(graph, registry, [frame])
    return document, graph, replace(settings, shot=whole)


def _make_absolute(graph: Graph, registry: Registry, folder: str) -> None:
    """Make the paths of a graph hold in the worker, which has a working folder of its own.

    Raises:
        UsageError: there is no folder that they start from.
    """

    def absolute(value: Any, name: str) -> Any:
        if isinstance(value, dict):
            keys = [[frame, absolute(path, name)] for frame, path in value["keys"]]
            return {**value, "keys": keys}
        if not isinstance(value, str) or not value or Path(value).is_absolute():
            return value
        if not folder:
            raise UsageError(
                f"'{value}' is a relative path, and the scene has no folder yet",
                way_out="Save the scene, or name the file with its whole path",
                node=name,
            )
        return str(Path(folder) / value)

    for name, node in graph.nodes.items():
        declared = registry.find(node.type, name)
        for key in (*declared.members(File), *declared.members(OutputFile)):
            if key in node.knobs:
                node.knobs[key] = absolute(node.knobs[key], name)
