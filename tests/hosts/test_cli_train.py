"""`relume train` hands its options to the functions of the lab, and says what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from relume.errors import Exit
from relume.hosts.cli import main
from relume.training.trainer import Plan, Result

Capture = pytest.CaptureFixture[str]


def result() -> Result:
    from torch import nn

    return Result(nn.Identity(), 12, 90.0, {"degrees": 7.25})


@pytest.mark.parametrize("name", ["normals", "albedo", "transport", "express"])
def test_a_network_is_trained_by_the_plan(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from relume.training import relight_nets

    train = create_autospec(relight_nets.train_one, return_value=result())
    monkeypatch.setattr(relight_nets, "train_one", train)
    arguments = ["train", name, "--data", "lit", "--out", "runs"]
    assert main([*arguments, "--minutes", "5", "--seed", "3", "--threads", "2"]) == Exit.DONE
    plan = Plan(steps=20000, minutes=5.0, seed=3, threads=2)
    train.assert_called_once_with(name, Path("lit"), Path("runs"), plan)
    assert capsys.readouterr().out == f"{name}: 12 steps in 1.5 min. degrees 7.25\n"


def test_all_networks_share_the_minutes_and_come_in_order(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from relume.training import everything, matte_train, relight_nets

    ran: dict[str, Plan] = {}

    def trained(task: str, folder: Path, plan: Plan) -> Result:
        ran[folder.name] = plan
        return result()

    one = create_autospec(relight_nets.train_one, return_value=result())
    monkeypatch.setattr(relight_nets, "train_one", one)
    monkeypatch.setattr(everything, "train", trained)
    monkeypatch.setattr(matte_train, "coarse_task", lambda *given, **more: "coarse")
    monkeypatch.setattr(matte_train, "refine_task", lambda *given, **more: "refine")
    arguments = ["train", "all", "--data", "lit", "--assets", "assets", "--out", "runs"]
    assert main([*arguments, "--minutes", "100", "--half", "--echo", "3"]) == Exit.DONE
    ran |= {call.args[0]: call.args[3] for call in one.call_args_list}
    assert list(ran) == ["matte", "matte_refiner", "normals", "albedo", "transport", "express"]
    assert sum(plan.minutes or 0.0 for plan in ran.values()) == pytest.approx(100.0)
    assert all(plan.half and plan.echo == 3 for plan in ran.values())
    said = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == list(ran)


def test_views_are_made_and_lit(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from relume.training import lit
    from relume.training.stage import make

    views = create_autospec(make.make_views, return_value=3)
    light = create_autospec(lit.light_folder, return_value=2)
    monkeypatch.setattr(make, "make_views", views)
    monkeypatch.setattr(lit, "light_folder", light)
    assert main(["train", "views", "--out", "stage", "--split", "val", "--count", "3"]) == Exit.DONE
    assert views.call_args.args == (Path("stage"), "val", 3, 1, (256, 256))
    assert views.call_args.kwargs["first"] == 0
    wide = ["train", "views", "--out", "stage", "--first", "1000", "--size", "640"]
    assert main(wide) == Exit.DONE
    assert views.call_args.args[4] == (640, 640)
    assert views.call_args.kwargs["first"] == 1000
    assert main(["train", "light", "--data", "stage", "--out", "lit"]) == Exit.DONE
    light.assert_called_once_with(Path("stage"), Path("lit"))
    assert capsys.readouterr().out.splitlines() == [
        "3 views rendered in stage/val.",
        "3 views rendered in stage/train.",
        "2 views lit in lit.",
    ]


def test_what_the_release_and_the_preview_get(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relume.training import release
    from relume.training.stage import preview

    write = create_autospec(release.release, return_value={})
    draw = create_autospec(preview.write_preview)
    monkeypatch.setattr(release, "release", write)
    monkeypatch.setattr(preview, "write_preview", draw)
    folders = ["--data", "stage", "--runs", "runs", "--out", "weights"]
    assert main(["train", "release", *folders]) == Exit.DONE
    write.assert_called_once_with(Path("runs"), Path("stage"), Path("weights"))
    assert main(["train", "preview", "--data", "stage", "--out", "p.png"]) == Exit.DONE
    draw.assert_called_once_with(Path("stage"), "train", Path("p.png"), 0, 8)


def test_no_data_is_an_input_error(assets: Path, here: Path, capsys: Capture) -> None:
    Path("lit").mkdir()
    assert main(["train", "normals", "--data", "lit", "--out", "runs"]) == Exit.INPUT
    error = capsys.readouterr().err
    assert "lit" in error and "relume train --help" in error


def test_a_missing_package_of_the_extra_is_named(assets: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['embreex'] = None;"
        "from relume.hosts.cli import main;"
        "sys.exit(main(['train', 'views', '--out', 'stage', '--count', '1']))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert process.returncode == Exit.USAGE
    assert "embreex" in process.stderr
    assert "pip install 'relume[training]'" in process.stderr
    assert "Traceback" not in process.stderr
