"""Alpha of single pixels against the same sums done by another library, and what must be true."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import multivariate_normal

from relume.matting.known_background import solve_matte
from relume.matting.planes import grown, shrunk
from relume.matting.posterior import PAIRS, likely_ends, probable_alpha

BEHIND = np.array((0.1, 0.4, 0.2), np.float32)
FRONT = np.array((0.6, 0.3, 0.15), np.float32)


def asked(
    alpha: np.ndarray,
    *,
    spread: float = 0.01,
    noise: float = 0.003,
    prior: float | np.ndarray = 0.5,
    front: np.ndarray = FRONT,
    behind: np.ndarray = BEHIND,
) -> np.ndarray:
    """Ask for the alpha of mixtures of two colours that are known."""
    count = len(alpha)
    plate = alpha[:, None] * front + (1 - alpha[:, None]) * behind
    covariance = np.zeros((count, 6), np.float32)
    for k, (i, j) in enumerate(PAIRS):
        covariance[:, k] = spread**2 * (i == j)
    rows = (np.broadcast_to(each, (count, 3)).astype(np.float32) for each in (behind, front))
    at = np.broadcast_to(np.float32(prior), (count,))
    grain = np.full((count, 3), noise, np.float32)
    ends = likely_ends(at, 0.5)
    return probable_alpha(plate.astype(np.float32), *rows, covariance, grain, at, ends).alpha


@pytest.mark.parametrize("gain", [1e-2, 1.0, 3e4])
def test_mixtures_of_two_known_colours_are_taken_apart_at_any_exposure(gain: float) -> None:
    alpha = np.linspace(0, 1, 41)
    found = asked(
        alpha,
        spread=0.01 * gain,
        noise=0.003 * gain,
        front=FRONT * np.float32(gain),
        behind=BEHIND * np.float32(gain),
    )
    assert np.abs(found - alpha).max() < 0.05
    assert (np.diff(found) > -1e-6).all()
    assert found[0] == 0.0 and found[-1] == 1.0


def test_of_two_equal_colours_the_network_is_believed() -> None:
    prior = np.array((0.0, 0.2, 0.8, 1.0), np.float32)
    found = asked(np.full(4, 0.5), front=BEHIND, spread=0.0, prior=prior)
    assert (np.abs(found - prior) < 0.35).all()
    assert (np.diff(found) > -1e-6).all()


def test_a_pixel_that_is_the_background_s_to_the_noise_is_background() -> None:
    found = asked(np.zeros(1), front=BEHIND, spread=0.05, prior=0.7)
    assert found[0] == 0.0


def test_the_median_is_that_of_the_sum_done_by_scipy() -> None:
    rng = np.random.default_rng(3)
    steps, sure, grid = 33, 0.5, np.linspace(0, 1, 33)
    for _ in range(6):
        factor = rng.normal(0, 0.08, (3, 3))
        spread = factor @ factor.T + 1e-4 * np.eye(3)
        noise, prior = rng.uniform(0.005, 0.03, 3), rng.random()
        plate, behind, front = rng.uniform(0.05, 0.9, (3, 3))
        scale = (max(plate.mean(), behind.mean()) + 1e-3) ** 2
        mass = np.exp(-0.5 * ((grid - prior) / 0.3) ** 2)
        mass[[0, -1]] = 0
        mass *= (1 - sure) / mass.sum()
        whole = 0.15 + 0.7 * prior
        mass[0], mass[-1] = sure * (1 - whole), sure * whole
        for k, alpha in enumerate(grid):
            middle = alpha * front + (1 - alpha) * behind
            floor = np.diag(noise**2) + 1e-7 * scale * np.eye(3)
            near = multivariate_normal(middle, alpha**2 * spread + floor).pdf(plate)
            far = multivariate_normal(middle, alpha**2 * scale * np.eye(3) + floor).pdf(plate)
            mass[k] *= 0.99 * near + 0.01 * far
        total = np.cumsum(mass) / mass.sum()
        k = int(np.searchsorted(total, 0.5))
        rows = [np.float32(each)[None] for each in (plate, behind, front)]
        pairs = np.float32([[spread[i, j] for i, j in PAIRS]])
        at = np.float32([prior])
        grain, ends = np.float32(noise)[None], likely_ends(at, sure)
        found = probable_alpha(*rows, pairs, grain, at, ends, steps=steps)
        assert abs(float(found.alpha[0]) - grid[k]) <= 0.51 / (steps - 1)
        np.testing.assert_allclose(found.ends[:, 0], mass[[0, -1]] / mass.sum(), atol=2e-4)


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A disc of a textured colour before a textured wall: plate, clean plate, alpha."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:200, :320]
    alpha = np.clip((50 - np.hypot(x - 110, y - 110)) / 3 + 0.5, 0, 1).astype(np.float32)
    tiles = rng.uniform(0.1, 0.8, (25, 40, 3)).repeat(8, 0).repeat(8, 1)
    front = np.float32((0.05, 0.02, 0.015)) * rng.lognormal(0, 0.5, (200, 320, 1))
    plate = alpha[..., None] * front + (1 - alpha[..., None]) * tiles
    noise = rng.normal(0, 0.003, (2, 200, 320, 3))
    return (plate + noise[0]).astype(np.float32), (tiles + noise[1]).astype(np.float32), alpha


def test_what_changed_far_from_the_subject_is_not_the_subject() -> None:
    plate, clean, alpha = scene()
    plate[20:60, 250:300] = 1.5
    found = solve_matte(plate, clean, alpha)
    assert not found[:, 230:].any()
    assert np.abs(found - alpha).mean() < 4e-3


def test_a_shadow_beside_the_subject_is_not_the_subject() -> None:
    plate, clean, alpha = scene()
    x = np.arange(320)[None, :, None]
    shadow = 1 - 0.3 * np.clip((x - 110) / 60, 0, 1) * np.clip((260 - x) / 60, 0, 1)
    plate = np.where(alpha[..., None] < 0.5, plate * shadow, plate).astype(np.float32)
    found = solve_matte(plate, clean, alpha)
    assert found[alpha == 0].mean() < 4e-3


def test_a_textured_subject_is_solid_to_its_edge() -> None:
    plate, clean, alpha = scene()
    y, x = np.mgrid[:200, :320]
    unsure = np.clip((50 - np.hypot(x - 110, y - 110)) / 30 + 0.5, 0, 1).astype(np.float32)
    found = solve_matte(plate, clean, unsure)
    assert found[alpha == 1].mean() > 0.98
    assert np.abs(found - alpha).mean() < 0.3 * np.abs(unsure - alpha).mean()


def test_a_subject_that_is_here_and_there_the_background_s_colour_is_solid_there_too() -> None:
    rng = np.random.default_rng(9)
    y, x = np.mgrid[:240, :320]
    inside = 70 - np.hypot(x - 150, y - 120)
    alpha, unsure = (np.clip(inside / w + 0.4, 0, 1).astype(np.float32) for w in (3, 40))
    # Light and dark hair before a wall that lies between.
    front = 0.3 * rng.lognormal(0, 0.5, (240, 320, 1)) * np.array((1.0, 0.97, 0.93))
    wall = np.full((240, 320, 3), 0.3)
    noise = rng.normal(0, 0.003, (2, 240, 320, 3))
    plate = alpha[..., None] * front + (1 - alpha[..., None]) * wall + noise[0]
    found = solve_matte(plate.astype(np.float32), (wall + noise[1]).astype(np.float32), unsure)
    # One by one, a pixel in twenty passes for background.
    assert found[alpha == 1].mean() > 0.99
    assert np.abs(found - alpha).mean() < 0.1 * np.abs(unsure - alpha).mean()


def test_bright_strands_that_the_network_took_for_solid_let_the_background_through() -> None:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:400, :640]
    comb = np.clip(0.5 + 0.9 * np.sin(x * (2 * np.pi / 9)), 0, 1)
    alpha = np.where(y > 200, 1.0, np.where(y > 185, comb, 0.0))
    word = (y > 185).astype(np.float32)
    front = np.array((4.0, 3.5, 3.0)) * rng.lognormal(0, 0.1, (400, 640, 1))
    tiles = rng.lognormal(0, 0.2, (50, 80, 1)).repeat(8, 0).repeat(8, 1)
    wall = np.array((0.05, 0.06, 0.04)) * tiles
    noise = rng.normal(0, 0.002, (2, 400, 640, 3))
    plate = alpha[..., None] * front + (1 - alpha[..., None]) * wall + noise[0]
    found = solve_matte(plate.astype(np.float32), (wall + noise[1]).astype(np.float32), word)
    strands = np.s_[186:200, 40:600]
    assert np.abs(found - alpha)[strands].mean() < 0.2 * np.abs(word - alpha)[strands].mean()
    assert (found[220:] == 1.0).all()


def test_a_gap_that_the_network_filled_is_open_where_the_subject_looks_otherwise() -> None:
    plate, clean, alpha = scene()
    wall = np.full_like(clean, 0.03)
    noise = np.random.default_rng(4).normal(0, 0.002, (2, *wall.shape))
    y, x = np.mgrid[:200, :320]
    hole = np.hypot(x - 110, y - 115)
    cover = np.where(hole < 18, np.float32(0), alpha)
    front = np.float32((0.6, 0.5, 0.7))
    behind = (wall + noise[1]).astype(np.float32)
    plate = cover[..., None] * front + (1 - cover[..., None]) * wall + noise[0]
    found = solve_matte(plate.astype(np.float32), behind, alpha)
    assert found[hole < 17].mean() < 0.02
    # A subject of the wall's own colour is the network's to tell.
    dark = cover[..., None] * 0.031 + (1 - cover[..., None]) * wall + noise[0]
    assert solve_matte(dark.astype(np.float32), behind, alpha)[100:140, 90:130].mean() > 0.9


@pytest.mark.parametrize("steps", [1, 4, 11])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.98])
def test_masks_grow_and_shrink_as_scipy_s_iterations_do(steps: int, share: float) -> None:
    mask = np.random.default_rng(6).random((37, 52)) < share
    once = {"iterations": steps}
    np.testing.assert_array_equal(grown(mask, steps), ndimage.binary_dilation(mask, **once))
    inner = ndimage.binary_erosion(mask, border_value=1, **once)
    np.testing.assert_array_equal(shrunk(mask, steps), inner)
    inner = ndimage.binary_erosion(mask, **once)
    np.testing.assert_array_equal(shrunk(mask, steps, border=False), inner)
