"""The training loop, the light it trains under, and the pictures it trains on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from relume import weights
from relume.errors import InputError, UsageError
from relume.image import Image
from relume.networks.albedo import build as build_albedo
from relume.networks.express import build as build_express
from relume.networks.neural import build as build_neural
from relume.networks.normals import build as build_normals
from relume.networks.transport import build as build_transport
from relume.shading.neural import neural_relight
from relume.shading.types import EXPONENTS, HARMONICS, Transport
from relume.training import lit, losses, release, relight_task
from relume.training.batches import Batches, Frame, Recipe, stacked
from relume.training.dye import Dye
from relume.training.echo import mirrored
from relume.training.evaluate import maps, render
from relume.training.export import export, rounded
from relume.training.express_task import TAUGHT, ExpressTask
from relume.training.growth import grow
from relume.training.lighting import COSINE, basis, combine, harmonics, lookup, reflected
from relume.training.lights import HEIGHT, Pool, lamp, small_lamp, studio
from relume.training.lit import LitViews, light, light_folder, read_lit, write_lit
from relume.training.neural_task import NeuralTask, draw, levels, sampled
from relume.training.oracles import fitted
from relume.training.relight_nets import averaged_of, make_task, train_one
from relume.training.relight_task import build, normals_input, take_over
from relume.training.stage import environment
from relume.training.stage.dataset import WIDE, View, write_view
from relume.training.stage.lighting import prepare, relit, strand_reflectance
from relume.training.trainer import BLOCK, CHECKPOINT, LOG, Plan, averaged, record, train
from relume.training.transport_task import lit as shade

SIZE = 48


class Line:
    """Fit a noisy line; a stand-in for a network that trains in a second."""

    name = "line"

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at, self.drawn = stop_at, 0

    def model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def batch(self, rng: np.random.Generator) -> Mapping[str, Tensor]:
        if self.drawn == self.stop_at:
            raise KeyboardInterrupt
        self.drawn += 1
        x = torch.from_numpy(rng.normal(size=(16, 2)).astype(np.float32))
        return {"x": x, "y": x @ torch.tensor([[2.0], [-1.0]])}

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        # Noise from torch's own generator must be repeated by a resumed run as well.
        noise = 0.01 * torch.randn(16, 1)
        loss = ((model(batch["x"]) - batch["y"] + noise) ** 2).mean()
        return loss, {"squared": loss.detach()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        assert not model.training
        x = torch.tensor([[0.5, -0.5]])
        return {"error": float((model(x) - 1.5).abs())}


PLAN = Plan(steps=40, warm_up=5, rate=0.03, ema=0.9, validate_steps=0, log_steps=10)


def test_a_run_that_was_killed_ends_with_the_bits_of_one_that_was_not(tmp_path: Path) -> None:
    whole = train(Line(), tmp_path / "whole", PLAN)
    each_step = Plan(**{**_settings(PLAN), "checkpoint_minutes": 0.0})
    with pytest.raises(KeyboardInterrupt):
        train(Line(stop_at=17), tmp_path / "parts", each_step)
    rest = Line()
    parts = train(rest, tmp_path / "parts", PLAN)
    assert rest.drawn == 40 - 17
    for one, two in zip(
        whole.model.state_dict().values(), parts.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two)
    assert whole.figures == parts.figures


def test_batches_prepared_ahead_change_nothing(tmp_path: Path) -> None:
    plain = train(Line(), tmp_path / "plain", PLAN)
    ahead = train(Line(), tmp_path / "ahead", Plan(**{**_settings(PLAN), "workers": 3}))
    for one, two in zip(plain.model.parameters(), ahead.model.parameters(), strict=True):
        assert torch.equal(one, two)


class Echoed(Line):
    """Notes which batches were made and which were used again."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__(stop_at)
        self.varied = 0

    def again(self, batch: Mapping[str, Tensor], rng: np.random.Generator) -> Mapping[str, Tensor]:
        self.varied += 1
        sign = float(rng.choice([-1.0, 1.0]))
        return {"x": sign * batch["x"], "y": sign * batch["y"]}


def test_a_batch_used_three_times_is_made_once_and_varied_twice(tmp_path: Path) -> None:
    plan = Plan(**{**_settings(PLAN), "steps": 3 * BLOCK, "echo": 3})
    task = Echoed()
    train(task, tmp_path, plan)
    assert (task.drawn, task.varied) == (BLOCK, 2 * BLOCK)


