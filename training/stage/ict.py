"""ICT FaceKit heads: a hundred directions of identity, expressions, eyes that look, lashes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from relume.errors import InputError
from relume.training.stage.anchors import Anchors
from relume.training.stage.assets import Obj, assets_root, corner_mesh, read_obj
from relume.training.stage.geometry import (
    F32,
    I32,
    OTHER,
    SKIN,
    Mesh,
    rotation,
    smooth_normals,
    smoothstep,
)

SKIN_VERTICES = 14062
"""Vertices of the face, the back of the head and the neck come first in the mesh."""
_GUMS = (14062, 17039)
_TEETH = (17039, 21451)
_SCLERAS = ((21451, 22221), (23021, 23791))
"""The outer balls of the left and the right eye, cornea included."""
_LASHES = tuple((25351 + 114 * k, 25351 + 114 * (k + 1)) for k in range(12))
"""Cards of lashes: three above and three below each eye."""
ORIGIN = np.array([0.0, 6.924, 0.447], np.float32)
"""Where FaceKit's origin lies beside a MakeHuman body, so that the eyes of both agree."""
_NECK = np.array([0.0, 5.55, 0.05], np.float32)
"""The head turns about this point of the undeformed head."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A morphed and posed FaceKit mesh in decimetres, +Y up, facing +Z.

    Attributes:
        vertices: 26,719×3.
        anchors: where its features are.
        mouth_open: whether teeth are seen.
    """

    vertices: F32
    anchors: Anchors
    mouth_open: bool


@lru_cache(maxsize=1)
def mesh() -> Obj:
    """Return the neutral head with decimetres and MakeHuman's eye level.

    Raises:
        InputError: FaceKit is not among the assets.
    """
    path = assets_root() / "ict_facekit" / "generic_neutral_mesh.obj"
    if not path.is_file():
        raise InputError(
            "the wide cast needs the FaceKit heads, which are not among the assets",
            file=str(path),
            way_out="Add ict_facekit/ to them, or render numbers below 1000",
        )
    obj = read_obj(path)
    return Obj(
        obj.vertices * np.float32(0.1) + ORIGIN,
        obj.uv,
        obj.faces,
        obj.uv_faces,
        obj.groups,
        obj.names,
    )


@lru_cache(maxsize=1)
def _deltas() -> tuple[F32, dict[str, F32]]:
    """Return the identity directions and the named expressions, decimetres."""
    with np.load(assets_root() / "ict_facekit" / "ict_deltas.npz", allow_pickle=False) as stored:
        identity = stored["identity"].astype(np.float32) * np.float32(0.1)
        moves = stored["expression"].astype(np.float32) * np.float32(0.1)
        names = [str(name) for name in stored["expression_names"]]
    return identity, dict(zip(names, moves, strict=True))


def identity(rng: np.random.Generator) -> F32:
    """Return the neutral vertices of a drawn person."""
    directions = _deltas()[0]
    weights = np.clip(rng.normal(0.0, 0.85, len(directions)), -2.0, 2.0).astype(np.float32)
    moved = np.tensordot(weights, directions, axes=1)
    return np.asarray(mesh().vertices + moved, np.float32)


def expression(rng: np.random.Generator) -> tuple[dict[str, float], tuple[float, float], bool]:
    """Draw an expression and where the eyes look.

    Returns:
        weights of the named moves, the gaze's yaw and pitch in degrees (to its left, down), and
        whether the mouth is open.
    """
    moves: dict[str, float] = {}

    def both(name: str, weight: float, uneven: float = 0.15) -> None:
        for side in "LR":
            moves[f"{name}_{side}"] = float(max(weight * (1.0 + rng.normal(0.0, uneven)), 0.0))

    both("eyeBlink", abs(float(rng.normal(0.10, 0.08))))
    both(str(rng.choice(["browDown", "browInnerUp", "browOuterUp"])), float(rng.uniform(0, 0.5)))
    kind = rng.choice(5, p=[0.38, 0.27, 0.15, 0.1, 0.1])
    is_open = False
    if kind == 1:
        smile = float(rng.uniform(0.2, 0.9))
        both("mouthSmile", smile)
        both("cheekSquint", 0.6 * smile)
        both("eyeSquint", 0.4 * smile)
        if rng.random() < 0.5:
            moves["jawOpen"] = float(rng.uniform(0.05, 0.2))
            both("mouthUpperUp", float(rng.uniform(0.1, 0.4)))
            is_open = True
    elif kind == 2:
        moves["jawOpen"] = float(rng.uniform(0.1, 0.5))
        both("mouthLowerDown", float(rng.uniform(0.0, 0.4)))
        is_open = True
    elif kind == 3:
        both("mouthFrown", float(rng.uniform(0.2, 0.7)))
        both("noseSneer", float(rng.uniform(0.0, 0.4)))
    elif kind == 4:
        moves[str(rng.choice(["mouthPucker", "mouthRollLower", "mouthShrugLower"]))] = float(
            rng.uniform(0.2, 0.7)
        )
        both("cheekPuff", float(rng.choice([0.0, rng.uniform(0.2, 0.6)])))
    yaw = float(np.clip(rng.normal(0.0, 8.0), -18.0, 18.0))
    pitch = float(np.clip(rng.normal(1.0, 5.0), -10.0, 12.0))
    moves["eyeLookOut_L"] = moves["eyeLookIn_R"] = max(yaw, 0.0) / 32.0
    moves["eyeLookIn_L"] = moves["eyeLookOut_R"] = max(-yaw, 0.0) / 32.0
    moves["eyeLookDown_L"] = moves["eyeLookDown_R"] = max(pitch, 0.0) / 28.0
    moves["eyeLookUp_L"] = moves["eyeLookUp_R"] = max(-pitch, 0.0) / 28.0
    return moves, (yaw, pitch), is_open


