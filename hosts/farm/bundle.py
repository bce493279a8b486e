"""Write a job as an Open Job Description bundle, which any scheduler of that standard runs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relume.errors import InputError, OutputError, UsageError
from relume.evaluate import Evaluator
from relume.graph import Graph
from relume.hosts.farm import machine
from relume.hosts.farm.graphs import evaluator_of, file_knobs
from relume.hosts.farm.openjd import PROGRESS, to_range
from relume.hosts.farm.prepare import absolute, settle
from relume.hosts.farm.yaml_text import to_yaml
from relume.nodes.registry import REGISTRY

TEMPLATE = "template.yaml"
VALUES = "parameter_values.yaml"

_MOST = 40
"""Folders a job may name: a template has 50 parameters at most, and some are ours."""

_GRACE = 60
"""Seconds a task has to clear away the frame in hand when it is cancelled."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a job is cut up and run.

    Attributes:
        name: what the scheduler calls it.
        chunk: frames a task renders, at most.
        threads: threads of a task; the pixels depend on it.
        overwrite: whether tasks replace files that relume did not write.
        allow_jumps: whether frames that stand out pass the last step.
    """

    name: str
    chunk: int = 10
    threads: int = 1
    overwrite: bool = False
    allow_jumps: bool = False


def write_bundle(graph: Graph, frames: Iterable[int], folder: str | Path, plan: Plan) -> list[int]:
    """Write a job bundle.

    What must not depend on the machine is settled now and stored in the bundle's graph: the shot,
    the exposure anchor, absolute paths. The number of threads is a parameter of the job, and so is
    what every worker must have: see `relume.hosts.farm.machine`.

    Args:
        graph: the graph; it is not changed.
        frames: frames to render.
        folder: the bundle; it must not exist, or be empty.
        plan: how to run it.

    Returns:
        The frames at which files of the graph are not there yet.

    Raises:
        UsageError: the folder is taken, or the graph cannot be sent away.
        InputError: the shot's first frame cannot be read.
        OutputError: the bundle cannot be written.
    """
    wanted = sorted(set(frames))
    target = Path(folder).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{folder} exists", way_out="Name a new folder for the bundle")
    folders = _folders(absolute(graph, REGISTRY))
    settled = settle(evaluator_of(absolute(graph, REGISTRY), wanted, plan.threads))
    evaluator = evaluator_of(settled, wanted, plan.threads)
    assets, missing = _assets(evaluator, wanted)
    needs = machine.to_text(machine.has(evaluator))
    texts = {
        "graph.json": settled.to_json(REGISTRY),
        TEMPLATE: to_yaml(_template(settled, wanted, folders, plan, needs)),
        VALUES: to_yaml({"parameterValues": _values(wanted, folders, plan)}),
        "asset_references.yaml": to_yaml({"assetReferences": assets}),
    }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bundle.", dir=target.parent) as temporary:
            made = Path(temporary) / "bundle"
            made.mkdir()
            for name, text in texts.items():
                (made / name).write_text(text, encoding="utf-8")
            made.replace(target)
    except UnicodeEncodeError:
        raise UsageError(
            "a file of the graph has a name that is not UTF-8", way_out="Rename it"
        ) from None
    except OSError as error:
        raise OutputError(
            f"cannot write the bundle {folder}: {error.strerror}", way_out="Choose another folder"
        ) from error
    return missing


def _folders(graph: Graph) -> dict[str, str]:
    """Return folder → the parameter of the job that stands for it.

    Raises:
        UsageError: there are too many, or a name would be read as an expression.
    """
    found: dict[str, str] = {}
    for name, knob, file, _ in file_knobs(graph):
        if "{{" in file:
            raise UsageError(
                f"the knob '{knob}' names {file}, and OpenJD reads {{{{ as an expression",
                way_out="Rename it",
                node=name,
            )
        folder = str(Path(file).parent)
        if folder not in found:
            root = re.sub(r"\W", "_", f"Folder_{name}", flags=re.ASCII)[:56]
            taken = set(found.values())
            numbered = (f"{root}_{n}" for n in range(2, _MOST + 3))
            found[folder] = (
                root if root not in taken else next(n for n in numbered if n not in taken)
            )
    if len(found) > _MOST:
        raise UsageError(
            f"the graph uses {len(found)} folders, and a job can map {_MOST}",
            way_out="Gather its files in fewer folders",
        )
    return found


def _template(
    graph: Graph, frames: Sequence[int], folders: dict[str, str], plan: Plan, needs: str
) -> dict[str, Any]:
    paths = []
    for name, knob, file, _ in file_knobs(graph):
        path = Path(file)
        paths += ["--set", f"{name}.{knob}={{{{Param.{folders[str(path.parent)]}}}}}/{path.name}"]
    task = ["farm", "task", "{{Param.Graph}}", "--threads", "{{Param.Threads}}"]
    task += ["--expect", "{{Param.Machine}}"]
    overwrite = ["--overwrite"] if plan.overwrite else []
    render = [*task, "--frames", "{{Task.Param.Frame}}", *overwrite, *paths]
    check = [*task, "--verify", "--jumps", "{{Param.Jumps}}", "--frames", "{{Param.Frames}}"]
    written = {str(Path(file).parent) for _, _, file, is_output in file_knobs(graph) if is_output}
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "extensions": ["TASK_CHUNKING"],
        "name": plan.name,
        "parameterDefinitions": [
            _parameter("Graph", "PATH", "What to render.", default="graph.json", objectType="FILE",
                       dataFlow="IN"),
            _parameter("Frames", "STRING", "Frames: 1001-1100, 1001-1100:2, 1001,1005.",
                       default=to_range(frames)),
            _parameter("Chunk", "INT", "Frames a task renders.", default=plan.chunk, minValue=1),
            _parameter("Threads", "INT", "Threads of a task; the same number gives the same bits.",
                       default=plan.threads, minValue=1),
            _parameter("Jumps", "STRING", "Whether frames that stand out from their neighbours "
                       "pass.", default=_jumps(plan), allowedValues=["refuse", "allow"]),
            _parameter("Machine", "STRING", "Version, OCIO configuration and weights that a worker "
                       "must have; empty to ask for none.", default=needs),
            _parameter("Relume", "STRING", "The command.", default="relume"),
            *(
                _parameter(name, "PATH", "A folder of the graph, mapped on the worker.",
                           objectType="DIRECTORY", dataFlow="OUT" if folder in written else "NONE")
                for folder, name in folders.items()
            ),
        ],
        "jobEnvironments": [{"name": "relume", "variables": {PROGRESS: "openjd"}}],
        "steps": [
            {
                "name": "Render",
                "parameterSpace": {
                    "taskParameterDefinitions": [
                        {
                            "name": "Frame",
                            "type": "CHUNK[INT]",
                            "range": "{{Param.Frames}}",
                            "chunks": {
                                "defaultTaskCount": "{{Param.Chunk}}",
                                "targetRuntimeSeconds": 0,
                                "rangeConstraint": "NONCONTIGUOUS",
                            },
                        }
                    ]
                },
                "script": {"actions": {"onRun": _action(render)}},
            },
            {
                "name": "Verify",
                "dependencies": [{"dependsOn": "Render"}],
                "script": {"actions": {"onRun": _action([*check, *paths])}},
            },
        ],
    }  # fmt: skip


def _parameter(name: str, kind: str, description: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "description": description, **more}


def _action(arguments: list[str]) -> dict[str, Any]:
    return {
        "command": "{{Param.Relume}}",
        "args": arguments,
        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": _GRACE},
    }


def _jumps(plan: Plan) -> str:
    return "allow" if plan.allow_jumps else "refuse"


def _values(frames: Sequence[int], folders: dict[str, str], plan: Plan) -> list[dict[str, Any]]:
    values: dict[str, Any] = {
        "Frames": to_range(frames),
        "Chunk": plan.chunk,
        "Threads": plan.threads,
        "Jumps": _jumps(plan),
        **{name: folder for folder, name in folders.items()},
    }
    return [{"name": name, "value": value} for name, value in values.items()]


def _assets(evaluator: Evaluator, frames: Sequence[int]) -> tuple[dict[str, Any], list[int]]:
    """Return the files a worker needs that does not see this file system.

    Returns:
        The references, and the frames at which a file is not there yet.
    """
    graph, shot = evaluator.graph, evaluator.settings.shot
    windows = [
        port.frames
        for node in graph.nodes.values()
        for port in REGISTRY.find(node.type).inputs().values()
        if port.frames != "first"
    ]
    around = range(min(first for first, _ in windows), max(last for _, last in windows) + 1)
    needed = {shot.clamp(frame + offset) for frame in frames for offset in around}
    files: set[str] = set()
    missing: set[int] = set()
    for name in graph.nodes:
        for frame in sorted({*needed, shot.first}):
            try:
                files.update(evaluator.node(name, frame).files(frame))
            except InputError:
                missing.add(frame)
    outputs = {str(Path(file).parent) for _, _, file, written in file_knobs(graph) if written}
    references = {
        "inputs": {"filenames": sorted(files), "directories": []},
        "outputs": {"directories": sorted(outputs)},
        "referencedPaths": [],
    }
    return references, sorted(missing)
