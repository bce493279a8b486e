"""A person from a seed: body, skin, eyes, hair and clothes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from relume.training.stage import body as bodies
from relume.training.stage import cloth as cloths
from relume.training.stage import hair as hairs
from relume.training.stage.assets import makehuman, read_obj
from relume.training.stage.extras import Extras
from relume.training.stage.geometry import (
    CLOTH,
    F32,
    I32,
    OTHER,
    SKIN,
    Mesh,
    components,
    noise,
    smooth_normals,
    smoothstep,
    unit,
)
from relume.training.stage.skin import MAPS, Complexion, base_colour, read_texture, skin_texture


@dataclass(slots=True, eq=False)
class Subject:
    """A dressed person in the body's own space: decimetres, +Y up, facing +Z.

    Attributes:
        meshes: surfaces and hair.
        strands: hair strands, S×K×3 for each growth (hair, brows), for renderers of curves.
        patterns: the cloths that meshes refer to.
        eyes: point between the eyes, which framing hangs on.
        lobes: for each label the Phong exponents and weights of its specular reflection.
        meta: what was drawn, for records and splits.
    """

    meshes: list[Mesh]
    strands: list[tuple[F32, F32, float]]
    patterns: list[cloths.Cloth]
    eyes: F32
    lobes: dict[int, list[tuple[int, float]]]
    meta: dict[str, object] = field(default_factory=dict)


Wear = Callable[[bodies.Body, F32, Mesh, list[cloths.Cloth]], Extras]
"""Puts things on a body: the posed body, its morphed vertices at rest, its skin, its cloths."""

_MALE = (
    "male_casualsuit01",
    "male_casualsuit02",
    "male_casualsuit03",
    "male_casualsuit04",
    "male_casualsuit05",
    "male_casualsuit06",
    "male_elegantsuit01",
    "male_worksuit01",
)
_FEMALE = (
    "female_casualsuit01",
    "female_casualsuit02",
    "female_elegantsuit01",
    "female_sportsuit01",
)


def make_subject(person: int, style: int, pose: int, wear_also: Wear | None = None) -> Subject:
    """Build a person.

    Args:
        person: seed of body, skin and face; the subject's id.
        style: seed of the hair; the hair's id.
        pose: seed of expression, pose and clothes.
        wear_also: adds glasses, hats and hands; without it there are none.
    """
    rng = np.random.default_rng([11, person])
    female = bool(rng.random() < 0.5)
    age = float(rng.beta(1.0, 1.6))
    vertices = bodies.morph(female, age, rng)
    complexion = Complexion(
        tone=(person * 0.6180339887498949) % 1.0,
        blood=float(rng.normal(0.0, 0.45)),
        detail=float(rng.uniform(0.75, 1.25)),
        lips=float(rng.choice([0.0, rng.uniform(0.2, 0.8)])) if female else 0.0,
        lip_colour=(float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.02, 0.12)), 0.06),
        source=MAPS[2] if age > 0.45 else MAPS[int(rng.integers(2))],
        freckles=float(rng.choice([0.0, rng.uniform(0.1, 0.8)], p=[0.7, 0.3])),
        seed=person,
    )
    stubble = 0.0 if female else float(rng.choice([0.0, rng.uniform(0.1, 0.7)]))
    shine = float(rng.uniform(0.5, 1.3))
    eye_rng = np.random.default_rng([12, person])

    wear = np.random.default_rng([13, pose])
    mouth_open = bodies.express(vertices, wear)
    turn = (
        float(np.clip(wear.normal(0, 18), -38, 38)),
        float(np.clip(wear.normal(0, 8), -18, 18)),
        float(np.clip(wear.normal(0, 6), -14, 14)),
    )
    arms = (float(wear.uniform(14, 30)), float(wear.uniform(14, 30)))
    body = bodies.pose(vertices, turn, arms)

    look = np.random.default_rng([14, style])
    hair_style = hairs.draw_style(look, complexion.tone)

    garments, patterns, hidden = _clothes(body, female, wear)
    skin = bodies.skin_mesh(body, hidden, SKIN, skin_texture(complexion))
    _paint(skin, complexion, hair_style, stubble)
    skin.bump = 0.05 + 0.10 * age
    meshes = [skin, *garments, *_mouth_and_eyes(body, complexion.tone, mouth_open, eye_rng)]
    added = Extras() if wear_also is None else wear_also(body, vertices, skin, patterns)
    grown = _hair(body, hair_style, meshes[: 1 + len(garments)], look)
    if stubble > 0.3 and look.random() < 0.7:
        grown.append(_beard(body, hair_style, skin, look))
    subject = Subject([*meshes, *added.meshes], [], patterns, body.eyes, {})
    dressed(subject, added.trimmed(grown), body.skull, look)
    cloth_shine = float(wear.uniform(0.1, 0.5))
    subject.lobes = lobes(shine, cloth_shine)
    subject.meta = {
        "subject": person,
        "hair": style,
        "pose": pose,
        "female": female,
        "age": round(age, 3),
        "tone": round(complexion.tone, 4),
        "hair_style": hair_style.name,
        "hair_colour": [round(c, 4) for c in hair_style.colour],
        "head_turn": [round(t, 2) for t in turn],
    }
    if wear_also is not None:
        subject.meta["extras"] = added.names
    return subject


def lobes(skin: float, cloth: float) -> dict[int, list[tuple[int, float]]]:
    """Return the specular lobes of each label for the shine of a skin and of a cloth."""
    return {
        1: [(8, 0.35 * skin), (16, 0.35 * skin), (64, 0.2 * skin)],
        2: [(16, 1.0)],
        3: [(8, cloth)],
        4: [(256, 1.0), (32, 0.4)],
    }


def dressed(
    subject: Subject,
    grown: list[tuple[F32, F32, float]],
    skull: F32,
    rng: np.random.Generator,
) -> None:
    """Give a subject its strands, and the ribbons that rays see of them. In place.

    Args:
        subject: who.
        grown: strands, their colours and their width, for each growth.
        skull: centre of the skull.
        rng: turns the ribbons.
    """
    for points, colours, width in grown:
        outward = points - (skull + np.array([0, -0.2, -0.1], np.float32))
        # Hair that hangs below the skull faces sideways, not down.
        outward[..., 1] *= np.where(outward[..., 1] < 0.0, 0.25, 1.0)
        outward = unit(outward)
        subject.strands.append((points, colours, width))
        subject.meshes.append(hairs.ribbons(points, colours, width, outward, rng))


def _clothes(
    body: bodies.Body, female: bool, rng: np.random.Generator
) -> tuple[list[Mesh], list[cloths.Cloth], I32]:
    """Dress the body; each sewn part has a cloth of its own, in few colours."""
    name = str(rng.choice(_FEMALE if female else _MALE))
    path = makehuman("clothes", name, name + ".mhclo")
    garment, hidden = bodies.fitted_mesh(body, path, CLOTH, np.ones(3, np.float32))
    obj = read_obj(path.parent / (name + ".obj"))
    welded = components(len(obj.vertices), obj.faces)
    # Vertices split for texture coordinates coincide: find each one's sewn part by position.
    order = {
        tuple(p): int(c) for p, c in zip(np.round(obj.vertices, 5).tolist(), welded, strict=True)
    }
    part = np.array([order[tuple(p)] for p in np.round(garment.rest, 5).tolist()])
    sizes = np.bincount(part)
    patterns = [cloths.draw_cloth(rng) for _ in range(4)]
    buttons = cloths.Cloth("plain", (0.25,) * 3, (0.25,) * 3, 1.0, 0.0, 0)
    patterns.append(buttons)
    meshes = []
    bump = float(rng.uniform(0.15, 0.5))
    for rank, index in enumerate(np.argsort(-sizes)):
        if sizes[index] == 0:
            continue
        faces = garment.faces[part[garment.faces[:, 0]] == index]
        used, compact = np.unique(faces, return_inverse=True)
        meshes.append(
            Mesh(
                vertices=garment.vertices[used],
                faces=compact.reshape(faces.shape).astype(np.int32),
                normals=garment.normals[used],
                uv=garment.uv[used],
                rest=garment.rest[used],
                colour=garment.colour[used],
                label=CLOTH,
                pattern=min(rank, 3) if sizes[index] > 60 else 4,
                bump=bump,
            )
        )
    return meshes, patterns, hidden


def iris_colour(tone: float, rng: np.random.Generator) -> F32:
    """Draw the linear albedo of an iris; dark skin seldom has light eyes."""
    pale = 1.0 - tone
    share = np.array([0.5 + tone, 0.15, 0.15 * pale, 0.1 * pale, 0.1 * pale])
    colours = np.array(
        [
            [0.09, 0.040, 0.018],
            [0.16, 0.090, 0.035],
            [0.09, 0.150, 0.220],
            [0.10, 0.140, 0.070],
            [0.14, 0.155, 0.170],
        ]
    )
    return np.asarray(colours[rng.choice(5, p=share / share.sum())], np.float32)


def _mouth_and_eyes(
    body: bodies.Body, tone: float, mouth_open: bool, rng: np.random.Generator
) -> list[Mesh]:
    """Return eyes with a coloured iris, teeth and tongue."""
    eyes, _ = bodies.fitted_mesh(
        body, makehuman("eyes", "low-poly", "low-poly.mhclo"), OTHER, np.ones(3, np.float32)
    )
    texture = read_texture("eyes/materials/brown_eye.png", 512).copy()
    saturation = (texture.max(-1) - texture.min(-1)) / np.maximum(texture.max(-1), 1e-3)
    iris = smoothstep(0.45, 0.8, saturation)[..., None] * (texture[..., :1] > 0.01)
    colour = iris_colour(tone, rng)
    grain = texture[..., :1] / 0.12
    texture = texture * (1 - iris) + iris * np.clip(grain, 0.15, 1.2) * colour
    eyes.texture = np.asarray(np.clip(texture, 0.004, 0.8), np.float32)
    teeth, _ = bodies.fitted_mesh(
        body,
        makehuman("teeth", "teeth_base", "teeth_base.mhclo"),
        OTHER,
        np.array([0.62, 0.56, 0.45], np.float32) * float(rng.uniform(0.7, 1.1)),
    )
    if not mouth_open:
        # The morphs leave teeth a little ahead of closed lips.
        return [eyes]
    teeth.vertices -= 0.04 * body.head[:, 2]
    tongue, _ = bodies.fitted_mesh(
        body,
        makehuman("tongue", "tongue01", "tongue01.mhclo"),
        OTHER,
        np.array([0.35, 0.12, 0.11], np.float32),
    )
    return [eyes, teeth, tongue]


def _paint(skin: Mesh, complexion: Complexion, style: hairs.Style, stubble: float) -> None:
    """Tint the skin's vertices: hair under the hair, stubble on the jaw.

    The texture carries the scalp of its own brown-haired model; where no hair grows it is lifted
    back to skin.
    """
    grown = _scalp_of(skin)
    tone = base_colour(complexion.tone, complexion.blood).astype(np.float32)
    root = np.asarray(style.colour, np.float32)
    cover = 0.0 if style.name == "bald" else 0.8
    if style.name == "stubble":
        cover = 0.45
    wanted = (1 - cover) * 1.5 + cover * np.clip(1.3 * root / tone, 0.02, 1.5)
    skin.colour *= 1.0 + grown[:, None] * (wanted - 1.0)
    beard = _jaw(skin) * stubble
    pigment = np.clip(root / tone, 0.05, 1.0)
    skin.colour *= 1.0 + (beard * 0.75)[:, None] * (pigment - 1.0)


def _jaw(skin: Mesh) -> F32:
    """Return how much beard grows at a skin mesh's vertices, 0…1."""
    x, y, z = skin.rest.T
    jaw = smoothstep(5.95, 6.25, y) * (1 - smoothstep(6.75, 7.0, y)) * smoothstep(0.3, 0.9, z)
    lips = np.exp(-((x / 0.30) ** 2 + ((y - 6.75) / 0.10) ** 2))
    return np.asarray(jaw * (1.0 - np.clip(1.3 * lips, 0, 1)), np.float32)


