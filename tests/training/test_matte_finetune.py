"""Fine-tuning on unlabelled shots: what it leaves alone, what it learns, resuming to the bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from relume.compositing.resample import resize_pixels
from relume.encoding import encode
from relume.errors import Exit
from relume.hosts.cli import main
from relume.image import Image
from relume.media.read import read
from relume.media.write import write
from relume.networks.matte import build
from relume.training.finetune_shots import Frame, consistency
from relume.training.matte_batches import planes
from relume.training.matte_finetune import LEAST, FinetuneTask, Judge, Pair, measure
from relume.training.trainer import Plan, train

Capture = pytest.CaptureFixture[str]

PLAN = Plan(steps=6, warm_up=2, validate_steps=0, log_steps=1)


def wall(seed: int, side: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((side, side, 3))
    mixed = sum(ndimage.gaussian_filter(noise, (s, s, 0)) * s for s in (1, 4, 12))
    return np.float32(0.2 * np.exp(0.7 * mixed / np.std(mixed)))


def disc(x: float, side: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    distance = np.hypot(columns - x, rows - 36)
    return np.clip((18 - distance) / 6 + 0.5, 0, 1).astype(np.float32)[None]


def frames(count: int = 4, *, truth: bool = True) -> list[Frame]:
    """Return a disc that moves over a wall, and a teacher that sees it too small."""
    clean = torch.from_numpy(wall(1, 64).transpose(2, 0, 1).copy())
    made = []
    for k in range(count):
        alpha = torch.from_numpy(disc(24 + 2 * k))
        plate = alpha * torch.tensor([0.7, 0.4, 0.3])[:, None, None] + (1 - alpha) * clean
        teacher = (1.2 * alpha - 0.2).clamp(0, 1)
        made.append(Frame(0, k, plate, clean, teacher, alpha if truth else None))
    return made


def task() -> FinetuneTask:
    torch.manual_seed(0)
    shot = frames()
    return FinetuneTask(shot[:3], shot[3:], build(depth=[1, 1, 1], side=64).eval())


def blank(encoded: Tensor) -> Tensor:
    return encoded.new_zeros(())


def test_true_mattes_rebuild_the_plate_and_wrong_ones_do_not() -> None:
    shot = frames()
    true = consistency(shot, [f.truth for f in shot if f.truth is not None], blank)
    small = consistency(shot, [f.teacher for f in shot], blank)
    assert true["mad"] == 0.0 < small["mad"]
    assert true["missed"] < 1e-3 < small["missed"]
    assert true["rebuild"] < 0.5 * small["rebuild"]
    # What stands still while the plate does is no flicker, whatever the subject does elsewhere.
    still = [
        shot[0],
        Frame(0, 1, *(getattr(shot[0], n) for n in ("plate", "clean", "teacher", "truth"))),
    ]
    assert consistency(still, [f.teacher for f in still], blank)["flicker"] == 0.0
    shaken = consistency(still, [still[0].teacher, still[0].teacher + 0.1], blank)
    assert shaken["flicker"] == pytest.approx(10.0, rel=1e-4)
    assert "mad" not in consistency(frames(truth=False), [f.teacher for f in shot], blank)


def test_a_true_matte_over_another_background_is_the_true_composite() -> None:
    frame = frames(1)[0]
    assert frame.truth is not None
    other = torch.from_numpy(wall(5, 64).transpose(2, 0, 1).copy())
    front = torch.tensor([0.7, 0.4, 0.3])[:, None, None]
    wanted = frame.truth * front + (1 - frame.truth) * other
    found = frame.plate + (1 - frame.truth) * (other - frame.clean)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_the_student_moves_the_judge_by_nothing_and_the_judge_the_student_only_to_pass() -> None:
    made = task()
    pair = made.model()
    assert isinstance(pair, Pair)
    batch = made.batch(np.random.default_rng(0))
    total, figures = made.loss(pair, batch)
    total.backward()
    # The judge's gradient is that of its own loss alone.
    found = [p.grad.clone() for p in pair.judge.parameters() if p.grad is not None]
    pair.zero_grad()
    with torch.no_grad():
        plate, clean = batch["plate"], batch["clean"]
        seen = torch.stack([planes(*both, None) for both in zip(plate, clean, strict=True)])
        alpha = torch.sigmoid(pair.student.eval().coarse(seen).alpha)
        fake = encode(plate + (1 - alpha) * (batch["place"] - clean))
    own = 0.5 * (pair.judge(fake) ** 2).mean() + 0.5 * ((pair.judge(encode(plate)) - 1) ** 2).mean()
    own.backward()
    for one, parameter in zip(found, pair.judge.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(one, parameter.grad, atol=1e-6, rtol=1e-4)
    assert float(figures["judged"]) == pytest.approx(float(own.detach()), rel=1e-4)


def test_the_teacher_counts_half_every_two_epochs_down_to_a_rest() -> None:
    made = task()
    made.frames = [made.frames[0]] * 40  # ten steps an epoch
    assert [made.teaching(step) for step in (0, 19, 20, 39, 40)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert made.teaching(10_000) == LEAST


def test_a_student_that_knows_nothing_comes_near_its_teacher(tmp_path: Path) -> None:
    made = task()
    made.rate = 1e-2
    before = measure(made.base, Judge(), made.held)["mad"]
    result = train(made, tmp_path, Plan(steps=40, warm_up=2, validate_steps=0, ema=0.9))
    assert result.figures["mad"] < 0.6 * before
    assert {"rebuild", "missed", "score", "mad"} <= set(result.figures)


def test_an_interrupted_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    whole = train(task(), tmp_path / "whole", PLAN)

    class Stop(Exception):
        pass

    class Halting(FinetuneTask):
        def batch(self, rng: np.random.Generator) -> dict[str, Tensor]:
            if (tmp_path / "halves" / "log.jsonl").read_text().count('"teaching"') == 3:
                raise Stop
            return super().batch(rng)

    first = task()
    halting = Halting(first.frames, first.held, first.base)
    always = Plan(**{**{k: getattr(PLAN, k) for k in PLAN.__slots__}, "checkpoint_minutes": 0.0})
    with pytest.raises(Stop):
        train(halting, tmp_path / "halves", always)
    halves = train(task(), tmp_path / "halves", PLAN)
    assert whole.step == halves.step == 6
    one, two = whole.model.state_dict(), halves.model.state_dict()
    assert int(two["taken"]) == 6
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


@pytest.mark.usefixtures("weights")
def test_a_shot_of_files_is_fine_tuned_and_its_weights_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    data = pytest.importorskip("skimage.data")
    from relume import weights
    from relume.colour import convert

    monkeypatch.chdir(tmp_path)
    side = 128
    photograph = convert(
        read(Path(data.__file__).with_name("astronaut.png")).layer(), "lin_ap1_scene"
    )
    person = resize_pixels(photograph.rgb, side, side)
    rows, columns = np.mgrid[:side, :side]
    behind = wall(2, side)
    for k in range(3):
        # Head and shoulders, cut out softly: the network is asked for a person, not for this edge.
        body = np.hypot((columns - 57) / 46, np.minimum(rows - 74, 0) / 72)
        cover = np.clip((1 - body) / 0.06, 0, 1)[..., None].astype(np.float32)
        plate = cover * person + (1 - cover) * behind
        plate = plate + np.random.default_rng(k).normal(0, 0.002, plate.shape)
        save(f"plate.{k + 1:04d}.exr", plate)
        save(f"truth.{k + 1:04d}.exr", np.repeat(cover, 3, -1))
    save("clean.exr", behind)
    arguments = ["train", "finetune", "plate.####.exr", "--clean-plate", "clean.exr"]
    arguments += ["--truth", "truth.####.exr", "--steps", "2", "--out", "tuned"]
    assert main(arguments) == Exit.DONE
    said = capsys.readouterr().out
    for word in ("before", "after", "rebuild", "score", "mad", "RELUME_WEIGHTS=tuned"):
        assert word in said
    manifest = json.loads(Path("tuned/matte.json").read_text(encoding="utf-8"))
    assert manifest["data"]["base"] == weights.digest("matte")
    assert manifest["data"]["frames"] == 2
    assert manifest["steps"] == weights.manifest("matte").get("steps", 0) + 2
    assert str(tmp_path) not in json.dumps(manifest)
    monkeypatch.setenv("RELUME_WEIGHTS", "tuned")
    assert weights.digest("matte") == manifest["sha256"]
    weights.load("matte")


@pytest.mark.usefixtures("weights")
def test_a_shot_of_which_nothing_is_usable_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    save("plate.exr", wall(1, 96))
    save("other.exr", wall(2, 96))
    arguments = ["train", "finetune", "plate.exr", "--clean-plate", "other.exr", "--out", "tuned"]
    assert main([*arguments, "--steps", "1"]) == Exit.USAGE
    told = capsys.readouterr()
    assert "plate.exr, frame 1: the clean plate explains only" in told.out
    assert "plate.exr has 0 usable frames, which leaves none to train on" in told.err
    more = ["--clean-plate", "plate.exr", "--clean-plate", "plate.exr", "--steps", "1"]
    assert main([*arguments, *more]) == Exit.USAGE
    assert "1 shots, 3 clean plates and 0 truths" in capsys.readouterr().err


def save(name: str, pixels: np.ndarray) -> None:
    image = Image(np.ascontiguousarray(pixels, np.float32), ("R", "G", "B"), "lin_ap1_scene")
    write(name, {"rgba": image}, depth="float")
