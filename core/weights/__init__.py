"""Trained weights: where they are found, proof that they are the right ones, and loading.

Each network is two files: `NAME.safetensors` and its manifest `NAME.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relume.errors import InputError

if TYPE_CHECKING:
    from torch import nn

VARIABLE = "RELUME_WEIGHTS"
"""Environment variable naming a folder that is searched before the package."""

_PACKAGE = Path(__file__).parent
_WAY_OUT = f"Set {VARIABLE} to a folder that has both files, or install relume again"


def find(name: str) -> Path:
    """Return the path of a network's manifest.

    Args:
        name: of the network, such as `normals`.

    Raises:
        InputError: neither `$RELUME_WEIGHTS` nor the package has both files.
    """
    folders = [Path(os.environ[VARIABLE])] if os.environ.get(VARIABLE) else []
    for folder in (*folders, _PACKAGE):
        path = folder / f"{name}.json"
        if path.is_file() and path.with_suffix(".safetensors").is_file():
            return path
    raise InputError(f"there are no weights for the network {name!r}", way_out=_WAY_OUT)


def manifest(name: str) -> dict[str, Any]:
    """Return what is known about a network: architecture, digest, training, figures.

    Raises:
        InputError: the manifest is missing or unreadable.
    """
    path = find(name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if {"sha256", "architecture", "hyperparameters"} <= set(content):
            return dict(content)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"the weights manifest cannot be read ({error})", file=str(path), way_out=_WAY_OUT
        ) from error
    raise InputError("the weights manifest is incomplete", file=str(path), way_out=_WAY_OUT)


def steps(name: str) -> int:
    """Return how many steps a network was trained; 0 where its manifest does not say.

    Raises:
        InputError: the manifest is missing or unreadable.
    """
    return int(manifest(name).get("steps", 0))


def digest(name: str) -> str:
    """Return the sha256 that the manifest promises: the weights' part of a cache key."""
    return str(manifest(name)["sha256"])


def load(name: str, device: str = "cpu") -> nn.Module:
    """Build a network and load its weights, once a process and file.

    Args:
        name: of the network.
        device: where it shall run, `cpu`, `cuda` ….

    Returns:
        The network in evaluation mode, float32, its parameters frozen.

    Raises:
        InputError: files are missing, damaged or do not fit the architecture.
    """
    return _load(find(name), digest(name), device)


@lru_cache(maxsize=32)
def _load(path: Path, sha256: str, device: str) -> nn.Module:
    import importlib

    import torch
    from safetensors.torch import load as parse

    known = json.loads(path.read_text(encoding="utf-8"))
    file = path.with_suffix(".safetensors")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(
            "the weights do not match the sha256 in their manifest",
            file=str(file),
            way_out=_WAY_OUT,
        )
    architecture = str(known["architecture"])
    try:
        if not architecture.isidentifier():
            raise ImportError(architecture)
        module = importlib.import_module(f"relume.networks.{architecture}")
        model: nn.Module = module.build(**known["hyperparameters"])
        state = {key: value.to(torch.float32) for key, value in parse(data).items()}
        model.load_state_dict(state)
    except (ImportError, AttributeError, TypeError, RuntimeError) as error:
        raise InputError(
            f"the weights do not fit the architecture {architecture!r} of this version",
            file=str(file),
            way_out=_WAY_OUT,
        ) from error
    model.requires_grad_(False)
    model.eval()
    # Half of a U-Net's time goes into reordering planes unless channels come last.
    placed: nn.Module = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed
