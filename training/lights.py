"""Lights to train under: real environments turned at will, small lamps and studio rigs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relume.files import replacing
from relume.shading.types import EXPONENTS
from relume.training.stage import environment

F32 = NDArray[np.float32]
F16 = NDArray[np.float16]

TO_WORKING = np.array(
    [
        [0.6130974, 0.3395231, 0.0473795],
        [0.0701937, 0.9163539, 0.0134524],
        [0.0206156, 0.1095698, 0.8698147],
    ],
    np.float32,
)
"""Linear Rec.709 to ACEScg (AP1, Bradford adapted): networks work in the working space."""

HEIGHT = 64
"""Rows of the lat-long images that lights are kept in."""

MAP_EXPONENTS = EXPONENTS
"""A light's maps, in order. The first, exponent 1, is the diffuse map too: the kernels agree."""


@dataclass(slots=True, eq=False)
class Lamp:
    """One light from all around and its maps.

    Attributes:
        radiance: H×2H×3 ACEScg, with a mean of 1 over the sphere.
        maps: 4×3×H×2H half-precision lobe maps, in `MAP_EXPONENTS` order.
        harmonics: 16×3 coefficients to order 3.
    """

    radiance: F32
    maps: F16
    harmonics: F32


class Pool:
    """A fixed list of lights."""

    def __init__(self, lamps: Sequence[Lamp]) -> None:
        self.lamps = list(lamps)

    @classmethod
    def drawn(cls, split: str, count: int, seed: int) -> Pool:
        """Return a random pool: six tenths real environments, the rest lamps and rigs.

        Args:
            split: whose environments to use.
            count: how many lights.
            seed: of the choice.
        """
        names = environment.names(split)
        rng = np.random.default_rng([seed, count])
        lamps = []
        for number in range(count):
            kind = number % 10
            if kind < 6:
                image = environment.read(names[int(rng.integers(len(names)))], 2 * HEIGHT)
                image = environment.rotated(image, float(rng.uniform(0, 360)))
                if rng.random() < 0.5:
                    image = image[:, ::-1]
                image = image @ TO_WORKING.T
            else:
                image = small_lamp(rng) if kind < 8 else studio(rng)
            lamps.append(lamp(image))
        return cls(lamps)

    @classmethod
    def stored(cls, path: Path, split: str, count: int, seed: int) -> Pool:
        """Return a drawn pool from a file, which is made if missing: convolving takes a minute."""
        if not path.exists():
            made = cls.drawn(split, count, seed)
            with replacing(path) as partial, partial.open("wb") as file:
                np.savez(
                    file,
                    radiance=np.stack([each.radiance for each in made.lamps]),
                    maps=np.stack([each.maps for each in made.lamps]),
                    harmonics=np.stack([each.harmonics for each in made.lamps]),
                )
        with np.load(path, allow_pickle=False) as stored:
            if "maps" not in stored:
                return cls([lamp(image.astype(np.float32)) for image in stored["radiance"]])
            planes = (stored["radiance"], stored["maps"], stored["harmonics"])
        return cls([Lamp(*parts) for parts in zip(*planes, strict=True)])

    def __len__(self) -> int:
        return len(self.lamps)

    def __getitem__(self, position: int) -> Lamp:
        return self.lamps[position]


def lamp(image: F32) -> Lamp:
    """Return a light of an H×2H×3 ACEScg image, scaled to a mean radiance of 1."""
    from relume.training.lighting import project

    solid = environment.row_weights(HEIGHT)[:, None, None]
    flux = float((image * solid).sum()) / (3 * 4 * np.pi)
    image = np.ascontiguousarray(image / max(flux, 1e-9), np.float32)
    maps = np.stack([environment.lobe_map(image, n) for n in MAP_EXPONENTS])
    maps = np.clip(maps.transpose(0, 3, 1, 2), 0.0, 6e4)
    return Lamp(image, maps.astype(np.float16), project(image))


def small_lamp(rng: np.random.Generator) -> F32:
    """Return one disc of light, from a bulb to a big softbox, over a faint fill."""
    towards = environment.texel_directions(HEIGHT)
    cosine = towards @ _direction(rng)
    half = np.radians(rng.uniform(3.0, 35.0))
    inside = cosine > min(np.cos(half), float(cosine.max()) - 1e-6)
    image = np.zeros((HEIGHT, 2 * HEIGHT, 3), np.float32)
    solid = np.broadcast_to(environment.row_weights(HEIGHT)[:, None], inside.shape)
    image[inside] = _tint(rng, 0.2) / solid[inside].sum()
    fill = 0.0 if rng.random() < 0.3 else 10.0 ** rng.uniform(-3.0, -1.0)
    return np.asarray(image + fill / np.pi * _tint(rng, 0.2), np.float32)


def studio(rng: np.random.Generator) -> F32:
    """Return a rig: key, fill, perhaps more lamps, perhaps a sky gradient."""
    image = small_lamp(rng)
    for _ in range(int(rng.integers(1, 4))):
        image = image + small_lamp(rng) * 10.0 ** rng.uniform(-1.2, 0.2)
    if rng.random() < 0.5:
        sky = np.clip(environment.texel_directions(HEIGHT)[..., 1:2] * 0.5 + 0.5, 0, 1)
        image = image + sky * _tint(rng, 0.3) * 10.0 ** rng.uniform(-2.0, -0.5)
    return np.asarray(image, np.float32)


def _direction(rng: np.random.Generator) -> F32:
    """Return a unit direction, from the front and from above more often than not."""
    v = rng.normal(size=3)
    if rng.random() < 0.6:
        v[2] = abs(v[2])
    if rng.random() < 0.5:
        v[1] = abs(v[1])
    return np.asarray(v / np.linalg.norm(v), np.float32)


def _tint(rng: np.random.Generator, amount: float) -> F32:
    tint = np.exp(rng.normal(0.0, amount, 3))
    return np.asarray(tint / tint.mean(), np.float32)