def test_a_killed_run_that_uses_batches_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    plan = Plan(**{**_settings(PLAN), "steps": 3 * BLOCK + 5, "echo": 2})
    whole = train(Echoed(), tmp_path / "whole", plan)
    each_step = Plan(**{**_settings(plan), "checkpoint_minutes": 0.0})
    with pytest.raises(KeyboardInterrupt):
        # Killed in the block after next, when the first block has been used twice.
        train(Echoed(stop_at=BLOCK + 3), tmp_path / "parts", each_step)
    parts = train(Echoed(), tmp_path / "parts", plan)
    for one, two in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_training_learns_and_logs(tmp_path: Path) -> None:
    with torch.no_grad():
        before = Line().validate(_seeded(PLAN.seed).eval())["error"]
    result = train(Line(), tmp_path, Plan(**{**_settings(PLAN), "steps": 300}))
    assert result.figures["error"] < 0.2 * before
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(10, 301, 10))
    assert lines[-1]["val_error"] == pytest.approx(result.figures["error"], rel=1e-4)
    again = averaged(Line().model, tmp_path)
    assert torch.equal(next(again.parameters()), next(result.model.parameters()))


def test_another_seed_draws_other_weights_and_is_not_mixed_in(tmp_path: Path) -> None:
    one = train(Line(), tmp_path / "one", PLAN)
    two = train(Line(), tmp_path / "two", Plan(**{**_settings(PLAN), "seed": 2}))
    assert not torch.equal(next(one.model.parameters()), next(two.model.parameters()))
    with pytest.raises(ValueError, match="seed"):
        train(Line(), tmp_path / "one", Plan(**{**_settings(PLAN), "seed": 2}))


def test_a_step_without_a_finite_gradient_changes_nothing(tmp_path: Path) -> None:
    class Broken(Line):
        def loss(
            self, model: nn.Module, batch: Mapping[str, Tensor]
        ) -> tuple[Tensor, dict[str, float | Tensor]]:
            loss, figures = super().loss(model, batch)
            return loss * float("nan"), figures

    result = train(Broken(), tmp_path, PLAN)
    assert torch.equal(next(result.model.parameters()), next(_seeded(PLAN.seed).parameters()))


def test_a_mirrored_picture_of_a_sphere_is_a_sphere() -> None:
    steps = torch.linspace(-0.7, 0.7, 8)
    y, x = torch.meshgrid(-steps, steps, indexing="ij")
    sphere = torch.stack((x, y, (1 - x * x - y * y).sqrt()))[None]
    plane = torch.arange(64.0).view(1, 1, 8, 8)
    found = mirrored({"normals": sphere, "plate": plane, "size": torch.tensor(8)})
    assert torch.allclose(found["normals"], sphere)
    assert torch.equal(found["plate"][0, 0, 0], torch.arange(7.0, -1.0, -1.0))
    assert int(found["size"]) == 8


def test_a_checkpoint_is_whole_or_absent(tmp_path: Path) -> None:
    train(Line(), tmp_path, PLAN)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT, LOG]


def test_a_checkpoint_of_another_optimiser_is_refused(tmp_path: Path) -> None:
    train(Line(), tmp_path, PLAN)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    state["optimiser"] = torch.optim.AdamW(Line().model().parameters()).state_dict()
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(InputError, match="another optimiser"):
        train(Line(), tmp_path, PLAN)


class Begun(Line):
    """Begins with weights that were trained for some steps."""

    before = 500


def test_steps_of_the_weights_that_a_run_began_with_count_once(tmp_path: Path) -> None:
    each_step = Plan(**{**_settings(PLAN), "checkpoint_minutes": 0.0})
    with pytest.raises(KeyboardInterrupt):
        train(Begun(stop_at=17), tmp_path, each_step)
    assert record(tmp_path) == (PLAN.seed, 17, 500)
    # Whether the run that goes on is told so again or not.
    for steps, task in ((40, Begun()), (60, Line())):
        result = train(task, tmp_path, Plan(**{**_settings(PLAN), "steps": steps}))
        assert result.step == steps
        assert record(tmp_path) == (PLAN.seed, steps, 500)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [10, 20, 30, 40, 50, 60]


class Sometimes(Line):
    """A network with running statistics; every third batch is infinite."""

    def model(self) -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(2), super().model())

    def batch(self, rng: np.random.Generator) -> dict[str, Tensor]:
        batch = dict(super().batch(rng))
        if rng.random() < 0.3:
            batch["x"] = batch["x"] * float("inf")
        return batch


def test_a_step_that_is_skipped_leaves_nothing_behind(tmp_path: Path) -> None:
    train(Sometimes(), tmp_path, PLAN)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert any(line.get("skipped", 0) > 0 for line in lines)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    for kind in ("model", "average"):
        assert all(bool(torch.isfinite(value).all()) for value in state[kind].values())


def test_a_line_of_the_log_is_the_mean_of_its_own_steps(tmp_path: Path) -> None:
    class Ones(Line):
        def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Any:
            total, figures = super().loss(model, batch)
            return total, {**figures, "one": 1.0}

    # Goes on in the middle of a line.
    for steps in (15, 40):
        train(Ones(), tmp_path, Plan(**{**_settings(PLAN), "steps": steps}))
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["one"] for line in lines if "one" in line] == [1.0] * 4


