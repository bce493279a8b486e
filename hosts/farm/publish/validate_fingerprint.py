"""Refuse frames that are not current."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relume.hosts.farm.facts import FrameFacts
from relume.hosts.farm.graphs import evaluator_of, load, output_of
from relume.hosts.farm.publish import _base
from relume.hosts.farm.publishing import Request
from relume.hosts.farm.verify import Fingerprint, Problem, fingerprints


class ValidateFingerprint(_base.Validator):
    """relume wrote every frame; with a graph, from what the graph and its inputs are now.

    Reads `request`, `frames` and `facts`.
    """

    label = "Fingerprint"
    way_out = "Render these frames again with --skip-existing"

    def look(self, data: Mapping[str, Any], facts: list[FrameFacts]) -> list[Problem]:
        """Return foreign and stale frames."""
        return fingerprints(facts, _expected(data["request"], data["frames"]))


def _expected(request: Request, frames: Sequence[int]) -> Fingerprint | None:
    """Return what tells the fingerprint a frame should carry, or None without a graph."""
    if not request.graph:
        return None
    graph = load(request.graph)
    node, evaluator = output_of(graph, request.file), evaluator_of(graph, frames)
    return lambda frame: evaluator.fingerprint(node, frame)
