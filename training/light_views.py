"""Views of environments: what a camera sees of one, and what it does not.

Few environments exist, so each is seen in very many ways: turned, mirrored, tinted, exposed and
clipped anew, through lenses of 30 to 90 degrees, and mixed with another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from relume.exposure import anchor_of
from relume.geometry.camera import Camera
from relume.image import Box
from relume.light import latlong
from relume.light.clues import clues_of, mirrored
from relume.light.estimate import upwards
from relume.light.seen import View, is_burnt, shows
from relume.training.lights import TO_WORKING
from relume.training.stage import environment

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

ROWS = 16
"""Rows of the environments that training compares."""

FINE = 128
"""Rows of those in which light is clipped and cut out, before it is averaged."""

SOURCE = 1024
"""Columns of the environments that pictures are taken of."""

SIDE = 96
"""Pixels along the longer side of a picture."""

ASPECTS = (16 / 9, 16 / 9, 1.85, 2.39, 4 / 3, 3 / 2, 1.0, 2 / 3)


@dataclass(frozen=True, slots=True)
class Draw:
    """One way to look at an environment.

    Attributes:
        fov: horizontal field of view, degrees.
        aspect: width of the picture over its height.
        pitch: degrees that the camera looks up.
        heading: columns of `FINE` rows by which the environment is turned.
        stops: clipping level over the anchor's unit, infinity for none.
        tint: factors on R, G, B.
        doubt: degrees by which the pitch, and share by which the field of view, are misjudged.
    """

    fov: float = 60.0
    aspect: float = 16 / 9
    pitch: float = 0.0
    heading: int = 0
    stops: float = math.inf
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    doubt: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """N views; radiance is relative to each picture's middle grey.

    Attributes:
        clues: N×K.
        reversed: N×K clues of the mirror images.
        mean: N×3 log₂ of the mean colour.
        kept: N×T×3 what a picture shows of T = 2·ROWS² texels, as in `relume.light.seen.Seen`.
        burnt: N×T×3 the clipped part.
        unseen: N×T.
        truth: N×T×3 the environment.
        scenes: N×2 numbers of the scenes, −1 for none.
    """

    clues: F32
    reversed: F32
    mean: F32
    kept: F32
    burnt: F32
    unseen: F32
    truth: F32
    scenes: I64


@lru_cache(maxsize=64)
def scene(name: str) -> F32:
    """Return an environment, ACEScg."""
    return np.asarray(environment.read(name, SOURCE) @ TO_WORKING.T, np.float32)


def drawn(rng: np.random.Generator) -> Draw:
    """Return a random way to look."""
    aspect = ASPECTS[int(rng.integers(len(ASPECTS)))]
    tint = np.exp2(rng.normal(0.0, 0.3, 3))
    return Draw(
        fov=float(rng.uniform(30, 90) if aspect > 1 else rng.uniform(25, 65)),
        aspect=aspect,
        pitch=float(rng.normal(0, 8)),
        heading=int(rng.integers(2 * FINE)),
        stops=math.inf if rng.random() < 0.4 else float(rng.uniform(-1, 3)),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
        doubt=(float(rng.normal(0, 2)), float(rng.normal(0, 0.05))),
    )


def view_of(draw: Draw) -> View:
    """Return the view of a draw in the level frame, its picture `SIDE` pixels long."""
    wide = SIDE if draw.aspect >= 1 else round(SIDE * draw.aspect)
    box = Box.of_size(wide, max(8, round(wide / draw.aspect)))
    return View(Camera(draw.fov, upwards(draw.pitch)), box, box)


def look(image: F32, small: F32, draw: Draw) -> tuple[F32, ...] | None:
    """Return clues, their mirror images, mean, kept, burnt, unseen and truth; None in the dark.

    Args:
        image: SOURCE/2×SOURCE×3 environment.
        small: the same, FINE×2·FINE×3.
        draw: how to look.
    """
    view = view_of(draw)
    around = np.roll(image, draw.heading * image.shape[1] // (2 * FINE), axis=1)
    tint = np.asarray(draw.tint, np.float32)
    picture = latlong.crop(around, view.camera, view.data, view.display) * tint
    clip = 2.0 ** (draw.stops - anchor_of(picture)) if math.isfinite(draw.stops) else math.inf
    shown = np.minimum(picture, np.float32(clip))
    believed = View(Camera(draw.fov * (1 + draw.doubt[1])), view.data, view.display)
    pitch = draw.pitch + draw.doubt[0]
    told = clues_of(shown, believed, pitch, clip)
    other = clues_of(mirrored(shown), believed, pitch, clip)
    if told is None or other is None:
        return None
    light = np.roll(small, draw.heading, axis=1) * tint
    seen = shows(view, latlong.directions(FINE))[..., None]
    burnt = seen & is_burnt(light, clip)[..., None]
    parts = (light * (seen & ~burnt), np.minimum(light, clip) * burnt, 1.0 - seen, light)
    stack = latlong.resize(np.concatenate(parts, axis=-1).astype(np.float32), ROWS)
    flat = stack.reshape(-1, 10)
    gain = np.float32(told.gain)
    return (
        told.values,
        other.values,
        told.mean,
        flat[:, :3] * gain,
        flat[:, 3:6] * gain,
        flat[:, 6],
        flat[:, 7:] * gain,
    )


def views(names: Sequence[str], each: int, seed: int, mixed: float = 0.25) -> Views:
    """Return random views of scenes.

    Args:
        names: of the scenes.
        each: views of a scene.
        seed: of all choices.
        mixed: share of the views in which the light of another scene is added.
    """
    found: list[tuple[tuple[F32, ...], tuple[int, int]]] = []
    for number, name in enumerate(names):
        rng = np.random.default_rng([seed, number])
        image, small = scene(name), latlong.resize(scene(name), FINE)
        for _ in range(each):
            both, fine, second = image, small, -1
            if len(names) > 1 and rng.random() < mixed:
                second = (number + 1 + int(rng.integers(len(names) - 1))) % len(names)
                extra = np.roll(scene(names[second]), 8 * int(rng.integers(FINE // 4)), axis=1)
                extra = extra * np.float32(image.mean() / extra.mean() * 2 ** rng.uniform(-4, 0))
                both = image + extra
                fine = latlong.resize(both, FINE)
            seen = look(both, fine, drawn(rng))
            if seen is not None:
                found.append((seen, (number, second)))
    return gathered(found)


def gathered(found: Iterable[tuple[tuple[F32, ...], tuple[int, int]]]) -> Views:
    """Return views as arrays."""
    seen, scenes = zip(*found, strict=True)
    parts = [np.stack(part).astype(np.float32) for part in zip(*seen, strict=True)]
    clues, other, mean, kept, burnt, unseen, truth = parts
    return Views(clues, other, mean, kept, burnt, unseen, truth, np.asarray(scenes, np.int64))


def without(found: Views, held: Sequence[int]) -> Views:
    """Return the views that show none of some scenes."""
    keep = ~np.isin(found.scenes, held).any(axis=1)
    return Views(*(getattr(found, field.name)[keep] for field in fields(Views)))
