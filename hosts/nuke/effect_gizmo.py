"""Gizmos around the OpenFX effects: the picture, and its passes as layers with Nuke's names.

A gizmo holds the effect once for the picture and once for each layer; the latter follow the knobs
of the former, and the worker computes what they share once. Nuke asks a layer's effect for pixels
where somebody looks at that layer, so that the others cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from relume.hosts.nuke.transport_gizmo import Script
from relume.hosts.ofx.generate import PREFIX

MAIN = "effect"
"""Name of the node that holds the knobs."""

PASS = "relume_pass"
"""The parameter by which an effect is told what to show."""

COLOUR = ("red", "green", "blue")

LAYERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "matte": ("matte", ("alpha",)),
    "foreground": ("foreground", COLOUR),
    "albedo": ("albedo", COLOUR),
    "normals": ("normal", ("X", "Y", "Z")),
    "diffuse": ("diffuse", COLOUR),
    "specular": ("specular", COLOUR),
    "residual": ("residual", COLOUR),
}
"""Pass of an effect → layer of Nuke and its channels, named as in the files that relume writes."""

_OWN = {
    "relume_space": "Colour space",
    "relume_space_name": "Other colour space",
    "relume_shot": "Shot",
}
"""Parameters that every effect has besides those of its nodes."""

Effect = Mapping[str, Any]


def node_class(effect: Effect) -> str:
    """Return what Nuke calls an OpenFX effect: its name in lower case and its major version."""
    return f"OFX{effect['identifier'].lower()}_v1"


def name(effect: Effect) -> str:
    """Return the name of an effect's gizmo: `RelumePlateMatte`."""
    return f"Relume{effect['identifier'].removeprefix(PREFIX)}"


def layers(effect: Effect) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the passes of an effect that become layers, with the layers."""
    return {p["name"]: LAYERS[p["name"]] for p in effect["passes"] if p["name"] in LAYERS}


def gizmo(effect: Effect) -> str:
    """Return the text of an effect's gizmo.

    Args:
        effect: as the table of the OpenFX bundle has it.
    """
    script = Script()
    clips = [
        script.node("Input", name=clip["name"], number=number)
        for number, clip in enumerate(effect["clips"])
    ]
    picture = script.node(node_class(effect), clips, name=MAIN)
    links = dict(_links(effect))
    for shown, (layer, channels) in layers(effect).items():
        brought = script.node(
            node_class(effect), clips, name=f"pass_{layer}", **{PASS: shown, **links}
        )
        knobs: dict[str, str] = {}
        for number, channel in enumerate(channels):
            source = "alpha" if channel == "alpha" else COLOUR[number]
            knobs |= {f"from{number}": f"rgba.{source}", f"to{number}": f"{layer}.{channel}"}
        picture = script.node("Copy", [picture, brought], **knobs)
    script.node("Output", [picture], name="Output1")
    return "\n".join([*_head(effect), *script.lines, "end_group", ""])


def layer_lines() -> list[str]:
    """Return the lines that tell Nuke of the layers."""
    return [
        f"add_layer {{{layer} {' '.join(f'{layer}.{channel}' for channel in channels)}}}"
        for layer, channels in LAYERS.values()
    ]


def quoted(text: str) -> str:
    """Return text as Nuke's scripts, which are Tcl, hold it."""
    for special in ("\\", '"', "[", "]", "$", "{", "}"):
        text = text.replace(special, f"\\{special}")
    return '"' + text.replace("\n", "\\n") + '"'


def _head(effect: Effect) -> list[str]:
    lines = ["#! nuke", "version 13.0 v1", *layer_lines(), "Gizmo {"]
    lines += [f" inputs {len(effect['clips'])}", f" help {quoted(effect['doc'])}"]
    lines.append(" addUserKnob {20 relume l Relume}")
    lines.append(f" addUserKnob {{41 {PASS} l Pass T {MAIN}.{PASS}}}")
    open_groups: list[str] = []
    for param in effect["params"]:
        parent = param.get("parent", "")
        while open_groups and open_groups[-1] != parent:
            lines.append(_end(open_groups.pop()))
        if param["type"] == "group":
            lines.append(f" addUserKnob {{20 {param['name']} l {quoted(param['label'])} n 1}}")
            open_groups.append(param["name"])
        else:
            lines.append(_link(param["name"], param["label"], param["hint"]))
    while open_groups:
        lines.append(_end(open_groups.pop()))
    lines.append(' addUserKnob {20 group_colour l "Colour and shot" n 1}')
    lines += [_link(key, label, "") for key, label in _OWN.items()]
    lines += [_end("group_colour"), f" name {name(effect)}", "}"]
    return lines


def _link(key: str, label: str, hint: str) -> str:
    tip = f" t {quoted(hint)}" if hint else ""
    return f" addUserKnob {{41 {key} l {quoted(label)}{tip} T {MAIN}.{key}}}"


def _end(group: str) -> str:
    return f" addUserKnob {{20 end_{group} n -1}}"


def _links(effect: Effect) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a pass's effect: expressions that follow the main one."""
    types = {p["name"]: p["type"] for p in effect["params"] if p["type"] != "group"}
    types |= {"relume_space": "choice", "relume_space_name": "string", "relume_shot": "string"}
    for key, kind in types.items():
        if kind in ("string", "file"):
            yield key, f"\\[value {MAIN}.{key}]"
        elif kind == "rgb":
            parts = " ".join(f"{{{MAIN}.{key}.{channel}}}" for channel in "rgb")
            yield key, f"{{{parts}}}"
        else:
            yield key, f"{{{{{MAIN}.{key}}}}}"
