"""The encoding of networks: closed form, exact inverse, nothing lost, and gradients everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from relume.encoding import decode, encode

FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)


def array(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("x", "y"),
    [(0, 0), (4, 1), (-4, -1), (1 / 16, math.log(2, 65)), (0.18, math.log(3.88, 65)),
     (65504, math.log(1 + 16 * 65504, 65)), (-1e30, -math.log(1 + 16e30, 65))],
)  # fmt: skip
def test_closed_form(x, y):
    assert encode(array(x))[0] == pytest.approx(y, rel=2e-7)
    assert float(encode(torch.tensor(float(x)))) == pytest.approx(y, rel=2e-7)


@given(FLOATS)
def test_decoding_undoes_encoding(x):
    # The exponent turns a relative error of y into log(1 + 16|x|) times as much of x.
    bound = 4e-7 * max(1.0, math.log1p(16 * abs(x)))
    assert decode(encode(array(x)))[0] == pytest.approx(x, rel=bound, abs=1e-44)


@given(FLOATS)
def test_encoding_is_odd_to_the_bit(x):
    assert encode(array(-x)).tobytes() == (-encode(array(x))).tobytes()
    assert decode(array(-3.0)).tobytes() == (-decode(array(3.0))).tobytes()


@given(st.lists(FLOATS, min_size=2, max_size=20))
def test_encoding_keeps_the_order(values):
    x = np.sort(array(*values))
    assert (np.diff(encode(x)) >= 0).all()


@given(st.lists(FLOATS, min_size=1, max_size=20))
def test_torch_and_numpy_agree(values):
    x = array(*values)
    y = encode(x)
    np.testing.assert_allclose(encode(torch.from_numpy(x)).numpy(), y, rtol=5e-7)
    # Two exponentials of the same number: each is within an ulp of y times y.
    np.testing.assert_allclose(
        decode(torch.from_numpy(y)).numpy(), decode(y), rtol=1e-6 * (1 + np.abs(y).max())
    )


def test_shape_type_and_argument_are_kept():
    x = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4)
    x.flags.writeable = False
    for result in (encode(x), decode(x)):
        assert (result.shape, result.dtype) == (x.shape, np.float32)
    for result in (encode(torch.ones(2, 3)), decode(torch.ones(2, 3))):
        assert (tuple(result.shape), result.dtype) == ((2, 3), torch.float32)


def test_not_a_number_stays_one():
    assert np.isnan(encode(array(math.nan))).all()
    assert torch.isnan(encode(torch.tensor([math.nan]))).all()


@pytest.mark.parametrize(
    ("function", "slope"), [(encode, 16 / math.log(65)), (decode, math.log(65) / 16)]
)
def test_the_gradient_at_black_is_that_of_the_curve(function, slope):
    x = torch.tensor([0.0, -0.0, 1e-6, -1e-6], requires_grad=True)
    function(x).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-4)


def test_gradients_agree_with_finite_differences():
    x = torch.tensor([-300.0, -0.5, 0.25, 2.0, 100.0], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([-2.0, -0.5, 0.25, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(encode, (x,))
    assert torch.autograd.gradcheck(decode, (y,))
