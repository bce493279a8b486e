"""Closed-form mattes against a dense solution, pymatting, and colours that have a known answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from relume.errors import UsageError
from relume.image import Box, Image
from relume.matting import closed_form, crew
from relume.matting import closed_form_solver as solver
from relume.matting.closed_form import closed_form_matte, solve_alpha


def scene(height: int = 40, width: int = 52, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return a plate with grain, its alpha, and a trimap with a wide unknown band."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    front = np.stack((0.5 + 0.2 * np.sin(x / 9), 0.3 + 0.1 * np.cos(y / 7), 0.2 + 0 * x), -1)
    back = np.stack((0.1 + 0.05 * np.cos(x / 5), 0.2 + 0 * x, 0.6 + 0.2 * np.sin(y / 8)), -1)
    wisps = ndimage.gaussian_filter(rng.standard_normal((height, width)), 1.0)
    edge = 0.3 * width + 2 * wisps / wisps.std() - np.hypot(x - width / 2, y - height * 0.6)
    alpha = np.clip(edge / 5 + 0.5, 0, 1)
    plate = alpha[..., None] * front + (1 - alpha[..., None]) * back
    plate += 0.004 * rng.standard_normal(plate.shape)
    unknown = ndimage.binary_dilation((alpha > 0) & (alpha < 1), iterations=3)
    return plate, alpha, np.where(unknown, 0.5, alpha > 0.5)


def dense_laplacian(plate: np.ndarray, epsilon: float) -> np.ndarray:
    """Levin's equation 12, window by window and pair by pair."""
    height, width = plate.shape[:2]
    out = np.zeros((height * width, height * width))
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            inside = [(y + i) * width + x + j for i in (-1, 0, 1) for j in (-1, 0, 1)]
            colours = plate.reshape(-1, 3)[inside]
            centred = colours - colours.mean(0)
            spread = centred.T @ centred / 9 + epsilon / 9 * np.eye(3)
            share = (1 + centred @ np.linalg.solve(spread, centred.T)) / 9
            out[np.ix_(inside, inside)] += np.eye(9) - share
    return out


def dense_alpha(plate: np.ndarray, trimap: np.ndarray, epsilon: float = 1e-7) -> np.ndarray:
    laplacian = dense_laplacian(plate, epsilon)
    unknown, marks = (trimap == 0.5).ravel(), (trimap == 1).ravel().astype(float)
    right = -laplacian[np.ix_(unknown, ~unknown)] @ marks[~unknown]
    marks[unknown] = np.linalg.solve(laplacian[np.ix_(unknown, unknown)], right)
    return np.clip(marks.reshape(trimap.shape), 0, 1)


def solved(plate: np.ndarray, trimap: np.ndarray, **options: Any) -> np.ndarray:
    return solve_alpha(plate, trimap == 0.5, trimap == 1, **options)[0]


@pytest.mark.parametrize("epsilon", [1e-9, 1e-7, 1e-4])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_dense_solution(seed: int, epsilon: float) -> None:
    plate, _, trimap = scene(30, 34, seed)
    wanted = dense_alpha(plate, trimap, epsilon)
    assert np.abs(solved(plate, trimap, epsilon=epsilon) - wanted).max() < 1e-6


def test_a_weight_of_one_hundred_on_known_pixels_gives_nearly_the_same() -> None:
    plate, _, trimap = scene(30, 34)
    known = (trimap != 0.5).ravel()
    soft = dense_laplacian(plate, 1e-7) + np.diag(100.0 * known)
    paper = np.linalg.solve(soft, 100.0 * known * (trimap == 1).ravel()).reshape(trimap.shape)
    assert np.abs(solved(plate, trimap, epsilon=1e-7) - np.clip(paper, 0, 1)).mean() < 2e-3


def test_it_is_pymattings() -> None:
    from pymatting import estimate_alpha_cf

    plate, _, trimap = scene(90, 120)
    theirs = estimate_alpha_cf(plate, trimap)
    assert np.abs(solved(plate, trimap, epsilon=1e-7) - theirs).max() < 1e-3


def iterate(monkeypatch: pytest.MonkeyPatch, few: int = solver.FEW) -> None:
    """Send small systems the way of large ones."""
    monkeypatch.setattr(solver, "DIRECT", 0)
    monkeypatch.setattr(solver, "FEW", few)