def posed(
    neutral: F32,
    moves: dict[str, float],
    gaze: tuple[float, float],
    turn: tuple[float, float, float],
    *,
    mouth_open: bool = False,
) -> Head:
    """Move a person's face and eyes, and turn the head on the neck.

    Args:
        neutral: vertices of `identity`.
        moves: weights of named expressions.
        gaze: yaw and pitch of the eyes, degrees.
        turn: yaw, pitch and roll of the head, degrees; +yaw turns to its left.
        mouth_open: whether teeth will be seen.
    """
    vertices = neutral.copy()
    for name, amount in moves.items():
        if amount > 0.0:
            vertices += np.float32(amount) * _deltas()[1][name]
    centres = []
    for side, (start, stop) in zip((1.0, -1.0), _SCLERAS, strict=True):
        centre = _ball(neutral, start, stop)[0]
        # Eyes on something two metres away turn in by a degree; the drawn ball turns out by two.
        look = rotation(gaze[0] - 3.0 * side, gaze[1], 0.0)
        vertices[start:stop] = (vertices[start:stop] - centre) @ look.T + centre
        centres.append(centre)
    balls = np.stack(centres)
    level = mesh().vertices
    rise = level[:, 1] - _NECK[1] + 0.5 * (level[:, 2] - _NECK[2])
    weight = smoothstep(-0.35, 0.75, rise)
    full = rotation(*turn)
    points = np.concatenate([vertices, balls, _marks(neutral)])
    share = np.concatenate([weight, np.ones(len(points) - len(weight), np.float32)])
    # Blending the angles keeps the neck's girth, blending the positions would not. Eight small
    # turns are a degree or two beside the one large turn, which what is worn goes by.
    moved = points - _NECK
    for lower in range(8):
        part = np.clip(8.0 * share - lower, 0.0, 1.0)[:, None]
        eighth = rotation(*(angle / 8.0 for angle in turn))
        moved = moved + part * (moved @ eighth.T - moved)
    points = np.asarray(moved + _NECK, np.float32)
    count = len(vertices)
    balls, (ear_l, ear_r, skull) = points[count : count + 2], points[count + 2 :]
    return Head(
        vertices=points[:count],
        anchors=Anchors(
            head=full,
            skull=skull,
            eyes=np.asarray(balls.mean(axis=0), np.float32),
            eyeballs=balls,
            ears=np.stack([ear_l, ear_r]),
            eye=_ball(neutral, *_SCLERAS[0])[1],
        ),
        mouth_open=mouth_open,
    )


def _ball(vertices: F32, start: int, stop: int) -> tuple[F32, float]:
    """Return the centre and the radius of the sphere through an eyeball's vertices."""
    p = vertices[start:stop].astype(np.float64)
    found = np.linalg.lstsq(np.c_[2.0 * p, np.ones(len(p))], (p**2).sum(axis=1), rcond=None)[0]
    centre = found[:3]
    return np.asarray(centre, np.float32), float(np.sqrt(found[3] + centre @ centre))


@lru_cache(maxsize=1)
def _ear_indices() -> tuple[int, int]:
    """Return the vertices where the ears' upper edges meet the head, left first."""
    p = mesh().vertices[:SKIN_VERTICES]
    found = []
    for side in (1.0, -1.0):
        wanted = np.array([side * 0.77, 7.27, 0.52])
        found.append(int(np.argmin(np.linalg.norm(p - wanted, axis=1))))
    return found[0], found[1]


def _marks(vertices: F32) -> F32:
    """Return the ears and the skull's centre."""
    left, right = (vertices[index] for index in _ear_indices())
    skull = np.array([0.0, 0.5 * (left[1] + right[1]) + 0.15, 0.5 * (left[2] + right[2]) - 0.05])
    return np.stack([left, right, skull]).astype(np.float32)