def test_a_checkpoint_of_another_size_is_told(tmp_path: Path) -> None:
    train(Line(), tmp_path, PLAN)
    with pytest.raises(InputError, match="another size"):
        averaged(lambda: nn.Linear(5, 5), tmp_path)


def test_a_checkpoint_that_does_not_say_began_with_nothing(tmp_path: Path) -> None:
    train(Line(), tmp_path, PLAN)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    del state["before"]
    torch.save(state, tmp_path / CHECKPOINT)
    assert record(tmp_path) == (PLAN.seed, 40, 0)
    train(Begun(), tmp_path, Plan(**{**_settings(PLAN), "steps": 50}))
    assert record(tmp_path) == (PLAN.seed, 50, 0)


def test_a_release_tells_the_steps_and_commands_of_what_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "runs" / "normals" / LOG
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({"command": "second --shipped"}) + "\n")
    train(Begun(), tmp_path / "runs" / "normals", PLAN)
    for name, stand_in in (
        ("averaged_of", lambda name, runs: averaged(Line().model, runs / name)),
        ("evaluate", lambda cases, models: {"views": 0.0}),
        ("table", lambda figures: ""),
    ):
        monkeypatch.setattr(release, name, stand_in)
    monkeypatch.setattr(weights, "load", lambda name: Line().model())
    shipped = {"command": "first", "hyperparameters": {}, "data": {}, "seed": 3, "steps": 9}
    monkeypatch.setattr(weights, "manifest", lambda name: shipped)
    release.release(tmp_path / "runs", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out" / "albedo.json").exists()
    release.release(tmp_path / "runs", tmp_path, tmp_path / "out", renew=True)
    renewed = json.loads((tmp_path / "out" / "albedo.json").read_text())
    assert {key: renewed[key] for key in shipped} == shipped
    assert renewed["figures"]["stage_test"] == {"views": 0.0}
    manifest = json.loads((tmp_path / "out" / "normals.json").read_text())
    assert (manifest["seed"], manifest["steps"]) == (PLAN.seed, 500 + 40)
    assert manifest["command"].startswith("first; second --shipped; ")
    # Halfway between what ships and what the run has made of it.
    kept = Line().model()
    monkeypatch.setattr(weights, "load", lambda name: kept)
    learnt = averaged(Line().model, tmp_path / "runs" / "normals")
    release.release(tmp_path / "runs", tmp_path, tmp_path / "half", share=0.5)
    stored = load_file(tmp_path / "half" / "normals.safetensors")
    for key, value in learnt.state_dict().items():
        middle = 0.5 * (value + kept.state_dict()[key])
        torch.testing.assert_close(stored[key].float(), middle, atol=2e-3, rtol=2e-3)
    told = json.loads((tmp_path / "half" / "normals.json").read_text())["command"]
    assert told.endswith("--share 0.5")
    with pytest.raises(UsageError, match="0 is no share"):
        release.release(tmp_path / "runs", tmp_path, tmp_path / "half", share=0.0)


def _settings(plan: Plan) -> dict[str, object]:
    return {name: getattr(plan, name) for name in plan.__dataclass_fields__}


def _seeded(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return Line().model()


# Light.


def test_harmonics_are_orthonormal() -> None:
    values = basis(128)
    solid = np.repeat(environment.row_weights(128), 256)
    np.testing.assert_allclose(values.T @ (values * solid[:, None]), np.eye(16), atol=2e-3)


def test_harmonics_agree_with_the_stage_to_order_two() -> None:
    directions = environment.fibonacci(50)
    np.testing.assert_allclose(
        harmonics(torch.from_numpy(directions))[:, :9].numpy(),
        environment.harmonics(directions),
        atol=1e-5,
    )


def test_harmonics_follow_the_declared_axes() -> None:
    # Index l²+l+m: 1 is sin of the azimuth (+X), 2 the polar axis (+Y), 3 its cosine (+Z).
    found = harmonics(torch.eye(3))[:, 1:4]
    np.testing.assert_allclose(found.numpy(), np.sqrt(3 / (4 * np.pi)) * np.eye(3), atol=1e-6)


def test_a_lookup_returns_each_texel_at_its_direction_and_wraps() -> None:
    image = torch.rand(1, 3, 16, 32)
    directions = torch.from_numpy(environment.texel_directions(16).reshape(1, -1, 3).copy())
    found = lookup(image, directions).view(16, 32, 3)
    torch.testing.assert_close(found, image[0].permute(1, 2, 0), atol=2e-4, rtol=0)
    seam = lookup(image, torch.tensor([[[0.0, 0.0, 1.0]]]))
    rows = image[0, :, 7:9]
    torch.testing.assert_close(seam[0, 0], rows[:, :, (0, -1)].mean((1, 2)), atol=2e-4, rtol=0)


def test_a_light_keeps_its_mean_and_its_maps_agree_with_its_harmonics() -> None:
    rng = np.random.default_rng(4)
    for image in (small_lamp(rng), studio(rng)):
        made = lamp(image)
        solid = environment.row_weights(HEIGHT)[:, None, None]
        assert (made.radiance * solid).sum() / (12 * np.pi) == pytest.approx(1.0, rel=1e-4)
        # The diffuse map carries the cosine-weighted harmonics of the light.
        diffuse = made.maps[0].astype(np.float32).transpose(1, 2, 0)
        weighted = (diffuse * solid).reshape(-1, 3)
        found = basis(HEIGHT).T @ weighted
        expected = COSINE.numpy()[:, None] * made.harmonics
        np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_a_transport_is_linear_in_light() -> None:
    generator = torch.Generator().manual_seed(1)
    coefficients = torch.randn(5, 1 + len(EXPONENTS) + HARMONICS, generator=generator)
    albedo = torch.rand(5, 3, generator=generator)
    lights = [
        [torch.rand(shape, generator=generator) for shape in ((5, 3), (5, 4, 3), (16, 3))]
        for _ in range(2)
    ]
    both = [a + 2 * b for a, b in zip(*lights, strict=True)]
    one, two, sum_ = (combine(coefficients, albedo, *light) for light in (*lights, both))
    for part in range(2):
        torch.testing.assert_close(one[part] + 2 * two[part], sum_[part])


# Pictures.


def sphere(size: int = SIZE) -> View:
    """Return a convex white-and-red sphere of cloth: visibility and shading are known exactly."""
    y, x = np.mgrid[:size, :size]
    u, v = (x + 0.5) / size * 2.4 - 1.2, 1.2 - (y + 0.5) / size * 2.4
    inside = u * u + v * v < 1.0
    z = np.sqrt(np.clip(1 - u * u - v * v, 0, None))
    normals = (np.stack([u, v, z], -1) * inside[..., None]).astype(np.float32)
    index = np.flatnonzero(inside).astype(np.int32)
    directions = environment.fibonacci(256)
    above = normals.reshape(-1, 3)[index] @ directions.T > 0
    albedo = np.where((u > 0.1)[..., None], [0.6, 0.2, 0.1], [0.7, 0.7, 0.7]) * inside[..., None]
    return View(
        alpha=inside.astype(np.float32),
        normals=normals,
        albedo=albedo.astype(np.float32),
        labels=(3 * inside).astype(np.uint8),
        gloss=np.ones(inside.shape, np.float32),
        index=index,
        directions=directions,
        visibility=np.packbits(above, axis=1),
        bounce=np.zeros((len(index), 9, 3), np.float32),
        tangents=np.zeros((len(index), 3), np.float32),
        meta={"lobes": {}, "fov": 0.0, "pixel_mm": 1.0},
    )


@pytest.fixture(scope="module")
def pool() -> Pool:
    rng = np.random.default_rng(8)
    return Pool([lamp(studio(rng)) for _ in range(12)])


@pytest.fixture(scope="module")
def lit_root(tmp_path_factory: pytest.TempPathFactory, pool: Pool) -> Path:
    root = tmp_path_factory.mktemp("lit")
    write_view(root / "stage" / "00000.npz", sphere())
    write_lit(root / "train" / "00000.npz", light(root / "stage" / "00000.npz", pool))
    return root


def test_the_transfer_of_a_convex_white_sphere_is_the_clamped_cosine(lit_root: Path) -> None:
    view = read_lit(lit_root / "train" / "00000.npz")
    normals = torch.from_numpy(view.normals.reshape(-1, 3)[view.index])
    expected = COSINE * harmonics(normals)
    error = np.abs(view.transfer.astype(np.float32) - expected.numpy())
    assert error.max() < 0.03 and error.mean() < 0.005


def test_the_true_transport_to_order_3_rebuilds_a_convex_sphere() -> None:
    ready = prepare(sphere())
    image = studio(np.random.default_rng(4))
    truth = relit(ready, image).diffuse
    error = np.abs(fitted(ready, image) - truth)[ready.view.alpha > 0.99]
    assert float(np.median(error)) < 0.03 * float(truth[ready.view.alpha > 0.99].mean())


@pytest.mark.parametrize("seed", range(6))
def test_a_convex_sphere_is_exactly_lambert_in_any_frame(
    lit_root: Path, pool: Pool, seed: int
) -> None:
    """Turns, mirrors and scales must move normals, maps and harmonics together."""
    batches = Batches(
        LitViews(lit_root, "train"), pool, Recipe(size=64, batch=2, lights=3, points=300)
    )
    view = batches.views[0]
    rng = np.random.default_rng(seed)
    batch = stacked([batches.sample(view, rng)])
    frame_normals = torch.nn.functional.grid_sample(
        batch["normals"], batch["points"][:, None], align_corners=False
    )[:, :, 0].transpose(1, 2)
    normals = torch.nn.functional.normalize(frame_normals, dim=-1)
    weights = torch.zeros(1, 300, 1 + len(EXPONENTS) + HARMONICS)
    weights[..., 0] = 1.0
    albedo = torch.nn.functional.grid_sample(
        batch["albedo"], batch["points"][:, None], align_corners=False
    )[:, :, 0].transpose(1, 2)
    body, _ = shade(batch, weights, albedo, normals)
    error = (body - batch["diffuse"]).abs() / batch["diffuse"].mean()
    # Cells, bilinear maps and resampled edges leave a few per cent.
    assert float(error.median()) < 0.03
    # The same through harmonics alone, order 3: the whole diffuse transport as a residual.
    weights[..., 0] = 0.0
    weights[..., 1 + len(EXPONENTS) :] = batch["transfer"]
    low, _ = shade(batch, weights, albedo, normals)
    error = (low - batch["diffuse"]).abs() / batch["diffuse"].mean()
    assert float(error.median()) < 0.12
    turned = COSINE * harmonics(normals)
    assert float((turned - batch["transfer"]).abs().median()) < 0.01


def test_a_mirrored_and_turned_frame_keeps_normals_true(lit_root: Path) -> None:
    view = read_lit(lit_root / "train" / "00000.npz")
    angle = np.radians(25.0)
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[-c, -s], [-s, c]], np.float32)
    frame = Frame(64, (SIZE, SIZE), np.full(2, SIZE / 2, np.float32), SIZE, matrix)
    alpha, planes = frame.cut(view.normals, view.alpha)
    turned = torch.nn.functional.normalize(frame.turn(planes), dim=0)
    # A sphere looks the same from every turn and in every mirror.
    y, x = np.mgrid[:64, :64]
    u, v = (x + 0.5) / 64 * 2.4 - 1.2, 1.2 - (y + 0.5) / 64 * 2.4
    solid = (alpha[0] > 0.99).numpy() & (u * u + v * v < 0.8)
    np.testing.assert_allclose(turned[0].numpy()[solid], u[solid], atol=0.04)
    np.testing.assert_allclose(turned[1].numpy()[solid], v[solid], atol=0.04)


