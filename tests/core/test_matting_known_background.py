"""Composites over a known background must be taken apart again."""

from __future__ import annotations

import numpy as np
import pytest

from relume.image import Image
from relume.matting.foreground import estimate_foreground
from relume.matting.known_background import difference_key, solve_matte
from relume.matting.surroundings import push_pull

HEIGHT, WIDTH = 128, 160


def soft_disc(radius: float = 40.0, soft: float = 5.0) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - 80.0, y - 70.0)
    return np.clip((radius - distance) / soft + 0.5, 0.0, 1.0).astype(np.float32)


def background(seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.05, 0.9, (HEIGHT // 8, WIDTH // 8, 3)).astype(np.float32)
    return coarse.repeat(8, 0).repeat(8, 1)


def composite(
    alpha: np.ndarray, colour: tuple[float, ...], behind: np.ndarray, noise: float = 0.003
) -> np.ndarray:
    grain = np.random.default_rng(7).normal(0.0, noise, behind.shape)
    front = np.array(colour, np.float32)
    plate = alpha[..., None] * front + (1.0 - alpha[..., None]) * behind + grain
    return plate.astype(np.float32)


def rough(alpha: np.ndarray) -> np.ndarray:
    """What a network might say: the right person, a wrong edge."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - 81.0, y - 69.0)
    return np.clip((40.0 - distance) / 20.0 + 0.5, 0.0, 1.0).astype(np.float32)


@pytest.mark.parametrize("colour", [(0.9, 0.1, 0.1), (0.02, 0.02, 0.03), (6.0, 5.0, 4.0)])
def test_a_wrong_edge_is_put_right(colour: tuple[float, ...]) -> None:
    alpha, behind = soft_disc(), background()
    plate = composite(alpha, colour, behind)
    before = np.abs(rough(alpha) - alpha).mean()
    found = solve_matte(plate, behind, rough(alpha))
    assert np.abs(found - alpha).mean() < 0.2 * before
    assert found.min() >= 0.0 and found.max() <= 1.0


def test_open_background_is_exactly_nothing_and_the_core_exactly_everything() -> None:
    alpha, behind = soft_disc(), background()
    found = solve_matte(composite(alpha, (0.9, 0.2, 0.1), behind), behind, rough(alpha))
    assert (found[:10] == 0.0).all()
    assert (found[60:80, 70:90] == 1.0).all()


def test_what_the_network_took_for_a_person_but_the_clean_plate_shows_is_background() -> None:
    behind = background()
    mistaken = np.zeros((HEIGHT, WIDTH), np.float32)
    mistaken[40:90, 40:110] = 1.0
    noise = np.random.default_rng(1).normal(0, 0.003, behind.shape)
    found = solve_matte((behind + noise).astype(np.float32), behind, mistaken)
    assert found.mean() < 0.1 * mistaken.mean()


def test_a_shadow_is_nearer_than_a_subject() -> None:
    behind = background()
    plate = behind.copy()
    plate[20:60, 20:60] *= 0.6
    plate[70:110, 20:60] = (0.7, 0.1, 0.4)
    grain = np.random.default_rng(1).normal(0, 0.02, behind.shape)
    key = difference_key(
        (plate + grain).astype(np.float32), behind, np.ones_like(plate[..., 0], bool)
    )
    shadow, thing = np.s_[25:55, 25:55], np.s_[75:105, 25:55]
    assert np.median(key.distance[shadow]) > 3.0
    # The best shade is judged over a few pixels, so edges of the texture are not quite matched.
    assert np.median(key.unshaded[shadow]) < 2.0
    assert np.median(key.unshaded[thing]) > 5.0
    assert np.median(key.distance[:15]) == pytest.approx(1.0, abs=0.5)


def test_a_plate_that_is_its_clean_plate_to_the_bit_almost_everywhere_can_be_compared() -> None:
    rng = np.random.default_rng(0)
    clean = np.full((200, 300, 3), 0.18, np.float32)
    cover = np.where(
        rng.random((200, 300, 1)) < 0.97, 0.0, 10.0 ** rng.uniform(-7, 0, (200, 300, 1))
    )
    plate = (clean * (1 - cover) + 50 * cover).astype(np.float32)
    key = difference_key(plate, clean, np.ones((200, 300), bool))
    assert np.isfinite(key.distance).all() and np.isfinite(key.unshaded).all()
    assert key.distance.min() == 0.0 and key.distance.max() > 100.0


def test_push_pull_keeps_what_is_known_and_fills_the_rest_from_near() -> None:
    values = np.zeros((33, 47, 3), np.float32)
    values[:, :10], values[:, -10:] = 2.0, 5.0
    weight = np.zeros((33, 47), np.float32)
    weight[:, :10] = weight[:, -10:] = 1.0
    found = push_pull(values, weight)
    np.testing.assert_allclose(found[:, :10], 2.0, atol=1e-5)
    np.testing.assert_allclose(found[:, -10:], 5.0, atol=1e-5)
    middle = found[16, 10:37, 0]
    assert middle[0] < 3.0 < 4.0 < middle[-1]
    assert ((middle >= 2.0 - 1e-4) & (middle <= 5.0 + 1e-4)).all()


def test_nothing_known_gives_nothing() -> None:
    assert not push_pull(np.ones((5, 6, 3), np.float32), np.zeros((5, 6), np.float32)).any()


def test_a_known_background_rebuilds_the_plate() -> None:
    alpha, behind = soft_disc(), background()
    plate = composite(alpha, (2.0, 0.3, -0.05), behind)
    found = estimate_foreground(
        Image(plate, ("R", "G", "B")),
        Image(alpha[..., None], ("A",)),
        Image(behind, ("R", "G", "B")),
    ).pixels
    cover = alpha[..., None]
    rebuilt = cover * found + (1.0 - cover) * behind
    where = alpha >= 0.1
    np.testing.assert_allclose(rebuilt[where], plate[where], atol=1e-5)
    assert np.abs(rebuilt - plate)[alpha > 0].mean() < 1e-3
    truth = np.array((2.0, 0.3, -0.05))
    assert np.abs(found[alpha > 0.3] - truth).mean() < 0.01
