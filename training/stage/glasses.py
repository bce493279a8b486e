"""Glasses fitted to a head: rims, bridge and temples, of plastic, horn or metal.

Clear lenses are left out: what they add, a faint reflection, the stage's transport has no place
for. Dark ones are opaque.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relume.training.stage.anchors import Anchors, Clearance
from relume.training.stage.geometry import F32, I32, OTHER, Mesh, noise
from relume.training.stage.tubes import grid_faces, solid, tube

SHAPES = ("round", "oval", "rectangle", "wayfarer", "aviator", "cat")


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair of glasses; lengths in decimetres.

    Attributes:
        shape: of the lenses, one of `SHAPES`.
        metal: wire, else plastic or horn.
        thick: half the frame's thickness.
        colour: linear albedo.
        horn: clouded with darker patches.
        half_rim: nothing below the lenses.
        dark: opaque lenses.
        half_width: half a lens's width on eyes 0.62 apart.
        tilt: of the front, its lower edge towards the cheeks, degrees.
        slip: how far it has slid down the nose.
    """

    shape: str
    metal: bool
    thick: float
    colour: tuple[float, float, float]
    horn: bool
    half_rim: bool
    dark: bool
    half_width: float
    tilt: float
    slip: float


def outline(shape: str, count: int = 48) -> F32:
    """Return a lens's outline: count×2 points, x outwards from the nose, within ±1 about."""
    angle = np.arange(count) * (2.0 * np.pi / count)
    cos, sin = np.cos(angle), np.sin(angle)
    power = {"round": 2.0, "oval": 2.2, "rectangle": 5.0, "wayfarer": 3.2, "aviator": 2.4}.get(
        shape, 2.6
    )
    x = np.sign(cos) * np.abs(cos) ** (2.0 / power)
    y = np.sign(sin) * np.abs(sin) ** (2.0 / power)
    y = y * {"round": 1.0, "oval": 0.72, "rectangle": 0.58, "aviator": 0.86}.get(shape, 0.74)
    if shape == "wayfarer":
        x = x * (1.0 + 0.10 * y)
        y = y + 0.06 * x * (y > 0)
    elif shape == "aviator":
        # The lower edge hangs outwards, the upper one is flat.
        x = x * (1.0 + 0.08 * y) + 0.10 * np.minimum(y, 0.0) * -1.0 * (x > 0)
        y = np.where(y > 0, 0.8 * y, 1.05 * y)
    elif shape == "cat":
        y = y + 0.22 * np.clip(x, 0, 1) ** 2 * np.clip(y + 0.3, 0, 1)
    return np.stack([x, y], axis=1).astype(np.float32)


def draw(rng: np.random.Generator) -> Pair:
    """Draw a pair of glasses."""
    shape = str(rng.choice(SHAPES, p=[0.2, 0.12, 0.26, 0.22, 0.1, 0.1]))
    metal = bool(rng.random() < (0.8 if shape == "aviator" else 0.35))
    thick = float(rng.uniform(0.006, 0.011) if metal else rng.uniform(0.016, 0.034))
    colours = (
        [(0.30, 0.29, 0.28), (0.45, 0.33, 0.15), (0.05, 0.05, 0.05), (0.42, 0.26, 0.2)]
        if metal
        else [
            *[(0.012, 0.012, 0.013)] * 3,
            *[(0.09, 0.04, 0.018)] * 2,
            (0.02, 0.03, 0.09),
            (0.28, 0.02, 0.03),
            (0.6, 0.58, 0.54),
            (0.35, 0.26, 0.16),
        ]
    )
    colour = colours[int(rng.integers(len(colours)))]
    return Pair(
        shape=shape,
        metal=metal,
        thick=thick,
        colour=colour,
        horn=bool(not metal and colour[0] > 0.05 and rng.random() < 0.6),
        half_rim=bool(shape in ("rectangle", "oval") and rng.random() < 0.25),
        dark=bool(rng.random() < (0.4 if shape == "aviator" else 0.10)),
        half_width=float(rng.uniform(0.235, 0.275)),
        tilt=float(rng.uniform(4.0, 10.0)),
        slip=float(rng.uniform(-0.01, 0.05)),
    )


