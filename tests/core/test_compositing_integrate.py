"""Light wrap, levels and grain: analytic edges, graded pairs, grain that is known beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from relume.compositing.alpha import premultiply
from relume.compositing.convolve import convolve, gaussian
from relume.compositing.grain import (
    Grain,
    add_grain,
    make_grain,
    measure_grain,
    remove_grain,
)
from relume.compositing.levels import By, cast_of_light, match_levels, measure_levels
from relume.compositing.merge import over
from relume.compositing.wrap import REACH, light_wrap
from relume.errors import UsageError
from relume.image import Image

RGB, RGBA = ("R", "G", "B"), ("R", "G", "B", "A")


def image(pixels: np.ndarray, **more: Any) -> Image:
    return Image(np.float32(pixels), RGB if pixels.shape[2] == 3 else RGBA, **more)


def cut_out(seed: int = 0, height: int = 40, width: int = 50) -> Image:
    """Return a premultiplied picture with a soft edge."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    alpha = np.clip(1.5 - np.hypot(x - width / 2, y - height / 2) / 12, 0, 1)[..., None]
    colour = rng.lognormal(-1, 1, (height, width, 3)) * alpha
    return image(np.concatenate((colour, alpha), 2), alpha="premultiplied")


def backdrop(seed: int = 1, height: int = 40, width: int = 50) -> Image:
    return image(np.random.default_rng(seed).lognormal(0, 2, (height, width, 3)))


# Light wrap.


def test_no_radius_and_no_amount_are_no_wrap():
    front, behind = cut_out(), backdrop()
    for radius, amount in ((0.0, 1.0), (8.0, 0.0)):
        np.testing.assert_array_equal(
            light_wrap(front, behind, radius, amount).pixels, front.pixels
        )
    # And a radius close to none is close to none.
    near = light_wrap(front, behind, 1e-3).pixels
    np.testing.assert_allclose(near, front.pixels, atol=1e-4)


def test_the_wrap_at_a_straight_edge_is_the_normal_distribution():
    alpha = np.zeros((9, 120, 4))
    alpha[:, 60:, 3] = 1.0
    wall = np.broadcast_to(np.float32((3.0, 1.0, 2e4)), (9, 120, 3))
    wrapped = light_wrap(image(alpha, alpha="premultiplied"), image(wall), 16.0)
    behind_edge = np.arange(60) + 0.5
    expected = ndtr(-behind_edge / (16.0 / REACH))[:, None] * wall[0, 60:]
    scale = wall[0, 60:]
    np.testing.assert_allclose(wrapped.rgb[4, 60:] / scale, expected / scale, atol=2e-4)
    assert not wrapped.pixels[:, :60].any()
    np.testing.assert_array_equal(wrapped.take("A")[..., 0], alpha[..., 3])


@given(radius=st.floats(0.5, 20), gain=st.floats(0, 1e4), amount=st.floats(0, 3))
@settings(max_examples=20)
def test_the_wrap_is_linear_in_light(radius: float, gain: float, amount: float):
    front, a, b = cut_out(), backdrop(1), backdrop(2)
    both = a.like(a.pixels + np.float32(gain) * b.pixels)
    wrapped = {
        name: light_wrap(front, behind, radius, amount).rgb - front.rgb
        for name, behind in (("a", a), ("b", b), ("both", both))
    }
    scale = max(1.0, float(np.abs(both.pixels).max()))
    np.testing.assert_allclose(
        wrapped["both"], wrapped["a"] + gain * wrapped["b"], atol=2e-6 * scale * (1 + amount)
    )


