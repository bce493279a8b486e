"""Refuse frames that are not current."""

from __future__ import annotations

from collections.abc import Sequence

from pyblish import api

from relume.hosts.farm.graphs import evaluator_of, load, output_of
from relume.hosts.farm.publishing import FAMILY, Request, refuse
from relume.hosts.farm.verify import Fingerprint, fingerprints


class ValidateFingerprint(api.InstancePlugin):
    """relume wrote every frame; with a graph, from what the graph and its inputs are now.

    Reads `request`, `frames` and `facts`.
    """

    label = "Fingerprint"
    order = api.ValidatorOrder
    families = [FAMILY]  # noqa: RUF012

    def process(self, instance: api.Instance) -> None:
        """Refuse foreign and stale frames."""
        expected = _expected(instance.data["request"], instance.data["frames"])
        facts = [f for f in instance.data["facts"].values() if not f.problem]
        refuse(fingerprints(facts, expected), "Render these frames again with --skip-existing")


def _expected(request: Request, frames: Sequence[int]) -> Fingerprint | None:
    """Return what tells the fingerprint a frame should carry, or None without a graph."""
    if not request.graph:
        return None
    graph = load(request.graph)
    node, evaluator = output_of(graph, request.file), evaluator_of(graph, frames)
    return lambda frame: evaluator.fingerprint(node, frame)
