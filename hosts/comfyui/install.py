"""The ComfyUI pack put together: its modules, the worker's client and the declarations."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from relume import __version__
from relume.errors import UsageError
from relume.hosts.install import Host
from relume.hosts.worker.install import client_source
from relume.node import Node

PACK = Path(__file__).parent / "pack"
LICENCE = Path(__file__).parents[1] / "blender" / "addon" / "LICENSE"
"""Text of the licence of what runs inside ComfyUI, which has the same."""

FOLDER = "relume"


def source(registry: Mapping[str, type[Node]]) -> dict[str, bytes]:
    """Return the pack's files by name.

    Args:
        registry: the node types that ComfyUI shall have.
    """
    files = {path.name: path.read_bytes() for path in sorted(PACK.iterdir()) if path.is_file()}
    project = files["pyproject.toml"].decode()
    files["pyproject.toml"] = project.replace('"0.0.0"', f'"{__version__}"').encode()
    files["LICENSE"] = LICENCE.read_bytes()
    files["relume_client.py"] = client_source()
    described = {
        "wires": wires(registry),
        "nodes": {id: node.schema() for id, node in registry.items()},
    }
    files["nodes.json"] = (json.dumps(described, ensure_ascii=False, indent=1) + "\n").encode()
    return files


def wires(registry: Mapping[str, type[Node]]) -> dict[str, str]:
    """Return the wires of ComfyUI that carry each type: a subclass travels on its base's.

    An input that takes a Light takes light maps, and ComfyUI compares names alone.
    """
    ports = [
        port
        for node in registry.values()
        for port in (*node.inputs().values(), *node.outputs().values())
    ]
    types = {kind for port in ports for kind in port.types}
    found = {}
    for kind in types:
        bases = [base for base in kind.__mro__ if base in types]
        found[kind.__name__] = bases[-1].__name__
    return dict(sorted(found.items()))


def _folder() -> Path:
    """Return the folder of custom nodes of the ComfyUI that `$COMFYUI_PATH` names.

    Raises:
        UsageError: nothing says where ComfyUI is.
    """
    base = os.environ.get("COMFYUI_PATH", "")
    if not base:
        raise UsageError(
            "nothing says where ComfyUI is",
            way_out="Name its folder custom_nodes with --dir, or its own folder in $COMFYUI_PATH",
        )
    return Path(base) / "custom_nodes"


def _files() -> dict[str, bytes]:
    from relume.nodes.registry import REGISTRY

    return {f"{FOLDER}/{name}": content for name, content in source(REGISTRY).items()}


def _check(folder: Path) -> list[str]:
    """Return what is wrong with an installed pack, a sentence each."""
    from relume.nodes.registry import REGISTRY

    file = folder / FOLDER / "nodes.json"
    if file.is_file() and file.read_bytes() != source(REGISTRY)["nodes.json"]:
        return ["The nodes have changed since; run `relume host install comfyui` again."]
    return []


HOST = Host(
    title="ComfyUI",
    folder=_folder,
    files=_files,
    after="Start ComfyUI anew: the nodes are under relume. Nothing was installed into its Python.",
    check=_check,
)
