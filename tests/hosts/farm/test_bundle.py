"""Job bundles: what is stored, what Open Job Description makes of them, and how they fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PyOpenColorIO import Config

from relume.colour import convert
from relume.encoding import NETWORK_SPACE
from relume.errors import Exit, RelumeError, UsageError
from relume.exposure import measure_anchor
from relume.graph import Graph
from relume.hosts.cli import main
from relume.hosts.farm.bundle import Plan, write_bundle
from relume.hosts.farm.openjd import PROGRESS, Progress, from_range, to_range
from relume.hosts.farm.yaml_text import to_yaml
from relume.media.read import read
from relume.media.sequence import path_at
from relume.nodes.recipes import Plate, matte_graph
from relume.nodes.registry import REGISTRY
from relume.render import FrameReport

Deliver = Callable[..., str]
OPENJD = Path(sys.executable).with_name("openjd")

needs_openjd = pytest.mark.skipif(
    not OPENJD.is_file(), reason="openjd is not installed; pip install 'relume[farm]'"
)


@pytest.fixture
def graph(deliver: Deliver, tmp_path: Path) -> Path:
    """A graph over the plates 1001-1008 that writes to `out`."""
    nodes = {
        "plate": {"type": "read", "knobs": {"file": deliver("plates")}},
        "grade": {"type": "grade", "inputs": {"image": "plate"}},
        "write": {
            "type": "write",
            "knobs": {"file": str(tmp_path / "out" / "graded.####.exr")},
            "inputs": {"layers": {"rgba": "grade"}},
        },
    }
    path = tmp_path / "comp.json"
    path.write_text(json.dumps({"relume": 1, "nodes": nodes}), encoding="utf-8")
    return path


def openjd(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(OPENJD), *arguments], capture_output=True, text=True, timeout=300, check=False
    )


@given(st.sets(st.integers(-50, 3000), min_size=1, max_size=40))
def test_ranges_come_back(frames: set[int]) -> None:
    assert set(from_range(to_range(frames))) == frames


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("1001-1010:3", (1001, 1004, 1007, 1010)),
        ("1007, 1009", (1007, 1009)),
        ("1-3,2-5:2", (1, 2, 3, 4)),
        ("-3--1", (-3, -2, -1)),
    ],
)
def test_ranges_are_read_as_openjd_means_them(text: str, frames: tuple[int, ...]) -> None:
    assert from_range(text) == frames


@pytest.mark.parametrize("text", ["1001-1010x2", "", "a", "1-5:0", "5-1", "1,,2"])
def test_other_ranges_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        from_range(text)


@needs_openjd
@given(st.sets(st.integers(-50, 300), min_size=1, max_size=30))
def test_openjd_reads_the_ranges_alike(frames: set[int]) -> None:
    model = pytest.importorskip("openjd.model")
    assert set(model.IntRangeExpr.from_str(to_range(frames))) == frames


leaves = st.none() | st.booleans() | st.integers() | st.text()
trees = st.recursive(
    leaves, lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(), t, max_size=3)
)


@given(st.dictionaries(st.text(), trees, min_size=1))
def test_yaml_says_what_was_meant(value: dict[str, Any]) -> None:
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(to_yaml(value)) == value


def test_what_depends_on_the_machine_is_settled(
    deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pattern = deliver("plates")
    document = matte_graph(Plate("plates/relit.####.exr"), "out/matte.####.exr")
    before = document.to_json(REGISTRY)
    assert write_bundle(document, [1003, 1004], "job", Plan("comp")) == []
    assert document.to_json(REGISTRY) == before
    stored = Graph.load(tmp_path / "job" / "graph.json", REGISTRY)
    assert stored.shot == "1001-1008"
    assert stored.nodes["plate"].knobs["file"] == pattern
    assert stored.nodes["write"].knobs["file"] == str(tmp_path / "out" / "matte.####.exr")
    first = convert(read(path_at(pattern, 1001)).layer(), NETWORK_SPACE)
    assert stored.nodes["anchor"].knobs["stops"] == pytest.approx(measure_anchor(first), abs=1e-6)


def test_only_the_files_that_are_needed_travel(graph: Path, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    path_at(str(tmp_path / "plates" / "relit.####.exr"), 1006).unlink()
    document = Graph.load(graph, REGISTRY)
    missing = write_bundle(document, [1004, 1006], tmp_path / "job", Plan("comp"))
    assert missing == [1006]
    text = (tmp_path / "job" / "asset_references.yaml").read_text()
    assets = yaml.safe_load(text)["assetReferences"]
    names = [Path(name).name for name in assets["inputs"]["filenames"]]
    assert names == ["relit.1001.exr", "relit.1004.exr"]  # the first holds the exposure
    assert assets["outputs"]["directories"] == [str(tmp_path / "out")]


def refuse_expression(document: Graph, folder: Path) -> None:
    document.nodes["write"].knobs["file"] = "{{Param.x}}/a.####.exr"


def refuse_taken(document: Graph, folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.txt").touch()


def refuse_many_folders(document: Graph, folder: Path) -> None:
    for n in range(45):
        document.add(f"r{n}", "read", {"file": f"/plates/{n}/p.####.exr"})


def refuse_animated_file(document: Graph, folder: Path) -> None:
    document.nodes["plate"].knobs["file"] = {"keys": [[1, "a.exr"]], "interp": "hold"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (refuse_expression, "reads {{ as an expression"),
        (refuse_taken, "exists"),
        (refuse_many_folders, "47 folders"),
        (refuse_animated_file, "another file at other frames"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_leaves_nothing(
    graph: Path, tmp_path: Path, spoil: Callable[[Graph, Path], None], words: str
) -> None:
    document, folder = Graph.load(graph, REGISTRY), tmp_path / "jobs" / "job"
    folder.parent.mkdir()
    spoil(document, folder)
    with pytest.raises(UsageError, match=words.replace("{", r"\{")):
        write_bundle(document, [1001], folder, Plan("comp"))
    assert not (folder / "template.yaml").exists()
    assert [path for path in folder.parent.iterdir() if path != folder] == []


def test_progress_lines_are_openjds(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(4)
    progress.file(FrameReport("out", 1001, "a.exr", "done"))
    error = RelumeError("the plate is\ngone", frame=1002)
    progress.file(FrameReport("out", 1002, "b.exr", "failed", error=error))
    assert capsys.readouterr().out.splitlines() == [
        "openjd_progress: 25.0",
        "openjd_status: frame 1001: done",
        "openjd_progress: 50.0",
        "openjd_fail: frame 1002: the plate is gone.",
    ]


def test_a_task_renders_what_openjd_hands_it(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv(PROGRESS, "openjd")
    assert main(["farm", "task", str(graph), "--frames", "1001-1005:2,1008"]) == Exit.DONE
    assert "openjd_progress: 100.0" in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"graded.{frame}.exr" for frame in (1001, 1003, 1005, 1008)]
    assert main(["farm", "task", str(graph), "--frames", "1001-1005:2", "--verify"]) == Exit.DONE
    assert main(["farm", "task", str(graph), "--frames", "1001-1003", "--verify"]) == 5


@needs_openjd
def test_openjd_accepts_and_runs_the_bundle(graph: Path, tmp_path: Path) -> None:
    job = tmp_path / "job"
    arguments = ["--frames", "1001-1007x2", "--chunk", "2", "--out", str(job)]
    assert main(["farm", "bundle", str(graph), *arguments]) == Exit.DONE
    checked = openjd("check", str(job / "template.yaml"))
    assert checked.returncode == 0, checked.stdout
    ran = subprocess.run(
        [sys.executable, "-m", "relume", "farm", "local", str(job)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == Exit.DONE, ran.stdout
    assert ran.stdout.count("openjd_progress: 100.0") == 2
    assert "frames 1001-1007x2, nothing wrong" in ran.stdout
    assert len(list((tmp_path / "out").iterdir())) == 4


@needs_openjd
def test_a_folder_without_a_bundle_is_a_missing_input(tmp_path: Path, capsys: Any) -> None:
    assert main(["farm", "local", str(tmp_path / "none")]) == Exit.INPUT
    assert "is no bundle" in capsys.readouterr().err
    (tmp_path / "parameter_values.yaml").write_text("parameterValues: 3")
    assert main(["farm", "local", str(tmp_path)]) == Exit.INPUT


@needs_openjd
def test_path_mapping_reaches_every_folder(graph: Path, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    job = tmp_path / "job"
    assert main(["farm", "bundle", str(graph), "--frames", "1001", "--out", str(job)]) == 0
    values = {
        entry["name"]: str(entry["value"])
        for entry in yaml.safe_load((job / "parameter_values.yaml").read_text())["parameterValues"]
    }
    away = tmp_path / "worker"
    away.mkdir()
    (tmp_path / "plates").rename(away / "plates")
    rules = {
        "version": "pathmapping-1.0",
        "path_mapping_rules": [
            {
                "source_path_format": "POSIX",
                "source_path": str(tmp_path / name),
                "destination_path": str(away / name),
            }
            for name in ("plates", "out")
        ],
    }
    values["Relume"] = str(Path(sys.executable).with_name("relume"))
    ran = openjd(
        "run", str(job / "template.yaml"), "-p", json.dumps(values),
        "--path-mapping-rules", json.dumps(rules),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert [path.name for path in (away / "out").iterdir()] == ["graded.1001.exr"]
    assert not (tmp_path / "out").exists()


@needs_openjd
def test_a_failing_frame_fails_the_job_with_its_number(graph: Path, tmp_path: Path) -> None:
    job = tmp_path / "job"
    arguments = ["--frames", "1001-1004", "--chunk", "4", "--out", str(job)]
    assert main(["farm", "bundle", str(graph), *arguments]) == Exit.DONE
    plate = tmp_path / "plates" / "relit.1003.exr"
    plate.write_bytes(plate.read_bytes()[:-100])
    ran = subprocess.run(
        [sys.executable, "-m", "relume", "farm", "local", str(job)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == Exit.FRAMES_FAILED
    (line,) = [text for text in ran.stdout.splitlines() if "openjd_fail: " in text]
    assert "frame 1003" in line and "relit.1003.exr" in line
    assert "Running step 'Verify'" not in ran.stdout
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [f"graded.{frame}.exr" for frame in (1001, 1002, 1004)]


def test_a_task_refuses_a_machine_that_would_make_other_pixels(
    deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    yaml = pytest.importorskip("yaml")
    document = matte_graph(Plate(deliver("plates")), str(tmp_path / "out" / "matte.####.exr"))
    write_bundle(document, [1003], tmp_path / "job", Plan("comp"))
    template = yaml.safe_load((tmp_path / "job" / "template.yaml").read_text())
    (machine,) = [p for p in template["parameterDefinitions"] if p["name"] == "Machine"]
    assert "network matte=" in machine["default"] and len(machine["default"]) < 1024
    words = ["farm", "task", str(tmp_path / "job" / "graph.json"), "--frames", "1003", "--expect"]
    config = tmp_path / "config.ocio"
    config.write_text(Config.CreateRaw().serialize())
    for change, said in (
        (lambda: monkeypatch.setenv("OCIO", str(config)), "the OCIO configuration of this machine"),
        (lambda: monkeypatch.setattr("relume.hosts.farm.machine.__version__", "0"), "is 0, and"),
        (lambda: monkeypatch.setattr("relume.hosts.farm.machine.digest", str), "is matte, and"),
    ):
        change()
        assert main([*words, machine["default"]]) == Exit.INPUT
        assert said in capsys.readouterr().err
        monkeypatch.undo()
    assert not (tmp_path / "out").exists()
