"""Straight foregrounds against synthetic truth, the matting equation, and pymatting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from relume.errors import UsageError
from relume.image import Box, Image
from relume.matting.foreground import MARGIN, estimate_foreground, estimate_layers


def scene(height: int = 150, width: int = 200) -> tuple[np.ndarray, ...]:
    """Return plate, alpha and the true straight foreground and background, all smooth."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    front = np.stack((0.4 + 0.2 * np.sin(x / 23), 0.3 + 0.1 * np.cos(y / 17), 0.2 + 0 * x), -1)
    back = np.stack(
        (0.1 + 0.05 * np.cos(x / 15), 0.2 + 0.1 * np.sin(y / 13), 0.5 + 0.3 * np.sin((x + y) / 25)),
        -1,
    )
    wisps = ndimage.gaussian_filter(rng.standard_normal((height, width)), 1.5)
    radius = np.hypot(x - width / 2, y - height * 0.6)
    alpha = np.clip((0.3 * height + 8 * wisps / wisps.std() - radius) / 16 + 0.5, 0, 1)
    alpha = alpha.astype(np.float32)
    plate = alpha[..., None] * front + (1 - alpha[..., None]) * back
    return plate.astype(np.float32), alpha, front, back


def test_constant_colours_are_recovered_exactly() -> None:
    _, alpha, _, _ = scene()
    front, back = np.float32([0.9, 0.1, 3.0]), np.float32([0.05, 0.6, 0.2])
    plate = alpha[..., None] * front + (1 - alpha[..., None]) * back
    found, behind = estimate_layers(plate, alpha)
    assert np.allclose(found[alpha > 0.02], front, atol=5e-3)
    assert np.allclose(behind[alpha < 0.98], back, atol=5e-3)


def test_the_matting_equation_holds_to_rounding() -> None:
    plate, alpha, _, _ = scene()
    front, back = estimate_layers(plate, alpha)
    rebuilt = alpha[..., None] * front + (1 - alpha[..., None]) * back
    assert np.abs(rebuilt - plate).max() < 1e-6


def test_closer_to_the_truth_than_pymatting() -> None:
    from pymatting import estimate_foreground_ml

    plate, alpha, truth, behind = scene()
    front, back = estimate_layers(plate, alpha)
    theirs, under = estimate_foreground_ml(
        plate.astype(np.float64), alpha.astype(np.float64), return_background=True
    )
    soft = (alpha > 0.05) & (alpha < 0.999)
    clear = (alpha < 0.95) & (alpha > 0.001)
    assert np.abs(front - truth)[soft].mean() < 0.9 * np.abs(theirs - truth)[soft].mean()
    assert np.abs(back - behind)[clear].mean() < 0.9 * np.abs(under - behind)[clear].mean()
    # The plate itself, which a compositor would otherwise use, is far off.
    assert np.abs(front - truth)[soft].mean() < 0.2 * np.abs(plate - truth)[soft].mean()


def test_validity_inside_in_the_margin_and_beyond() -> None:
    plate, alpha, _, _ = scene()
    front, back = estimate_layers(plate, alpha)
    assert np.array_equal(front[alpha == 1], plate[alpha == 1])
    assert np.array_equal(back[alpha == 0], plate[alpha == 0])
    near = ndimage.maximum_filter(alpha > 0, size=2 * MARGIN + 1)
    assert np.all(front[~near] == 0)
    margin = front[near & (alpha == 0)]
    # A colour of the subject, not of what lies beyond it.
    assert 0.1 < margin[:, 0].min() and margin[:, 2].max() < 0.35


def test_every_colour_channel_scales_with_the_plate() -> None:
    plate, alpha, _, _ = scene(60, 80)
    front, _ = estimate_layers(plate, alpha)
    gain = np.float32([1024.0, -2.0, 0.25])
    scaled, _ = estimate_layers(plate * gain, alpha)
    assert np.allclose(scaled, front * gain, rtol=1e-4, atol=1e-5 * 1024)


def test_highlights_and_negatives_survive() -> None:
    plate, alpha, _, _ = scene(60, 80)
    inside = np.argwhere(alpha == 1)
    y, x = inside[len(inside) // 2]
    plate[y, x] = (1e5, -5, 3)
    front, _ = estimate_layers(plate, alpha)
    assert np.array_equal(front[y, x], plate[y, x])
    assert np.isfinite(front).all()


@settings(max_examples=30, deadline=None)
@given(
    data=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=23),
        elements=st.floats(0, 1, width=32),
    ),
    seed=st.integers(0, 1000),
)
def test_any_size_and_matte_gives_finite_colours(data: np.ndarray, seed: int) -> None:
    alpha = np.where(data < 0.3, 0, np.where(data > 0.7, 1, data)).astype(np.float32)
    plate = np.random.default_rng(seed).normal(0, 2, (*alpha.shape, 3)).astype(np.float32)
    front, back = estimate_layers(plate, alpha)
    assert front.shape == back.shape == plate.shape
    assert np.isfinite(front).all() and np.isfinite(back).all()
    assert np.array_equal(front[alpha == 1], plate[alpha == 1])
    rebuilt = alpha[..., None] * front + (1 - alpha[..., None]) * back
    solved = (alpha > 0) & (alpha < 1)
    assert np.allclose(rebuilt[solved], plate[solved], atol=1e-4)


def test_an_empty_matte_has_no_foreground() -> None:
    plate, alpha, _, _ = scene(20, 30)
    front, back = estimate_layers(plate, np.zeros_like(alpha))
    assert not front.any() and np.array_equal(back, plate)


def test_images_keep_their_windows_and_mattes_beyond_one_count_as_one() -> None:
    plate, alpha, _, _ = scene(20, 30)
    box, display = Box(5, 7, 35, 27), Box.of_size(50, 50)
    image = Image(plate, ("R", "G", "B"), "lin_rec709_scene", data=box, display=display)
    wild = Image(np.where(alpha == 1, 1e4, alpha)[..., None], ("A",), "data", data=box)
    out = estimate_foreground(image, wild)
    assert (out.data, out.display, out.colour, out.alpha) == (box, display, image.colour, "none")
    assert np.array_equal(out.pixels, estimate_layers(plate, alpha)[0])
    with pytest.raises(UsageError, match="30×20"):
        estimate_foreground(Image(plate[:10], ("R", "G", "B")), wild)
