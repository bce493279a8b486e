"""Hats, and what they do to the hair: knitted beanies and caps on any head, a fedora on some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from relume.training.stage.anchors import Anchors, first_hit, outward
from relume.training.stage.geometry import CLOTH, F32, I32, Mesh, rotation, smoothstep
from relume.training.stage.tubes import grid_faces, solid

_ACROSS, _DOWN = 96, 40


@dataclass(frozen=True, slots=True)
class Fit:
    """How a beanie or a cap sits.

    Attributes:
        kind: beanie or cap.
        back: tilt of its axis backwards, degrees.
        rim: angle of the rim from the axis, degrees.
        thick: of the cloth, decimetres.
        slouch: how far it stands up over the crown, as a share of the skull's radius.
        cuff: height of a turned-up edge as a share of the crown, 0 for none.
        peak: length of a cap's peak, decimetres.
        turned: a cap worn back to front.
    """

    kind: str
    back: float
    rim: float
    thick: float
    slouch: float
    cuff: float
    peak: float
    turned: bool


def draw(kind: str, rng: np.random.Generator) -> Fit:
    """Draw how a beanie or a cap sits."""
    knitted = kind == "beanie"
    return Fit(
        kind=kind,
        back=float(rng.uniform(14, 24) if knitted else rng.uniform(8, 14)),
        rim=float(rng.uniform(88, 97) if knitted else rng.uniform(86, 92)),
        thick=float(rng.uniform(0.05, 0.10) if knitted else rng.uniform(0.04, 0.06)),
        slouch=float(rng.choice([0.02, rng.uniform(0.05, 0.25)]) if knitted else 0.05),
        cuff=float(rng.choice([0.0, rng.uniform(0.22, 0.34)], p=[0.3, 0.7]) if knitted else 0.0),
        peak=0.0 if knitted else float(rng.uniform(0.60, 0.80)),
        turned=bool(not knitted and rng.random() < 0.15),
    )


def shell(anchors: Anchors, skin: Mesh, fit: Fit, pattern: int) -> list[Mesh]:
    """Return a beanie or a cap over the skull of a head.

    Args:
        anchors: of the head.
        skin: its surface, hair apart.
        fit: how it sits.
        pattern: index of its cloth.
    """
    frame = anchors.head @ rotation(0.0, -fit.back, 0.0)
    around = np.arange(_ACROSS) * (2.0 * np.pi / _ACROSS)
    down = np.linspace(0.0, 1.0, _DOWN)
    # The rim dips towards the nape and the brow a little less than straight.
    rim = np.radians(fit.rim + 4.0 * np.cos(2.0 * around) * (0.5 if fit.kind == "cap" else 1.0))
    polar = np.maximum(down[:, None] * rim[None], 1e-3)
    away = np.stack(
        [
            np.sin(polar) * np.sin(around),
            np.cos(polar),
            np.sin(polar) * np.cos(around),
        ],
        axis=-1,
    )
    ways = (away.reshape(-1, 3) @ frame.T).astype(np.float32)
    far = np.float32(2.0)
    hit = first_hit(skin.vertices, skin.faces, anchors.skull + far * ways, -ways)
    radius = np.where(np.isfinite(hit), far - hit, np.nan).reshape(_DOWN, _ACROSS)
    radius = np.where(np.isfinite(radius), radius, np.nanmedian(radius))
    # Ears and brows do not show through: nothing stands out further than the crown around it.
    smooth = gaussian_filter(radius, (2.0, 3.0), mode=("nearest", "wrap"))
    radius = np.maximum(smooth, np.minimum(radius, smooth * 1.03))
    radius = gaussian_filter(radius, (1.0, 1.5), mode=("nearest", "wrap")) + fit.thick
    crown = np.cos(0.5 * np.pi * down[:, None]) ** 2
    radius = radius * (1.0 + fit.slouch * crown)
    if fit.cuff > 0.0:
        edge = smoothstep(1.0 - fit.cuff, 1.0 - 0.85 * fit.cuff, down[:, None].astype(np.float32))
        radius = radius + 0.6 * fit.thick * edge
    points = anchors.skull + ways.reshape(_DOWN, _ACROSS, 3) * radius[..., None]
    # The edge turns in to the head.
    inner = (
        anchors.skull
        + ways.reshape(_DOWN, _ACROSS, 3)[-1] * (radius[-1] - fit.thick - 0.05)[:, None]
    )
    rows = np.concatenate([points, inner[None]])
    hat = solid(
        rows.reshape(-1, 3),
        grid_faces(_DOWN + 1, _ACROSS, around=True)[:, ::-1],
        CLOTH,
        np.ones(3, np.float32),
        pattern=pattern,
    )
    hat.bump = 0.35
    found = [hat]
    if fit.peak > 0.0:
        found.append(_peak(rows[_DOWN - 2], frame, anchors, fit, pattern))
    return found


def _peak(rim: F32, frame: F32, anchors: Anchors, fit: Fit, pattern: int) -> Mesh:
    """Return a cap's peak: a curved sheet before the brow, with a thickness."""
    ahead = frame[:, 2] * (-1.0 if fit.turned else 1.0)
    middle = 0 if not fit.turned else len(rim) // 2
    reach = 15
    edge = rim[(middle + np.arange(-reach, reach + 1)) % len(rim)]
    spread = np.linspace(-1.0, 1.0, 2 * reach + 1)
    length = fit.peak * np.sqrt(np.maximum(1.0 - 0.92 * spread**4, 0.0)) * (1 - 0.25 * spread**2)
    out = np.linspace(-0.06, 1.0, 14)[:, None]
    fall = np.radians(18.0)
    forward = ahead * np.cos(fall) - frame[:, 1] * np.sin(fall)
    sheet = edge[None] + forward * (out * length)[..., None]
    sheet = sheet - frame[:, 1] * (0.10 * np.clip(out, 0, 1) * spread**2)[..., None]
    up = frame[:, 1] * 0.012
    rows = np.concatenate([sheet + up, sheet[::-1] - up])
    peak = solid(
        rows.reshape(-1, 3),
        grid_faces(len(rows), rows.shape[1], around=False)[:, ::-1],
        CLOTH,
        np.ones(3, np.float32),
        pattern=pattern,
    )
    peak.bump = 0.1
    return peak


