"""Strand hair grown from the scalp as thin crossed ribbons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from relume.training.stage.geometry import F32, HAIR, I32, Mesh, noise, unit


@dataclass(frozen=True, slots=True)
class Style:
    """How one head of hair grows.

    Attributes:
        name: crop, swept, bob, long, curly, afro, back, stubble or bald.
        length: of a strand, decimetres.
        strands: how many.
        width: of a strand, decimetres (sub-pixel in a head-and-shoulders picture).
        lift: how far it stands off the scalp before falling, 0…1.
        gravity: pull downwards per step.
        comb: direction in the head's frame (+X its left, +Y up, +Z forward) hair is combed to.
        parting: x of the parting in decimetres; hair is combed away from it.
        parted: strength of the parting.
        curl: radius of the curls in decimetres.
        turns: curls along a strand.
        clump: how much strands gather around their guides towards the tip, 0…1.
        frizz: random wander of a strand.
        colour: linear albedo.
        grey: share of grey strands.
    """

    name: str
    length: float
    strands: int
    width: float
    lift: float
    gravity: float
    comb: tuple[float, float, float]
    parting: float
    parted: float
    curl: float
    turns: float
    clump: float
    frizz: float
    colour: tuple[float, float, float]
    grey: float


COLOURS = (
    ((0.012, 0.010, 0.009), 0.30),
    ((0.030, 0.018, 0.012), 0.22),
    ((0.075, 0.040, 0.022), 0.16),
    ((0.16, 0.085, 0.042), 0.09),
    ((0.34, 0.21, 0.10), 0.09),
    ((0.20, 0.060, 0.022), 0.05),
    ((0.40, 0.38, 0.36), 0.07),
    ((0.15, 0.03, 0.08), 0.02),
)
"""Natural hair albedos and how often they are drawn."""

# name: share, length range, strands, lift, gravity, curl radius range, turns, clump
_STYLES: dict[
    str, tuple[float, tuple[float, float], int, float, float, tuple[float, float], float, float]
] = {
    "crop": (0.20, (0.08, 0.30), 15000, 0.55, 0.02, (0.0, 0.01), 0.5, 0.2),
    "swept": (0.17, (0.4, 0.9), 11000, 0.45, 0.10, (0.0, 0.03), 0.8, 0.45),
    "bob": (0.13, (1.2, 2.0), 9000, 0.25, 0.30, (0.0, 0.05), 1.5, 0.5),
    "long": (0.17, (2.2, 3.8), 8000, 0.25, 0.32, (0.0, 0.10), 2.5, 0.55),
    "curly": (0.10, (0.8, 2.2), 8000, 0.5, 0.16, (0.06, 0.14), 5.0, 0.6),
    "afro": (0.06, (0.4, 1.1), 12000, 1.0, 0.0, (0.04, 0.08), 6.0, 0.3),
    "back": (0.09, (1.0, 1.8), 9000, 0.08, 0.08, (0.0, 0.02), 1.0, 0.4),
    "stubble": (0.05, (0.02, 0.05), 14000, 0.8, 0.0, (0.0, 0.0), 0.0, 0.0),
    "bald": (0.03, (0.0, 0.0), 0, 0.0, 0.0, (0.0, 0.0), 0.0, 0.0),
}


def draw_style(rng: np.random.Generator, tone: float) -> Style:
    """Draw a hair style; dark skin draws dark and curly hair more often."""
    names = list(_STYLES)
    share = np.array([_STYLES[name][0] for name in names])
    share[names.index("afro")] *= 1.0 + 3.0 * max(tone - 0.5, 0.0)
    name = names[int(rng.choice(len(names), p=share / share.sum()))]
    _, span, strands, lift, gravity, curl, turns, clump = _STYLES[name]
    weights = np.array([weight for _, weight in COLOURS])
    weights[:2] *= 1.0 + 3.0 * max(tone - 0.4, 0.0)
    colour = np.array(COLOURS[int(rng.choice(len(COLOURS), p=weights / weights.sum()))][0])
    colour = np.clip(colour * np.exp(rng.normal(0, 0.2)) * rng.uniform(0.93, 1.07, 3), 0.006, 0.7)
    side = rng.choice([-1.0, 1.0])
    comb = np.array([side * rng.uniform(0.2, 0.8), 0.1, rng.choice([-0.7, -0.3, 0.4])])
    if name in ("back",):
        comb = np.array([0.0, 0.25, -1.0])
    elif name in ("bob", "long", "curly"):
        comb = np.array([0.0, -0.25, -0.55])
    return Style(
        name=name,
        length=float(rng.uniform(*span)),
        strands=strands,
        width=float(rng.uniform(0.0028, 0.0045)),
        lift=lift * float(rng.uniform(0.8, 1.2)),
        gravity=gravity,
        comb=(float(comb[0]), float(comb[1]), float(comb[2])),
        parting=float(rng.choice([0.0, rng.uniform(-0.35, 0.35)])),
        parted=0.9 if name in ("bob", "long", "curly") else 0.0,
        curl=float(rng.uniform(*curl)),
        turns=turns * float(rng.uniform(0.6, 1.5)),
        clump=float(np.clip(clump * rng.uniform(0.5, 1.4), 0.0, 0.9)),
        frizz=float(rng.uniform(0.02, 0.12)),
        colour=(float(colour[0]), float(colour[1]), float(colour[2])),
        grey=float(rng.choice([0.0, rng.uniform(0.05, 0.5)], p=[0.8, 0.2])),
    )


def sample_surface(
    vertices: F32, faces: I32, density: F32, count: int, rng: np.random.Generator
) -> tuple[I32, F32]:
    """Draw points on a mesh with a given density per vertex.

    Returns:
        for each point its face and its barycentric weights.
    """
    corners = vertices[faces]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    weight = area.astype(np.float64) * density[faces].mean(axis=1)
    chosen = rng.choice(len(faces), size=count, p=weight / weight.sum())
    a, b = rng.random((2, count))
    root = np.sqrt(a)
    weights = np.stack([1.0 - root, root * (1.0 - b), root * b], axis=1)
    return chosen.astype(np.int32), weights.astype(np.float32)


def grow(
    style: Style,
    roots: F32,
    normals: F32,
    body: F32,
    body_normals: F32,
    frame: F32,
    centre: F32,
    rng: np.random.Generator,
) -> F32:
    """Grow strands from the scalp.

    Args:
        style: what hair it is.
        roots: S×3 points of the scalp.
        normals: S×3 its normals there.
        body: B×3 points that hair does not enter (head, neck and clothes).
        body_normals: B×3 their normals.
        frame: 3×3, columns are the head's left, up and forward.
        centre: centre of the skull.
        rng: source of randomness.

    Returns:
        S×K×3 points along the strands.
    """
    count = len(roots)
    steps = int(np.clip(style.length / 0.11, 3, 22))
    lengths = style.length * rng.uniform(0.75, 1.08, count)
    step = (lengths / steps).astype(np.float32)[:, None]
    down = np.array([0.0, -1.0, 0.0], np.float32)
    local = (roots - centre) @ frame
    comb = np.asarray(style.comb, np.float32)[None].repeat(count, 0)
    away = np.sign(local[:, 0] - style.parting + 1e-4)
    comb[:, 0] += style.parted * away
    comb = unit(comb) @ frame.T
    wander = np.stack([noise(roots, 0.5, int(rng.integers(1 << 20))) for _ in range(3)], axis=1)
    wander = wander * 0.25 + rng.normal(0, 1.0, (count, 3)).astype(np.float32) * style.frizz * 2.0
    flow = comb - normals * np.einsum("sc,sc->s", comb, normals)[:, None]
    direction = unit(normals * style.lift + unit(flow) * (1.0 - 0.6 * style.lift) + wander)
    tree = cKDTree(body)
    points = np.empty((count, steps + 1, 3), np.float32)
    points[:, 0] = roots
    at = roots.copy()
    clearance = rng.uniform(0.01, 0.10 + 0.25 * style.lift, count).astype(np.float32)
    for k in range(1, steps + 1):
        pull = style.gravity * (1.0 + 1.5 * k / steps)
        jitter = rng.normal(0, style.frizz, (count, 3)).astype(np.float32)
        combing = 0.35 * max(0.0, 1.0 - 2.0 * k / steps)
        direction = unit(direction + down * pull + comb * combing + jitter)
        at = at + direction * step
        found = tree.query(at, workers=1, distance_upper_bound=0.6)
        distance, nearest = np.asarray(found[0]), np.asarray(found[1])
        close = np.isfinite(distance)
        n = body_normals[nearest[close]]
        depth = np.einsum("sc,sc->s", at[close] - body[nearest[close]], n)
        wanted = clearance[close] * min(1.0, 3.0 * k / steps)
        push = np.clip(wanted - depth, 0.0, 0.5)[:, None]
        at[close] += n * push
        into = np.minimum(np.einsum("sc,sc->s", direction[close], n), 0.0)[:, None]
        direction[close] = unit(direction[close] - n * into * (push > 0.0))
        points[:, k] = at
    return _clump_and_curl(style, points, frame, rng)


def fallen(roots: F32, out: F32, up: F32, length: float, rng: np.random.Generator) -> F32:
    """Grow beard hair, which leaves the skin and falls.

    Args:
        roots: S×3 points of the skin.
        out: S×3 its normals there.
        up: the head's upward direction.
        length: of the longest hairs, decimetres.
        rng: source of randomness.

    Returns:
        S×5×3 points along the hairs.
    """
    fall = unit(out * 0.6 - up + rng.normal(0, 0.25, out.shape))
    sizes = length * rng.uniform(0.6, 1.1, (len(roots), 1, 1))
    along = np.linspace(0, 1, 5)[None, :, None]
    points = roots[:, None] + sizes * (along * out[:, None] * 0.5 + along**1.5 * fall[:, None])
    return points.astype(np.float32)


def _clump_and_curl(style: Style, points: F32, frame: F32, rng: np.random.Generator) -> F32:
    count, knots, _ = points.shape
    along = np.linspace(0.0, 1.0, knots, dtype=np.float32)
    if style.clump > 0.0 and count > 200:
        guides = rng.choice(count, max(count // 40, 8), replace=False)
        nearest = guides[np.asarray(cKDTree(points[guides, 0]).query(points[:, 0])[1])]
        offset = points[nearest] - points
        # Hair parted to another side must not be drawn across the face.
        reach = np.linalg.norm(offset[:, -1], axis=1) < 0.6
        gather = (style.clump * along**1.5)[None, :, None] * reach[:, None, None]
        points = points + offset * gather
        phase = np.take(rng.uniform(0, 2 * np.pi, count), nearest) + rng.normal(0, 0.4, count)
    else:
        phase = np.asarray(rng.uniform(0, 2 * np.pi, count))
    if style.curl > 0.005:
        angle = phase[:, None] + along[None] * style.turns * 2.0 * np.pi
        radius = style.curl * np.minimum(along * 4.0, 1.0)[None]
        side, front = frame[:, 0], frame[:, 2]
        swirl = np.cos(angle)[..., None] * side + np.sin(angle)[..., None] * front
        points = points + swirl * radius[..., None]
    return np.asarray(points, np.float32)


def curl_resampled(points: F32, times: int) -> F32:
    """Return strands with `times` linear pieces between knots."""
    pieces = [points[:, :-1] + (points[:, 1:] - points[:, :-1]) * (k / times) for k in range(times)]
    fine = np.stack(pieces, axis=2).reshape(len(points), -1, 3)
    return np.asarray(np.concatenate([fine, points[:, -1:]], axis=1), np.float32)


def strand_colours(style: Style, count: int, rng: np.random.Generator) -> F32:
    """Draw a linear albedo for each strand around the style's colour."""
    colour = np.asarray(style.colour) * np.exp(rng.normal(0.0, 0.18, (count, 1)))
    grey = rng.random(count) < style.grey
    colour[grey] = np.array([0.42, 0.41, 0.40]) * rng.uniform(0.6, 1.2, (int(grey.sum()), 1))
    return np.asarray(np.clip(colour, 0.004, 0.8), np.float32)


