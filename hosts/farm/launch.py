"""Render a job on local processes or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relume.evaluate import Evaluator
from relume.files import sweep
from relume.hosts.farm.chunk import Chunk
from relume.hosts.farm.ledger import size_for
from relume.hosts.farm.local import Processes
from relume.hosts.farm.pool import Listener, Pool, Start
from relume.hosts.farm.prepare import absolute, safe_targets
from relume.hosts.farm.runner import Options
from relume.render import FrameReport, sinks


@dataclass(frozen=True, slots=True)
class Crew:
    """Who renders.

    Attributes:
        jobs: processes of this machine, where there is no cluster.
        cluster: address of a Dask scheduler, or empty.
        size: frames to hand out at a time; 0 to choose.
        cache: folder that keeps results between runs, or empty.
    """

    jobs: int = 1
    cluster: str = ""
    size: int = 0
    cache: str = ""


def share(
    evaluator: Evaluator, frames: Sequence[int], options: Options, crew: Crew, listener: Listener
) -> list[FrameReport]:
    """Render frames of a settled graph on several workers.

    Args:
        evaluator: the graph, its shot and exposure anchors settled, and what the job fixes. The
            node types are relume's own, which every worker knows.
        frames: frames to render.
        options: how.
        crew: who.
        listener: who hears of it.

    Returns:
        One report a file, in the order of the frames.

    Raises:
        UsageError: the graph or a target is refused, or the cluster cannot be reached.
        Cancelled: the user asked to stop; finished frames are kept.
    """
    registry, settings = evaluator.registry, evaluator.settings
    folders = {path.parent for path in safe_targets(evaluator, frames)}
    graph = absolute(evaluator.graph, registry)
    job = Chunk(
        graph.to_json(registry),
        str(settings.shot),
        tuple(frames),
        threads=settings.threads,
        device=settings.device,
        precision=settings.precision,
        cache=str(Path(crew.cache).absolute()) if crew.cache else "",
        options=options,
    )
    outputs = list(sinks(graph, registry))
    try:
        with _workers(crew, settings.threads, listener) as (start, count):
            size = crew.size or size_for(len(job.frames), count())
            return Pool(job, outputs, start, listener, workers=count, size=size).run()
    finally:
        for folder in folders:  # of workers that died at the very end
            sweep(folder)


@contextmanager
def _workers(
    crew: Crew, threads: int, listener: Listener
) -> Iterator[tuple[Start, Callable[[], int]]]:
    """Return what starts workers, and how many there may be."""
    if not crew.cluster:
        yield Processes(threads), lambda: crew.jobs
        return
    from relume.hosts.farm.cluster import Cluster

    cluster = Cluster(crew.cluster, listener.said)
    try:
        yield cluster, cluster.capacity
    finally:
        cluster.close()
