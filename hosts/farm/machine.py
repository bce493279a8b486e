"""What a job was settled with that does not travel with it, and every machine must have alike."""

from __future__ import annotations

from relume import __version__
from relume.colour.config import config_digest
from relume.errors import InputError
from relume.evaluate import Evaluator
from relume.weights import digest

_LENGTH = 16
"""Digits of a digest: enough to tell two apart, and few enough for a parameter of a job."""

_WAYS_OUT = {
    "version of relume": "Install the version the job was made with",
    "OCIO configuration": "Set OCIO to the configuration the job was made with",
}


def has(evaluator: Evaluator) -> dict[str, str]:
    """Return the version, the digest of the OCIO configuration and those of weights in use here."""
    frame = evaluator.settings.shot.first
    names = {w for name in evaluator.graph.nodes for w in evaluator.node(name, frame).weights}
    found = {"version of relume": __version__, "OCIO configuration": config_digest()}
    found |= {f"network {name}": digest(name) for name in sorted(names)}
    return {name: value[:_LENGTH] for name, value in found.items()}


def to_text(found: dict[str, str]) -> str:
    """Return what a machine has as a line of text."""
    return ",".join(f"{name}={value}" for name, value in found.items())


def check(wanted: str, evaluator: Evaluator) -> None:
    """Refuse to render a job on a machine that would make other pixels.

    Args:
        wanted: what `to_text` wrote on the machine that made the job.
        evaluator: the job's graph on this machine.

    Raises:
        InputError: this machine has something else.
    """
    here = has(evaluator)
    for name, _, value in (entry.partition("=") for entry in wanted.split(",") if entry):
        if here.get(name) != value:
            raise InputError(
                f"the {name} of this machine is {here.get(name, 'missing')}, and the job was made "
                f"with {value}",
                way_out=_WAYS_OUT.get(name, "Set RELUME_WEIGHTS to a folder with those of the job"),
            )
