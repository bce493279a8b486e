"""Training data, losses and figures of the matting network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from relume import weights
from relume.encoding import encode
from relume.errors import InputError
from relume.image import Image
from relume.matting.cascade import Frame, refine_all
from relume.matting.metrics import matte_error
from relume.matting.network import estimate_matte
from relume.networks.matte import BACKGROUND, FOREGROUND, UNKNOWN, MatteNet, build
from relume.networks.refiner import TILE
from relume.training import matte_batches
from relume.training.matte_backgrounds import Backgrounds, blur, log_mean
from relume.training.matte_batches import (
    Composer,
    SceneOptions,
    compress,
    guide,
    photograph,
    placement,
)
from relume.training.matte_evaluate import ellipse, evaluate
from relume.training.matte_losses import laplacian_pyramid, trimap_classes
from relume.training.matte_subjects import (
    Subject,
    Subjects,
    analytic,
    outfit,
    proportions,
    scenes,
    warp,
)
from relume.training.matte_task import (
    CoarseTask,
    RefineTask,
    blended,
    coarse_look,
    fresh,
    settled,
    take_over,
    targets,
    walk,
)

pytestmark = pytest.mark.filterwarnings("error")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def composer(options: SceneOptions | None = None, **more: object) -> Composer:
    people = [analytic(rng(k), 96) for k in range(3)]
    subjects = Subjects(scenes(people), lambda: len(people))
    places = Backgrounds([rng(1).random((16, 32, 3), dtype=np.float32)], [])
    return Composer(subjects, places, options=options, **more)  # type: ignore[arg-type]


def test_a_batch_is_a_function_of_its_generator() -> None:
    first, again, other = (composer().batch(rng(s), (64, 96)) for s in (5, 5, 6))
    assert first["inputs"].shape[1:] == (10, 64, 96)
    for key in first:
        assert torch.isfinite(first[key]).all()
        assert torch.equal(first[key], again[key])
    assert not torch.equal(first["inputs"], other["inputs"])


def test_composition_happens_in_linear_light(monkeypatch: pytest.MonkeyPatch) -> None:
    from relume.training import matte_batches

    front = Subject(torch.full((3, 8, 8), 0.5), torch.full((8, 8), 0.25), torch.zeros(8, 8))
    whole = (torch.full((3, 8, 8), 0.5 * 0.25), torch.full((8, 8), 0.25))
    monkeypatch.setattr(matte_batches, "warp", lambda *a: whole)
    monkeypatch.setattr(matte_batches, "photograph", lambda plate, clean, *_: (plate, clean))
    made = Composer(
        Subjects(scenes([front]), lambda: 1, drawn=0.0),
        Backgrounds([], []),
        options=SceneOptions(people=(0, 1, 0), plates=1.0),
    )
    for seed in range(40):
        scene = made.scene(rng(seed), 8, 8)
        assert scene.clean is not None
        flat = torch.equal(scene.alpha, whole[1])
        if flat and float(scene.plate.std()) == 0.0:
            # Plate = 0.25 F + 0.75 B whatever the gain, so F is the same colour everywhere.
            straight = (scene.plate - 0.75 * scene.clean) / 0.25
            assert float(straight.std((1, 2)).max()) < 1e-4
            assert float(straight.min()) > 0


def test_scenes_without_people_have_an_empty_matte() -> None:
    scene = composer(SceneOptions(people=(1.0, 0.0, 0.0))).scene(rng(), 64, 64)
    assert not scene.alpha.any() and scene.plate.std() > 0


def test_exposure_is_near_where_the_anchor_puts_it() -> None:
    made = composer()
    levels = [np.log2(log_mean(made.scene(rng(k), 48, 48).plate) / 0.18) for k in range(40)]
    assert abs(float(np.median(levels))) < 0.7


@pytest.mark.parametrize("seed", range(5))
def test_a_placed_person_stands_on_the_lower_edge(seed: int) -> None:
    subject = analytic(rng(seed), 128)
    matrix = placement(subject, rng(seed + 50), 96, 128)
    _, cover = warp(subject, matrix, 96, 128)
    assert cover[-1].max() > 0.9
    assert cover.max() <= 1 and cover.min() >= 0


def test_a_side_that_the_view_cuts_never_ends_inside_the_frame() -> None:
    alpha = torch.zeros(64, 64)
    alpha[20:, :40] = 1  # cut at the left and below
    subject = Subject(torch.ones(3, 64, 64), alpha, torch.zeros(64, 64))
    for seed in range(60):
        matrix = placement(subject, rng(seed), 80, 120)
        _, cover = warp(subject, matrix, 80, 120)
        if not bool((cover > 0.5).any()):
            continue
        # The cut side touches the frame's border: left, or right when mirrored.
        body = (cover > 0.5).any(0)
        assert bool(body[:2].any()) or bool(body[-2:].any())


def test_warping_keeps_colour_straight_under_the_matte() -> None:
    subject = analytic(rng(2), 128)
    plain = Subject(torch.full((3, 128, 128), 0.3), subject.alpha, subject.labels)
    matrix = np.array([[1.3, 0.1, -5.0], [-0.1, 1.3, 3.0]])
    colour, cover = warp(plain, matrix, 64, 64)
    assert torch.allclose(colour, 0.3 * cover.expand(3, -1, -1), atol=1e-5)


def test_an_identity_warp_changes_nothing() -> None:
    subject = analytic(rng(3), 64)
    colour, cover = warp(subject, np.array([[1.0, 0, 0], [0, 1.0, 0]]), 64, 64)
    assert torch.allclose(cover, subject.alpha, atol=1e-5)
    assert torch.allclose(colour, subject.foreground * subject.alpha, atol=1e-4)


def test_outfits_are_reflectances_of_one_cloth_or_several() -> None:
    drawn = [outfit(rng(k), 48, 64) for k in range(30)]
    assert all(cloth.shape == (3, 48, 64) and float(cloth.min()) >= 0 for cloth in drawn)
    assert max(float(cloth.max()) for cloth in drawn) < 1.5
    # The colours of two halves differ by far in some, and hardly in others.
    apart = [float((c[:, :24].mean((1, 2)) - c[:, 24:].mean((1, 2))).abs().max()) for c in drawn]
    assert min(apart) < 0.02 and max(apart) > 0.1


def test_someone_twice_as_wide_stays_where_and_as_tall_as_they_were() -> None:
    alpha = torch.zeros(64, 64)
    alpha[10:50, 20:32] = 1
    subject = Subject(torch.ones(3, 64, 64), alpha, torch.zeros(64, 64))
    still = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    _, cover = warp(subject, still, 64, 64, torch.full((32,), 2.0))
    rows, columns = torch.nonzero(cover.amax(1) > 0.5), torch.nonzero(cover.amax(0) > 0.5)
    assert (int(rows[0]), int(rows[-1])) == (10, 49)
    assert (int(columns[0]), int(columns[-1])) == (14, 37)


@pytest.mark.parametrize("seed", range(5))
def test_someone_whom_the_view_cuts_never_grows_narrower(seed: int) -> None:
    assert float(proportions(rng(seed), cut=True).min()) >= 1.0
    free = torch.stack([proportions(rng(seed * 50 + k), cut=False) for k in range(50)])
    assert float(free.min()) < 0.9 and float(free.max()) > 1.1
    assert float(free.log2().mean().abs()) < 0.1


def test_blur_keeps_the_mean_and_the_asked_width() -> None:
    point = torch.zeros(1, 101, 101)
    point[0, 50, 50] = 1
    y = torch.arange(101.0) - 50
    for sigma in (0.8, 2.0, 7.0):
        out = blur(point, sigma)[0]
        assert float(out.sum()) == pytest.approx(1.0, abs=0.02)
        spread = float((out.sum(1) * y**2).sum()) ** 0.5
        assert spread == pytest.approx(sigma, rel=0.12)


def test_compression_is_fine_for_small_steps_and_blocky_for_large() -> None:
    code = torch.rand(3, 20, 27, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(compress(code, 1e-5), code, atol=1e-3)
    coarse = compress(code, 20.0)
    assert float(coarse.std()) < 0.05 * float(code.std()) + 0.3
    assert not torch.allclose(coarse, code, atol=0.1)


def test_a_camera_adds_what_cameras_add() -> None:
    plate = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
    changed = 0
    for seed in range(10):
        out, clean = photograph(plate, plate, rng(seed))
        assert clean is not None and torch.isfinite(out).all()
        changed += not torch.allclose(out, clean, atol=1e-4)
        # Still the same picture: strongly correlated with what it was.
        pair = torch.stack((encode(out).flatten(), encode(plate).flatten()))
        assert float(torch.corrcoef(pair)[0, 1]) > 0.8
    assert changed == 10


def test_guides_never_contradict_the_truth() -> None:
    alpha = analytic(rng(4), 96).alpha
    given = 0
    for seed in range(40):
        hint = guide(alpha, rng(seed), 0.5)
        if hint is None:
            continue
        given += 1
        sure, unknown = hint
        assert bool((alpha[sure > 0] > 0.95).all())
        assert bool((alpha[(sure == 0) & (unknown == 0)] <= 0.05).all())
    assert 8 < given < 32


def test_trimap_classes_of_a_step() -> None:
    alpha = torch.zeros(1, 1, 8, 20)
    alpha[..., 10:] = 1
    row = trimap_classes(alpha, margin=2)[0, 4]
    expected = [BACKGROUND] * 8 + [UNKNOWN] * 4 + [FOREGROUND] * 8
    assert row.tolist() == expected


def test_laplacian_pyramid_weighs_broad_mistakes_above_speckle() -> None:
    speckle = torch.zeros(1, 1, 64, 64)
    speckle[..., ::2, ::2] = 0.2
    broad = torch.zeros(1, 1, 64, 64)
    broad[..., 16:48, 16:48] = 0.2
    assert float(laplacian_pyramid(0 * broad)) == 0.0
    assert float(laplacian_pyramid(2 * broad)) == pytest.approx(2 * float(laplacian_pyramid(broad)))
    assert float(laplacian_pyramid(broad)) > 0.3 * float(laplacian_pyramid(speckle))


def test_a_few_steps_lower_the_loss_of_one_batch() -> None:
    torch.manual_seed(0)
    made = composer(shapes=((64, 64),))
    task = CoarseTask(made, made)
    model = task.model()
    batch = {key: value[:8] for key, value in made.batch(rng(0)).items()}
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        loss, figures = task.loss(model, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        assert {"mad", "trimap", "person", "error"} <= set(figures)
    assert losses[-1] < 0.8 * losses[0]


def test_the_refiner_learns_and_leaves_the_coarse_pass_alone() -> None:
    torch.manual_seed(1)
    coarse = fresh()
    made = composer()
    task = RefineTask(made, made, coarse.coarse)
    model = task.model()
    assert isinstance(model, MatteNet)
    before = {key: value.clone() for key, value in model.coarse.state_dict().items()}
    batch = task.batch(rng(2))
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 5e-3)
    losses = []
    model.train()
    for _ in range(6):
        loss, _ = task.loss(model, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]
    after = model.coarse.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


@pytest.mark.parametrize("kind", [CoarseTask, RefineTask])
def test_a_batch_used_again_is_the_same_scene_perhaps_in_a_mirror(kind: type) -> None:
    made = composer()
    task = kind(made, made, fresh().coarse) if kind is RefineTask else kind(made, made)
    batch = task.batch(rng(4))
    turned = set()
    for seed in range(8):
        found = task.again(batch, rng(seed))
        mirrored = not torch.equal(found["alpha"], batch["alpha"])
        turned.add(mirrored)
        for key in set(batch) - {"order"}:
            same = found[key].flip(3) if mirrored else found[key]
            assert torch.equal(same, batch[key])
    assert turned == {True, False}


def test_training_walks_the_octaves_that_inference_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matte_batches, "FRAMES", ((256, 64),))
    torch.manual_seed(1)
    model = build().eval()
    nn.init.normal_(model.refiner.finer[-1].weight, std=0.1)  # type: ignore[arg-type]
    batch = composer().frames(rng(2), count=1)
    seen = coarse_look(model, batch)
    model.refiner.train()
    kept = {key: value.clone() for key, value in model.refiner.state_dict().items()}
    first, (at, tiles) = walk(model, batch, seen)
    assert len(first[1]) and len(tiles)
    frame = Frame(batch["plate"], seen.hidden, batch["clean"], batch["marks"])
    found = refine_all(model.eval(), frame, seen.alpha, seen.error)
    assert torch.equal(settled(model, at, tiles)[:, :1], found)
    # Walking teaches nothing, not even statistics.
    assert all(torch.equal(value, kept[key]) for key, value in model.refiner.state_dict().items())


def test_a_deeper_network_begins_with_the_answers_of_a_shallower_one() -> None:
    torch.manual_seed(2)
    donor, deeper = build(depth=(1, 1, 1)).eval(), build(depth=(2, 3, 2)).eval()
    nn.init.normal_(donor.refiner.finer[-1].weight, std=0.1)  # type: ignore[arg-type]
    take_over(deeper, donor)
    # Its refiner comes along.
    for mine, known in zip(deeper.refiner.parameters(), donor.refiner.parameters(), strict=True):
        assert torch.equal(mine, known)
    inputs = torch.rand(1, 10, 64, 64)
    assert torch.allclose(deeper.coarse(inputs).alpha, donor.coarse(inputs).alpha, atol=1e-5)


def test_a_blend_lies_between_a_network_and_where_it_began() -> None:
    torch.manual_seed(2)
    donor, grown = build(depth=(1, 1, 1)).eval(), build(depth=(2, 1, 1)).eval()
    inputs = torch.rand(1, 10, 64, 64)
    answers = [
        model.coarse(inputs).alpha
        for model in (donor, blended(grown, donor, 0.0), grown, blended(grown, donor, 1.0))
    ]
    assert torch.allclose(answers[0], answers[1], atol=1e-5)
    assert torch.equal(answers[2], answers[3])
    name = "stem.0.weight"
    half = blended(grown, donor, 0.5).coarse.state_dict()[name]
    ends = [model.coarse.state_dict()[name] for model in (donor, grown)]
    assert torch.allclose(half, (ends[0] + ends[1]) / 2)


def test_targets_lie_where_the_tiles_do() -> None:
    model = build().eval()
    batch = composer().frames(rng(2), count=2)
    *_, (at, tiles) = walk(model, batch, coarse_look(model, batch))
    truth, contrast, unknown = targets(batch, at, tiles)
    for place in (0, len(tiles) // 2, len(tiles) - 1):
        picture, row, column = tiles[place].tolist()
        y, x = row * TILE, column * TILE
        part = (picture, slice(None), slice(y, y + TILE), slice(x, x + TILE))
        assert torch.equal(truth[place], batch["alpha"][part])
        assert torch.equal(contrast[place], batch["contrast"][part])
    soft = (truth > 0.05) & (truth < 0.95)
    assert bool((unknown[soft] == 1).all())


def shipped() -> MatteNet:
    try:
        model = weights.load("matte")
    except InputError:
        pytest.skip("there are no weights of the matting network here")
    assert isinstance(model, MatteNet)
    return model


def test_shipped_weights_beat_an_ellipse_by_far() -> None:
    made = composer(SceneOptions(people=(0, 1, 0), plates=0.0))
    figures = evaluate(shipped(), [made.scene(rng(900 + k), 192, 192) for k in range(6)])
    assert figures["mad"] < 0.5 * figures["ellipse_mad"]
    assert figures["guided_mad"] < 0.5 * figures["hint_mad"]


@pytest.mark.parametrize("name", ["codait_Luciano", "astronaut"])
def test_shipped_weights_find_the_person_in_a_photograph(assets: Path, name: str) -> None:
    import OpenImageIO as oiio

    from relume.exposure import measure_anchor

    code = np.asarray(oiio.ImageBuf(str(assets / f"photos/{name}.png")).get_pixels(oiio.FLOAT))
    rgb = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)[..., :3]
    plate = Image(rgb.astype(np.float32), ("R", "G", "B"), "lin_rec709_scene")
    result = estimate_matte(plate, measure_anchor(plate), None, shipped())
    alpha = result.matte.pixels[:, :, 0]
    assert not result.empty
    height, width = alpha.shape
    # Coarse facts of both pictures: a face above the middle, nothing in the upper corners.
    centre = {"codait_Luciano": (0.45, 0.5), "astronaut": (0.27, 0.44)}[name]
    y, x = int(centre[0] * height), int(centre[1] * width)
    assert alpha[y - 10 : y + 10, x - 10 : x + 10].mean() > 0.9
    assert alpha[: height // 8, : width // 8].mean() < 0.1
    assert alpha[: height // 8, -width // 8 :].mean() < 0.1


def test_the_ellipse_is_centred_and_a_fair_baseline() -> None:
    flat = ellipse(100, 80)
    assert np.array_equal(flat, flat[:, ::-1])
    assert 0.3 < flat.mean() < 0.6
    assert matte_error(flat, flat).mad == 0.0