def _scalp_of(skin: Mesh) -> F32:
    """Return the scalp mask at the vertices of a (cut, split) skin mesh."""
    base = read_obj(makehuman("base.obj")).vertices
    order = {tuple(p): i for i, p in enumerate(np.round(base[:13380], 5).tolist())}
    index = np.array([order[tuple(p)] for p in np.round(skin.rest, 5).tolist()])
    return np.asarray(bodies.scalp()[index], np.float32)


def _hair(
    body: bodies.Body, style: hairs.Style, solid: list[Mesh], rng: np.random.Generator
) -> list[tuple[F32, F32, float]]:
    """Grow hair and brows; return strands, their colours and their width."""
    found: list[tuple[F32, F32, float]] = []
    skin = solid[0]
    grown = _scalp_of(skin)
    if style.strands:
        rough = np.clip(grown + 0.25 * noise(skin.rest, 0.25, 5) * (grown > 0.02), 0.0, 1.0).astype(
            np.float32
        )
        face, weights = hairs.sample_surface(
            skin.vertices, skin.faces, rough**0.7, style.strands, rng
        )
        corners = skin.faces[face]
        roots = np.einsum("sk,skc->sc", weights, skin.vertices[corners])
        normals = unit(np.einsum("sk,skc->sc", weights, skin.normals[corners]))
        near = [m for m in solid if m.label in (SKIN, CLOTH)]
        points = np.concatenate([m.vertices for m in near])
        away = np.concatenate([m.normals for m in near])
        upper = points[:, 1] > body.eyes[1] - 4.5
        strands = hairs.grow(
            style, roots, normals, points[upper], away[upper], body.head, body.skull, rng
        )
        if style.curl > 0.02:
            strands = hairs.curl_resampled(strands, 1)
        found.append((strands, hairs.strand_colours(style, len(strands), rng), style.width))
    found.append(_brows(body, style, rng))
    return found


