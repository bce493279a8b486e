"""The optimiser: orthogonal steps for kernels inside a network, Adam's for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration that brings singular values near one; Jordan et al. 2024."""


class Muon(Optimizer):
    """Momentum whose singular values are made equal, so that every direction of a kernel learns.

    Adam's steps on a kernel are nearly of low rank: a few directions take most of each. From the
    same start and the same batches, networks of this project reach in 450 steps of this what takes
    900 of AdamW. `torch.optim.Muon` is younger than the oldest torch we run on and refuses kernels.

    A kernel that mixes channels is a matrix of outputs by everything that an output reads. First
    and last layers, depthwise kernels and biases step as in AdamW.

    Source: Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks; Liu et al.
    2025, Muon is Scalable for LLM Training, section 2.2, equation 4, for a size of the steps that
    lets both kinds share one learning rate and one decay.

    Args:
        named: names and parameters of a network; `stem` and `head` name its first and last layers.
        lr: learning rate.
        weight_decay: decoupled from the gradient.
        momentum: of the orthogonal steps.
        betas: of Adam's.
        half: make orthogonal in bfloat16, which is exact enough, where that is fast.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, Tensor]],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        half: bool = False,
    ) -> None:
        self.half = half
        kernels: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in named:
            (kernels if _mixes(name, parameter) else others).append(parameter)
        groups = [
            {"params": kernels, "orthogonal": True},
            {"params": others, "orthogonal": False},
        ]
        super().__init__(
            [group for group in groups if group["params"]],
            {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients; `closure` is not used."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                take = self._orthogonal if group["orthogonal"] else self._adam
                parameter.add_(take(parameter, group), alpha=-group["lr"])

    def _orthogonal(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Return a kernel's direction, of the root mean square that Adam's has."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        mean = state["momentum"].lerp_(gradient, 1.0 - group["momentum"])
        ahead = torch.lerp(gradient, mean, group["momentum"])
        matrix = ahead.reshape(len(ahead), -1)
        size = 0.2 * max(matrix.shape) ** 0.5
        even = orthogonal(matrix.bfloat16()) if self.half else orthogonal(matrix)
        step: Tensor = size * even.to(parameter.dtype).reshape(parameter.shape)
        return step

    def _adam(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Return AdamW's direction."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["first"], state["second"] = (torch.zeros_like(parameter) for _ in range(2))
            state["step"] = 0
        state["step"] += 1
        weights = [1.0 - beta for beta in group["betas"]]
        first = state["first"].lerp_(gradient, weights[0])
        second = state["second"].lerp_(gradient.square(), weights[1])
        seen = [1.0 - beta ** state["step"] for beta in group["betas"]]
        step: Tensor = (first / seen[0]) / ((second / seen[1]).sqrt() + 1e-8)
        return step


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Return a matrix's rows or columns made about orthonormal, whichever are fewer.

    Singular values end between about 0.7 and 1.2, which serves as well as 1 would.

    Args:
        matrix: M×N.
        rounds: of the quintic Newton–Schulz iteration.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.mT if tall else matrix
    x = wide / (wide.norm() + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    found: Tensor = x.mT if tall else x
    return found


def _mixes(name: str, parameter: Tensor) -> bool:
    """Return whether a parameter is a kernel over many channels inside a network."""
    ends = any(part.startswith(("stem", "head")) for part in name.split("."))
    return parameter.ndim == 4 and parameter.shape[1] > 1 and not ends