def test_batches_repeat_by_seed_and_hold_what_they_promise(lit_root: Path, pool: Pool) -> None:
    batches = Batches(LitViews(lit_root, "train"), pool, Recipe(size=64, batch=3, lights=2))
    one, two = (batches.draw(np.random.default_rng(5)) for _ in range(2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    other = batches.draw(np.random.default_rng(6))
    assert not torch.equal(one["plate"], other["plate"])
    assert one["plate"].shape == (3, 3, 64, 64)
    assert all(torch.isfinite(value).all() for value in one.values())
    outside = (one["matte"] == 0).expand_as(one["plate"])
    assert not one["plate"][outside].any()
    length = one["normals"].norm(dim=1)
    torch.testing.assert_close(length, (one["alpha"][:, 0] > 0).float(), atol=1e-4, rtol=0)


def test_fewer_lights_a_view_are_some_of_the_usual_ones(
    lit_root: Path, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lit, "pool", lambda split, folder: pool)
    (tmp_path / "stage" / "train").mkdir(parents=True)
    shutil.copy(lit_root / "stage" / "00000.npz", tmp_path / "stage" / "train")
    assert light_folder(tmp_path / "stage", tmp_path / "lit", lights=3) == 1
    few = read_lit(tmp_path / "lit" / "train" / "00000.npz")
    usual = read_lit(lit_root / "train" / "00000.npz")
    assert len(few.lamps) == len(few.diffuse) == len(few.specular) == 3
    places = np.searchsorted(usual.lamps, few.lamps)
    np.testing.assert_array_equal(usual.lamps[places], few.lamps)
    np.testing.assert_array_equal(usual.diffuse[places], few.diffuse)
    for wrong in (0, len(pool) + 1):
        with pytest.raises(UsageError, match="from 1 to 12"):
            light_folder(tmp_path / "stage", tmp_path / "other", lights=wrong)


def test_reflection_of_a_normal_that_faces_the_camera_is_the_camera() -> None:
    normals = torch.tensor([[0.0, 0.0, 1.0], [0.0, 2**-0.5, 2**-0.5]])
    expected = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(reflected(normals), expected)


def test_losses_vanish_at_the_truth_and_grow_away_from_it() -> None:
    generator = torch.Generator().manual_seed(2)
    truth = torch.nn.functional.normalize(torch.randn(1, 3, 12, 12, generator=generator), dim=1)
    other = torch.nn.functional.normalize(
        truth + 0.3 * torch.randn(1, 3, 12, 12, generator=generator), dim=1
    )
    weight = torch.ones(1, 1, 12, 12)
    assert float(losses.degrees(truth, truth, weight)) < 0.1
    for loss in (losses.angular, losses.gradient, losses.linear, losses.radiance):
        assert float(loss(truth, truth, weight)) < 0.02 < float(loss(other, truth, weight))
    # A gain must count neither where values are linear nor, as an offset, where they are encoded.
    assert float(losses.linear(0.4 * truth, truth, weight)) < 1e-6
    assert float(losses.regions(truth + 0.2, truth, weight, 4)) < 1e-6
    # A quarter turn is ninety degrees.
    turned = torch.stack([-truth[:, 1], truth[:, 0], torch.zeros_like(truth[:, 0])], 1)
    flat = torch.nn.functional.normalize(
        truth * torch.tensor([1.0, 1.0, 0.0])[:, None, None], dim=1
    )
    found = losses.degrees(torch.nn.functional.normalize(turned, dim=1), flat, weight)
    assert float(found) == pytest.approx(90.0, abs=0.1)


def test_regions_that_are_not_as_bright_beside_each_other_cost_what_they_differ_by() -> None:
    truth = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    weight = torch.ones(1, 1, 32, 32)
    weight[..., 24:] = 0.0
    found = truth.clone()
    found[..., :16] += 0.3
    # Two thirds of what is known lie 0.3 off: a mean of 0.2, from which they are 0.1 away.
    expected = (2 * 0.1 + 0.2) / 3
    assert float(losses.regions(found, truth, weight, 8)) == pytest.approx(expected, rel=1e-4)
    # Noise that has no mean costs next to nothing.
    noise = 0.3 * (-1.0) ** torch.arange(32)
    assert float(losses.regions(truth + noise, truth, weight, 8)) < 1e-6


def test_dyed_hair_is_lit_as_hair_of_that_albedo_would_be() -> None:
    rng = np.random.default_rng(8)
    albedo = rng.uniform(0.01, 0.4, (50, 3)).astype(np.float32)
    hair = np.arange(50) < 20
    factors = rng.uniform(0.5, 2.0, (50, 3)).astype(np.float32)
    dye = Dye.of(factors, albedo, hair)
    before, after = strand_reflectance(albedo), strand_reflectance(albedo * factors)
    np.testing.assert_allclose(dye.body[hair], (after / before)[hair], rtol=1e-5)
    # Dark strands are coloured by what crosses them: about the root of the factor.
    assert (np.abs(np.log(dye.body[hair])) < np.abs(np.log(factors[hair]))).all()
    np.testing.assert_array_equal(dye.body[~hair], factors[~hair])
    np.testing.assert_array_equal(dye.shine[~hair], 1.0)
    np.testing.assert_array_equal(dye.albedo, factors)


def test_both_casts_are_drawn_as_often_as_each_other(lit_root: Path, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for number in (0, WIDE, WIDE + 1, WIDE + 2):
        shutil.copy(lit_root / "train" / "00000.npz", tmp_path / "train" / f"{number:05d}.npz")
    views, rng = LitViews(tmp_path, "train"), np.random.default_rng(2)
    drawn = [int(views.draw(rng).name) for _ in range(400)]
    assert 150 < drawn.count(0) < 250
    assert len(set(drawn)) == 4


def test_a_network_takes_over_what_its_donor_sees() -> None:
    torch.manual_seed(6)
    donor, other = build_normals(blocks=(2, 2, 2, 2, 4)), build("transport")
    network = build_albedo(blocks=(2, 2, 2, 2, 4))
    for block in network.modules():
        if hasattr(block, "leak"):
            block.leak = 0.0
    take_over(network, donor)
    # The head is the network's own: give both the same one and compare what reaches it.
    network.unet.head = donor.unet.head
    plate, alpha = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    normals = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        seen = donor.unet(torch.cat((plate, alpha), 1))
        found = network.unet(torch.cat((plate, normals, alpha), 1))
    torch.testing.assert_close(found, seen)
    # One of another size takes over the blocks that are the same.
    take_over(other, donor)
    known, mine = donor.state_dict(), other.state_dict()
    shared = [
        name
        for name in known
        if name.startswith("unet.encoder")
        and name in mine
        and mine[name].shape == known[name].shape
    ]
    assert 0 < len(shared) < len(known)
    assert all(torch.equal(known[name], mine[name]) for name in shared)


def test_a_network_grows_from_a_smaller_one() -> None:
    torch.manual_seed(7)
    small = build_albedo(channels=(8, 12, 16, 20, 24), blocks=(1, 1, 1, 1, 1)).eval()
    wider = build_albedo(channels=(8, 12, 16, 28, 40), blocks=(1, 1, 1, 1, 1)).eval()
    deeper = build_albedo(channels=(8, 12, 16, 28, 40), blocks=(1, 2, 1, 1, 3)).eval()
    x = torch.rand(1, 7, 64, 96)
    with torch.no_grad():
        fresh = wider(x)
        grow(wider, small)
        grow(deeper, small)
        torch.testing.assert_close(wider(x), small(x))
        # Blocks of its own begin near the identity.
        away = (deeper(x) - small(x)).abs().mean()
        assert away < 0.2 * (fresh - small(x)).abs().mean()
    # All of it learns.
    wider(x, 96).square().mean().backward()
    assert all(
        p.grad is not None and p.grad.abs().max() > 0 for p in wider.unet.encoder.parameters()
    )


def test_training_and_relighting_agree_on_light(lit_root: Path, pool: Pool) -> None:
    """What training computes in torch is what the Relight node shows."""
    view = read_lit(lit_root / "train" / "00000.npz")
    rng = np.random.default_rng(3)
    count = len(view.index)
    planes = rng.normal(0, 0.1, (1 + len(EXPONENTS) + HARMONICS, count)).astype(np.float32)
    planes[0] += 1.0
    transport = Transport(
        foreground=Image(view.albedo, ("R", "G", "B")),
        matte=Image(view.alpha, ("A",)),
        normals=Image(view.normals, ("X", "Y", "Z"), colour="data"),
        albedo=Image(view.albedo, ("R", "G", "B")),
        index=view.index,
        diffuse=planes[0],
        specular=planes[1 : 1 + len(EXPONENTS)],
        residual=planes[1 + len(EXPONENTS) :],
    )
    made = pool[2]
    shown = render(transport, maps(made.radiance)).reshape(-1, 3)[view.index]
    normals = torch.from_numpy(view.normals.reshape(-1, 3)[view.index])
    tables = torch.from_numpy(made.maps.astype(np.float32)).flatten(0, 1)[None]
    body, shine = combine(
        torch.from_numpy(planes.T.copy()),
        torch.from_numpy(view.albedo.reshape(-1, 3)[view.index]),
        lookup(tables[:, :3], normals[None])[0],
        lookup(tables, reflected(normals)[None])[0].view(count, len(EXPONENTS), 3),
        torch.from_numpy(made.harmonics),
    )
    error = np.abs((body + shine).numpy() - shown)
    # Training's maps are half as fine and in half precision.
    assert np.median(error) < 0.004 * np.abs(shown).mean()
    assert np.percentile(error, 99) < 0.1 * np.abs(shown).mean()


TINY = {"channels": (8, 8, 8, 8, 8), "blocks": (1, 1, 1, 1, 1), "width": 8, "side": 64}


def test_whole_pictures_are_the_truth_that_points_are_taken_from(
    lit_root: Path, pool: Pool
) -> None:
    views = LitViews(lit_root, "train")
    plain, more = (
        Batches(views, pool, Recipe(64, 2, lights=3, points=300, pictures=pictures)).draw(
            np.random.default_rng(5)
        )
        for pictures in (0, 2)
    )
    assert all(torch.equal(plain[key], more[key]) for key in plain)
    assert more["lit"].shape == (2, 2, 3, 64, 64)
    truth = (more["diffuse"] + more["specular"])[:, :2]
    error = (sampled(more["lit"], more["points"]) - truth).abs()
    assert float(error.median()) < 0.02 * float(truth.mean())


def test_training_and_rendering_draw_the_same_picture(lit_root: Path, pool: Pool) -> None:
    """What the task computes in torch is what the NeuralRender node shows."""
    torch.manual_seed(4)
    model = build_neural(TINY, TINY).eval()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, 0.7)
    still = Recipe(size=SIZE, batch=1, spoil=False)
    view = read_lit(lit_root / "train" / "00000.npz")
    sample = Batches(LitViews(lit_root, "train"), pool, still).sample(
        view, np.random.default_rng(1)
    )
    batch = {**stacked([sample]), "turn": torch.eye(3)[None]}
    made = pool[2]
    with torch.no_grad():
        found, shine = draw(
            model,
            batch,
            batch["normals"],
            batch["albedo"],
            torch.from_numpy(made.maps.astype(np.float32)).flatten(0, 1)[None, None],
            levels(torch.from_numpy(made.harmonics)[None, None]),
        )
    planes = {key: np.moveaxis(sample[key].numpy(), 0, 2) for key in sample}
    shown = neural_relight(
        Image(planes["plate"], ("R", "G", "B")),
        Image(planes["matte"], ("A",), colour="data"),
        Image(planes["normals"], ("X", "Y", "Z"), colour="data"),
        Image(planes["albedo"], ("R", "G", "B")),
        0.0,
        {"key": maps(made.radiance)},
        model,
    )
    for ours, theirs in ((found, shown.relit.rgb), (shine, shown.passes["specular"].rgb)):
        picture = np.moveaxis(ours[0, 0].numpy(), 0, 2) * planes["matte"]
        error = np.abs(picture - theirs)
        # Training's maps are half as fine and in half precision.
        assert np.median(error) < 0.004 * np.abs(theirs).mean()
        assert np.percentile(error, 99) < 0.1 * np.abs(theirs).mean()


def tiny_task(
    lit_root: Path, pool: Pool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> NeuralTask:
    """Return a task on a sphere whose network is tiny."""
    monkeypatch.setattr(relight_task, "pool", lambda split, data: pool)
    monkeypatch.setattr(relight_task, "build", lambda name: build_neural(TINY, TINY))
    (folder / "lit" / "val").mkdir(parents=True)
    for split in ("train", "val"):
        view = read_lit(lit_root / "train" / "00000.npz")
        write_lit(folder / "lit" / split / "00000.npz", view)
    return NeuralTask(folder / "lit", Recipe(size=96, batch=1, lights=2, points=200, pictures=1))


def test_the_neural_task_trains_on_a_sphere(
    lit_root: Path, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_task(lit_root, pool, tmp_path, monkeypatch)
    with torch.no_grad():
        before = task.validate(task.model().eval())
    result = train(task, tmp_path / "run", Plan(steps=30, ema=0.5, warm_up=5))
    # The sphere is Lambert's; the networks begin with a shine that it has not.
    assert result.figures["psnr"] > before["psnr"] + 1.0
    assert 0 < result.figures["superposition"] < 0.5


def test_the_fast_network_learns_from_the_truth_and_from_its_teachers(
    lit_root: Path, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relight_task, "pool", lambda split, data: pool)
    monkeypatch.setattr(relight_task, "build", lambda name: build_express(**TINY))
    for split in ("train", "val"):
        view = read_lit(lit_root / "train" / "00000.npz")
        write_lit(tmp_path / "lit" / split / "00000.npz", view)
    torch.manual_seed(6)
    teachers = {
        "normals": build_normals(**TINY).eval(),
        "albedo": build_albedo(**TINY).eval(),
        "transport": build_transport(**TINY).eval(),
    }
    recipe = Recipe(size=96, batch=1, lights=2, points=200)
    task = ExpressTask(tmp_path / "lit", recipe, teachers)
    batch = task.batch(np.random.default_rng(2))
    with torch.no_grad():
        told = teachers["normals"](normals_input(batch))
        assert torch.equal(batch[f"{TAUGHT}normals"], told)
        before = task.validate(task.model().eval())
    # Where the teachers' answers are the truth, both halves of the loss are the same.
    same = {**batch, **{TAUGHT + key: batch[key] for key in task.taught(batch)}}
    model = task.model()
    _, parts = task.loss(model, same)
    for key in ("deg", "level", "picture"):
        assert float(parts[key]) == float(parts[TAUGHT + key])
    _, parts = task.loss(model, batch)
    assert float(parts["deg"]) != float(parts[f"{TAUGHT}deg"])
    result = train(task, tmp_path / "run", Plan(steps=30, ema=0.5, warm_up=5))
    with torch.no_grad():
        begun, learnt = (float(task.loss(net, batch)[0]) for net in (model, result.model))
    assert learnt < 0.95 * begun
    assert result.figures.keys() == before.keys() >= {"degrees", "rmse", "psnr"}


@pytest.mark.usefixtures("weights")
def test_the_fast_network_is_taught_by_runs_where_there_are_some(
    lit_root: Path, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relight_task, "pool", lambda split, data: pool)
    (tmp_path / "lit" / "val").mkdir(parents=True)
    view = read_lit(lit_root / "train" / "00000.npz")
    for split in ("train", "val"):
        write_lit(tmp_path / "lit" / split / "00000.npz", view)
    data, runs = tmp_path / "lit", tmp_path / "runs"
    train_one("albedo", data, runs, Plan(steps=1), size=64, batch=1)
    task = make_task("express", data, runs, size=64, batch=1)
    assert isinstance(task, ExpressTask)
    assert list(task.teachers) == ["normals", "albedo", "transport"]
    assert task.teachers["normals"] is weights.load("normals")
    own = averaged_of("albedo", runs).state_dict()
    for key, value in task.teachers["albedo"].state_dict().items():
        assert torch.equal(value, own[key])


def test_a_run_from_shipped_weights_knows_how_long_those_were_trained(
    lit_root: Path, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = build_neural(TINY, TINY)
    export(
        "neural",
        shipped,
        folder=tmp_path / "weights",
        hyperparameters={"specular": TINY, "renderer": TINY},
        recipe={},
        seed=1,
        steps=70,
        figures={},
        command="",
    )
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "weights"))
    task = tiny_task(lit_root, pool, tmp_path, monkeypatch)
    task.start_from_shipped()
    begun = task.model().state_dict()
    for key, value in rounded(shipped).state_dict().items():
        assert torch.equal(begun[key], value)
    result = train(task, tmp_path / "run", Plan(steps=2))
    assert result.step == 2
    assert record(tmp_path / "run") == (1, 2, 70)