def under(hat: list[Mesh], centre: F32, points: F32, *, beyond: bool) -> np.ndarray:
    """Return which points a hat covers, seen from the skull's centre.

    Args:
        hat: the hat.
        centre: of the skull.
        points: P×3.
        beyond: only points that are outside of it count.
    """
    vertices, faces = together(hat)
    ways, distance = outward(points, centre)
    hit = first_hit(vertices, faces, np.broadcast_to(centre, points.shape), ways)
    return np.asarray(hit < distance if beyond else np.isfinite(hit))


def together(meshes: list[Mesh]) -> tuple[F32, I32]:
    """Return several meshes' vertices and faces as one."""
    starts = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    faces = [m.faces + s for m, s in zip(meshes, starts, strict=False)]
    return np.concatenate([m.vertices for m in meshes]), np.concatenate(faces).astype(np.int32)


def kept_strands(hat: list[Mesh], centre: F32, strands: F32) -> np.ndarray:
    """Return which strands show: rooted beside the hat, and nowhere through it."""
    free = ~under(hat, centre, strands[:, 0], beyond=False)
    left = np.flatnonzero(free)
    knots = strands[left]
    through = under(hat, centre, knots.reshape(-1, 3), beyond=True).reshape(knots.shape[:2])
    free[left] = ~through.any(axis=1)
    return free


def shortened(strands: F32, longest: float) -> F32:
    """Return strands cut to a length, those of long hair left as they hang.

    Args:
        strands: S×K×3 points.
        longest: decimetres.
    """
    steps = np.linalg.norm(np.diff(strands, axis=1), axis=2)
    length = steps.sum(axis=1)
    if float(np.median(length)) > 1.2:
        return strands
    knots = strands.shape[1]
    share = np.minimum(longest / np.maximum(length, 1e-6), 1.0)
    place = np.linspace(0.0, knots - 1.0, knots)[None] * share[:, None]
    lower = np.minimum(place.astype(np.int64), knots - 2)
    part = (place - lower)[..., None].astype(np.float32)
    a = np.take_along_axis(strands, lower[..., None], axis=1)
    b = np.take_along_axis(strands, lower[..., None] + 1, axis=1)
    return np.asarray(a * (1.0 - part) + b * part, np.float32)


def press(skin: Mesh, hat: list[Mesh], centre: F32, depth: float = 0.12) -> None:
    """Draw the skull in under a hat, so that no head is too big for it. In place."""
    near = np.linalg.norm(skin.vertices - centre, axis=1) < 2.0
    covered = np.zeros(len(skin.vertices), bool)
    covered[near] = under(hat, centre, skin.vertices[near], beyond=False)
    # Only where the hat is close: a brim shades a face without touching it.
    vertices, faces = together(hat)
    ways, distance = outward(skin.vertices[covered], centre)
    hit = first_hit(vertices, faces, np.broadcast_to(centre, ways.shape).copy(), ways)
    close = np.flatnonzero(covered)[np.abs(hit - distance) < 0.35]
    chosen = close[(skin.vertices[close] - centre)[:, 1] > 0.15]
    skin.vertices[chosen] -= skin.normals[chosen] * np.float32(depth)
