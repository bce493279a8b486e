"""The table the bundle reads when an application loads it: every effect, from the declarations.

`python -m relume.hosts.ofx.generate relume.json` writes it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PyOpenColorIO as ocio

from relume import __version__
from relume.colour.config import pinned
from relume.errors import UsageError
from relume.hosts.ofx.effects import Effect, Wire, effects
from relume.hosts.ofx.params import parameters, words
from relume.image import DATA
from relume.node import Registry
from relume.nodes.read import Read
from relume.nodes.read_matte import ReadMatte
from relume.ocio import WORKING_SPACE

FORMAT = 1

PREFIX = "org.relume."

_READERS: dict[str, dict[str, Any]] = {
    "colour": {"type": Read.id, "output": "image", "knobs": {}},
    "mask": {"type": ReadMatte.id, "output": "matte", "knobs": {}},
    "vector": {"type": Read.id, "output": "image", "knobs": {"colour": DATA, "layer": "normal"}},
}
"""What stands for a clip of a kind where a graph is saved for a farm."""


def table(registry: Registry) -> dict[str, Any]:
    """Return the effects of a registry as JSON."""
    return {
        "format": FORMAT,
        "relume": __version__,
        "working_space": WORKING_SPACE,
        "spaces": _spaces(),
        "effects": [_effect(effect) for effect in effects(registry)],
    }


def text(registry: Registry) -> str:
    """Return the table as text."""
    return json.dumps(table(registry), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def identifier(effect: Effect) -> str:
    """Return the name by which applications store an effect."""
    return PREFIX + "".join(part.capitalize() for part in effect.node.id.split("_"))


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "id": effect.node.id,
        "identifier": identifier(effect),
        "version": effect.node.version,
        "label": f"Relume {words(effect.node.id).lower()}",
        "doc": effect.node.doc(),
        "clips": [
            {
                "name": c.name,
                "kind": c.kind,
                "optional": c.optional,
                "doc": c.doc,
                "reader": _READERS[c.kind],
            }
            for c in effect.clips.values()
        ],
        "choices": {name: choice.options[0] for name, choice in effect.choices.items()},
        "params": parameters(effect),
        "passes": [
            {
                "name": p.name,
                "sources": p.sources,
                "layer": p.layer,
                "data": p.data,
                "premultiplied": p.premultiplied,
                "doc": p.doc,
            }
            for p in effect.passes
        ],
        "steps": [
            {
                "name": name,
                "type": step.node.id,
                "clip": step.clip,
                "when": list(step.when or ()),
                "fixed": step.fixed,
                "ports": [
                    _port(wire, step.spares.get(key, "")) for key, wire in step.wires.items()
                ],
            }
            for name, step in effect.steps.items()
        ],
    }


def _port(wire: Wire, spared_by: str) -> dict[str, Any]:
    port = wire.port
    return {
        "name": port.name,
        "optional": port.optional,
        "many": port.many,
        "first": port.frames == "first",
        "frames": [0, 0] if port.frames == "first" else list(port.frames),
        "spared_by": spared_by,
        "sources": wire.sources,
    }


def _spaces() -> list[list[str]]:
    """Return the scene-referred spaces of the pinned configuration as (interop id, name)."""
    found = pinned().getColorSpaces(ocio.SEARCH_REFERENCE_SPACE_SCENE, ocio.COLORSPACE_ALL)
    spaces = [[s.getInteropID(), s.getName()] for s in found if s.getInteropID() not in ("", DATA)]
    # Linear ones first: that is what compositing applications work in.
    return sorted(spaces, key=lambda space: "lin_" not in space[0])


def main(arguments: Sequence[str]) -> int:
    """Write the table to the file named on the command line; return the exit code."""
    from relume.nodes.registry import REGISTRY

    if len(arguments) != 1:
        error = UsageError(
            "one file is wanted", way_out="Run `python -m relume.hosts.ofx.generate relume.json`"
        )
        print(error, file=sys.stderr)
        return error.exit_code
    Path(arguments[0]).write_text(text(REGISTRY), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
