"""The wide cast: FaceKit heads, and people with glasses, hats and things before their faces.

Numbers from `dataset.WIDE` on of every split are the wide cast's; the numbers below keep the people
they always had. Ids go on in the same sequence, so what `dataset.split_seeds` says of splits holds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relume.training.stage import body as bodies
from relume.training.stage import cloth as cloths
from relume.training.stage import extras, ict, ict_skin
from relume.training.stage import hair as hairs
from relume.training.stage.geometry import CLOTH, F32, SKIN, Mesh, unit
from relume.training.stage.skin import MAPS, Complexion, base_colour, skin_texture
from relume.training.stage.subject import Subject, dressed, iris_colour, lobes, make_subject
from relume.training.stage.torso import torso

TALLEST = {"scan": 4.4, "dressed": 5.6, "held": 5.0}
"""The widest framings, decimetres: FaceKit heads have no arms, raised hands are a third one."""


def is_facekit(person: int) -> bool:
    """Return whether a person of the wide cast has a FaceKit head: three in five do."""
    return person % 5 in (0, 2, 4)


def make_member(person: int, style: int, pose: int) -> Subject:
    """Build a person of the wide cast; the arguments are `make_subject`'s."""
    if is_facekit(person):
        return _facekit(person, style, pose)
    rng = np.random.default_rng([16, pose])
    first = int(rng.integers(3))
    chance = [0.45, 0.35, 0.25]
    chance[first] = 1.0
    holds = bool(rng.random() < chance[2])
    chance[2] = float(holds)

    def worn(
        body: bodies.Body, vertices: F32, skin: Mesh, patterns: list[cloths.Cloth]
    ) -> extras.Extras:
        picture = skin.texture
        assert picture is not None
        return extras.add(
            extras.anchors_of(body),
            skin,
            (vertices, picture),
            patterns,
            extras.Chances(*chance),
            rng,
            body,
        )

    subject = make_subject(person, style, pose, worn)
    subject.meta.update(cast="wide", kit="makehuman", framing="held" if holds else "any")
    return subject


def _complexion(person: int, rng: np.random.Generator) -> Complexion:
    return Complexion(
        tone=(person * 0.6180339887498949) % 1.0,
        blood=float(rng.normal(0.0, 0.45)),
        detail=float(rng.uniform(0.6, 1.15)),
        lips=float(rng.choice([0.0, rng.uniform(0.2, 0.8)], p=[0.75, 0.25])),
        lip_colour=(float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.02, 0.12)), 0.06),
        source=MAPS[int(rng.integers(len(MAPS)))],
        freckles=float(rng.choice([0.0, rng.uniform(0.1, 0.8)], p=[0.75, 0.25])),
        seed=person,
    )


def _style(look: np.random.Generator, tone: float, *, scanned: bool) -> hairs.Style:
    """Draw hair: half are bald or cropped close, the others have what everybody has.

    No long hair hangs beside a neck that ends in the air.
    """
    drawn = hairs.draw_style(look, tone)
    kind = int(look.choice(4, p=[0.26, 0.16, 0.16, 0.42]))
    if scanned and kind == 3 and drawn.length > 0.9:
        kind = int(look.integers(3))
    if kind == 0:
        return replace(drawn, name="bald", length=0.0, strands=0)
    if kind == 1:
        return replace(
            drawn,
            name="stubble",
            length=float(look.uniform(0.02, 0.05)),
            strands=9000,
            lift=0.8,
            gravity=0.0,
            curl=0.0,
            clump=0.0,
        )
    if kind == 2:
        return replace(
            drawn,
            name="crop",
            length=float(look.uniform(0.06, 0.14)),
            strands=11000,
            lift=0.6,
            gravity=0.02,
            curl=0.0,
            clump=0.2,
        )
    return drawn


def _facekit(person: int, style: int, pose: int) -> Subject:
    rng = np.random.default_rng([17, person])
    neutral = ict.identity(rng)
    complexion = _complexion(person, rng)
    texture = ict_skin.texture(complexion, rng)
    stubble = float(rng.choice([0.0, rng.uniform(0.15, 0.75)], p=[0.6, 0.4]))
    shine = float(rng.uniform(0.5, 1.3))
    iris = iris_colour(complexion.tone, rng)
    female = bool(rng.random() < 0.5)

    wear = np.random.default_rng([18, pose])
    moves, gaze, mouth_open = ict.expression(wear)
    scanned = bool(wear.random() < 0.45)
    spread = (7.0, 5.0, 3.0) if scanned else (15.0, 8.0, 5.0)
    turn = tuple(float(np.clip(wear.normal(0.0, s), -2.0 * s, 2.0 * s)) for s in spread)
    head = ict.posed(neutral, moves, gaze, turn, mouth_open=mouth_open)  # type: ignore[arg-type]
    anchors = head.anchors
    look = np.random.default_rng([19, style])
    hair = _style(look, complexion.tone, scanned=scanned)

    low = float(wear.uniform(5.62, 5.92)) if scanned else 5.30
    skin = ict.skin_mesh(head, low, float(wear.uniform(-0.30, -0.12)))
    skin.texture = texture
    skin.bump = float(rng.uniform(0.05, 0.14))
    _paint(skin, complexion, hair, stubble)
    patterns = [cloths.draw_cloth(wear)]
    meshes = [skin, *ict.mouth_and_eyes(head, iris, rng)]
    if not scanned:
        meshes.insert(1, torso(skin, float(wear.uniform(5.72, 5.95)), wear, 0))
    chances = extras.Chances(0.16, 0.10, 0.0) if scanned else extras.Chances(0.34, 0.26, 0.24)
    hand = bodies.morph(female, 0.3, np.random.default_rng([20, person]))
    added = extras.add(
        anchors, skin, (hand, skin_texture(complexion, 512)), patterns, chances, wear
    )
    meshes += added.meshes
    body = Subject(meshes, [], patterns, anchors.eyes, {})
    grown = added.trimmed(_hair(head, hair, skin, meshes, look))
    grown += _beard(head, hair, skin, stubble, look)
    grown.append(_brows(head, hair, skin, look))
    points = ict.lashes(head, int(look.integers(22, 40)), look)
    grown.append(
        (
            points,
            hairs.strand_colours(
                replace(hair, colour=(0.012, 0.01, 0.009), grey=0.0), len(points), look
            ),
            0.0022,
        )
    )
    dressed(body, grown, anchors.skull, look)
    cloth_shine = float(wear.uniform(0.1, 0.5))
    body.lobes = lobes(shine, cloth_shine)
    body.meta = {
        "subject": person,
        "hair": style,
        "pose": pose,
        "cast": "wide",
        "kit": "facekit",
        "framing": "scan" if scanned else "dressed",
        "extras": added.names,
        "tone": round(complexion.tone, 4),
        "hair_style": hair.name,
        "hair_colour": [round(c, 4) for c in hair.colour],
        "head_turn": [round(t, 2) for t in turn],
    }
    return body


