"""The documentation says what is so: its pages, links, commands, snippets, graphs and tables."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import relume.nodes
from relume.errors import Exit
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.hosts import reference
from relume.hosts.cli import main
from relume.hosts.cli.app import relume as group
from relume.image import DATA, Image
from relume.media.write import write
from relume.node import Node
from relume.nodes.recipes import Lighting, Plate, relight_graph
from relume.nodes.registry import REGISTRY
from relume.training.markdown import put

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
WRITTEN = [page for page in PAGES if page.parent.name != "nodes"]
EXAMPLES = sorted(ROOT.glob("examples/*.json"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(text: str, language: str = "") -> list[str]:
    """Return the fenced blocks of a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for named, content in found if named == language]


def prose(text: str) -> str:
    """Return a page without code, links' targets and comments."""
    for pattern in (r"^```.*?^```", r"<!--.*?-->", r"`[^`]*`", r"\]\([^)]*\)"):
        text = re.sub(pattern, " ", text, flags=re.MULTILINE | re.DOTALL)
    return text


def commands(page: Path, program: str) -> list[str]:
    """Return the lines of a page's code blocks that call a program."""
    lines = [line for block in blocks(page.read_text()) for line in block.splitlines()]
    return [line for line in lines if line.split(" ", 1)[0] == program]


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_node_pages_are_current():
    made = reference.pages(REGISTRY)
    kept = {page.name: page.read_text() for page in (ROOT / "docs" / "nodes").glob("*.md")}
    assert set(made) == set(kept), "run `make docs`"
    stale = [name for name, text in made.items() if kept[name] != text]
    assert not stale, "run `make docs`"


def test_the_reference_keeps_pages_it_did_not_make(tmp_path):
    (tmp_path / "gone.md").write_text(reference.page(REGISTRY["grade"]))
    (tmp_path / "mine.md").write_text("# Mine\n")
    assert reference.main([str(tmp_path)]) == Exit.DONE
    names = {page.name for page in tmp_path.iterdir()}
    assert "gone.md" not in names
    assert {"mine.md", "grade.md", reference.INDEX} <= names


def test_the_reference_needs_a_folder(capsys):
    assert reference.main([]) == Exit.USAGE
    assert "folder" in capsys.readouterr().err


def test_the_entry_on_a_page_is_a_node_of_a_graph():
    for id, node in REGISTRY.items():
        (block,) = blocks(reference.page(node), "json")
        entry = json.loads("{" + block + "}")[id]
        assert entry["type"] == id
        assert dict(node("n", entry.get("knobs")).values) == dict(node("n").values)
        assert set(entry.get("inputs", {})) == set(node.inputs())


def test_every_node_file_is_listed():
    found = set()
    for module in pkgutil.iter_modules(relume.nodes.__path__):
        content = vars(importlib.import_module(f"relume.nodes.{module.name}")).values()
        found |= {v for v in content if isinstance(v, type) and issubclass(v, Node) and v != Node}
    assert found == set(REGISTRY.values())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        assert path.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(path), target


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with what the commands of the documentation find there."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    for name in ("comp.json", "comp_v2.json"):
        assert main(["graph", "new", "relight", "--out", name]) == Exit.DONE
    return tmp_path


def leaf(words: list[str]) -> click.Command:
    """Return the command that words call."""
    found: click.Command = group
    for word in words:
        if not isinstance(found, click.Group):
            break
        found = found.get_command(click.Context(found), word) or pytest.fail(f"no {word}")
    return found


@pytest.mark.parametrize(
    "page", [page for page in WRITTEN if commands(page, "relume")], ids=name_of
)
def test_the_commands_are_understood(page: Path, folder: Path, monkeypatch, capsys):
    for line in commands(page, "relume"):
        text, _, redirect = re.sub(r"\s#.*", "", line).partition(" > ")
        words = shlex.split(text)[1:]
        command = leaf(words)
        options = {parameter.name for parameter in command.params}
        if words[:2] == ["graph", "new"]:
            Path(words[words.index("--out") + 1]).unlink(missing_ok=True)
        elif "print_graph" in options:
            words += [] if "--print-graph" in words else ["--print-graph"]
        elif words[0] not in ("graph", "nodes"):
            monkeypatch.setattr(command, "callback", lambda **_: None)
        capsys.readouterr()
        assert main(words) == Exit.DONE, line
        said = capsys.readouterr().out
        if redirect:
            Path(redirect).write_text(said)


@pytest.mark.parametrize("page", [p for p in WRITTEN if p.parent.name != "decisions"], ids=name_of)
def test_the_options_exist(page: Path):
    def options(command: click.Command) -> set[str]:
        found = {flag for parameter in command.params for flag in parameter.opts}
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found |= options(command.get_command(context, name) or pytest.fail(name))
        return found

    of_others = {"--extra-index-url", "--help", "--nthreads", "--protocol", "--strict"}
    # Modules that only developers start read their arguments themselves.
    modules = "".join(path.read_text() for path in ROOT.glob("training/*.py"))
    of_modules = set(re.findall(r"add_argument\(\s*\"(--[a-z-]+)", modules))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text()))
    assert named <= options(group) | of_modules | of_others


@pytest.mark.parametrize("page", [page for page in WRITTEN if commands(page, "make")], ids=name_of)
def test_the_make_targets_exist(page: Path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in commands(page, "make")} <= targets