def _part(head: Head, keep: np.ndarray, label: int) -> tuple[Mesh, I32]:
    """Return the faces that `keep` marks as a mesh, and the vertex each of its vertices was."""
    obj = mesh()
    faces, uv_faces = obj.faces[keep], obj.uv_faces[keep]
    normals = smooth_normals(head.vertices, faces)
    return corner_mesh(obj, head.vertices, normals, faces, uv_faces, label)


def _between(start: int, stop: int) -> np.ndarray:
    faces = mesh().faces
    return np.asarray((faces.min(axis=1) >= start) & (faces.max(axis=1) < stop))


def skin_mesh(head: Head, low: float, slope: float) -> Mesh:
    """Return the skin above a plane through the neck, cut clean.

    Args:
        head: whose.
        low: height of the cut on the undeformed head at z = 0, decimetres.
        slope: how much it rises per decimetre forward.

    Returns:
        the mesh; its texture coordinates run over the face in the left half and over the back of
        the head in the right half of one picture.
    """
    rest = mesh().vertices
    over = rest[:, 1] - low - slope * rest[:, 2]
    keep = _between(0, SKIN_VERTICES) & (over[mesh().faces].max(axis=1) > 0.0)
    skin, vertex = _part(head, keep, SKIN)
    skin.uv = skin.uv * np.array([0.5, 1.0], np.float32)
    _drawn_up(skin, over[vertex])
    return skin


def _drawn_up(skin: Mesh, over: F32) -> None:
    """Move the corners below a cut to where their edges cross it, on average. In place."""
    edges = np.concatenate([skin.faces[:, [k, (k + 1) % 3]] for k in range(3)])
    edges = np.concatenate([edges, edges[:, ::-1]])
    above, below = edges[(over[edges[:, 0]] > 0.0) & (over[edges[:, 1]] <= 0.0)].T
    part = (over[above] / (over[above] - over[below]))[:, None]
    count = np.maximum(np.bincount(below, minlength=len(over)), 1)
    low = np.unique(below)
    for name in ("vertices", "rest", "uv"):
        values = getattr(skin, name)
        crossing = values[above] + part * (values[below] - values[above])
        mean = np.stack(
            [np.bincount(below, crossing[:, c], len(over)) / count for c in range(values.shape[1])],
            axis=1,
        )
        values[low] = mean[low]


def mouth_and_eyes(head: Head, iris: F32, rng: np.random.Generator) -> list[Mesh]:
    """Return the eyeballs, and teeth and gums where the mouth is open.

    Args:
        head: whose.
        iris: linear albedo of the iris.
        rng: draws the veins and the colour of the teeth.
    """
    found = []
    texture = eye_texture(iris, rng)
    for start, stop in _SCLERAS:
        ball, _ = _part(head, _between(start, stop), OTHER)
        ball.texture = texture
        found.append(ball)
    if head.mouth_open:
        teeth, _ = _part(head, _between(*_TEETH), OTHER)
        teeth.colour *= np.array([0.62, 0.56, 0.45], np.float32) * float(rng.uniform(0.7, 1.1))
        gums, _ = _part(head, _between(*_GUMS), OTHER)
        gums.colour *= np.array([0.36, 0.13, 0.115], np.float32)
        found += [teeth, gums]
    return found


def eye_texture(iris: F32, rng: np.random.Generator, size: int = 256) -> F32:
    """Paint an eyeball: pupil, iris with fibres, limbus, and a veined white.

    The map is polar: its middle is the pupil and the radius grows with the angle from it.
    """
    row, column = np.mgrid[0:size, 0:size]
    x, y = (column + 0.5) / size - 0.5, 0.5 - (row + 0.5) / size
    radius = np.hypot(x, y)
    turn = np.arctan2(y, x)
    wave = sum(np.cos(k * turn + rng.uniform(0, 6.28)) for k in (5, 11, 23, 37)) / 4.0
    limbus, pupil = 0.132, float(rng.uniform(0.036, 0.055))
    ring = (radius - pupil) / (limbus - pupil)
    fibre = 1.0 + 0.35 * wave * np.clip(ring * (1.0 - ring) * 4.0, 0, 1)
    fibre = fibre * (1.15 - 0.55 * np.clip(ring, 0, 1) ** 4)
    coloured = iris[None, None] * fibre[..., None]
    white = np.array([0.62, 0.54, 0.48]) * rng.uniform(0.85, 1.1)
    red = smoothstep(0.13, 0.40, radius.astype(np.float32))[..., None]
    white = white * (1.0 - red * np.array([0.12, 0.38, 0.40]))
    soft = 1.2 / size
    inside = 1.0 - smoothstep(limbus - 6 * soft, limbus + 3 * soft, radius.astype(np.float32))
    hole = 1.0 - smoothstep(pupil - 2 * soft, pupil + 2 * soft, radius.astype(np.float32))
    picture = white * (1.0 - inside[..., None]) + coloured * inside[..., None]
    picture = picture * (1.0 - hole[..., None]) + 0.006 * hole[..., None]
    return np.asarray(np.clip(picture, 0.004, 0.8), np.float32)