def _paint(skin: Mesh, complexion: Complexion, style: hairs.Style, stubble: float) -> None:
    """Tint the skin below hair, beard and brows. In place."""
    tone = base_colour(complexion.tone, complexion.blood).astype(np.float32)
    root = np.asarray(style.colour, np.float32)
    pigment = np.clip(1.2 * root / tone, 0.03, 1.0)
    cover = {"bald": 0.06, "stubble": 0.5}.get(style.name, 0.8)
    for share in (
        cover * ict.scalp(skin.rest),
        0.7 * stubble * ict.jaw(skin.rest),
        0.35 * ict.brow(skin.rest),
    ):
        skin.colour *= 1.0 + share[:, None] * (pigment - 1.0)


def _roots(skin: Mesh, density: F32, count: int, rng: np.random.Generator) -> tuple[F32, F32]:
    """Return points of a skin and its normals there."""
    face, weights = hairs.sample_surface(skin.vertices, skin.faces, density, count, rng)
    corners = skin.faces[face]
    roots = np.einsum("sk,skc->sc", weights, skin.vertices[corners])
    return roots, unit(np.einsum("sk,skc->sc", weights, skin.normals[corners]))


def _hair(
    head: ict.Head, style: hairs.Style, skin: Mesh, meshes: list[Mesh], rng: np.random.Generator
) -> list[tuple[F32, F32, float]]:
    if not style.strands:
        return []
    roots, normals = _roots(skin, ict.scalp(skin.rest) ** 0.7, style.strands, rng)
    solid = [m for m in meshes if m.label in (SKIN, CLOTH)]
    points = np.concatenate([m.vertices for m in solid])
    away = np.concatenate([m.normals for m in solid])
    near = points[:, 1] > head.anchors.eyes[1] - 4.5
    strands = hairs.grow(
        style, roots, normals, points[near], away[near], head.anchors.head, head.anchors.skull, rng
    )
    return [(strands, hairs.strand_colours(style, len(strands), rng), style.width)]


def _beard(
    head: ict.Head, style: hairs.Style, skin: Mesh, stubble: float, rng: np.random.Generator
) -> list[tuple[F32, F32, float]]:
    if stubble < 0.4 or rng.random() < 0.4:
        return []
    count = int(rng.integers(2500, 6000))
    length = float(rng.choice([rng.uniform(0.03, 0.08), rng.uniform(0.08, 0.35)]))
    roots, out = _roots(skin, ict.jaw(skin.rest) ** 2, count, rng)
    points = hairs.fallen(roots, out, head.anchors.head[:, 1], length, rng)
    return [(points, hairs.strand_colours(style, count, rng), 0.0026)]


def _brows(
    head: ict.Head, style: hairs.Style, skin: Mesh, rng: np.random.Generator
) -> tuple[F32, F32, float]:
    count = int(rng.integers(450, 1000))
    roots, out = _roots(skin, ict.brow(skin.rest) ** 1.5, count, rng)
    left, up = head.anchors.head[:, 0], head.anchors.head[:, 1]
    side = np.sign((roots - head.anchors.eyes) @ left)[:, None]
    lean = unit(side * left * 0.9 + up * float(rng.uniform(0.1, 0.6)) + 0.25 * out)
    lean = unit(lean + rng.normal(0, 0.18, lean.shape))
    length = rng.uniform(0.04, 0.09, (count, 1))[:, None]
    points = (
        roots[:, None]
        - 0.008 * out[:, None]
        + lean[:, None] * np.linspace(0, 1, 4)[:, None] * length
    )
    colour = np.asarray(style.colour) * rng.uniform(0.4, 0.9)
    colours = np.clip(colour * np.exp(rng.normal(0, 0.15, (count, 1))), 0.004, 0.5)
    return points.astype(np.float32), colours.astype(np.float32), 0.0022
