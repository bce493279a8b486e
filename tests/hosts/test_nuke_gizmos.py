"""Gizmos, toolset and menu of Nuke, read as Nuke's script language; Nuke itself is not run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from relume.hosts import install as hosts
from relume.hosts.nuke import effect_gizmo
from relume.hosts.nuke.install import source
from relume.hosts.ofx.generate import table
from relume.node import Registry
from relume.nodes.matte import Matte
from relume.nodes.registry import REGISTRY


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return {path: content.decode() for path, content in source(REGISTRY).items()}


def words(text: str) -> list[list[str]]:
    """Return the commands of a Tcl script as lists of words, braces and quotes taken off."""
    commands: list[list[str]] = [[]]
    place = 0
    while place < len(text):
        letter = text[place]
        if letter in " \t":
            place += 1
        elif letter == "\n":
            commands.append([])
            place += 1
        elif letter == "#" and not commands[-1]:
            place = text.find("\n", place)
        elif letter == "{":
            depth, end = 1, place + 1
            while depth:
                step = 2 if text[end] == "\\" else 1
                depth += {"{": 1, "}": -1}.get(text[end], 0)
                end += step
            commands[-1].append(text[place + 1 : end - 1])
            place = end
        else:
            found = re.compile(r'"(?:\\.|[^"\\])*"|(?:\\.|\[[^\]]*\]|[^\s\[\]{}"])+', re.S)
            match = found.match(text, place)
            assert match, text[place : place + 60]
            commands[-1].append(match[0])
            place = match.end()
    return [command for command in commands if command]


def unquoted(word: str) -> str:
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], word.strip('"'), flags=re.S)


def nodes(text: str) -> dict[str, tuple[str, dict[str, str], list[str]]]:
    """Return class, knobs and inputs of each node of a gizmo by name."""
    stack: list[str] = []
    found: dict[str, tuple[str, dict[str, str], list[str]]] = {}
    for command in words(text):
        if command[0] == "push":
            stack.append(command[1].removeprefix("$"))
        elif len(command) == 2 and "\n" in command[1] and command[0] != "Gizmo":
            knobs = {}
            for knob in words(command[1]):
                assert len(knob) == 2, knob
                knobs[knob[0]] = unquoted(knob[1])
            inputs = [stack.pop() for _ in range(int(knobs["inputs"]))]
            stack.append(knobs["name"])
            found[knobs["name"]] = (command[0], knobs, inputs)
    return found


def user_knobs(text: str) -> dict[str, list[str]]:
    """Return the knobs of a gizmo by name."""
    (body,) = [command[1] for command in words(text) if command[0] == "Gizmo"]
    entries = [words(knob[1])[0] for knob in words(body) if knob[0] == "addUserKnob"]
    names = [entry[1] for entry in entries]
    assert len(set(names)) == len(names)
    return dict(zip(names, entries, strict=True))


def test_every_parameter_of_an_effect_is_a_knob_of_its_gizmo(files: dict[str, str]) -> None:
    for effect in table(REGISTRY)["effects"]:
        text = files[f"gizmos/{effect_gizmo.name(effect)}.gizmo"]
        knobs, made = user_knobs(text), nodes(text)
        kind, own, inputs = made["effect"]
        assert kind == f"OFX{effect['identifier'].lower()}_v1"
        assert inputs == [clip["name"] for clip in effect["clips"]]
        assert set(own) == {"inputs", "name", "xpos", "ypos"}  # the artist's own values
        depth = 0
        for param in effect["params"]:
            entry = knobs[param["name"]]
            assert unquoted(entry[3]) == param["label"]
            if param["type"] != "group":
                assert entry[0] == "41"
                assert entry[-2:] == ["T", f"effect.{param['name']}"]
                assert unquoted(entry[5]) == param["hint"]
        for entry in knobs.values():
            depth += int(entry[-1]) if entry[-2] == "n" else 0
            assert depth >= 0
        assert depth == 0


def test_passes_are_layers_with_the_names_of_the_files(files: dict[str, str]) -> None:
    for effect in table(REGISTRY)["effects"]:
        made = nodes(files[f"gizmos/{effect_gizmo.name(effect)}.gizmo"])
        wanted = effect_gizmo.layers(effect)
        filled = [
            knobs[f"to{number}"]
            for kind, knobs, _ in made.values()
            if kind == "Copy"
            for number in range(sum(key.startswith("to") for key in knobs))
        ]
        assert filled == [f"{layer}.{c}" for layer, channels in wanted.values() for c in channels]
        for shown, (layer, _) in wanted.items():
            kind, knobs, inputs = made[f"pass_{layer}"]
            assert (kind, inputs) == (made["effect"][0], made["effect"][2])
            assert knobs["relume_pass"] == shown
            for param in effect["params"]:
                if param["type"] == "group":
                    continue
                follows = re.findall(r"effect\.([A-Za-z_0-9]+)", knobs[param["name"]])
                assert set(follows) == {param["name"]}
        # From the output back, every node of a pass is reached.
        reached, todo = set(), ["Output1"]
        while todo:
            name = todo.pop()
            reached.add(name)
            todo += made[name][2]
        assert reached >= {name for name in made if name.startswith(("pass_", "effect"))}


def test_relight_and_its_beauty_are_a_toolset(files: dict[str, str]) -> None:
    toolset = files["ToolSets/Relume/Relight and beauty.nk"]
    made = [command for command in words(toolset) if command[0].startswith("Relume")]
    assert [command[0] for command in made] == ["RelumeRelight", "RelumeBeauty"]
    assert toolset.index("push 0") < toolset.index("push $RelumeRelight1")
    layers = effect_gizmo.layers(
        next(e for e in table(REGISTRY)["effects"] if e["id"] == "relight")
    )
    assert {"diffuse", "specular", "residual", "matte"} <= set(layers)


def test_init_and_menu_do_what_nuke_asks(files: dict[str, str], monkeypatch) -> None:
    paths, layers, commands = [], {}, {}
    nuke = ModuleType("nuke")
    nuke.pluginAddPath = paths.append
    nuke.Layer = layers.__setitem__
    menu = SimpleNamespace(addCommand=commands.__setitem__)
    nuke.menu = lambda name: SimpleNamespace(addMenu=lambda title: menu)
    made: list[str] = []
    nuke.createNode = made.append
    monkeypatch.setitem(sys.modules, "nuke", nuke)
    exec(compile(files["init.py"], "init.py", "exec"), {})
    exec(compile(files["menu.py"], "menu.py", "exec"), {})
    assert paths == ["./gizmos"]
    assert layers["normal"] == ["normal.X", "normal.Y", "normal.Z"]
    assert layers["matte"] == ["matte.alpha"]
    for command in commands.values():
        exec(command, {"nuke": nuke})
    gizmos = {Path(path).stem for path in files if path.endswith(".gizmo")}
    assert set(made) == gizmos and len(made) == len(gizmos)


def test_it_is_installed_and_checked(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NUKE_PATH", raising=False)
    monkeypatch.setattr("relume.nodes.registry.REGISTRY", Registry([Matte]), raising=True)
    folder = tmp_path / ".nuke"
    hosts.install("nuke", folder)
    assert (folder / "relume" / "menu.py").is_file()
    _, problems = hosts.problems("nuke")
    assert len(problems) == 1 and "NUKE_PATH" in problems[0]
    (folder / "init.py").write_text('import nuke\nnuke.pluginAddPath("./relume")\n')
    assert hosts.problems("nuke") == (folder, [])
    (folder / "init.py").unlink()
    monkeypatch.setenv("NUKE_PATH", str(folder / "relume"))
    assert hosts.problems("nuke") == (folder, [])
    hosts.uninstall("nuke")
    assert not folder.exists()
