"""Networks that go on from smaller ones."""

from __future__ import annotations

import torch
from torch import nn


def grow(network: nn.Module, start: nn.Module) -> None:
    """Make a network answer what a smaller one answers, with more channels and blocks to learn in.

    The smaller network's numbers go into the first corner of each tensor; what it knows reads
    nothing of the channels that are new. Blocks that it does not have stay as they are.

    Source: Chen et al. 2016, Net2Net, section 2.4, with fresh channels in place of copies.
    """
    target, source = network.state_dict(), start.state_dict()
    assert source.keys() <= target.keys()
    with torch.no_grad():
        for key, known in source.items():
            value = target[key]
            if value.ndim > 1:
                value[: known.shape[0], known.shape[1] :] = 0.0
            value[tuple(slice(size) for size in known.shape)] = known