def test_a_straight_foreground_wraps_as_the_premultiplied_one():
    front = cut_out()
    straight = front.like(
        np.concatenate((front.rgb / np.maximum(front.take("A"), 1e-6), front.take("A")), 2),
        alpha="straight",
    )
    np.testing.assert_allclose(
        light_wrap(straight, backdrop(), 6).pixels, light_wrap(front, backdrop(), 6).pixels,
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip


def test_half_the_size_and_half_the_radius_are_the_same_picture():
    def halved(x: np.ndarray) -> np.ndarray:
        return x.reshape(40, 2, 50, 2, -1).mean(axis=(1, 3))

    front, behind = cut_out(0, 80, 100), image(np.full((80, 100, 3), 2.0))
    whole = light_wrap(front, behind, 24).pixels
    small = light_wrap(
        image(halved(front.pixels), alpha="premultiplied"), image(halved(behind.pixels)), 12
    ).pixels
    # Averages across the kink of the weight at a = ½ differ by up to 1 % of the background.
    np.testing.assert_allclose(small, halved(whole), atol=0.02)
    assert np.abs(small - halved(whole)).mean() < 0.002


def test_the_wrap_needs_an_alpha_and_a_background_of_its_size():
    with pytest.raises(UsageError, match="no channel A"):
        light_wrap(backdrop(), backdrop(), 4)
    with pytest.raises(UsageError, match="--fit"):
        light_wrap(cut_out(), backdrop(1, 20, 20), 4)


# Levels.

GAIN, LIFT = np.float32((1.3, 0.9, 0.6)), np.float32((0.02, 0.05, 0.11))


def plain(seed: int = 3) -> Image:
    rng = np.random.default_rng(seed)
    smooth = convolve(rng.lognormal(-1, 1, (60, 80, 3)).astype(np.float32), gaussian(2))
    return image(smooth)


def test_a_grade_is_undone_exactly():
    picture = plain()
    graded = picture.like(GAIN * picture.pixels + LIFT)
    own, wanted = measure_levels(picture), measure_levels(graded)
    assert own is not None and wanted is not None
    np.testing.assert_allclose(wanted.black, GAIN * own.black + LIFT, rtol=1e-5)
    np.testing.assert_allclose(wanted.white, GAIN * own.white + LIFT, rtol=1e-5)
    np.testing.assert_allclose(wanted.cast, GAIN * own.cast, rtol=1e-4)
    matched = match_levels(picture, own, wanted, by="level")
    np.testing.assert_allclose(matched.pixels, graded.pixels, rtol=1e-4, atol=1e-5)
    # The colour of white alone keeps the luminance of grey.
    turned = match_levels(picture, own, wanted, black=0).pixels / picture.pixels
    np.testing.assert_allclose(turned / turned[..., :1], GAIN / GAIN[0] + 0 * turned, rtol=1e-4)
    assert turned[0, 0] @ (0.2722287, 0.6740818, 0.0536895) == pytest.approx(1, rel=1e-4)
    half = match_levels(picture, own, wanted, black=0, white=0.5).pixels / picture.pixels
    np.testing.assert_allclose(half / half[..., :1], np.sqrt(GAIN / GAIN[0]) + 0 * half, rtol=1e-4)
    lifted = match_levels(picture, own, wanted, white=0).pixels - picture.pixels
    np.testing.assert_allclose(lifted, wanted.black - own.black + 0 * lifted, atol=1e-5)


@pytest.mark.parametrize("by", ["colour", "level"])
def test_levels_that_are_alike_change_nothing(by: By):
    picture = plain()
    own = measure_levels(picture)
    assert own is not None
    matched = match_levels(picture, own, own, by=by)
    np.testing.assert_allclose(matched.pixels, picture.pixels, rtol=1e-5, atol=1e-6)


def test_nothing_asked_for_changes_nothing_and_premultiplied_colour_stays_so():
    front, other = cut_out(), plain()
    own, wanted = measure_levels(front), measure_levels(other)
    assert own is not None and wanted is not None
    whole = match_levels(front, own, wanted).pixels
    half = match_levels(front, own, wanted, black=0.5, white=0).pixels
    lifted = (half - front.pixels)[..., :3]
    np.testing.assert_allclose(
        lifted, 0.5 * (wanted.black - own.black) * front.take("A"), atol=1e-5
    )
    same = match_levels(front, own, wanted, black=0, white=0).pixels
    np.testing.assert_allclose(same, front.pixels, rtol=1e-6)
    nothing = front.take("A")[..., 0] == 0
    assert nothing.any() and not whole[nothing].any()


def test_only_what_is_covered_is_measured_and_a_lamp_decides_nothing():
    picture = plain()
    alpha = np.zeros((60, 80, 1), np.float32)
    alpha[10:50, 10:70] = 1.0
    part = image(np.concatenate((picture.pixels * alpha, alpha), 2), alpha="premultiplied")
    own, alone = measure_levels(part), measure_levels(image(picture.pixels[10:50, 10:70]))
    assert own is not None and alone is not None
    np.testing.assert_allclose(own.black, alone.black, rtol=1e-6)
    np.testing.assert_allclose(own.cast, alone.cast, rtol=1e-6)
    lit = picture.pixels.copy()
    lit[30, 40] = (1e5, 1e4, 1e3)
    with_lamp, without = measure_levels(image(lit), 1.0), measure_levels(picture, 1.0)
    assert with_lamp is not None and without is not None
    np.testing.assert_allclose(with_lamp.white, without.white, rtol=0.05)
    np.testing.assert_allclose(with_lamp.cast, without.cast, rtol=0.05)
    assert measure_levels(image(np.zeros((9, 9, 4)), alpha="premultiplied")) is None


def test_the_light_on_a_subject_says_what_white_is():
    front = cut_out()
    light = image(np.broadcast_to(np.float32((2.0, 1.0, 0.5)), (40, 50, 3)))
    cast = cast_of_light(light, front)
    assert cast is not None
    np.testing.assert_allclose(cast / cast[1], (2.0, 1.0, 0.5), rtol=1e-6)
    assert cast_of_light(light.like(-light.pixels), front) is None


# Grain.

MIX = np.float32([[1, 0.4, 0], [0.4, 1, 0.2], [0, 0.2, 1]])


def grainy(sigma: float, seed: int = 0, detail: bool = True) -> tuple[Image, np.ndarray]:
    """Return a picture with grain of σ² = 1e-5 + 4e-4·x, and that grain at unit strength."""
    rng = np.random.default_rng(seed)
    height, width = 320, 480
    y, x = np.mgrid[0:height, 0:width] / 320
    base = np.stack((0.05 + 0.5 * x, 0.4 - 0.3 * y, 0.2 + 0.1 * x + 0.1 * np.sin(6 * y)), 2)
    if detail:
        base[40:160, 100:300] *= rng.uniform(0.5, 1.5, (120, 200, 1))
    unit = convolve(rng.normal(0, 1, (height, width, 3)).astype(np.float32), gaussian(sigma))
    unit = unit @ MIX
    unit /= unit.std(axis=(0, 1))
    return image(base + np.sqrt(1e-5 + 4e-4 * base) * unit), unit


def likeness(unit: np.ndarray, lag: int) -> np.ndarray:
    return np.asarray((unit[:, lag:] * unit[:, : unit.shape[1] - lag]).mean(axis=(0, 1)))


@pytest.mark.parametrize("sigma", [0.0, 0.7, 1.3])
def test_known_grain_is_found_again_and_made_anew(sigma: float):
    picture, unit = grainy(sigma)
    grain = measure_grain(picture)
    assert grain is not None
    for level in (0.15, 0.3):
        found = grain.strength(np.full(3, level, np.float32))
        np.testing.assert_allclose(found, np.sqrt(1e-5 + 4e-4 * level), rtol=0.08)
    np.testing.assert_allclose(grain.channels, np.corrcoef(unit.reshape(-1, 3).T), atol=0.05)
    made = make_grain(grain, 300, 400, seed=7, frame=1001)
    np.testing.assert_allclose(made.std(axis=(0, 1)), 1.0, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(made.reshape(-1, 3).T), grain.channels, atol=0.03)
    for lag in (1, 2, 3):
        np.testing.assert_allclose(likeness(made, lag), likeness(unit, lag), atol=0.05)
        np.testing.assert_allclose(
            likeness(made.swapaxes(0, 1), lag), likeness(unit.swapaxes(0, 1), lag), atol=0.05
        )


def test_what_is_measured_on_matched_grain_is_the_grain():
    picture, _ = grainy(0.8)
    grain = measure_grain(picture)
    assert grain is not None
    clean = image(np.broadcast_to(np.float32(np.linspace(0.1, 0.4, 256))[:, None], (256, 256, 3)))
    again = measure_grain(add_grain(clean, grain, 1, 1))
    assert again is not None
    for level in (0.15, 0.3):
        at = np.full(3, level, np.float32)
        np.testing.assert_allclose(again.strength(at), grain.strength(at), rtol=0.08)


def test_the_same_frame_has_the_same_bits_and_others_have_others():
    grain = measure_grain(grainy(0.7)[0])
    assert grain is not None
    one = make_grain(grain, 50, 61, 0, 1001)
    np.testing.assert_array_equal(one, make_grain(grain, 50, 61, 0, 1001))
    for seed, frame in ((0, 1002), (1, 1001), (0, -1)):
        other = make_grain(grain, 50, 61, seed, frame)
        assert abs(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1]) < 0.05


