"""What people wear and hold: which of it, and its place on a head of either kit."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from relume.training.stage import body as bodies
from relume.training.stage import cloth as cloths
from relume.training.stage import glasses, hats, props
from relume.training.stage.anchors import Anchors, Clearance
from relume.training.stage.assets import makehuman, read_obj, vertex_groups
from relume.training.stage.geometry import CLOTH, F32, Mesh

Strands = list[tuple[F32, F32, float]]


@dataclass(frozen=True, slots=True)
class Chances:
    """How often a person has glasses, a hat, and a hand or a thing near the face; 0…1."""

    glasses: float
    hat: float
    prop: float


@dataclass(slots=True, eq=False)
class Extras:
    """What was added to a person.

    Attributes:
        meshes: glasses, hat, hand and thing.
        hat: those of them that hide hair.
        skull: centre of the skull.
        names: what there is, for the records.
    """

    meshes: list[Mesh] = field(default_factory=list)
    hat: list[Mesh] = field(default_factory=list)
    skull: F32 = field(default_factory=lambda: np.zeros(3, np.float32))
    names: list[str] = field(default_factory=list)

    def trimmed(self, grown: Strands) -> Strands:
        """Return strands cut short below a hat, without those it hides or that grow through it."""
        if not self.hat:
            return grown
        found = []
        for points, colours, width in grown:
            points = hats.shortened(points, 0.3)
            kept = hats.kept_strands(self.hat, self.skull, points)
            if kept.sum() > 2:
                found.append((points[kept], colours[kept], width))
        return found


@lru_cache(maxsize=1)
def _ears() -> tuple[int, int]:
    """Return the base mesh's vertices where the ears' upper edges meet the head, left first."""
    skin = read_obj(makehuman("base.obj")).vertices[vertex_groups()["body"]]
    left, right = (
        int(np.argmin(np.linalg.norm(skin - np.array([side * 0.75, 7.33, 0.58]), axis=1)))
        for side in (1.0, -1.0)
    )
    return left, right


def anchors_of(body: bodies.Body) -> Anchors:
    """Return the anchors of a MakeHuman body."""
    groups = vertex_groups()

    def middle(name: str) -> F32:
        return np.asarray(body.vertices[groups[name]].mean(axis=0), np.float32)

    ball = body.vertices[groups["helper-l-eye"]]
    radius = 0.5 * float(np.median(np.ptp(ball, axis=0)))
    return Anchors(
        head=body.head,
        skull=body.skull,
        eyes=body.eyes,
        eyeballs=np.stack([middle("joint-l-eye"), middle("joint-r-eye")]),
        ears=body.vertices[list(_ears())],
        eye=radius,
    )


def add(
    anchors: Anchors,
    skin: Mesh,
    hand: tuple[F32, F32],
    patterns: list[cloths.Cloth],
    chances: Chances,
    rng: np.random.Generator,
    body: bodies.Body | None = None,
) -> Extras:
    """Put things on a person; the cloths they need join `patterns`, and a hat presses the skull.

    Args:
        anchors: of the head.
        skin: its surface.
        hand: a morphed base mesh and the picture of its skin, for hands.
        patterns: the person's cloths; the first is the sleeve's.
        chances: how often there is what.
        rng: draws everything.
        body: the MakeHuman body, if it is one; only it can wear the fedora.
    """
    found = Extras(skull=anchors.skull)
    dice = rng.random(3)
    seeds = [np.random.default_rng(int(s)) for s in rng.integers(1 << 30, size=3)]
    clear = Clearance(skin)
    if dice[1] < chances.hat:
        kinds = ["beanie", "cap", "fedora"] if body is not None else ["beanie", "cap"]
        kind = str(seeds[1].choice(kinds))
        patterns.append(_felt(seeds[1]) if kind == "fedora" else _wool(kind, seeds[1]))
        found.hat = _hat(kind, anchors, skin, len(patterns) - 1, body, seeds[1])
        found.meshes += found.hat
        found.names.append(kind)
    if dice[0] < chances.glasses:
        drawn = glasses.draw(seeds[0])
        found.meshes += glasses.glasses(anchors, clear, drawn, int(seeds[0].integers(1 << 20)))
        found.names.append(f"glasses {drawn.shape}")
    if dice[2] < chances.prop:
        patterns.append(cloths.draw_cloth(seeds[2]))
        sleeve = 0 if patterns and seeds[2].random() < 0.7 else -1
        meshes, name = props.held(anchors, clear, *hand, (sleeve, len(patterns) - 1), seeds[2])
        found.meshes += meshes
        found.names.append(name)
    if found.hat:
        hats.press(skin, found.hat, anchors.skull)
    return found


def _wool(kind: str, rng: np.random.Generator) -> cloths.Cloth:
    drawn = cloths.draw_cloth(rng)
    weave = "knit" if kind == "beanie" and rng.random() < 0.6 else drawn.kind
    return cloths.Cloth(weave, drawn.first, drawn.second, drawn.scale, drawn.turn, drawn.seed)


def _felt(rng: np.random.Generator) -> cloths.Cloth:
    colour = cloths.cloth_colour(rng)
    return cloths.Cloth("plain", colour, colour, 1.0, 0.0, 0)


def _hat(
    kind: str,
    anchors: Anchors,
    skin: Mesh,
    pattern: int,
    body: bodies.Body | None,
    rng: np.random.Generator,
) -> list[Mesh]:
    if kind != "fedora" or body is None:
        return hats.shell(anchors, skin, hats.draw(kind, rng), pattern)
    name = str(rng.choice(["fedora", "fedora_cocked"]))
    path = makehuman("clothes", "fedora01", name + ".mhclo")
    hat, _ = bodies.fitted_mesh(body, path, CLOTH, np.ones(3, np.float32))
    hat.pattern, hat.bump = pattern, 0.15
    return [hat]
