"""Clean plates moved, brightened and shadowed by known amounts must come back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from relume.errors import UsageError
from relume.image import Image
from relume.matting.align import align_clean_plate
from relume.matting.match import match_clean_plate
from relume.matting.robust import biweight
from relume.matting.warp import Warp, basis, coordinates

HEIGHT, WIDTH = 150, 240


def scenery(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth picture that can be looked at anywhere: H×W×3, scene-linear, up to about 2."""
    rng = np.random.default_rng(5)
    total = np.zeros((*x.shape, 3))
    for _ in range(40):
        u, v = rng.normal(0.0, 9.0, 2)
        total += np.sin(u * x + v * y + rng.uniform(0, 6.3))[..., None] * rng.normal(0, 0.16, 3)
    return (0.2 * np.exp(total)).astype(np.float32)


def image(pixels: np.ndarray) -> Image:
    return Image(np.ascontiguousarray(pixels, np.float32), ("R", "G", "B"))


def seen(matrix: np.ndarray) -> np.ndarray:
    """The scenery as a camera sees it whose pixels lie at `matrix` · their own places."""
    at = Warp(matrix, (HEIGHT / WIDTH, 1.0)).grid(HEIGHT, WIDTH)
    return scenery(at[..., 0], at[..., 1])


def subject(plate: np.ndarray) -> np.ndarray:
    """The plate with a large disc in it that no clean plate shows."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc = (x - 130) ** 2 + (y - 90) ** 2 < 48**2
    return np.where(disc[..., None], np.float32(0.6), plate)


MOVES = {
    "a shift": [[1, 0, 0.021], [0, 1, -0.013], [0, 0, 1]],
    "a turn": [[0.9994, -0.034, 0.0], [0.034, 0.9994, 0.01], [0, 0, 1]],
    "a zoom": [[1.03, 0, 0], [0, 1.03, 0], [0, 0, 1]],
    "a pan": [[1.0, 0.004, 0.05], [-0.003, 1.0, 0.01], [0.012, -0.008, 1]],
}


@pytest.mark.parametrize("name", MOVES)
def test_a_move_is_found_behind_a_subject(name: str) -> None:
    """The plate's pixel p shows what the clean plate shows at M·p."""
    matrix = np.array(MOVES[name], np.float64)
    clean = image(seen(np.eye(3)))
    truth = seen(matrix)
    found = align_clean_plate(image(subject(truth)), clean, 0.0, mesh=False, match=False)
    inner = (slice(15, -15), slice(15, -15))
    before = np.abs(clean.pixels - truth)[inner].mean()
    after = np.abs(found.clean_plate.pixels - truth)[inner].mean()
    assert after < 0.08 * before
    expected = Warp(matrix, (HEIGHT / WIDTH, 1.0)).distance(HEIGHT, WIDTH)
    assert found.moved == pytest.approx(expected, abs=0.1)


def test_an_unmoved_clean_plate_stays_as_it_is_to_the_bit() -> None:
    clean = image(seen(np.eye(3)))
    noise = np.random.default_rng(1).normal(0, 0.004, clean.pixels.shape).astype(np.float32)
    plate = image(subject(clean.pixels + noise))
    found = align_clean_plate(plate, clean, 0.0, match=False)
    assert found.moved == 0.0
    np.testing.assert_array_equal(found.clean_plate.pixels, clean.pixels)


def test_a_plain_wall_gives_no_move() -> None:
    noise = np.random.default_rng(2).normal(0, 0.01, (2, HEIGHT, WIDTH, 3)).astype(np.float32)
    found = align_clean_plate(image(0.3 + noise[0]), image(0.3 + noise[1]), 0.0)
    assert found.moved == 0.0


def test_small_local_moves_are_followed() -> None:
    at = coordinates(HEIGHT, WIDTH, (HEIGHT / WIDTH, 1.0))
    bent = at[..., 0] + 0.012 * np.sin(3.0 * at[..., 1]) * np.cos(2.0 * at[..., 0])
    truth = scenery(bent, at[..., 1])
    clean = image(seen(np.eye(3)))
    plate = image(subject(truth))
    inner = (slice(12, -12), slice(12, -12))
    stiff, bendy = (
        np.abs(
            align_clean_plate(plate, clean, 0.0, mesh=mesh, match=False).clean_plate.pixels - truth
        )[inner].mean()
        for mesh in (False, True)
    )
    assert bendy < 0.5 * stiff