def test_over_its_own_background_the_grain_is_even_across_an_edge():
    grain = Grain(
        variance=np.array([[1e-2, 0, 0]] * 3),
        top=np.ones(3),
        spatial=np.pad(np.ones((3, 1, 1)), ((0, 0), (4, 4), (4, 4))),
        channels=np.eye(3),
    )
    alpha = np.broadcast_to(np.linspace(0, 1, 400, dtype=np.float32)[:, None], (400, 400, 1))
    front = image(np.concatenate((0.5 * alpha.repeat(3, 2), alpha), 2), alpha="premultiplied")
    behind = add_grain(image(np.full((400, 400, 3), 0.5)), grain, 5, 1)
    result = over(add_grain(front, grain, 0, 1), behind).rgb - 0.5
    for rows in np.split(result, 8):
        assert rows.std() == pytest.approx(0.1, rel=0.02)


def test_a_lamp_far_beyond_what_was_measured_is_not_grainier():
    grain = measure_grain(grainy(0.5)[0])
    assert grain is not None
    top, beyond = grain.strength(np.float32(grain.top)), grain.strength(np.full(3, 1e5, "f4"))
    np.testing.assert_allclose(beyond, top, rtol=1e-6)
    np.testing.assert_array_equal(
        grain.strength(np.full(3, -4, "f4")), grain.strength(np.zeros(3, "f4"))
    )


