"""A knob declared on a node shows up in every host, with no other edit.

One line on one class: everything below reads the registry, and nothing of it is told of the knob.
The compiled OpenFX bundle has the same test beside its own, in tests/hosts/ofx.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume import document
from relume.context import Context
from relume.errors import Exit
from relume.hosts.blender import extension
from relume.hosts.cli import main
from relume.hosts.comfyui import install as comfyui
from relume.hosts.nuke import install as nuke
from relume.hosts.ofx.generate import table
from relume.hosts.reference import pages
from relume.image import Image
from relume.knobs import Float
from relume.media.read import read
from relume.media.write import write
from relume.nodes.despill import Despill
from relume.nodes.registry import REGISTRY

ROOT = Path(__file__).parents[2]
WORDS = "How much it shimmers."


class Shimmering(Despill):
    """Despill, with one more knob."""

    shimmer = Float(0.25, WORDS, min=-1.0, max=2.0, unit="stops")

    def compute(self, ctx: Context, image: Image) -> Image:
        """Return the picture brighter by the new knob."""
        found: Image = super().compute(ctx, image)
        return found.like(found.pixels * np.float32(2.0**self.shimmer))


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare the knob; nothing else is edited."""
    monkeypatch.setitem(REGISTRY._types, Despill.id, Shimmering)


def test_without_the_declaration_it_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGISTRY._types, Despill.id, Despill)
    made = [json.dumps(table(REGISTRY)), *pages(REGISTRY).values()]
    files = [*extension.source(REGISTRY).values(), *comfyui.source(REGISTRY).values()]
    made += [content.decode() for content in (*files, *nuke.source(REGISTRY).values())]
    assert not any("shimmer" in text for text in made)


def test_openfx() -> None:
    (effect,) = (e for e in table(REGISTRY)["effects"] if e["id"] == Despill.id)
    (param,) = (p for p in effect["params"] if p["name"] == "shimmer")
    assert (param["type"], param["default"], param["min"], param["max"]) == ("double", 0.25, -1, 2)
    assert (param["label"], param["hint"]) == ("Shimmer (stops)", WORDS)
    assert param["targets"] == [[Despill.id, "shimmer"]]


def test_nuke() -> None:
    gizmo = nuke.source(REGISTRY)["gizmos/RelumeDespill.gizmo"].decode()
    (line,) = (line for line in gizmo.splitlines() if "shimmer" in line)
    assert line.strip() == (
        f'addUserKnob {{41 shimmer l "Shimmer (stops)" t "{WORDS}" T effect.shimmer}}'
    )


def test_comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(__file__).parent / "comfyui" / "stand_in.py"
    spec = importlib.util.spec_from_file_location("knob_stand_in", path)
    assert spec is not None
    stand_in: Any = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, stand_in)
    assert spec.loader is not None
    spec.loader.exec_module(stand_in)
    for name, module in stand_in.modules(stand_in.Progress()).items():
        monkeypatch.setitem(sys.modules, name, module)
    for name, content in comfyui.source(REGISTRY).items():
        (tmp_path / name).write_bytes(content)
    before = set(sys.modules)
    comfy = stand_in.Comfy(tmp_path)
    for name in set(sys.modules) - before:
        monkeypatch.delitem(sys.modules, name, raising=False)
    _, schema = comfy.nodes["RelumeDespill"]
    port = schema.inputs["shimmer"]
    assert port.parent.io_type == "FLOAT" and WORDS in port.tooltip
    assert {key: port.fields[key] for key in ("default", "min", "max")} == {
        "default": 0.25, "min": -1.0, "max": 2.0,
    }  # fmt: skip
    assert asyncio.run(comfy.module.comfy_entrypoint()) is not None


def test_blender(tmp_path: Path) -> None:
    """The class in real Blender, where there is one."""
    files = extension.source(REGISTRY)
    (tmp_path / "addon").mkdir()
    for name, content in files.items():
        (tmp_path / "addon" / name).write_bytes(content)
    declared = json.loads(files["nodes.json"])[Despill.id]["knobs"]["shimmer"]
    assert declared == Shimmering.shimmer.schema()
    python = os.environ.get("RELUME_BPY", str(ROOT.parent / "bpyenv" / "bin" / "python"))
    if not Path(python).is_file():
        pytest.skip("no Blender: set RELUME_BPY to a Python that imports bpy")
    script = (
        "import json, sys, bpy\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from addon import tree\n"
        "tree.register(json.load(open(sys.path[0] + '/addon/nodes.json')))\n"
        "node = bpy.data.node_groups.new('t', 'RelumeTree').nodes.new('RelumeNode_despill')\n"
        "made = node.bl_rna.properties['shimmer']\n"
        "print('SAID', json.dumps([node.shimmer, made.hard_min, made.hard_max,\n"
        "                          made.description]), flush=True)\n"
        # With classes still registered, Blender as a module may not come to an end.
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [python, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.partition("SAID ")[2])
    assert said == [0.25, -1.0, 2.0, f"{WORDS} (stops)"]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is described, checked, and set."""
    assert main(["nodes", Despill.id]) == Exit.DONE
    assert re.search(r"shimmer.*-1 to 2.*0\.25", capsys.readouterr().out, re.DOTALL)
    pixels = np.full((4, 5, 3), 0.18, np.float32)
    write(tmp_path / "in.exr", {"rgba": Image(pixels, ("R", "G", "B"), colour="lin_ap1_scene")})
    graph = {
        "relume": 1,
        "nodes": {
            "plate": {"type": "read", "knobs": {"file": str(tmp_path / "in.exr")}},
            "despill": {"type": Despill.id, "inputs": {"image": "plate"}},
            "write": {
                "type": "write",
                "knobs": {"file": str(tmp_path / "out.exr"), "depth": "float"},
                "inputs": {"layers": {"rgba": "despill"}},
            },
        },
    }
    file = tmp_path / "graph.json"
    file.write_text(document.write(graph))
    run = ["run", str(file), "--overwrite"]
    plain = read_of(tmp_path / "out.exr", [*run, "--set", "despill.shimmer=0"])
    brighter = read_of(tmp_path / "out.exr", [*run, "--set", "despill.shimmer=1"])
    np.testing.assert_array_equal(brighter, 2 * plain)
    assert main([*run, "--set", "despill.shimmer=3"]) == Exit.USAGE
    assert "from -1 to 2" in capsys.readouterr().err


def read_of(file: Path, arguments: list[str]) -> np.ndarray:
    """Run a command and return the picture it wrote."""
    assert main(arguments) == Exit.DONE
    return read(file).layers["rgba"].pixels


def test_documentation() -> None:
    page = pages(REGISTRY)[f"{Despill.id}.md"]
    (row,) = (line for line in page.splitlines() if line.startswith("| `shimmer` "))
    assert row.split(" | ")[1:] == ["`0.25`", "a number from -1 to 2", "stops", f"{WORDS} |"]
