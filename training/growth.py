"""Networks that go on from smaller ones, or stop halfway."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


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


def between(before: Net, after: Net, share: float) -> Net:
    """Return a network whose weights lie between those of one and of what became of it.

    What was learnt last is partly forgotten, and what was known before mostly kept: both are better
    on pictures that neither resembles.

    Source: Wortsman et al. 2022, Robust fine-tuning of zero-shot models, section 3.

    Args:
        before: as it was.
        after: of the same size.
        share: of the latter, 0 to 1.
    """
    out, known = copy.deepcopy(after), before.state_dict()
    out.load_state_dict(
        {
            key: torch.lerp(known[key], value, share) if value.is_floating_point() else value
            for key, value in after.state_dict().items()
        }
    )
    return out
