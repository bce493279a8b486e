"""The frozen split of mattes: what its list promises, and that what differs is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from relume.training import markdown
from relume.training import matte_frozen as frozen
from relume.training import matte_frozen_measure as measuring
from relume.training import matte_frozen_scenes as scenery
from relume.training.stage import environment as envs
from relume.training.stage.dataset import split_of


def test_everything_of_the_list_belongs_to_the_test_split() -> None:
    known = scenery.read_list()
    held = set(envs.SPLITS["test"])
    for person in known["people"]:
        assert split_of(person["person"]) == split_of(person["hair"]) == "test"
        assert person["environment"] in held
    for scene in known["scenes"]:
        back = scene["background"]
        assert back["kind"] in ("clutter", "plain") or back["environment"] in held


def test_the_list_is_what_it_claims_to_be() -> None:
    known = scenery.read_list()
    people = {person["name"]: person for person in known["people"]}
    scenes = known["scenes"]
    assert len(people) >= 10 and len(scenes) >= 30
    strand = np.mean([people[scene["person"]]["strand"] for scene in scenes])
    assert strand == pytest.approx(0.7, abs=0.05)
    assert len({scene["seed"] for scene in scenes}) == len(scenes)
    assert all("signature" in each for each in (*people.values(), *scenes))
    for fault in ("shadow", "turn", "parallax"):
        share = np.mean([scene["faults"][fault] != 0 for scene in scenes])
        assert 0.2 < share < 0.9


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """Frames of 90×160, and a person who is a soft disc."""
    monkeypatch.setattr(scenery, "FRAME", (90, 160))
    monkeypatch.setattr(scenery, "PERSON", (90, 100))
    y, x = np.mgrid[:90, :100]
    alpha = np.clip((30 - np.hypot(x - 50, y - 60)) / 4 + 0.5, 0, 1).astype(np.float32)
    return np.float32((0.5, 0.3, 0.2)) * alpha[..., None], alpha


def known_scene(**faults: object) -> dict[str, object]:
    none = {"shift": [0, 0], "turn": 0.0, "parallax": 0.0, "gain": [1, 1, 1], "bias": 0.0}
    none |= {"shadow": 0.0, "noise": [0.0, 0.0]}
    return {
        "person": "disc",
        "seed": 5,
        "mirror": False,
        "shift": 0,
        "stops": 0.5,
        "background": {"kind": "clutter"},
        "faults": none | faults,
    }


def test_without_faults_the_clean_plate_is_what_is_behind(
    small: tuple[np.ndarray, np.ndarray],
) -> None:
    made = scenery.take(known_scene(), *small, strand=True)
    open_, solid = made.truth == 0, made.truth == 1
    np.testing.assert_array_equal(made.plate.rgb[open_], made.clean_plate.rgb[open_])
    colour = made.plate.rgb[solid]
    np.testing.assert_allclose(colour, np.broadcast_to(colour[0], colour.shape), rtol=1e-4)
    cover = made.truth[..., None]
    rest = made.plate.rgb - (1 - cover) * made.clean_plate.rgb
    np.testing.assert_allclose(rest, cover * colour[0], atol=1e-5)


@pytest.mark.parametrize(
    ("fault", "value", "beside"),
    [
        ("shift", [3.0, -2.0], True),
        ("gain", [1.1, 1.0, 0.9], True),
        ("shadow", 0.3, False),
        ("noise", [0.02, 0.002], True),
    ],
)
def test_a_fault_is_in_the_take_it_belongs_to(
    small: tuple[np.ndarray, np.ndarray], fault: str, value: object, beside: bool
) -> None:
    """`beside`: whether it changes the clean plate; a shadow falls on the plate alone."""
    plain = scenery.take(known_scene(), *small, strand=True)
    other = scenery.take(known_scene(**{fault: value}), *small, strand=True)
    np.testing.assert_array_equal(plain.truth, other.truth)
    same = np.array_equal(plain.clean_plate.rgb, other.clean_plate.rgb)
    assert same != beside
    if fault == "shadow":
        darker = other.plate.rgb[plain.truth == 0].mean()
        assert darker < plain.plate.rgb[plain.truth == 0].mean()


def test_signatures_bear_noise_and_tell_a_change() -> None:
    rng = np.random.default_rng(2)
    picture = rng.uniform(0, 1, (60, 100, 3)).astype(np.float32)
    known = frozen.proof(picture)
    assert frozen.compared(frozen.proof(picture), known) == "same bits"
    noisy = picture + rng.normal(0, 0.01, picture.shape).astype(np.float32)
    assert frozen.compared(frozen.proof(noisy), known) == "same"
    changed = picture.copy()
    changed[:20, :20] = 0.0
    assert frozen.compared(frozen.proof(changed), known) == "differs"
    assert frozen.compared(known, {}) == "new"


SEEN = (
    "3f46333e314051574c3b353e36213343535449362523200d2a51626d58353f47250e1e544e5e5131"
    "313d400d1f2f38484b4a34395756595f5a4d3d26645f5f5e615a5f5f616362606064685e5f636365"
    "68605c605f605e60605c615f65656460615d63635e5e5c646160605c5b595e62615f60675f646164"
)


def test_backgrounds_are_still_those_of_the_list(assets: Path) -> None:
    """A change of what draws them would make another split of the same list."""
    rng = np.random.default_rng([771, 3])
    back = {"environment": "workshop", "fov": 60.0, "pitch": 3.0, "rotation": 20.0, "things": 3}
    made = scenery.background({"kind": "environment", **back}, 90, 160, rng)
    seen = frozen.proof(made.permute(1, 2, 0).numpy(), np.float32(rng.random((60, 100))))
    assert frozen.compared(seen, {"digest": "", "signature": SEEN}) == "same"


def test_a_perfect_matte_has_no_error_and_a_mask_has_that_of_its_edge(
    small: tuple[np.ndarray, np.ndarray],
) -> None:
    made = scenery.take(known_scene(), *small, strand=True)
    none = measuring.errors(made.truth, made.truth)
    assert set(none["whole"].values()) == {0.0}
    mask = (made.truth > 0.5).astype(np.float32)
    found = measuring.errors(mask, made.truth)
    assert found["whole"]["mad"] == pytest.approx(1e3 * np.abs(mask - made.truth).mean())
    assert found["unknown"]["mad"] > found["whole"]["mad"]
    assert found["unknown"]["sad"] == pytest.approx(found["whole"]["sad"])


def test_the_table_is_put_between_its_markers() -> None:
    row = {"whole": dict.fromkeys(("mad", "mse", "grad", "conn", "sad"), 1.0)}
    row["unknown"] = row["whole"]
    rows = [{"scene": "a", "strand": True, **dict.fromkeys(measuring.METHODS, row)}]
    text = measuring.report(rows, measuring.METHODS, "0" * 64)
    assert "0 of 1 scenes (0 %)" in text
    begin, end = measuring.MARKS
    renewed = markdown.put(text, f"# A page\n\n{begin}\nold\n{end}\nafter\n", measuring.MARKS)
    assert "old" not in renewed and text in renewed and renewed.endswith("after\n")
    with pytest.raises(ValueError, match="has no"):
        markdown.put(text, "# A page", measuring.MARKS)