def glasses(anchors: Anchors, clear: Clearance, drawn: Pair, seed: int) -> list[Mesh]:
    """Put glasses on a head.

    Args:
        anchors: of the head.
        clear: its skin, which the frame does not enter.
        drawn: what `draw` said.
        seed: of the horn's clouds.

    Returns:
        the frame, and dark lenses where drawn.
    """
    size = drawn.half_width
    thick = drawn.thick
    deep = thick if drawn.metal else 1.25 * thick
    apart = 0.5 * float(np.linalg.norm(anchors.eyeballs[0] - anchors.eyeballs[1]))
    size *= apart / 0.311
    centre = max(apart + 0.01, size + 0.075)
    flat = outline(drawn.shape) * size
    rims = []
    for side in (1.0, -1.0):
        x = side * (centre + flat[:, 0])
        y = flat[:, 1] - 0.02 - drawn.slip
        rims.append(np.stack([x, y, np.zeros_like(x)], axis=1))
    inner = [rim[np.argmin(np.abs(rim[:, 0]) - 0.35 * rim[:, 1])] for rim in rims]
    arc = np.linspace(0.0, 1.0, 13)[:, None]
    bridge = inner[0] * (1 - arc) + inner[1] * arc
    bridge[:, 1] += 0.045 * np.sin(np.pi * arc[:, 0])
    outer = [rim[np.argmax(np.abs(rim[:, 0]) + 0.55 * rim[:, 1])] for rim in rims]

    def placed(points: F32, forward: float) -> F32:
        """Bend the front around the face, tilt it, and bring it before the eyes."""
        bent = points.copy()
        bent[:, 2] -= 0.11 * points[:, 0] ** 2
        tilt = np.tan(np.radians(drawn.tilt))
        bent[:, 2] += points[:, 1] * tilt + forward
        return anchors.world(bent.astype(np.float32))

    # Before the cornea, and as far forward as nose, brow and cheeks ask for.
    forward = anchors.eye + 0.10
    for _ in range(3):
        front = np.concatenate([placed(part, forward) for part in (*rims, bridge)])
        height, normals = clear.above(front)
        ahead = np.maximum(normals @ anchors.head[:, 2], 0.25)
        lack = np.maximum(deep + 0.008 - height, 0.0) / ahead
        forward += float(np.clip(np.quantile(lack, 0.98), 0.0, 0.25))
        if forward > anchors.eye + 0.45:
            break
    facing = anchors.head[:, 2]
    parts = []
    for rim in rims:
        points = placed(rim, forward)
        if drawn.half_rim:
            upper = np.flatnonzero(rim[:, 1] > rim[:, 1].mean() - 0.25 * size * 0.6)
            start = int(upper[np.argmax(np.diff(np.r_[upper[-1] - len(rim), upper]))])
            order = (start + np.arange(len(upper))) % len(rim)
            parts.append(tube(points[order], thick, deep, facing, closed=False, power=3.0))
        else:
            power = 2.0 if drawn.metal else 3.5
            parts.append(tube(points, thick, deep, facing, closed=True, power=power))
    parts.append(tube(placed(bridge, forward), 0.9 * thick, deep, facing, closed=False, power=3.0))
    for side, (end, ear) in enumerate(zip(outer, anchors.ears, strict=True)):
        parts.append(_temple(anchors, clear, placed(end[None], forward)[0], ear, side, drawn))
    vertices, faces = _joined(parts)
    colour = np.broadcast_to(np.array(drawn.colour, np.float32), (len(vertices), 3))
    if drawn.horn:
        clouds = np.clip(0.5 + 0.9 * noise(vertices, 0.16, seed), 0.0, 1.0)[:, None]
        colour = colour * (1.0 - 0.85 * clouds)
    found = [solid(vertices, faces, OTHER, colour.astype(np.float32))]
    if drawn.dark:
        for rim in rims:
            found.append(_lens(rim, lambda p: placed(p, forward)))
    return found


def _temple(
    anchors: Anchors,
    clear: Clearance,
    hinge: F32,
    ear: F32,
    side: int,
    drawn: Pair,
) -> tuple[F32, I32]:
    """Return an arm from the front's outer end over the ear and down behind it."""
    thick = drawn.thick
    left = anchors.head[:, 0] * (1.0 if side == 0 else -1.0)
    up, ahead = anchors.head[:, 1], anchors.head[:, 2]
    over = ear + 0.03 * up + 0.02 * left
    along = np.linspace(0.0, 1.0, 28)[:, None]
    straight = hinge * (1.0 - along) + over * along
    # The end piece goes round the corner before the arm runs back.
    straight += left * 0.03 * np.sin(np.pi * along) - ahead * 0.05 * np.sin(np.pi * along) ** 2
    bend = np.linspace(0.0, 1.0, 9)[1:, None]
    behind = over - ahead * 0.22 * bend - up * 0.22 * bend**2 - left * 0.02 * bend
    path = np.concatenate([straight, behind]).astype(np.float32)
    height, _ = clear.above(path)
    lack = np.maximum(thick + 0.012 - height, 0.0)
    # Arms bend outwards as one: a smooth bow over the widest lack.
    bow = np.convolve(np.pad(lack, 4, mode="edge"), np.ones(9) / 9.0, mode="valid")
    bow = np.maximum(bow, lack)
    bow[:2] = np.minimum(bow[:2], 0.02)
    path = path + left * np.minimum(bow, 0.12)[:, None]
    tall = np.interp(np.arange(len(path)), [0, 12, len(path) - 1], [1.25, 0.8, 0.7]) * thick
    tall = tall * (1.0 if drawn.metal else 1.2)
    flat = np.full(len(path), 0.6 * thick)
    return tube(path, tall, flat, left, closed=False, power=3.0)


def _lens(rim: F32, placed: Callable[[F32], F32]) -> Mesh:
    """Return a dark lens inside a rim, bulging a little."""
    middle = rim.mean(axis=0)
    rings = []
    for share in np.linspace(1e-3, 1.0, 8):
        ring = middle + (rim - middle) * share
        ring[:, 2] += 0.02 * (1.0 - share**2)
        rings.append(ring)
    points = placed(np.concatenate(rings).astype(np.float32))
    faces = grid_faces(len(rings), len(rim), around=True)
    # The left lens's outline is the right one's in a mirror.
    if rim[:, 0].mean() > 0.0:
        faces = faces[:, ::-1]
    return solid(points, faces, OTHER, np.array([0.012, 0.012, 0.013], np.float32))


def _joined(parts: list[tuple[F32, I32]]) -> tuple[F32, I32]:
    """Return several pieces as one."""
    starts = np.cumsum([0, *(len(points) for points, _ in parts)])
    return (
        np.concatenate([points for points, _ in parts]),
        np.concatenate([faces + s for (_, faces), s in zip(parts, starts, strict=False)]).astype(
            np.int32
        ),
    )
