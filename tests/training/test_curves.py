"""Curves of training runs say what their logs say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from relume.errors import InputError
from relume.training import curves


def write(path: Path, lines: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def lines(steps: range) -> list[dict[str, object]]:
    return [
        {"command": "python -m relume.training.relight_nets normals"},
        *({"name": "n", "step": k, "seconds": 1.0 * k, "loss": 100.0 / k} for k in steps),
        {"name": "n", "step": steps[-1], "seconds": 9.0, "val_degrees": 12.5, "val_flat": 40.0},
    ]


def test_a_log_is_read_by_step_and_a_repeated_step_counts_once(tmp_path: Path) -> None:
    resumed = [*lines(range(10, 60, 10)), *lines(range(40, 80, 10))]
    found = curves.read(write(tmp_path / "log.jsonl", resumed))
    assert found["loss"] == ([10, 20, 30, 40, 50, 60, 70], [100 / k for k in range(10, 80, 10)])
    assert found["val_degrees"] == ([50, 70], [12.5, 12.5])
    assert set(found) == {"loss", "val_degrees", "val_flat"}


def test_curves_are_drawn_for_every_run_of_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    for name in ("normals", "albedo"):
        write(tmp_path / name / "log.jsonl", lines(range(10, 200, 10)))
    found = curves.logs(tmp_path)
    assert [path.parent.name for path in found] == ["albedo", "normals"]
    curves.draw(found, tmp_path / "curves.png")
    one = tmp_path / "one.png"
    curves.draw(found[:1], one)
    both, single = (np.asarray(Image.open(p).convert("L")) for p in (tmp_path / "curves.png", one))
    assert both.shape == (2 * single.shape[0], single.shape[1])
    assert both.std() > 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no figures"),
        ('{"command": "x"}\n', "no figures"),
        ("step 1\n", "line 1"),
        ("3\n", "1"),
    ],
)
def test_what_is_no_log_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        curves.read(path)


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no log"):
        curves.logs(tmp_path)
