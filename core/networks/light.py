"""The light network: what a picture tells → the light around that it does not show."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

_LIMIT = 4.0
"""Clues further from what training saw than this, in standard deviations, say no more."""


class LightNet(nn.Module):
    """A few small networks of two hidden layers, each trained without some of the environments.

    An answer holds (order+1)² real spherical harmonics of log₂ radiance for R, G and B, in the
    level frame and relative to the picture's mean colour, and three exponents of how much more
    light clipped pixels had.

    Args:
        members: how many networks.
        clues: numbers that each reads.
        hidden: width of the hidden layers.
        order: of the harmonics.
        drop: share of hidden values that training leaves out.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self, members: int, clues: int, hidden: int, order: int, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.members, self.order, self.drop = members, order, drop
        sizes = (clues, hidden, hidden, 3 * (order + 1) ** 2 + 3)
        self.register_buffer("mean", torch.zeros(members, clues))
        self.register_buffer("spread", torch.ones(members, clues))
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for inputs, outputs in pairwise(sizes):
            reach = inputs**-0.5
            weight = torch.empty(members, outputs, inputs).uniform_(-reach, reach)
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(members, outputs)))
        with torch.no_grad():
            self.weights[-1].mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the answer of every member.

        Args:
            x: N×clues.

        Returns:
            N×members×(3·(order+1)² + 3): harmonics in the order of `relume.light.harmonics`, each
            R, G, B; then the exponents of R, G, B.
        """
        z = (x[:, None] - self.mean) / self.spread
        z = z.clamp(-_LIMIT, _LIMIT)
        last = len(self.weights) - 1
        for at, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = torch.einsum("nmi,moi->nmo", z, weight) + bias
            if at < last:
                z = fn.dropout(fn.gelu(z), self.drop, self.training)
        return z

    def take(self, members: list[int]) -> LightNet:
        """Return some of the members as a network of their own."""
        own = {key: value[members] for key, value in self.state_dict().items()}
        return stacked([own], self.order)


def stacked(states: list[dict[str, Tensor]], order: int) -> LightNet:
    """Return one network of the members of several state dictionaries."""
    whole = {key: torch.cat([state[key] for state in states]) for key in states[0]}
    members, clues = whole["mean"].shape
    model = LightNet(members, clues, whole["biases.0"].shape[1], order)
    model.load_state_dict(whole)
    model.requires_grad_(False)
    model.eval()
    return model


def build(**settings: Any) -> LightNet:
    """Return the network of a manifest's hyperparameters."""
    return LightNet(**settings)
