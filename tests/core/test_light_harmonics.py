"""Spherical harmonics against textbook polynomials, quadrature and the rotation group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.light import harmonics, latlong

HEIGHT = 256


def textbook(towards: np.ndarray) -> np.ndarray:
    """Return the polynomials of orders 0 to 2 and some of 3, polar axis +Y, azimuth +Z to +X."""
    x, y, z = np.moveaxis(towards, -1, 0)
    pi = np.pi
    return np.stack(
        (
            np.full_like(x, np.sqrt(1 / (4 * pi))),
            np.sqrt(3 / (4 * pi)) * x,
            np.sqrt(3 / (4 * pi)) * y,
            np.sqrt(3 / (4 * pi)) * z,
            np.sqrt(15 / (4 * pi)) * z * x,
            np.sqrt(15 / (4 * pi)) * x * y,
            np.sqrt(5 / (16 * pi)) * (3 * y * y - 1),
            np.sqrt(15 / (4 * pi)) * z * y,
            np.sqrt(15 / (16 * pi)) * (z * z - x * x),
        ),
        -1,
    )


def test_the_first_orders_are_the_textbooks_polynomials():
    towards = latlong.directions(16)
    np.testing.assert_allclose(harmonics.evaluate(towards, 2), textbook(towards), atol=1e-14)


def test_they_are_orthonormal():
    towards, weight = latlong.directions(HEIGHT), latlong.solid_angles(HEIGHT)
    values = harmonics.evaluate(towards, 4)
    gram = np.einsum("hwi,hwj,h->ij", values, values, weight)
    np.testing.assert_allclose(gram, np.eye(25), atol=2e-4)


@pytest.mark.parametrize("height", [1, 3, 8])
def test_projection_is_the_exact_integral_over_constant_texels(height: int):
    image = np.random.default_rng(0).lognormal(0, 1, (height, 2 * height, 3)).astype(np.float32)

    def summed(split: int) -> np.ndarray:
        texels = image.repeat(split, 0).repeat(split, 1)
        values = harmonics.evaluate(latlong.directions(height * split), 4)
        return np.einsum("hwk,hwc,h->kc", values, texels, latlong.solid_angles(height * split))

    # A sum over finer texels errs by the square of their size; two sums cancel that.
    split = 64 // height
    expected = (4 * summed(2 * split) - summed(split)) / 3
    np.testing.assert_allclose(harmonics.project(image), expected, atol=2e-6)


@pytest.mark.parametrize("height", [1, 2, 33])
def test_a_constant_has_only_the_first_harmonic(height: int):
    found = harmonics.project(np.full((height, 2 * height, 1), 0.5, np.float32))
    assert found[0, 0] == pytest.approx(0.5 * np.sqrt(4 * np.pi), rel=1e-12)
    np.testing.assert_allclose(found[1:], 0, atol=1e-13)


@given(st.floats(-720, 720), st.integers(0, 100))
def test_turning_agrees_with_turned_directions(degrees: float, seed: int):
    coefficients = np.random.default_rng(seed).normal(size=(25, 3))
    towards = latlong.directions(4)
    turn = np.radians(degrees)
    # Content moves to larger u, so its value at u is what was at u − degrees/360.
    x, z = towards[..., 0], towards[..., 2]
    before = np.stack(
        (
            x * np.cos(turn) + z * np.sin(turn),
            towards[..., 1],
            z * np.cos(turn) - x * np.sin(turn),
        ),
        -1,
    )
    np.testing.assert_allclose(
        harmonics.evaluate(towards, 4) @ harmonics.turn(coefficients, degrees),
        harmonics.evaluate(before, 4) @ coefficients,
        atol=1e-10,
    )


def test_turning_the_harmonics_is_turning_the_image():
    image = np.random.default_rng(1).random((16, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(
        harmonics.turn(harmonics.project(image), 90),
        harmonics.project(latlong.turn(image, 90)),
        atol=1e-12,
    )


def test_a_turned_camera_sees_the_world_turned_back():
    rng = np.random.default_rng(2)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    coefficients = rng.normal(size=(25, 2))
    towards = latlong.directions(5)
    np.testing.assert_allclose(
        harmonics.evaluate(towards, 4) @ harmonics.seen_from(coefficients, rotation),
        harmonics.evaluate(towards @ rotation.T, 4) @ coefficients,
        atol=1e-11,
    )


@pytest.mark.parametrize("exponent", [1, 2, 16, 64])
def test_lobes_are_the_legendre_integrals(exponent: int):
    found = harmonics.lobe(exponent, 12)
    closed = (1, (exponent + 1) / (exponent + 2), exponent / (exponent + 3))
    np.testing.assert_allclose(found[:3], closed, rtol=1e-15)
    x, weight = np.polynomial.legendre.leggauss(64)
    x, weight = (x + 1) / 2, weight / 2
    for order in range(13):
        polynomial = np.polynomial.legendre.legval(x, np.eye(13)[order])
        integral = (exponent + 1) * (weight * x**exponent * polynomial).sum()
        assert found[order] == pytest.approx(integral, abs=1e-13)


def test_the_clamped_cosine_has_ramamoorthis_coefficients():
    """Ramamoorthi and Hanrahan 2001, equation 8: π, 2π/3, π/4, 0, −π/24, divided by π."""
    np.testing.assert_allclose(harmonics.lobe(1, 5), (1, 2 / 3, 1 / 4, 0, -1 / 24, 0), atol=1e-15)