@pytest.mark.parametrize("few", [10_000, 300, 40])
def test_the_iteration_comes_to_the_same(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    plate, _, trimap = scene(150, 190)
    wanted = solved(plate, trimap)
    iterate(monkeypatch, few)
    quick, loose = solve_alpha(plate, trimap == 0.5, trimap == 1)
    assert 0 < loose.rounds < 60 and loose.doubt <= 1e-4
    assert np.abs(quick - wanted).mean() < 1e-3
    assert np.abs(solved(plate, trimap, tolerance=1e-8) - wanted).max() < 1e-4
    assert np.array_equal(solved(plate, trimap, exact=True), wanted)


def test_a_large_image_is_solved_exactly_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    plate, _, trimap = scene(150, 190)
    image, guide = Image(plate, ("R", "G", "B")), Image(trimap[..., None], ("A",), "data")
    wanted = closed_form_matte(image, guide).matte.pixels
    iterate(monkeypatch)
    quick, exact = (closed_form_matte(image, guide, exact=choice) for choice in (False, True))
    assert np.array_equal(exact.matte.pixels, wanted)
    assert not np.array_equal(quick.matte.pixels, wanted)
    monkeypatch.setattr(solver, "ROUNDS", 1)
    assert "set exact" in closed_form_matte(image, guide).notice


def test_the_bits_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    plate, _, trimap = scene(150, 190)
    iterate(monkeypatch, 300)
    monkeypatch.setattr(crew, "_WORTH_SHARING", 16)
    one, two, three = (solved(plate, trimap, threads=count) for count in (1, 2, 3))
    assert np.array_equal(one, two) and np.array_equal(one, three)


def test_blocks_of_constants_alone_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    plate, _, trimap = scene(150, 190)
    iterate(monkeypatch)
    _, affine = solve_alpha(plate, trimap == 0.5, trimap == 1)

    def constant(system: solver.System, *more: Any) -> solver.Solution:
        return solver.solve(replace(system, colour=np.zeros_like(system.colour)), *more)

    monkeypatch.setattr(closed_form, "solve", constant)
    _, slow = solve_alpha(plate, trimap == 0.5, trimap == 1)
    assert slow.rounds > 2 * affine.rounds


def test_two_colours_are_separated_exactly() -> None:
    _, alpha, trimap = scene()
    front, back = np.array([0.9, 0.1, 3.0]), np.array([0.05, 0.6, 0.2])
    plate = alpha[..., None] * front + (1 - alpha[..., None]) * back
    assert np.abs(solved(plate, trimap) - alpha).max() < 1e-4


def test_any_exposure_and_primaries_give_the_same_matte() -> None:
    plate, _, trimap = scene()
    mixed = plate @ np.array([[0.7, 0.2, 0.1], [-0.1, 1.2, 0.0], [0.0, 0.3, 0.9]]) - 0.3
    wanted = solved(plate, trimap, epsilon=1e-12)
    assert np.abs(solved(mixed, trimap, epsilon=1e-12) - wanted).max() < 1e-4
    image, guide = Image(plate, ("R", "G", "B")), Image(trimap[..., None], ("A",), "data")
    bright = Image(plate * 1024, ("R", "G", "B"))
    one, other = closed_form_matte(image, guide), closed_form_matte(bright, guide, anchor=-10.0)
    assert np.abs(one.matte.pixels - other.matte.pixels).max() < 1e-5


def test_highlights_and_negatives_leave_the_rest_alone() -> None:
    plate, _, trimap = scene()
    wanted = solved(plate, trimap)
    y, x = np.argwhere(trimap == 0.5)[40]
    plate[y, x] = 1e5, 3e4, -20.0
    found = solved(plate, trimap)
    far = np.ones(trimap.shape, bool)
    far[max(0, y - 8) : y + 9, max(0, x - 8) : x + 9] = False
    assert np.isfinite(found).all()
    assert np.abs(found - wanted)[far].mean() < 0.005


def test_flat_colour_is_filled_smoothly_and_known_pixels_are_met() -> None:
    trimap = np.full((9, 40), 0.5)
    trimap[:, :4], trimap[:, -4:] = 0.0, 1.0
    found = solved(np.full((9, 40, 3), 0.18), trimap)
    assert np.array_equal(found[trimap != 0.5], trimap[trimap != 0.5])
    assert (np.diff(found[4], axis=0)[3:-3] > 0.01).all()
    assert np.allclose(found + found[:, ::-1], 1.0, atol=1e-5)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    size=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    scale=st.sampled_from([0.0, 1e-6, 1.0, 1e4]),
)
def test_any_size_gives_a_matte(seed: int, size: tuple[int, int], scale: float) -> None:
    rng = np.random.default_rng(seed)
    trimap = rng.choice([0.0, 0.5, 0.5, 1.0], size)
    trimap.flat[0] = 1.0
    plate = scale * rng.lognormal(0, 2, (*size, 3))
    found = solved(plate, trimap)
    assert found.shape == size and found.dtype == np.float32
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
    assert np.array_equal(found[trimap != 0.5], trimap[trimap != 0.5])


def images(trimap: np.ndarray, **windows: Any) -> tuple[Image, Image]:
    plate = np.random.default_rng(0).random((*trimap.shape, 3))
    return (
        Image(plate, ("R", "G", "B"), **windows),
        Image(np.float32(trimap)[..., None], ("A",), "data", **windows),
    )


def test_windows_are_kept_and_thresholds_are_those_of_the_design() -> None:
    trimap = np.tile([0.0, 0.04, 0.06, 0.5, 0.94, 0.96, 1.0], (5, 1))
    plate, guide = images(trimap, data=Box(3, 4, 10, 9), display=Box.of_size(30, 20))
    result = closed_form_matte(plate, guide)
    assert result.trimap.pixels[0, :, 0].tolist() == [0, 0, 0.5, 0.5, 0.5, 1, 1]
    assert (result.matte.pixels[:, :2] == 0).all() and (result.matte.pixels[:, 5:] == 1).all()
    for image in (result.matte, result.trimap):
        assert (image.data, image.display, image.colour) == (plate.data, plate.display, "data")
    assert not result.notice


@pytest.mark.parametrize(
    ("values", "matte", "words"),
    [
        ([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0], "no unknown"),
        ([0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0], "no foreground"),
        ([0.5, 0.5, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], "no background"),
    ],
)
def test_a_trimap_that_leaves_nothing_to_solve(
    values: list[float], matte: list[float], words: str
) -> None:
    result = closed_form_matte(*images(np.tile(values, (4, 1))))
    assert words in result.notice
    assert result.matte.pixels[0, :, 0].tolist() == matte


def test_a_trimap_that_cannot_be_used() -> None:
    plate, guide = images(np.full((4, 5), 0.5))
    with pytest.raises(UsageError, match="all of the trimap is unknown"):
        closed_form_matte(plate, guide)
    with pytest.raises(UsageError, match="the trimap is 5×4, the plate 6×4"):
        closed_form_matte(images(np.zeros((4, 6)))[0], guide)
