from __future__ import annotations

import numpy as np
import pytest

from relume.training.groups import features, group_table, grouped


def picture(level: float) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (level * rng.uniform(0.2, 1.0, (12, 10, 3))).astype(np.float32)


def test_a_perfect_picture_has_no_error_and_is_grouped_by_what_is_true() -> None:
    truth = picture(1.0)
    skin = np.zeros((12, 10), bool)
    skin[:6] = True
    albedo = np.full((12, 10, 3), 0.05, np.float32)
    row = features(truth, truth, albedo, np.ones_like(skin), skin, 0.5)
    assert row["relight_rmse"] == row["skin_rmse"] == 0.0
    assert row["skin_degrees"] == pytest.approx(0.0, abs=1e-3)
    assert row["tone"] == pytest.approx(0.05)
    found = grouped([row])
    assert found["tone_dark_views"] == 1.0
    assert "tone_light_views" not in found


def test_even_light_is_soft_and_a_shadow_is_hard() -> None:
    solid = np.ones((12, 10), bool)
    albedo = picture(0.8)
    even = features(albedo, 3.0 * albedo, albedo, solid, ~solid, 1.0)
    shadow = np.where(np.arange(10) < 5, 1.0, 1.0 / 16.0)[None, :, None].astype(np.float32)
    hard = features(albedo, shadow * albedo, albedo, solid, ~solid, 1.0)
    assert even["contrast"] == pytest.approx(0.0, abs=1e-4)
    assert hard["contrast"] == pytest.approx(4.0, abs=1e-4)
    assert np.isnan(even["skin_rmse"])
    found = grouped([even, hard])
    assert found["contrast_soft_views"] == found["contrast_hard_views"] == 1.0
    assert not any(key.startswith("tone") for key in found)


def test_the_angle_of_a_cast_does_not_depend_on_exposure() -> None:
    solid = np.ones((4, 4), bool)
    truth = np.full((4, 4, 3), 0.3, np.float32)
    cast = truth * np.array([1.2, 1.0, 0.8], np.float32)
    first = features(cast, truth, truth, solid, solid, 1.0)["skin_degrees"]
    second = features(4.0 * cast, truth, truth, solid, solid, 1.0)["skin_degrees"]
    assert first == pytest.approx(second, abs=1e-3)
    cosine = 3.0 / np.sqrt(3.0 * (1.44 + 1.0 + 0.64))
    assert first == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-3)


def test_the_table_has_a_line_for_every_group_with_views() -> None:
    rows = [
        {"tone": tone, "contrast": 1.0, "relight_rmse": 0.1, "skin_rmse": 0.2, "skin_degrees": 3.0}
        for tone in (0.05, 0.2, 0.2)
    ]
    lines = group_table(grouped(rows)).splitlines()
    assert lines[2:] == [
        "| dark skin | 1 | 0.100 | 0.200 | 3.0° |",
        "| medium skin | 2 | 0.100 | 0.200 | 3.0° |",
        "| soft light | 3 | 0.100 | 0.200 | 3.0° |",
    ]
