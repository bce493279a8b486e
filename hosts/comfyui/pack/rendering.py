# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a value, from the worker: progress goes to ComfyUI, an interrupt to the worker."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np

from .relume_client import Cancelled, Output, RelumeError, Worker
from .values import Layer, Value

_STEPS = 1000

log = logging.getLogger("relume")
worker = Worker("ComfyUI")


def rendered(value: Value, frames: range, **wanted: Any) -> Iterator[list[Layer]]:
    """Yield the layers of each frame of a value.

    Args:
        value: what to render; in a scene-linear space unless `colour` says otherwise.
        frames: of the shot, which they are.
        wanted: fields of an output, such as `layer`, `channels`, `colour`, `alpha`.

    Raises:
        RelumeError: in words for the artist; what ComfyUI raises where it was interrupted.
    """
    bar = comfy.utils.ProgressBar(_STEPS)
    images: dict[str, Any] = {}
    for batch in value.lent.values():
        images.update(batch.pictures())
    for count, frame in enumerate(frames):
        done: set[str] = set()

        def show(
            node: str, at: int, fraction: float, count: int = count, done: set[str] = done
        ) -> None:
            del at
            done.update([node] if fraction >= 1.0 else [])
            share = (len(done) + (fraction if fraction < 1.0 else 0.0)) / len(value.nodes)
            bar.update_absolute(int(_STEPS * (count + min(share, 1.0)) / len(frames)), _STEPS)

        try:
            results = worker.render(
                value.graph,
                frame,
                [Output(value.reference, **wanted)],
                inputs={name: batch.serials() for name, batch in value.lent.items()},
                images=images,
                shot=f"{frames[0]}-{frames[-1]}",
                on_progress=show,
                on_notice=log.warning,
                is_cancelled=comfy.model_management.processing_interrupted,
            )
        except Cancelled:
            comfy.model_management.throw_exception_if_processing_interrupted()
            raise
        bar.update_absolute(int(_STEPS * (count + 1) / len(frames)), _STEPS)
        yield [_layer(result, value) for result in results]


def saved(value: Value) -> str:
    """Return the graph of a value as a farm reads it, checked."""
    return str(worker.open(value.graph)["json"])


def _layer(result: Any, value: Value) -> Layer:
    if result.pixels is None:
        raise RelumeError(f"{value.reference} is a number, no picture.", "usage")
    shape = (result.height, result.width, len(result.channels))
    # The worker's memory is used again for the next render.
    pixels = np.frombuffer(result.pixels, np.float32).reshape(shape).copy()
    return Layer(result.layer, pixels, tuple(result.channels), result.fields)
