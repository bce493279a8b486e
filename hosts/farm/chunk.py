"""Some frames of a job, told in JSON so that any process on any machine can render them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from relume import __version__
from relume.cache import MemoryCache
from relume.context import Notice, Progress
from relume.errors import UsageError
from relume.evaluate import Cache, Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.hosts.farm.messages import to_dict
from relume.hosts.farm.pipeline import OnFrame
from relume.hosts.farm.runner import Options, run_frames
from relume.node import Registry
from relume.render import FrameReport

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames to render, and everything that is fixed for the whole job.

    Attributes:
        graph: the graph as JSON, its exposure anchors resolved and its paths absolute.
        shot: the shot, `1001-1100`.
        frames: frames to render, in this order.
        threads: threads a network may use.
        device: `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: `float32`, or `float16` on an accelerator.
        cache: folder that keeps results between runs; empty for none.
        options: how to render.
    """

    graph: str
    shot: str
    frames: tuple[int, ...]
    threads: int = 1
    device: str = "cpu"
    precision: str = "float32"
    cache: str = ""
    options: Options = field(default_factory=Options)

    def to_json(self) -> str:
        """Return the chunk as a line of JSON."""
        return json.dumps({"relume_chunk": FORMAT, "version": __version__} | asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            UsageError: the text is no chunk, or one of another version.
        """
        try:
            found: dict[str, Any] = json.loads(text)
            written = found.pop("relume_chunk"), found.pop("version")
            if written != (FORMAT, __version__):
                raise ValueError(f"relume {written[1]} wrote it, and this is {__version__}")
            if set(found) != {entry.name for entry in fields(cls)}:
                raise ValueError("its fields are not those of a chunk")
            found["options"] = Options(**found["options"])
            found["frames"] = tuple(int(frame) for frame in found["frames"])
            return cls(**found)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(
                f"this is no chunk of a job ({error})",
                way_out="Use the same version of relume on every machine",
            ) from None


class Session:
    """What a process keeps from chunk to chunk: the graph, and results such as light maps.

    Args:
        registry: the node types.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.memory = MemoryCache()
        self._limit = self.memory.limit
        self._text = ""
        self._graph = Graph()

    def run(
        self,
        chunk: Chunk,
        on_frame: OnFrame,
        *,
        on_progress: Progress | None = None,
        on_notice: Notice | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> list[FrameReport]:
        """Render a chunk; doing so twice gives the same files.

        Raises:
            UsageError: the graph or its targets are refused.
            Cancelled: the user asked to stop; finished frames are kept.
        """
        if chunk.graph != self._text:
            self._graph = Graph.from_json(chunk.graph, self.registry)
            self._text = chunk.graph
        caches: list[Cache] = [self.memory]
        if chunk.cache:
            from relume.cache import DiskCache
            from relume.nodes.registry import WIRE_TYPES

            caches.append(DiskCache(chunk.cache, WIRE_TYPES))
        self.memory.resize(self._limit)
        evaluator = Evaluator(
            self._graph,
            self.registry,
            Settings(Shot.parse(chunk.shot), chunk.device, chunk.precision, chunk.threads),
            caches=caches,
            on_progress=on_progress,
            on_notice=on_notice,
            is_cancelled=is_cancelled,
        )
        return run_frames(evaluator, chunk.frames, chunk.options, on_frame)


def run_chunk(text: str, registry: Registry | None = None) -> list[dict[str, Any]]:
    """Render a chunk in this process.

    Args:
        text: what `Chunk.to_json` wrote.
        registry: the node types; relume's own by default.

    Returns:
        The reports of its files, as `relume.hosts.farm.messages.to_dict` writes them.

    Raises:
        UsageError: the text is no chunk, or its graph or targets are refused.
    """
    if registry is None:
        from relume.nodes.registry import REGISTRY

        registry = REGISTRY
    reports = Session(registry).run(Chunk.from_json(text), lambda report: None)
    return [to_dict(report) for report in reports]
