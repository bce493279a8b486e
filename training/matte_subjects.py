"""People to composite for the matting network: from the light stage, or drawn analytically."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from relume.training.matte_backgrounds import Rng, blur, colour, noise_field, scatter, texture

CLOTH, HAIR, SKIN = 3, 2, 1
"""Labels of the light stage."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One lit person.

    Attributes:
        foreground: 3×H×W straight scene-linear, any scale; whatever lies outside the matte.
        alpha: H×W, 0 to 1.
        labels: H×W of the light stage's labels, 0 outside.
        floating: whether it ends inside the picture, as a scanned head does.
    """

    foreground: Tensor
    alpha: Tensor
    labels: Tensor
    floating: bool = False


class Subjects:
    """A pool of lit people, renewed one at a time while it is drawn from.

    Args:
        render: (view index, rng) to a lit subject; called rarely, may be slow.
        count: number of views that `render` knows, asked at every renewal as data sets grow.
        pool: subjects held in memory.
        drawn: share of analytic figures among those drawn.
        heads: share of the others that end at the neck.
    """

    def __init__(
        self,
        render: Callable[[int, Rng], Subject],
        count: Callable[[], int],
        *,
        pool: int = 500,
        drawn: float = 0.1,
        heads: float = 0.0,
    ) -> None:
        self._render, self._count = render, count
        self._pool: list[Subject] = []
        self._size, self._drawn, self._heads = pool, drawn, heads

    def draw(self, rng: Rng) -> Subject:
        """Return one person, with clothes and hair recoloured at random."""
        known = self._count()
        if not known or rng.random() < self._drawn:
            return analytic(rng)
        if len(self._pool) < min(self._size, 2 * known) or rng.random() < 0.15:
            fresh = self._render(int(rng.integers(known)), rng)
            if len(self._pool) < self._size:
                self._pool.append(fresh)
            else:
                self._pool[int(rng.integers(self._size))] = fresh
        found = recolour(self._pool[int(rng.integers(len(self._pool)))], rng)
        return head_of(found) if self._heads and rng.random() < self._heads else found


def head_of(subject: Subject) -> Subject:
    """Return the head and neck of a person alone, as scans show them.

    One whose head is hardly seen stays whole.
    """
    # Soft pixels at a garment's own edge carry no label.
    worn = fn.max_pool2d((subject.labels == CLOTH).float()[None, None], 5, 1, 2)[0]
    alpha = subject.alpha * (1.0 - blur(worn, 0.7)[0])
    if float(alpha.sum()) < 0.25 * float(subject.alpha.sum()):
        return subject
    return Subject(subject.foreground, alpha, subject.labels, floating=True)


def recolour(subject: Subject, rng: Rng) -> Subject:
    """Return the person in other clothes and another hair colour.

    A lit picture is nearly proportional to reflectance, so a texture multiplied onto the cloth
    looks like another cloth under the same light.
    """
    rgb = subject.foreground
    _, height, width = rgb.shape
    gain = torch.ones_like(rgb)
    if rng.random() < 0.75:
        cloth = blur((subject.labels == CLOTH).float()[None], 0.7)[0]
        grey = rgb.mean(0, keepdim=True)
        covered = subject.labels == CLOTH
        level = float(grey[0][covered].median()) if bool(covered.any()) else 0.1
        # Most new cloths forget the old colour altogether and keep only its light.
        wanted = outfit(rng, height, width) * float(np.exp(rng.normal(0.6, 0.6)))
        painted = grey / max(level, 1e-4) * wanted * float(grey.median() * 2 + 0.1)
        rgb = rgb + (painted - rgb) * cloth if rng.random() < 0.75 else rgb
        gain = gain + (colour(rng)[:, None, None] * 2.0 - 1.0) * cloth * float(rng.random() < 0.35)
    if rng.random() < 0.5:
        # Badges, straps, ties and pockets: what is on a person belongs to the person.
        cloth = blur((subject.labels == CLOTH).float()[None], 0.7)[0]
        covered = subject.alpha > 0.5
        level = float(rgb.mean(0)[covered].mean()) if bool(covered.any()) else 0.2
        things = scatter(rng, rgb, int(rng.integers(1, 7)), level)
        rgb = rgb + (things - rgb) * cloth
    if rng.random() < 0.3:
        hair = blur((subject.labels == HAIR).float()[None], 0.7)[0]
        tint = torch.from_numpy(np.exp(rng.normal([0.3, 0.1, -0.1], 0.6)).astype("f4"))
        gain = gain * (1 + (tint[:, None, None] - 1) * hair)
    return Subject(rgb * gain, subject.alpha, subject.labels, subject.floating)


def outfit(rng: Rng, height: int, width: int) -> Tensor:
    """Return a 3×H×W reflectance of clothes: one cloth, or several that meet in seams.

    A jacket over a shirt, a yoke, sleeves, a harness: one garment a person teaches that clothes
    end where their colour does.
    """
    whole = texture(rng, height, width)
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    for _ in range(int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))):
        turn = float(rng.uniform(0, 2 * np.pi))
        across = x * float(np.cos(turn)) + y * float(np.sin(turn)) - float(rng.normal(0, 0.35))
        # Half a plane is a seam; a band is a strap, a belt or an open jacket's shirt.
        if rng.random() < 0.5:
            across = float(np.exp(rng.uniform(np.log(0.03), np.log(0.4)))) - across.abs()
        part = (across * (width / 4) + 0.5).clamp(0, 1)
        whole = whole + (texture(rng, height, width) - whole) * part
    return whole


def analytic(rng: Rng, size: int = 224) -> Subject:
    """Return a bust made of formulas: head, neck, shoulders, hair with loose strands.

    Crude beside the light stage, and different from it in every respect but the outline of a
    person, which keeps a network from learning one renderer by heart.
    """
    y, x = torch.meshgrid(
        torch.linspace(-1.1, 1.3, size), torch.linspace(-1.2, 1.2, size), indexing="ij"
    )
    pixel = 2.4 / size
    wide = float(rng.uniform(0.3, 0.4))
    tall = wide * float(rng.uniform(1.25, 1.5))
    cx, cy = float(rng.normal(0, 0.06)), -0.35
    u = (x - cx) / wide
    v = (y - cy) / tall
    head = (u * (1 + 0.25 * v.clamp(0, 1))) ** 2 + v**2
    drop = float(rng.uniform(0.75, 1.1))
    span = float(rng.uniform(0.75, 1.15))
    slope = float(rng.uniform(2.0, 3.5))
    body = (x / span).abs() ** slope + ((y - 1.75) / (1.75 - cy - tall * drop)).abs() ** slope
    neck_wide = wide * float(rng.uniform(0.45, 0.7))
    neck = torch.maximum((x - cx * 0.7).abs() / neck_wide, (y - 0.3).abs() / 0.6)

    def edge(level: Tensor, scale: float, soft: float = 1.0) -> Tensor:
        return ((1 - level) * scale / (2 * pixel * soft) + 0.5).clamp(0, 1)

    frizz = noise_field(rng, size, size, octaves=5, first=4) * float(rng.uniform(0.01, 0.08))
    fringe = float(rng.uniform(-0.75, -0.2))
    volume = float(rng.uniform(1.02, 1.35))
    reach = float(rng.uniform(-0.2, 1.6))
    cap = torch.sqrt((u / volume) ** 2 + (v / (volume * 1.02)) ** 2 + 1e-6) + frizz
    hair = edge(cap, wide, float(rng.uniform(1, 3))) * ((reach - v) * 8 + 0.5).clamp(0, 1)
    face = edge(head.sqrt(), wide) * ((v - fringe + 0.25 * u * float(rng.normal())) * 10).clamp(
        0, 1
    )
    bald = rng.random() < 0.12
    strands = torch.zeros(size, size) if bald else _strands(rng, size, cx, cy, wide, tall, volume)
    shoulders = edge(body, span)
    throat = edge(neck, wide)

    light = rng.normal([0, -0.4, 0.8], [0.8, 0.4, 0.2])
    light = light / np.linalg.norm(light)
    lx, ly, lz = (float(c) for c in light)
    ambient = float(rng.uniform(0.1, 0.5))

    def shade(a: Tensor, b: Tensor) -> Tensor:
        depth = (1 - a**2 - b**2).clamp(min=0.02).sqrt()
        return ambient + (1 - ambient) * (a * lx + b * ly + depth * lz).clamp(min=0)

    tone = rng.random()
    skin = torch.from_numpy(
        np.exp(
            np.log([0.6, 0.4, 0.3]) * tone
            + np.log([0.08, 0.04, 0.025]) * (1 - tone)
            + rng.normal(0, 0.08, 3)
        ).astype("f4")
    )
    shine = float(np.exp(rng.uniform(np.log(0.01), np.log(0.4))))
    hair_colour = shine * torch.tensor([1.0, 0.7, 0.45]) ** float(rng.uniform(0, 1.5))
    lock = torch.exp(0.35 * noise_field(rng, size, size, octaves=5, first=6))
    skin_plane = skin[:, None, None] * shade(u * 0.8, v * 0.7)
    for dx in (-0.38, 0.38):
        spot = torch.exp(-(((u - dx) / 0.15) ** 2 + ((v + 0.1) / 0.06) ** 2))
        skin_plane = skin_plane * (1 - 0.8 * spot)
        brow = torch.exp(-(((u - dx) / 0.22) ** 4 + ((v + 0.28) / 0.05) ** 2))
        skin_plane = skin_plane * (1 - 0.6 * brow)
    mouth = torch.exp(-((u / 0.3) ** 4 + ((v - 0.5) / 0.07) ** 2))
    skin_plane = skin_plane * (1 - mouth * torch.tensor([0.2, 0.5, 0.4])[:, None, None])
    folds = torch.exp(0.15 * noise_field(rng, size, size, octaves=4))
    cloth_plane = outfit(rng, size, size) * shade(x / span * 0.8, (y - 1) * 0.5) * folds
    hair_plane = hair_colour[:, None, None] * lock * shade(u * 0.6, v * 0.6)

    back = rng.random() < 0.5
    layers = [
        (hair_plane, torch.zeros_like(hair) if bald or not back else hair, HAIR),
        (skin_plane * 0.8, throat, SKIN),
        (cloth_plane, shoulders, CLOTH),
        (hair_plane, torch.zeros_like(hair) if bald or back else hair, HAIR),
        (skin_plane, edge(head.sqrt(), wide) if bald else face, SKIN),
        (hair_plane, strands, HAIR),
    ]
    colour_sum = torch.zeros(3, size, size)
    alpha = torch.zeros(size, size)
    labels = torch.zeros(size, size, dtype=torch.uint8)
    for plane, mask, label in layers:
        colour_sum = plane * mask + colour_sum * (1 - mask)
        alpha = mask + alpha * (1 - mask)
        labels[mask > 0.4] = label
    return Subject(colour_sum / alpha.clamp(min=1e-3), alpha, labels)


def _strands(
    rng: Rng, size: int, cx: float, cy: float, wide: float, tall: float, volume: float
) -> Tensor:
    """Return the coverage of loose hairs around a head, drawn as splatted curves."""
    count = int(rng.integers(0, 160))
    if count == 0:
        return torch.zeros(size, size)
    angle = rng.uniform(-np.pi, 0.0, (count, 1)) + rng.normal(0, 0.3, (count, 1))
    t = np.linspace(0, 1, 48)[None]
    length = rng.gamma(2.0, 0.06, (count, 1))
    radius = volume * 0.97 + t * length / wide
    bend = angle + t * rng.normal(0, 0.5, (count, 1)) * length / wide
    px = cx + wide * radius * np.cos(bend)
    py = cy + tall * radius * np.sin(bend) + t**2 * length * rng.uniform(0, 1)
    column = np.round((px + 1.2) / 2.4 * (size - 1)).astype(int)
    row = np.round((py + 1.1) / 2.4 * (size - 1)).astype(int)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    weight = np.broadcast_to(rng.uniform(0.15, 0.8, (count, 1)) * (1 - 0.7 * t), row.shape)
    cover = np.zeros((size, size), np.float32)
    np.maximum.at(cover, (row[inside], column[inside]), weight[inside].astype("f4"))
    return blur(torch.from_numpy(cover)[None], 0.5)[0].mul(1.3).clamp(0, 1)


def proportions(rng: Rng, *, cut: bool) -> Tensor:
    """Return how many times wider a person shall be at 32 heights from top to bottom, near 1.

    A network that has met few people learns their outline by heart – shoulders so wide below a
    head so wide – and paints it over what the picture shows. Broad and narrow ones teach it to
    look.

    Args:
        rng: random numbers.
        cut: whether the view cuts the person at a side, who may then not grow narrower.
    """
    knots = torch.from_numpy(rng.normal(0.0, 0.28, (1, 1, 5)).astype(np.float32))
    stops = fn.interpolate(knots, 32, mode="linear", align_corners=True)[0, 0]
    return torch.exp2(stops.abs() if cut else stops)


def warp(
    subject: Subject, matrix: np.ndarray, height: int, width: int, widths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return premultiplied colour 3×H×W and alpha H×W of a subject placed in a frame.

    Args:
        subject: the person.
        matrix: 2×3, from frame pixels (x, y, 1) to subject pixels.
        height: of the frame.
        width: of the frame.
        widths: how many times wider the person is at heights from the view's top to its bottom,
            about the person's middle; None for as it is.
    """
    alpha = subject.alpha[None]
    planes = torch.cat((subject.foreground * alpha, alpha))[None]
    shrink = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    steps = 0
    while shrink > 1.7 and steps < 3:
        planes = fn.avg_pool2d(planes, 2)
        matrix = matrix / 2.0 - np.array([[0, 0, 0.25], [0, 0, 0.25]])
        shrink, steps = shrink / 2, steps + 1
    rows, columns = planes.shape[2:]
    # affine_grid works in coordinates where the outer pixel edges are ±1.
    frame = np.array(
        [[width / 2, 0, width / 2 - 0.5], [0, height / 2, height / 2 - 0.5], [0, 0, 1]]
    )
    source = np.array([[2 / columns, 0, 1 / columns - 1], [0, 2 / rows, 1 / rows - 1], [0, 0, 1]])
    theta = source @ np.vstack((matrix, [0, 0, 1])) @ frame
    grid = fn.affine_grid(
        torch.from_numpy(theta[None, :2].astype("f4")), [1, 4, height, width], align_corners=False
    )
    if widths is not None:
        columns_covered = planes[0, 3].sum(0)
        middle = float((columns_covered * torch.linspace(-1, 1, columns)).sum())
        middle /= max(float(columns_covered.sum()), 1e-6)
        at = ((grid[..., 1] + 1) / 2 * (len(widths) - 1)).clamp(0, len(widths) - 1.001)
        low = at.long()
        wider = torch.lerp(widths[low], widths[low + 1], at - low)
        grid = torch.stack((middle + (grid[..., 0] - middle) / wider, grid[..., 1]), -1)
    mode = "bicubic" if shrink < 0.7 else "bilinear"
    out = fn.grid_sample(planes, grid, mode=mode, padding_mode="zeros", align_corners=False)[0]
    cover = out[3].clamp(0, 1)
    if shrink < 0.7:
        # Enlarged edges are soft; real frames this close are sharp more often than not.
        steep = float(min(2.0, 0.8 / shrink))
        sharp = ((cover - 0.5) * steep + 0.5).clamp(0, 1)
        # Keeps hair, whose coverage is low over a wide area, from vanishing.
        sharp = torch.maximum(sharp, cover * 0.6)
        straight = out[:3] / cover.clamp(min=1e-3)
        return straight * sharp, sharp
    return out[:3], cover


def scenes(subjects: Sequence[Subject]) -> Callable[[int, Rng], Subject]:
    """Return a `render` for `Subjects` that serves a fixed list."""

    def render(index: int, rng: Rng) -> Subject:
        return subjects[index]

    return render
