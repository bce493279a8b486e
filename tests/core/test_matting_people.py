"""Which parts of a coarse matte are people, and which holes in them are none."""

from __future__ import annotations

import numpy as np
import pytest

from relume.matting.people import oversights


def bust(*holes: tuple[int, int, int]) -> np.ndarray:
    """A body with round holes at row, column, radius."""
    y, x = np.mgrid[:200, :200]
    alpha = (((x - 100) / 70) ** 2 + ((y - 120) / 90) ** 2 < 1).astype(np.float32)
    for row, column, radius in holes:
        alpha[np.hypot(y - row, x - column) < radius] = 0.1
    return alpha


def test_a_small_hole_deep_inside_is_an_oversight() -> None:
    found = oversights(bust((120, 100, 12)))
    assert found[110:131, 92:109].all()
    assert found.sum() < 900


@pytest.mark.parametrize("hole", [(120, 100, 28), (120, 40, 8), (40, 100, 4)])
def test_large_gaps_and_those_near_the_outline_stay(hole: tuple[int, int, int]) -> None:
    assert not oversights(bust(hole)).any()


def test_a_full_frame_and_an_empty_one_have_no_oversights() -> None:
    assert not oversights(np.ones((20, 30), np.float32)).any()
    assert not oversights(np.zeros((20, 30), np.float32)).any()