def lashes(head: Head, count: int, rng: np.random.Generator) -> F32:
    """Grow `count` lashes along each of FaceKit's cards: S×6×3 points from root to tip."""
    obj = mesh()
    uv = np.zeros((len(obj.vertices), 2), np.float32)
    uv[obj.faces.ravel()] = obj.uv[obj.uv_faces.ravel()]
    found = []
    for start, stop in _LASHES:
        points, at = head.vertices[start:stop], uv[start:stop]
        # A card is 19 columns along the lid of 6 points each.
        order = np.argsort(at[:, 0], kind="stable").reshape(19, 6)
        order = np.take_along_axis(order, np.argsort(at[order, 1], axis=1), axis=1)
        columns = points[order]
        balls = np.linalg.norm(head.anchors.eyeballs - points.mean(axis=0), axis=1)
        ball = head.anchors.eyeballs[int(np.argmin(balls))]
        ends = np.linalg.norm(columns[:, [0, -1]] - ball, axis=2).mean(axis=0)
        if ends[0] > ends[1]:
            columns = columns[:, ::-1]
        place = rng.uniform(0.0, 17.999, count)
        column, part = place.astype(int), (place % 1.0)[:, None, None]
        strand = columns[column] * (1.0 - part) + columns[column + 1] * part
        root = strand[:, :1]
        strand = root + (strand - root) * rng.uniform(0.6, 1.0, (count, 1, 1))
        sway = rng.normal(0.0, 0.012, (count, 1, 3)) * np.linspace(0.0, 1.0, 6)[None, :, None]
        found.append(strand + sway)
    return np.concatenate(found).astype(np.float32)


def scalp(rest: F32) -> F32:
    """Return how much hair grows at points of the undeformed head, 0…1."""
    x, y, z = (rest - ORIGIN).T * 10.0
    # The hairline runs from the forehead past the temples, in front of and behind the ears.
    line = np.interp(
        z,
        [-10.0, -6.0, -3.0, -1.8, 0.5, 1.8, 3.0, 4.2, 5.5, 7.0, 9.0, 12.0],
        [-5.2, -4.6, -2.5, 3.0, 4.2, 3.5, 2.0, 4.5, 7.0, 8.8, 9.7, 10.4],
    )
    line = line + 0.9 * np.clip((np.abs(x) - 4.0) / 2.0, 0, 1) * (z > 5.5)
    grown = smoothstep(-0.25, 0.7, (y - line).astype(np.float32))
    # Ears stand off the head.
    ear = (np.abs(x) > 7.75) & (y < 4.1) & (y > -4.0) & (z < 2.6) & (z > -2.6)
    return np.where(ear, 0.0, grown).astype(np.float32)


def jaw(rest: F32) -> F32:
    """Return how much beard grows at points of the undeformed head, 0…1."""
    x, y, z = (rest - ORIGIN).T * 10.0
    upper = np.interp(np.abs(x), [0.0, 2.4, 3.2, 5.5, 7.2], [-1.4, -1.7, -3.2, -3.4, 1.0])
    grown = (1.0 - smoothstep(-0.4, 0.4, (y - upper).astype(np.float32))) * smoothstep(
        -9.6, -7.8, (y + 0.25 * (z - 9.0)).astype(np.float32)
    )
    grown = grown * smoothstep(1.5, 3.5, z.astype(np.float32))
    mouth = np.exp(-((x / 2.9) ** 4) - (((y + 3.35) / 1.15) ** 4)) * (z > 8.0)
    return np.asarray(grown * (1.0 - np.clip(1.2 * mouth, 0, 1)), np.float32)


def brow(rest: F32) -> F32:
    """Return how much brow grows at points of the undeformed head, 0…1."""
    x, y, z = (rest - ORIGIN).T * 10.0
    middle = np.interp(np.abs(x), [1.0, 2.4, 3.8, 4.9, 5.9], [5.35, 5.75, 5.95, 5.65, 4.95])
    half = np.interp(np.abs(x), [0.8, 1.2, 2.4, 4.2, 6.0], [0.12, 0.32, 0.34, 0.25, 0.1])
    inside = smoothstep(0.85, 1.15, np.abs(x).astype(np.float32))
    inside = inside * (1.0 - smoothstep(5.6, 6.1, np.abs(x).astype(np.float32))) * (z > 6.0)
    return np.asarray(np.exp(-(((y - middle) / half) ** 2)) * inside, np.float32)
