"""Stop a network between two of its layers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from relume.errors import Cancelled

if TYPE_CHECKING:
    from torch import nn

_asked: dict[int, Callable[[], bool]] = {}
"""Thread → whether what it computes is still wanted."""

_lock = threading.Lock()
_hooked = False


@contextmanager
def between_layers(is_cancelled: Callable[[], bool]) -> Iterator[None]:
    """Let networks that run in this thread stop, with `Cancelled`, before their next layer."""
    _hook()
    thread = threading.get_ident()
    _asked[thread] = is_cancelled
    try:
        yield
    finally:
        del _asked[thread]


def _hook() -> None:
    global _hooked
    with _lock:
        if not _hooked:
            from torch.nn.modules.module import register_module_forward_pre_hook

            register_module_forward_pre_hook(_before_layer)
            _hooked = True


def _before_layer(module: nn.Module, inputs: object) -> None:
    is_cancelled = _asked.get(threading.get_ident())
    if is_cancelled is not None and is_cancelled():
        raise Cancelled("cancelled")
