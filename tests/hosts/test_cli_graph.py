"""`relume graph`: make, check, show and compare documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relume.errors import Exit
from relume.hosts.cli import main
from relume.nodes.recipes import TEMPLATES

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_new_graph_is_right(name: str, here: Path, capsys: Capture) -> None:
    assert main(["graph", "new", name, "--out", "graph.json"]) == Exit.DONE
    assert main(["graph", "check", "graph.json"]) == Exit.DONE
    assert "nothing wrong" in capsys.readouterr().out
    assert main(["graph", "new", name]) == Exit.DONE
    assert capsys.readouterr().out == Path("graph.json").read_text(encoding="utf-8")


def test_new_never_replaces_a_file_unasked(here: Path, capsys: Capture) -> None:
    Path("graph.json").write_text("mine", encoding="utf-8")
    assert main(["graph", "new", "--out", "graph.json"]) == Exit.USAGE
    assert "graph.json exists" in capsys.readouterr().err
    assert Path("graph.json").read_text(encoding="utf-8") == "mine"
    assert main(["graph", "new", "--out", "graph.json", "--overwrite"]) == Exit.DONE
    assert main(["graph", "check", "graph.json"]) == Exit.DONE


def test_new_in_a_folder_that_is_not_there(here: Path, capsys: Capture) -> None:
    assert main(["graph", "new", "--out", "nowhere/graph.json"]) == Exit.FRAMES_FAILED
    assert "nowhere/graph.json" in capsys.readouterr().err


def test_an_unknown_template(capsys: Capture) -> None:
    assert main(["graph", "new", "relit"]) == Exit.USAGE
    assert "relight" in capsys.readouterr().err


def test_check_names_what_is_wrong(graded: Path, capsys: Capture) -> None:
    document = json.loads(graded.read_text(encoding="utf-8"))
    document["nodes"]["graded"]["inputs"]["image"] = "plaet.image"
    graded.write_text(json.dumps(document), encoding="utf-8")
    assert main(["graph", "check", "graph.json"]) == Exit.USAGE
    error = capsys.readouterr().err
    for word in ("graph.json", "node graded", "'plaet.image'", "plate"):
        assert word in error


def test_show_has_every_node_after_its_inputs(graded: Path, capsys: Capture) -> None:
    assert main(["graph", "show", "graph.json"]) == Exit.DONE
    assert capsys.readouterr().out.splitlines() == [
        "shot not set, working space lin_ap1_scene",
        "plate (read)",
        '    file = "plate.####.exr"',
        "graded (grade)",
        "    image <- plate",
        "out (write)",
        "    layers.rgba <- graded",
        '    file = "out/graded.####.exr"',
        '    depth = "float"',
    ]


def test_show_json_is_canonical(graded: Path, capsys: Capture) -> None:
    assert main(["graph", "show", "graph.json", "--json"]) == Exit.DONE
    text = capsys.readouterr().out
    Path("again.json").write_text(text, encoding="utf-8")
    assert main(["graph", "show", "again.json", "--json"]) == Exit.DONE
    assert capsys.readouterr().out == text


def test_diff_has_a_line_a_change(graded: Path, capsys: Capture) -> None:
    assert main(["graph", "diff", "graph.json", "graph.json"]) == Exit.DONE
    assert capsys.readouterr().out == "No difference.\n"
    document = json.loads(graded.read_text(encoding="utf-8"))
    document["nodes"]["graded"]["knobs"] = {"exposure": 1.5}
    document["shot"] = "1001-1100"
    Path("later.json").write_text(json.dumps(document), encoding="utf-8")
    assert main(["graph", "diff", "graph.json", "later.json"]) == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["shot: None → '1001-1100'", "graded.exposure: unset → 1.5"]
