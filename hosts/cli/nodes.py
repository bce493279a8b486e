"""`relume nodes`: the nodes in the terminal, made from their declarations."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click

from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.knob_options import limits
from relume.node import In, Node
from relume.nodes.registry import REGISTRY


@click.command(epilog=example("relume nodes relight"))
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the declarations as JSON.")
@debug_option
def command(name: str | None, as_json: bool) -> None:
    """List the nodes, or describe the one called NAME."""
    if as_json and name:
        click.echo(json.dumps(REGISTRY.find(name).schema(), indent=2, ensure_ascii=False))
    elif as_json:
        everything = {id: node.schema() for id, node in REGISTRY.items()}
        click.echo(json.dumps(everything, indent=2, ensure_ascii=False))
    elif name:
        click.echo(description(REGISTRY.find(name)), nl=False)
    else:
        click.echo(listing(REGISTRY.values()), nl=False)


def listing(nodes: Iterable[type[Node]]) -> str:
    """Return a line for each node, by category."""
    categories: dict[str, list[tuple[str, str]]] = {}
    for node in nodes:
        categories.setdefault(node.category, []).append((node.id, _first(node.doc())))
    formatter = click.HelpFormatter(max_width=100)
    for category, rows in categories.items():
        with formatter.section(category):
            formatter.write_dl(rows)
    return formatter.getvalue().lstrip("\n")


def description(node: type[Node]) -> str:
    """Return what a node does, its ports and its knobs."""
    formatter = click.HelpFormatter(max_width=100)
    formatter.write(f"{node.id} (version {node.version}, {node.category})\n\n")
    formatter.write_text(node.doc())
    inputs = [(name, _input(port)) for name, port in node.inputs().items()]
    outputs = [(name, f"{port.type_name}. {port.doc}") for name, port in node.outputs().items()]
    knobs = [(name, f"{knob.doc}  [{limits(knob)}]") for name, knob in node.knobs().items()]
    for title, rows in (("Inputs", inputs), ("Outputs", outputs), ("Knobs", knobs)):
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)
    return formatter.getvalue()


def _input(port: In) -> str:
    what = f"any number of {port.type_name}, by name" if port.many else port.type_name
    notes = [f"{what}. {port.doc}"]
    if port.optional:
        notes.append("May be left unwired.")
    if port.frames == "first":
        notes.append("Read at the first frame of the shot.")
    elif port.is_window:
        notes.append(f"Read at frames {port.frames[0]:+d} to {port.frames[1]:+d}.")
    return " ".join(notes)


def _first(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())
