"""Hands and things that people hold up before themselves: phones, cups, books, balls."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from relume.training.stage import cloth as cloths
from relume.training.stage.anchors import Anchors, Clearance
from relume.training.stage.assets import corner_mesh, makehuman, read_obj, vertex_groups
from relume.training.stage.geometry import (
    CLOTH,
    F32,
    I32,
    OTHER,
    SKIN,
    Mesh,
    smooth_normals,
    smoothstep,
    unit,
)
from relume.training.stage.tubes import ball, box, lathe, solid

KINDS = ("phone", "cup", "book", "ball", "microphone")


def _joint(vertices: F32, name: str) -> F32:
    return np.asarray(vertices[vertex_groups()["joint-" + name]].mean(axis=0), np.float32)


@lru_cache(maxsize=1)
def _arm() -> tuple[np.ndarray, I32]:
    """Return which faces of the base mesh are the left forearm and hand, and its vertices."""
    base = read_obj(makehuman("base.obj"))
    elbow, wrist = _joint(base.vertices, "l-elbow"), _joint(base.vertices, "l-hand")
    along = (base.vertices - elbow) @ unit(wrist - elbow)
    near = np.linalg.norm(base.vertices - wrist, axis=1) < 2.4
    arm = (along > 0.05) & near & (base.vertices[:, 0] > 2.0)
    own = base.groups == base.names.index("body")
    faces = own & arm[base.faces].all(axis=1)
    return np.flatnonzero(faces), np.unique(base.faces[faces])


def _curled(vertices: F32, amount: float, rng: np.random.Generator) -> F32:
    """Bend the fingers of the left hand, each joint in turn from the tips to the knuckles."""
    found = vertices.copy()
    body = _arm()[1]
    across = unit(_joint(vertices, "l-finger-2-1") - _joint(vertices, "l-finger-5-1"))
    chains = {f: [_joint(vertices, f"l-finger-{f}-{k}") for k in range(1, 5)] for f in range(1, 6)}
    points = vertices[body]
    apart = np.stack([_to_chain(points, chain) for chain in chains.values()], axis=1)
    owner = apart.argmin(axis=1) + 1
    for finger in range(2, 6):
        chain = chains[finger]
        own = body[owner == finger]
        bend = amount * rng.uniform(0.8, 1.2)
        for k in (2, 1, 0):
            joint = chain[k]
            bone = unit(chain[k + 1] - chain[k])
            beyond = smoothstep(-0.06, 0.08, ((found[own] - joint) @ bone).astype(np.float32))
            angle = np.radians(bend * (0.6 if k == 2 else 1.0)) * beyond
            found[own] = _turned(found[own], joint, across, angle)
    return found


def _to_chain(points: F32, chain: list[F32]) -> F32:
    """Return the distance of points to a broken line."""
    best = np.full(len(points), np.inf)
    for a, b in pairwise(chain):
        t = np.clip(((points - a) @ (b - a)) / ((b - a) @ (b - a)), 0.0, 1.0)
        best = np.minimum(best, np.linalg.norm(points - a - t[:, None] * (b - a), axis=1))
    return np.asarray(best, np.float32)


def _turned(points: F32, pivot: F32, axis: F32, angle: F32) -> F32:
    """Turn points about an axis, each by an angle of its own, radians (Rodrigues)."""
    v = points - pivot
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    along = (v @ axis)[:, None] * axis
    return np.asarray(pivot + v * cos + np.cross(axis, v) * sin + along * (1.0 - cos), np.float32)


class Hand:
    """A forearm and hand that can be held anywhere.

    Args:
        vertices: a morphed base mesh in its rest pose.
        right: mirror it into a right hand.
        curl: bend of each finger joint, degrees.
        rng: unevenness of the fingers.
    """

    def __init__(self, vertices: F32, right: bool, curl: float, rng: np.random.Generator) -> None:
        palm_side = self._palm(vertices)
        bent = _curled(vertices, curl, rng)
        trial = bent[_arm()[1]].mean(axis=0) - vertices[_arm()[1]].mean(axis=0)
        if trial @ palm_side < 0.0:
            bent = _curled(vertices, -curl, rng)
        wrist, elbow = _joint(vertices, "l-hand"), _joint(vertices, "l-elbow")
        knuckle = _joint(vertices, "l-finger-3-1")
        # The hand's frame: fingers, palm, and thumb's side.
        fingers = unit(knuckle - wrist)
        palm = unit(palm_side - fingers * (palm_side @ fingers))
        frame = np.stack([np.cross(fingers, palm), fingers, palm], axis=1)
        self.points = (bent - wrist) @ frame
        self.arm = (wrist - elbow) @ frame
        self.grip = np.array([0.0, 0.75, 0.22], np.float32)
        self.right = right
        if right:
            self.points = self.points * np.array([-1, 1, 1], np.float32)
            self.arm = self.arm * np.array([-1, 1, 1], np.float32)
            self.grip = self.grip * np.array([-1, 1, 1], np.float32)

    @staticmethod
    def _palm(vertices: F32) -> F32:
        """Return the direction out of the left palm."""
        index, little = _joint(vertices, "l-finger-2-1"), _joint(vertices, "l-finger-5-1")
        wrist, thumb = _joint(vertices, "l-hand"), _joint(vertices, "l-finger-1-3")
        normal = np.cross(index - wrist, little - wrist)
        middle = (index + little + wrist) / 3.0
        # The thumb lies on the palm's side.
        return unit(normal * np.sign(normal @ (thumb - middle)))

    def meshes(self, frame: F32, grip: F32, texture: F32, sleeve: int, low: float) -> list[Mesh]:
        """Hold the hand somewhere.

        Args:
            frame: 3×3; columns are where the hand's thumb axis, fingers and palm point.
            grip: where the middle of the palm lies, decimetres.
            texture: the skin's picture.
            sleeve: index of its cloth, −1 for a bare arm.
            low: the sleeve begins this far below the wrist.
        """
        base = read_obj(makehuman("base.obj"))
        kept, _ = _arm()
        placed = np.asarray((self.points - self.grip) @ frame.T + grip, np.float32)
        faces, uv_faces = base.faces[kept], base.uv_faces[kept]
        if self.right:
            faces, uv_faces = faces[:, ::-1], uv_faces[:, ::-1]
        normals = smooth_normals(placed, faces)
        skin, _ = corner_mesh(base, placed, normals, faces, uv_faces, SKIN)
        skin.texture, skin.bump = texture, 0.08
        if sleeve < 0:
            return [skin]
        along = self.points @ unit(-self.arm)
        covered = along > low
        chosen = covered[faces].all(axis=1)
        used, compact = np.unique(faces[chosen], return_inverse=True)
        wide = 0.05 + 0.06 * smoothstep(low, low + 1.2, along[used].astype(np.float32))
        points = placed[used] + normals[used] * wide[:, None]
        cloth = solid(
            points.astype(np.float32),
            compact.reshape(-1, 3).astype(np.int32),
            CLOTH,
            np.ones(3, np.float32),
            pattern=sleeve,
        )
        cloth.rest = base.vertices[used]
        cloth.bump = 0.4
        return [skin, cloth]


def thing(kind: str, rng: np.random.Generator, pattern: int) -> tuple[list[Mesh], float, float]:
    """Make a thing about the origin, upright and facing +Z.

    Args:
        kind: one of `KINDS`.
        rng: draws its size and colours.
        pattern: index of the cloth its cover is printed with.

    Returns:
        its meshes, and how far its side and its front are from its middle.
    """
    colour = np.array(cloths.cloth_colour(rng), np.float32)
    if kind == "phone":
        w, h = float(rng.uniform(0.68, 0.80)), float(rng.uniform(1.4, 1.65))
        shape = box(w, h, 0.09, 0.1)
        return [solid(*shape, OTHER, np.minimum(colour, 0.3))], 0.5 * w, 0.05
    if kind == "book":
        w, h = float(rng.uniform(1.1, 1.7)), float(rng.uniform(1.6, 2.3))
        cover = solid(*box(w, h, 0.22, 0.03), OTHER, np.ones(3, np.float32), pattern=pattern)
        return [cover], 0.5 * w, 0.11
    if kind == "ball":
        r = float(rng.uniform(0.35, 1.05))
        return [solid(*ball(r), OTHER, np.ones(3, np.float32), pattern=pattern)], r, r
    if kind == "microphone":
        profile = [(0.001, -1.2), (0.11, -1.2), (0.15, 0.0), (0.2, 0.12), (0.2, 0.2)]
        body = solid(*lathe(np.array(profile, np.float32)), OTHER, np.full(3, 0.02, np.float32))
        grille = ball(0.25)
        head = solid(
            grille[0] + np.array([0, 0.4, 0], np.float32), grille[1], OTHER, np.full(3, 0.25)
        )
        return [body, head], 0.16, 0.16
    r, h = float(rng.uniform(0.34, 0.46)), float(rng.uniform(0.8, 1.2))
    wall = [(0.001, -h / 2), (0.85 * r, -h / 2), (0.9 * r, -h / 2 + 0.04), (r, h / 2)]
    inside = [(0.93 * r, h / 2), (0.8 * r, -h / 2 + 0.1), (0.001, -h / 2 + 0.1)]
    cup = solid(*lathe(np.array([*wall, *inside], np.float32)), OTHER, colour)
    return [cup], r, r


def _moved(meshes: list[Mesh], frame: F32, place: F32) -> None:
    for mesh in meshes:
        mesh.vertices = np.asarray(mesh.vertices @ frame.T + place, np.float32)
        mesh.normals = np.asarray(mesh.normals @ frame.T, np.float32)


def held(
    anchors: Anchors,
    clear: Clearance,
    vertices: F32,
    texture: F32,
    patterns: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[list[Mesh], str]:
    """Raise a hand, with or without a thing in it.

    Args:
        anchors: of the head; hands stay beside and before it.
        clear: the skin, which nothing enters.
        vertices: a morphed base mesh, for the hand's shape.
        texture: the hand's skin.
        patterns: indices of the sleeve's and the thing's cloth; −1 for a bare arm.
        rng: draws everything.

    Returns:
        the meshes and what it is.
    """
    kind = str(rng.choice(["hand", *KINDS], p=[0.34, 0.18, 0.16, 0.12, 0.10, 0.10]))
    right = bool(rng.random() < 0.5)
    side = -1.0 if right else 1.0
    if kind == "hand":
        gesture = rng.choice(["cheek", "wave", "chin"], p=[0.4, 0.35, 0.25])
        hand = Hand(vertices, right, float(rng.uniform(4, 28)), rng)
        if gesture == "wave":
            at = np.array([side * rng.uniform(1.3, 1.9), rng.uniform(-0.9, 0.1), 1.0])
            palm = np.array([-0.25 * side, 0.0, 1.0])
            fingers = np.array([0.15 * side, 1.0, rng.uniform(-0.1, 0.2)])
        elif gesture == "cheek":
            at = np.array([side * rng.uniform(0.75, 0.95), rng.uniform(-0.9, -0.3), -0.1])
            palm = np.array([-1.0 * side, 0.1, -0.25])
            fingers = np.array([0.0, 1.0, rng.uniform(-0.35, 0.0)])
        else:
            at = np.array([side * rng.uniform(0.1, 0.4), rng.uniform(-1.6, -1.4), 0.7])
            palm = np.array([-0.35 * side, 0.35, -1.0])
            fingers = np.array([-0.55 * side, 0.85, 0.0])
        things: list[Mesh] = []
        label = f"hand {gesture}"
    else:
        things, half, front = thing(kind, rng, patterns[1])
        hand = Hand(vertices, right, float(rng.uniform(22, 40)), rng)
        if kind == "phone":
            at = np.array([side * 0.95, rng.uniform(-0.6, -0.3), -0.35])
            frame = _frame(np.array([side, 0.05, 0.15]), np.array([0.1 * side, 1.0, 0.35]))
        elif kind == "microphone":
            at = np.array([side * 0.10, -1.25, 0.95])
            frame = _frame(np.array([0.0, -0.5, 1.0]), np.array([-0.12 * side, 1.0, -0.35]))
        else:
            low = {"cup": -1.5, "book": -2.2, "ball": -2.2}[kind]
            at = np.array(
                [side * rng.uniform(0.0, 0.6), low + rng.uniform(-0.3, 0.3), 0.7 + 0.5 * front]
            )
            facing = np.array([rng.uniform(-0.4, 0.4), rng.uniform(-0.1, 0.4), 1.0])
            frame = _frame(facing, np.array([rng.uniform(-0.2, 0.2), 1.0, 0.0]))
        _moved(things, anchors.head @ frame, anchors.world(at[None])[0])
        # The palm lies against the thing's side, fingers across its front or back.
        if kind == "phone":
            at = at + np.array([side * 0.09, -0.25, -0.05])
            palm, fingers = np.array([-side, 0.0, -0.1]), np.array([0.0, 1.0, 0.5])
        elif kind == "microphone":
            at = at + np.array([side * 0.05, -0.75, 0.05])
            palm, fingers = np.array([-side, 0.0, 0.1]), np.array([0.0, 0.35, 1.0])
        else:
            at = at + np.array([side * (half + 0.08), -0.1, -0.05])
            palm, fingers = np.array([-side, 0.0, -0.15]), np.array([-0.1 * side, 0.55, 0.85])
        label = kind
    world = anchors.head @ _frame(palm, fingers)
    meshes = hand.meshes(
        world, anchors.world(at[None].astype(np.float32))[0], texture, patterns[0], 0.25
    )
    _pushed([*meshes, *things], anchors, clear, side)
    return [*meshes, *things], label


def _frame(forward: np.ndarray, upward: np.ndarray) -> F32:
    """Return the frame whose third axis is `forward` and whose second is nearest to `upward`."""
    z = unit(np.asarray(forward, np.float32))
    y = unit(np.asarray(upward - z * (upward @ z), np.float32))
    return np.stack([np.cross(y, z), y, z], axis=1)


def _pushed(meshes: list[Mesh], anchors: Anchors, clear: Clearance, side: float) -> None:
    """Move things away from the head until they are outside of it. In place."""
    for _ in range(4):
        points = np.concatenate([m.vertices for m in meshes])
        near = points[np.linalg.norm(points - anchors.eyes, axis=1) < 2.6]
        if not len(near):
            return
        height, normals = clear.above(near)
        worst = int(np.argmin(height))
        lack = 0.02 - float(height[worst])
        if lack <= 0.0:
            return
        way = unit(normals[worst] + 0.4 * side * anchors.head[:, 0] + 0.2 * anchors.head[:, 2])
        for mesh in meshes:
            mesh.vertices = mesh.vertices + np.float32(min(lack, 0.6)) * way
