"""What a job fixes for every frame, and what a node may ask for while it computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relume.errors import Cancelled
from relume.frames import Shot
from relume.image import Image

Progress = Callable[[str, int, float], None]
"""Called with the name of a node, a frame, and the fraction that is done."""

Notice = Callable[[str, int, str], None]
"""Called with the name of a node, a frame, and a sentence the user should read."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a job fixes for every frame.

    Attributes:
        shot: the shot that temporal windows are clamped to.
        device: `cpu`, `cuda` or `mps`, with an optional index.
        precision: `float32`, or `float16` on an accelerator.
        threads: threads a network may use; results are the same bits for the same count.
    """

    shot: Shot
    device: str = "cpu"
    precision: str = "float32"
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Context:
    """What a node may ask for while it computes.

    Attributes:
        frame: the frame asked for.
        settings: what the job fixes.
        node: the node's name in the graph.
        externals: images a host lent, by serial.
        working_space: the scene-linear space of the graph.
        on_progress: called with (node, frame, fraction).
        is_cancelled: whether to stop.
        on_notice: called with (node, frame, sentence) for what is worth reading once.
    """

    frame: int
    settings: Settings
    node: str
    working_space: str
    externals: Mapping[str, Image] = field(default_factory=dict)
    on_progress: Progress | None = None
    is_cancelled: Callable[[], bool] | None = None
    on_notice: Notice | None = None

    @property
    def shot(self) -> Shot:
        """The shot, for messages: no key holds it, so a result may depend on it by ports only."""
        return self.settings.shot

    @property
    def device(self) -> str:
        """Where networks run."""
        return self.settings.device

    @property
    def precision(self) -> str:
        """What networks compute in."""
        return self.settings.precision

    @property
    def threads(self) -> int:
        """Threads a network may use."""
        return self.settings.threads

    def weights(self, name: str) -> Any:
        """Return a network with its weights, ready on the job's device."""
        import torch

        from relume.weights import load

        if torch.get_num_threads() != self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        return load(name, self.settings.device)

    def progress(self, fraction: float) -> None:
        """Report how much of the node is done, and stop here if asked to."""
        self.check_cancel()
        if self.on_progress:
            self.on_progress(self.node, self.frame, fraction)

    def check_cancel(self) -> None:
        """Stop if asked to.

        Raises:
            Cancelled: the user or the host asked to stop.
        """
        if self.is_cancelled and self.is_cancelled():
            raise Cancelled("cancelled", node=self.node, frame=self.frame)

    def notice(self, text: str) -> None:
        """Tell the user something worth a look that is no error."""
        if self.on_notice:
            self.on_notice(self.node, self.frame, text)
