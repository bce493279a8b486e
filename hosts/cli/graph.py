"""`relume graph`: make, check, show and compare graph documents."""

from __future__ import annotations

import json
from pathlib import Path

import click

from relume.errors import OutputError, UsageError
from relume.graph import Graph
from relume.graph_diff import diff
from relume.hosts.cli.app import debug_option, example
from relume.nodes import recipes
from relume.nodes.registry import REGISTRY


@click.group()
@debug_option
def command() -> None:
    """Make, check, show and compare graphs.

    A graph is a JSON document of named nodes; `relume run` renders it. Every command that renders
    also prints its own graph with --print-graph.
    """


@command.command(
    epilog=example(
        "relume graph new relight --out comp.json",
        "relume run comp.json --set plate.file=plate.####.exr",
    )
)
@click.argument("template", required=False, default="relight")
@click.option(
    "--out", type=click.Path(), metavar="FILE", help="File to write; stdout where it is left out."
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@debug_option
def new(template: str, out: str | None, overwrite: bool) -> None:
    """Print a graph to start from.

    TEMPLATE is relight (the default), matte, normals, albedo, defocus, light, analyse or shade.
    """
    if template not in recipes.TEMPLATES:
        known = ", ".join(recipes.TEMPLATES)
        raise UsageError(f"there is no template '{template}'", way_out=f"There are: {known}")
    text = recipes.TEMPLATES[template]().to_json(REGISTRY)
    if not out:
        click.echo(text, nl=False)
        return
    try:
        with Path(out).open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{out} exists", way_out="Choose another name, or --overwrite") from None
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror}", way_out=_WRITABLE) from None
    click.echo(out)


@command.command(epilog=example("relume graph check comp.json"))
@click.argument("file", type=click.Path())
@debug_option
def check(file: str) -> None:
    """Check names, knobs, wires and types of the graph in FILE."""
    graph = Graph.load(file, REGISTRY)
    count = len(graph.nodes)
    click.echo(f"{file}: {count} node{'s' * (count != 1)}, nothing wrong.")


@command.command(epilog=example("relume graph show comp.json"))
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON in its canonical order.")
@debug_option
def show(file: str, as_json: bool) -> None:
    """Show the nodes of the graph in FILE, each after its inputs, with knobs and wires."""
    graph = Graph.load(file, REGISTRY)
    click.echo(graph.to_json(REGISTRY) if as_json else outline(graph), nl=False)


@command.command("diff", epilog=example("relume graph diff comp_v1.json comp_v2.json"))
@click.argument("before", type=click.Path())
@click.argument("after", type=click.Path())
@debug_option
def compare(before: str, after: str) -> None:
    """Say what changed from the graph BEFORE to the graph AFTER, a line each."""
    lines = diff(Graph.load(before, REGISTRY), Graph.load(after, REGISTRY))
    click.echo("\n".join(lines) or "No difference.")


_WRITABLE = "Choose a folder that exists and that you may write to"


def outline(graph: Graph) -> str:
    """Return the graph as text: what a node is, what is wired to it, what is set."""
    shot = f"shot {graph.shot}" if graph.shot else "shot not set"
    lines = [f"{shot}, working space {graph.working_space}"]
    for name in graph.order(list(graph.nodes)):
        node = graph.nodes[name]
        title = f"{name}" if name == node.type else f"{name} ({node.type})"
        lines.append(title + (f"  # {node.note}" if node.note else ""))
        for port, label, reference in graph.upstream(name):
            where = f"{port}.{label}" if label else port
            lines.append(f"    {where} <- {reference}")
        for key, value in node.knobs.items():
            lines.append(f"    {key} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