def _beard(
    body: bodies.Body, style: hairs.Style, skin: Mesh, rng: np.random.Generator
) -> tuple[F32, F32, float]:
    """Grow a beard, from a few days' to a full one."""
    count = int(rng.integers(2500, 6000))
    length = float(rng.choice([rng.uniform(0.03, 0.08), rng.uniform(0.08, 0.35)]))
    face, weights = hairs.sample_surface(skin.vertices, skin.faces, _jaw(skin) ** 2, count, rng)
    corners = skin.faces[face]
    roots = np.einsum("sk,skc->sc", weights, skin.vertices[corners])
    out = unit(np.einsum("sk,skc->sc", weights, skin.normals[corners]))
    points = hairs.fallen(roots, out, body.head[:, 1], length, rng)
    return points, hairs.strand_colours(style, count, rng), 0.0026


def _brows(
    body: bodies.Body, style: hairs.Style, rng: np.random.Generator
) -> tuple[F32, F32, float]:
    """Grow eyebrows where MakeHuman's brow cards lie."""
    cards = sorted(makehuman("eyebrows").glob("*/*.mhclo"))
    card, _ = bodies.fitted_mesh(
        body, cards[int(rng.integers(len(cards)))], SKIN, np.ones(3, np.float32)
    )
    normals = smooth_normals(card.vertices, card.faces)
    forward = body.head[:, 2]
    normals = np.where((normals @ forward)[:, None] < 0, -normals, normals)
    count = int(rng.integers(350, 900))
    face, weights = hairs.sample_surface(
        card.vertices, card.faces, np.ones(len(card.vertices), np.float32), count, rng
    )
    corners = card.faces[face]
    roots = np.einsum("sk,skc->sc", weights, card.vertices[corners]).astype(np.float32)
    out = unit(np.einsum("sk,skc->sc", weights, normals[corners]))
    left = body.head[:, 0]
    side = np.sign((roots - body.eyes) @ left)[:, None]
    lean = unit(side * left * 0.9 + body.head[:, 1] * rng.uniform(0.1, 0.6) + 0.25 * out)
    lean = unit(lean + rng.normal(0, 0.18, lean.shape))
    length = rng.uniform(0.05, 0.09, (count, 1))
    along = np.linspace(0, 1, 4)
    points = (
        roots[:, None] - 0.01 * out[:, None] + lean[:, None] * (along[:, None] * length[:, None])
    )
    colour = np.asarray(style.colour) * rng.uniform(0.4, 0.9)
    colours = np.clip(colour * np.exp(rng.normal(0, 0.15, (count, 1))), 0.004, 0.5)
    return points.astype(np.float32), colours.astype(np.float32), 0.0022
