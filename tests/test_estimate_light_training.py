"""Training of the light network: views, members, and that it trains what will run."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from relume.light import fills, latlong
from relume.light.clues import clues_of, mirrored
from relume.light.estimate import upwards
from relume.light.seen import warp
from relume.networks.light import LightNet, stacked
from relume.training.light_evaluate import Score, summary, unseeing
from relume.training.light_task import Batch, Judge, Plan, folds, train_member
from relume.training.light_views import FINE, ROWS, Draw, Views, look, view_of, without

CLUES = 113


def scene_of(seed: int, height: int = 128) -> np.ndarray:
    """A sky over a ground, and a lamp."""
    towards = latlong.directions(height)
    rng = np.random.default_rng(seed)
    up = 0.5 + 0.5 * np.tanh(towards[..., 1:2] / 0.4)
    sky = up * rng.uniform(0.5, 2, 3) + (1 - up) * rng.uniform(0.05, 0.3, 3)
    lamp = rng.normal(size=3)
    glow = np.exp(30 * (towards @ (lamp / np.linalg.norm(lamp)) - 1))[..., None]
    return (sky + 20 * glow).astype(np.float32)


def views_of(draws: list[Draw], seed: int = 1) -> Views:
    image = scene_of(seed, 256)
    small = latlong.resize(image, FINE)
    rows = [look(image, small, draw) for draw in draws]
    parts = [np.stack(part).astype(np.float32) for part in zip(*rows, strict=True)]
    return Views(*parts, scenes=np.array([[k % 2, -1] for k in range(len(draws))]))


DRAWS = [
    Draw(),
    Draw(fov=40, pitch=12, heading=90, stops=1.0),
    Draw(fov=80, aspect=1.0, pitch=-9, heading=200, tint=(1.2, 1.0, 0.7)),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_a_view_and_a_guess_that_is_true_make_up_the_environment(draw: Draw) -> None:
    found = views_of([draw])
    shown = found.kept + found.burnt
    whole = found.unseen[0] < 1e-6
    if math.isinf(draw.stops):
        np.testing.assert_allclose(shown[0, whole], found.truth[0, whole], rtol=1e-5)
        assert not found.burnt.any()
    else:
        assert (shown[0] <= found.truth[0] + 1e-5).all()
    assert not shown[0, found.unseen[0] > 1 - 1e-6].any()


@pytest.mark.parametrize("draw", DRAWS)
def test_a_view_is_what_the_plate_of_that_camera_shows(draw: Draw) -> None:
    """Training cuts out of the environment; the product warps a picture of it."""
    image = scene_of(1, 256)
    view = view_of(draw)
    small = latlong.resize(image, FINE)
    turned = np.roll(image, 2 * draw.heading, axis=1) * np.asarray(draw.tint, np.float32)
    picture = latlong.crop(turned, view.camera, view.data, view.display)
    told = look(image, small, draw)
    assert told is not None
    seen = warp(picture, view, ROWS)
    own = told[5].reshape(ROWS, 2 * ROWS)
    np.testing.assert_allclose(seen.unseen, own, atol=0.06)
    if math.isinf(draw.stops):
        gain = clues_of(picture, view, draw.pitch).gain
        inside = (seen.unseen == 0) & (own == 0)
        assert inside.any()
        kept = told[3].reshape(ROWS, 2 * ROWS, 3)
        np.testing.assert_allclose(kept[inside], seen.kept[inside] * gain, rtol=0.05)


def test_training_judges_the_environment_that_the_product_makes() -> None:
    torch.manual_seed(4)
    model = stacked([LightNet(1, CLUES, 12, 2).state_dict()], 2)
    with torch.no_grad():
        model.biases[-1].normal_(0.0, 0.3)
    draw = Draw(pitch=10.0)
    image = scene_of(2, 256)
    view = view_of(draw)
    picture = latlong.crop(image, view.camera, view.data, view.display)
    level = upwards(draw.pitch)
    around, lost = fills.network(
        picture, view, level @ view.camera.to_world.T, model, math.inf, ROWS
    )
    told = clues_of(picture, view, draw.pitch)
    judge = Judge(2)
    guesses, factors = [], []
    for flip in (False, True):
        other = clues_of(mirrored(picture) if flip else picture, view, draw.pitch)
        nothing = torch.zeros(1, 2 * ROWS * ROWS, 3)
        batch = Batch(
            torch.from_numpy(other.values)[None],
            torch.from_numpy(other.mean)[None],
            nothing,
            nothing,
            torch.ones(1, 2 * ROWS * ROWS),
            nothing,
        )
        with torch.no_grad():
            answer = model(batch.clues)[:, 0]
            guess = judge.environments(answer, batch)[0].reshape(ROWS, 2 * ROWS, 3).numpy()
        guesses.append(guess[:, ::-1] if flip else guess)
        factors.append(np.exp2(answer[0, -3:].numpy()))
    # The product is asked in the camera's own frame, training in the level one.
    want = (guesses[0] + guesses[1]) / (2 * told.gain)
    frame = level @ view.camera.to_world.T
    np.testing.assert_allclose(frame, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(around, want, rtol=2e-3)
    np.testing.assert_allclose(lost, np.mean(factors, 0), rtol=1e-3)


def test_a_member_learns_and_learns_the_same_twice() -> None:
    found = views_of([Draw(heading=16 * k, fov=50 + 2 * k) for k in range(16)])
    plan = Plan(steps=150, batch=8, rate=5e-3, hidden=16, order=2, drop=0.0, noise=0.0)
    judge = Judge(2)
    batch = Batch.of(found, np.arange(16), flip=False)

    def loss(model: LightNet) -> float:
        with torch.no_grad():
            guess = judge.environments(model(batch.clues)[:, 0], batch)
            return float(judge.loss(guess, batch.truth, plan.balance))

    one, two = (train_member(found, plan, seed=3) for _ in range(2))
    start = train_member(found, Plan(steps=2, batch=8, hidden=16, order=2, rate=1e-9), seed=3)
    assert loss(one) < 0.75 * loss(start)
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_true_guess_has_no_error_and_the_mirror_of_a_batch_is_as_good() -> None:
    found = views_of(DRAWS)
    judge = Judge(2)
    batch = Batch.of(found, np.arange(3), flip=False)
    other = Batch.of(found, np.arange(3), flip=True)
    assert max(float(each.max()) for each in judge.errors(batch.truth, batch.truth)) < 1e-5
    half = [judge.errors(each.truth * 0.5, each.truth) for each in (batch, other)]
    for one, two in zip(*half, strict=True):
        torch.testing.assert_close(one, torch.full((3,), 0.5), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_no_member_sees_a_scene_that_it_is_judged_by() -> None:
    names = [f"scene_{k}" for k in range(11)]
    groups = folds(names, 4)
    assert sorted(name for group in groups for name in group) == sorted(names)
    found = views_of(DRAWS)
    assert (without(found, [0]).scenes[:, 0] == 1).all()
    mixed = Views(*(getattr(found, each) for each in FIELDS), scenes=np.array([[0, 1]] * 3))
    assert len(without(mixed, [1]).clues) == 0
    model = LightNet(4, CLUES, 8, 1)
    with torch.no_grad():
        model.biases[-1][:, 0] = torch.arange(4.0)
    known = {"data": {"members_to_a_fold": 2, "held_out": [["a", "b"], ["c"]]}}
    assert unseeing(model, "c", known).biases[-1][:, 0].tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match="spared"):
        unseeing(model, "d", known)


FIELDS = ("clues", "reversed", "mean", "kept", "burnt", "unseen", "truth")


def test_the_summary_is_of_medians() -> None:
    def score(error: float) -> Score:
        fills_of = ("network", "mirror", "mean")
        errors = {fill: {1: [error, error, 9.0], 16: [error]} for fill in fills_of}
        return Score(errors, {fill: [-1.0, 0.0, 1.0] for fill in fills_of})

    found = summary({"a": score(0.1), "b": score(0.2), "c": score(0.7)})
    assert found["network_diffuse"] == 0.2
    assert found["mean_of_network_diffuse"] == pytest.approx(9.4 / 3, abs=1e-4)
    assert found["scenes"] == 3