def ribbons(
    strands: F32, colours: F32, width: float, outward: F32, rng: np.random.Generator
) -> Mesh:
    """Turn strands into pairs of crossed ribbons that taper to the tip.

    Args:
        strands: S×K×3 points.
        colours: S×3 linear albedo.
        width: at the root, decimetres.
        outward: S×K×3 unit directions away from the head; shading normals lean that way.
        rng: turns the ribbons about their axes.

    Returns:
        the mesh, shading normals perpendicular to the strands.
    """
    count, knots, _ = strands.shape
    tangent = np.empty_like(strands)
    tangent[:, 1:-1] = strands[:, 2:] - strands[:, :-2]
    tangent[:, 0] = strands[:, 1] - strands[:, 0]
    tangent[:, -1] = strands[:, -1] - strands[:, -2]
    tangent = unit(tangent)
    along = np.einsum("skc,skc->sk", outward, tangent)[..., None]
    normal = unit(outward - tangent * along + 1e-4)
    binormal = np.cross(tangent, normal)
    # Strands that stand on end have no side that faces outwards: together they look like the
    # surface they grow from.
    mass = unit(outward - 0.75 * tangent * along)
    turn = rng.uniform(0, np.pi, (count, 1, 1)).astype(np.float32)
    taper = (0.5 * width * (1.0 - 0.7 * np.linspace(0, 1, knots) ** 3)).astype(np.float32)
    vertices, faces = [], []
    grid = np.arange(count * knots * 2, dtype=np.int32).reshape(count, knots, 2)
    a, b = grid[:, :-1, 0].ravel(), grid[:, :-1, 1].ravel()
    c, d = grid[:, 1:, 0].ravel(), grid[:, 1:, 1].ravel()
    quads = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    for k in range(2):
        angle = turn + 0.5 * np.pi * k
        across = (np.cos(angle) * normal + np.sin(angle) * binormal) * taper[None, :, None]
        vertices.append(np.stack([strands - across, strands + across], axis=2).reshape(-1, 3))
        faces.append(quads + k * grid.size)
    points = np.concatenate(vertices).astype(np.float32)
    # Roots sit in the shade of the rest and carry more pigment.
    root = (0.75 + 0.25 * np.minimum(np.linspace(0, 3, knots), 1.0)).astype(np.float32)
    shade = (colours[:, None, :] * root[None, :, None])[:, :, None].repeat(2, 2).reshape(-1, 3)

    def spread(values: F32) -> F32:
        return np.tile(values[:, :, None].repeat(2, 2).reshape(-1, 3), (2, 1)).astype(np.float32)

    return Mesh(
        vertices=points,
        faces=np.concatenate(faces),
        normals=spread(mass),
        uv=np.zeros((len(points), 2), np.float32),
        rest=points,
        colour=np.tile(shade, (2, 1)).astype(np.float32),
        label=HAIR,
        tangents=spread(tangent),
    )
