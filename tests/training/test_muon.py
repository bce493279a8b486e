"""The optimiser: orthogonal steps inside a network, Adam's everywhere else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from relume.training.muon import Muon, orthogonal

RATE = 1e-2


class Net(nn.Module):
    """Every kind of parameter that the networks have."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Conv2d(8, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 5, padding=2, groups=16)
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return N×1×H×W."""
        x = torch.relu(self.body(torch.relu(self.stem(x))))
        found: Tensor = self.head(torch.relu(self.depthwise(x)))
        return found


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 24)])
def test_singular_values_end_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    # A steep spectrum, as gradients have.
    matrix = torch.randn(shape[0], 4) @ torch.randn(4, shape[1]) + 0.05 * torch.randn(shape)
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.3
    assert values.max() < 1.3
    # The directions stay: against its exact polar factor.
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    exact = left @ right
    likeness = (exact * orthogonal(matrix)).sum() / (exact.norm() * orthogonal(matrix).norm())
    assert likeness > 0.97


def test_a_step_turns_every_direction_of_a_kernel_alike() -> None:
    torch.manual_seed(2)
    net = Net()
    before = net.body.weight.detach().clone()
    optimiser = Muon(net.named_parameters(), lr=RATE)
    net(torch.rand(2, 3, 16, 16)).square().mean().backward()
    optimiser.step()
    step = (net.body.weight.detach() - before).reshape(16, -1)
    values = torch.linalg.svdvals(step)
    # A relu that never fires leaves a row without a gradient, and so without a step.
    values = values[values > 1e-3 * values.max()]
    assert len(values) >= 8
    assert values.max() / values.min() < 4
    # Spread over all entries this is a fifth of the rate, which is what Adam's steps come to.
    size = 0.2 * RATE * max(step.shape) ** 0.5
    assert values.mean() == pytest.approx(size, rel=0.3)


def test_ends_depthwise_kernels_and_biases_step_as_in_adamw() -> None:
    torch.manual_seed(3)
    mine = Net()
    theirs = Net()
    theirs.load_state_dict(mine.state_dict())
    decay = 0.1
    optimiser = Muon(mine.named_parameters(), lr=RATE, weight_decay=decay)
    adam = torch.optim.AdamW(theirs.parameters(), RATE, betas=(0.9, 0.99), weight_decay=decay)
    for _ in range(3):
        # Both see the same gradients, whatever the kernel in the middle has become.
        for one, two in zip(mine.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn_like(one)
            two.grad = one.grad.clone()
        optimiser.step()
        adam.step()
    other = dict(theirs.named_parameters())
    for name, parameter in mine.named_parameters():
        if name == "body.weight":
            assert not torch.allclose(parameter, other[name], atol=1e-4)
        else:
            torch.testing.assert_close(parameter, other[name])


def test_its_state_goes_on_to_the_bit() -> None:
    def stepped(net: Net, optimiser: Muon, first: int, last: int) -> None:
        for number in range(first, last):
            torch.manual_seed(number)
            optimiser.zero_grad()
            net(torch.rand(2, 3, 16, 16)).square().mean().backward()
            optimiser.step()

    torch.manual_seed(4)
    whole, parts = Net(), Net()
    parts.load_state_dict(whole.state_dict())
    first, second = (Muon(net.named_parameters(), lr=RATE) for net in (whole, parts))
    stepped(whole, first, 0, 6)
    stepped(parts, second, 0, 3)
    resumed = Net()
    resumed.load_state_dict(parts.state_dict())
    third = Muon(resumed.named_parameters(), lr=RATE)
    third.load_state_dict(second.state_dict())
    stepped(resumed, third, 3, 6)
    for one, two in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two)
