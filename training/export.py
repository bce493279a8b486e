"""Turn a trained network into the two files that `relume.weights` loads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from relume.files import write_whole
from relume.networks.blocks import parameters


def export(
    name: str,
    model: nn.Module,
    *,
    folder: Path,
    hyperparameters: Mapping[str, Any],
    recipe: Mapping[str, Any],
    seed: int,
    steps: int,
    figures: Mapping[str, Any],
    command: str,
    architecture: str | None = None,
) -> Path:
    """Write `NAME.safetensors` in half precision and `NAME.json`.

    Half precision is a storage format here: weights of trained networks lie well inside its range,
    and loading turns them back into float32. Figures should be measured after the rounding, with
    `rounded`.

    Args:
        name: of the network.
        model: the trained network.
        folder: where to write; made if missing.
        hyperparameters: keyword arguments of `build` in the architecture's module.
        recipe: the data: what it was, how it was made, licences.
        seed: of the run.
        steps: optimiser steps, those of the weights that the run began with included.
        figures: validation figures.
        command: the exact command that trained it.
        architecture: module of `relume.networks`; the name by default.

    Returns:
        The manifest's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        key: value.detach().to("cpu", torch.float16).contiguous()
        for key, value in model.state_dict().items()
    }
    data = save(state, {"name": name})
    manifest = {
        "name": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "architecture": architecture or name,
        "hyperparameters": dict(hyperparameters),
        "parameters": parameters(model),
        "precision": "float16 stored, float32 computed",
        "data": dict(recipe),
        "seed": seed,
        "steps": steps,
        "command": command,
        "figures": dict(figures),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    path = folder / f"{name}.json"
    write_whole(path.with_suffix(".safetensors"), data)
    write_whole(path, text.encode())
    return path


def rounded(model: nn.Module) -> nn.Module:
    """Round a network's weights to half precision in place, as `export` stores them."""
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.to(torch.float16).to(value.dtype))
    return model