def test_taking_grain_away_leaves_edges():
    picture, unit = grainy(0.0, detail=False)
    edge = np.where(np.arange(480) < 200, 0.0, 3.0)[None, :, None]
    marked = image(picture.pixels + edge)
    grain = measure_grain(picture)
    assert grain is not None
    clean = remove_grain(marked, grain).pixels
    truth = picture.pixels - np.sqrt(1e-5 + 4e-4 * 0.3) * unit
    flat = np.s_[10:-10, 20:180]
    rest, before = (clean - truth)[flat].std(), (picture.pixels - truth)[flat].std()
    assert rest < 0.5 * before
    assert (np.abs(clean[:, 195:199].mean() - marked.pixels[:, 195:199].mean())) < 0.01
    np.testing.assert_allclose(np.diff(clean[:, 199:201], axis=1).mean(), 3.0, atol=0.05)
    nothing = replace(grain, variance=np.zeros((3, 3)))
    np.testing.assert_allclose(remove_grain(marked, nothing).pixels, marked.pixels, atol=1e-6)


@pytest.mark.parametrize("what", ["even", "small", "detail", "clipped"])
def test_a_picture_that_shows_no_grain_has_none(what: str):
    rng = np.random.default_rng(0)
    pictures = {
        "even": np.full((128, 128, 3), 0.3),
        "small": rng.normal(0.3, 0.1, (15, 60, 3)),
        "detail": 10 * convolve(rng.normal(0, 1, (256, 256, 3)).astype(np.float32), gaussian(4)),
        "clipped": np.minimum(rng.normal(3, 0.5, (256, 256, 3)), 1.0),
    }
    assert measure_grain(image(pictures[what])) is None


def test_grain_of_a_cut_out_is_measured_inside_and_laid_inside():
    picture, _ = grainy(0.6, detail=False)
    alpha = np.zeros((320, 480, 1), np.float32)
    alpha[:, :240] = 1.0
    loud = picture.pixels + (1 - alpha) * np.random.default_rng(1).normal(0, 1, (320, 480, 3))
    part = premultiply(image(np.concatenate((loud, alpha), 2), alpha="straight"))
    inside, whole = measure_grain(part), measure_grain(picture)
    assert inside is not None and whole is not None
    at = np.full(3, 0.2, np.float32)
    np.testing.assert_allclose(inside.strength(at), whole.strength(at), rtol=0.1)
    laid = add_grain(part, inside, 0, 1).pixels - part.pixels
    assert laid[:, :240, :3].std() > 0.005
    assert not laid[:, 240:].any() and not laid[..., 3].any()