@pytest.mark.parametrize("anchor", [0.0, 3.0])
def test_gains_are_found_with_a_subject_and_a_soft_shadow_in_the_way(anchor: float) -> None:
    clean = seen(np.eye(3)) * 2.0**-anchor
    gain = np.array([1.15, 1.05, 0.9], np.float32)
    x = np.linspace(0.0, 1.0, WIDTH, dtype=np.float32)[None, :, None]
    plate = clean * gain * (0.8 + 0.2 * x)
    found = align_clean_plate(image(subject(plate)), image(clean), anchor, moving=False)
    y, columns = np.mgrid[:HEIGHT, :WIDTH]
    open_ = (columns - 130) ** 2 + (y - 90) ** 2 >= 48**2
    error = np.abs(found.clean_plate.pixels / plate - 1.0)[open_]
    assert np.median(error) < 0.01
    assert np.array(found.gain) / np.mean(found.gain) == pytest.approx(gain / gain.mean(), rel=0.04)
    assert found.explained > 0.6


def test_a_clean_plate_that_fits_is_left_alone() -> None:
    clean = seen(np.eye(3))
    open_ = torch.ones(1, 1, HEIGHT, WIDTH)
    found, gain = match_clean_plate(clean, clean, 0.0, open_)
    np.testing.assert_allclose(found, clean, rtol=2e-3)
    np.testing.assert_allclose(gain, 1.0, rtol=2e-3)


def test_values_beyond_the_display_survive() -> None:
    clean = seen(np.eye(3))
    clean[20:24, 30:34] = 500.0
    clean[60:64, 30:34] = -0.5
    found = align_clean_plate(image(clean), image(clean), 0.0).clean_plate.pixels
    assert found[22, 32].min() > 490.0
    assert found[62, 32].max() < -0.4


def test_another_scene_explains_little() -> None:
    other = scenery(*np.moveaxis(coordinates(HEIGHT, WIDTH, (0.625, 1.0)) * -1.7 + 40.0, -1, 0))
    found = align_clean_plate(image(seen(np.eye(3))), image(other), 0.0)
    assert found.explained < 0.35


def test_a_close_up_is_judged_by_the_background_that_is_left() -> None:
    clean = seen(np.eye(3))
    plate, cover = clean.copy(), np.zeros((HEIGHT, WIDTH, 1), np.float32)
    plate[:, 50:] = (0.6, 0.3, 0.2)
    cover[:, 50:] = 1.0
    person = Image(cover, ("A",), "data")
    found = align_clean_plate(image(plate), image(clean), 0.0, subject=person)
    assert found.explained > 0.95
    everything = Image(np.ones_like(cover), ("A",), "data")
    nothing = align_clean_plate(image(plate), image(clean), 0.0, subject=everything)
    assert nothing.explained == pytest.approx(50 / WIDTH, abs=0.05)
    np.testing.assert_allclose(nothing.clean_plate.pixels, clean, atol=1e-5)


def test_another_size_is_refused() -> None:
    clean = image(seen(np.eye(3)))
    with pytest.raises(UsageError, match="240×150"):
        align_clean_plate(image(clean.pixels[:100]), clean, 0.0)


def test_outliers_have_no_weight_and_the_unknown_does_not_count() -> None:
    residual = np.array([0.0, 0.001, -0.001, 0.002, 9.0, np.inf])
    weight, cost = biweight(residual, np.ones(6))
    assert weight[0] == 1.0
    assert weight[4] == weight[5] == 0.0
    assert 0.3 < cost < 0.4
    assert biweight(residual, np.zeros(6))[0].max() == 0.0


def test_a_mesh_of_one_value_is_flat_and_its_weights_sum_to_one() -> None:
    weights = basis(7, 9, 3, 4)
    np.testing.assert_allclose(weights @ np.ones(12), 1.0)
    ramp = np.tile(np.linspace(0.0, 1.0, 4), 3)
    at = (weights @ ramp).reshape(7, 9)
    np.testing.assert_allclose(at[3], (np.arange(9) + 0.5) / 9)
