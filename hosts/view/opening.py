"""What the page is told first: the subject, the frames, and the controls the nodes declare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relume.hosts.view import looks
from relume.hosts.view.look import Light, Subject
from relume.hosts.view.session import Session
from relume.hosts.view.shelf import ESTIMATED
from relume.media.sequence import is_sequence
from relume.node import Node
from relume.nodes.adjust_light import AdjustLight
from relume.nodes.environment_background import EnvironmentBackground
from relume.nodes.light_rig import LightRig
from relume.nodes.recipes import RIG
from relume.nodes.relight import Relight

UNSEEN = ("skin_hue_limit",)
"""Knobs of Relight that change no pixel."""


def opening(
    session: Session, lights: Sequence[Light], background: str, fov: float
) -> dict[str, Any]:
    """Return what a page begins with.

    Args:
        session: what is looked at.
        lights: the lights it begins with.
        background: what is behind at first.
        fov: field of view for an environment's own picture.
    """
    subject = session.subject
    preset = LightRig.knobs()["preset"].schema()
    return {
        "title": Path(subject.source).name,
        "kind": "transport" if subject.is_transport else "plate",
        "frames": session.frames,
        "sequence": is_sequence(subject.source),
        "lights": [
            {"name": one.name, "source": one.source, "knobs": dict(one.knobs)} for one in lights
        ],
        "rigs": [f"{RIG}{name}" for name in preset["choices"]],
        "estimates": [f"{ESTIMATED}{name}" for name in subject.surroundings],
        "adjust": controls(AdjustLight),
        "relight": {key: knob for key, knob in controls(Relight).items() if key not in UNSEEN},
        "fov": {**EnvironmentBackground.knobs()["fov"].schema(), "value": fov},
        "backgrounds": subject.backgrounds,
        "background": background,
        "displays": looks.displays(),
        "out": default_output(subject),
    }


def controls(node: type[Node]) -> dict[str, Any]:
    """Return the knobs of a node as JSON."""
    return {name: knob.schema() for name, knob in node.knobs().items()}


def default_output(subject: Subject) -> str:
    """Return where a relit picture would go: beside its source."""
    path = Path(subject.source).absolute()
    if not is_sequence(path) or path.is_file():
        return str(path.with_name("relit.exr"))
    return str(path.with_name("relit.####.exr"))