@pytest.mark.parametrize(
    "page", [p for p in WRITTEN if blocks(p.read_text(), "python")], ids=name_of
)
def test_the_snippets_run(page: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grey = np.full((48, 48, 3), 0.2, np.float32)
    write("portrait.png", {"rgba": Image(grey, ("R", "G", "B"))})
    for block in blocks(page.read_text(), "python"):
        exec(compile(block, name_of(page), "exec"), {"__name__": "snippet"})


@pytest.mark.parametrize("page", [p for p in WRITTEN if blocks(p.read_text(), "json")], ids=name_of)
def test_the_graphs_in_the_text_are_valid(page: Path):
    for block in blocks(page.read_text(), "json"):
        Graph.from_json(block, REGISTRY)


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_the_examples_are_graphs_in_canonical_form(path: Path):
    assert Graph.load(path, REGISTRY).to_json(REGISTRY) == path.read_text()
    assert f"({path.name})" in (ROOT / "examples" / "README.md").read_text()


@pytest.fixture
def turntable(tmp_path) -> tuple[Graph, np.ndarray, np.ndarray]:
    """The Phong example over a ball of known albedo in a furnace of radiance 2."""
    y, x = np.mgrid[0:40, 0:60]
    u, v = (x - 29.5) / 18, (19.5 - y) / 18
    matte = (u * u + v * v < 0.9).astype(np.float32)[..., None]
    normal = np.dstack((u, v, np.sqrt(np.clip(1 - u * u - v * v, 0, 1)))) * matte
    albedo = np.broadcast_to(np.float32((0.6, 0.4, 0.2)), (40, 60, 3)) * matte
    passes = {
        "foreground": Image(albedo, ("R", "G", "B")),
        "albedo": Image(albedo, ("R", "G", "B")),
        "normal": Image(normal.astype(np.float32), ("X", "Y", "Z"), colour=DATA),
        "matte": Image(matte, ("A",), colour=DATA),
    }
    write(tmp_path / "passes.1001.exr", passes, depth="float")
    furnace = Image(np.full((32, 64, 3), 2.0, np.float32), ("R", "G", "B"))
    write(tmp_path / "furnace.exr", {"rgba": furnace})
    graph = Graph.load(ROOT / "examples" / "phong_turntable.json", REGISTRY)
    for name, node in graph.nodes.items():
        if "file" in node.knobs and name != "write":
            file = "furnace.exr" if name == "environment" else "passes.####.exr"
            graph.set(f"{name}.file", str(tmp_path / file), REGISTRY)
    return graph, albedo, matte


def test_the_phong_example_is_exact_in_a_furnace(turntable):
    graph, albedo, matte = turntable
    relit = Evaluator(graph, REGISTRY, Settings(Shot(1001, 1100))).evaluate("relight.relit", 1001)
    weight = graph.nodes["transport"].knobs["specular_016"]
    np.testing.assert_allclose(relit.rgb, 2.0 * (albedo + weight * matte), atol=2e-4)


def test_every_pass_is_documented(turntable):
    graph, _, _ = turntable
    evaluator = Evaluator(graph, REGISTRY, Settings(Shot(1001, 1100)))
    layers = list(evaluator.evaluate("relight.passes", 1001))
    recipe = relight_graph(Plate("p.exr"), Lighting({"key": "rig:rim"}), "out.exr")
    wires: Any = recipe.nodes["write"].inputs["layers"]
    layers += [name for name in wires if name not in ("rgba", "passes")]
    text = (ROOT / "docs" / "passes.md").read_text()
    for name in layers:
        shown = name.replace("relit_turning", "relit_NAME")
        shown = re.sub(r"specular_light_(?=0(16|32|64))", "…_", shown)
        assert f"`{shown}`" in text, name


def quality() -> Any:
    """Return bench/quality.py as a module."""
    spec = importlib.util.spec_from_file_location("quality", ROOT / "bench" / "quality.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["README.md", "docs/quality.md"])
def test_the_figures_are_those_of_the_weights(name: str):
    text = (ROOT / name).read_text()
    module = quality()
    assert module.written(text, module.manifests()) == text, "run `make docs`"


def test_a_document_without_markers_is_refused():
    with pytest.raises(ValueError, match="has no"):
        put("table", "# A page", ("<!-- begin -->", "<!-- end -->"))


def test_decisions_are_numbered_and_complete():
    found = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, page in enumerate(found, 1):
        text = page.read_text()
        assert page.name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {number}. ")
        titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert titles == ["Context", "Decision", "Consequences"], page.name


FOREIGN = re.compile(
    r"(?<![\w.$/-])/(?:work|root|home|opt/wheels)\b|\b(?:TODO|FIXME|XXX|lorem ipsum)\b"
)
AMERICAN = re.compile(
    r"\b(?:colors?|colored|gray|centers?|centered|behaviors?|neighbors?|neighboring|favor|honor"
    r"|artifacts?|modeled|labeled|analyz\w+|\w{3,}(?:maliz|timiz|coloriz|summariz|organiz)\w+"
    r"|license[sd]?)\b"
)


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_words(page: Path):
    text = page.read_text()
    assert not FOREIGN.findall(text)
    assert not AMERICAN.findall(prose(text))
