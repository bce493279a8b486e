"""How long a light takes to become maps, and how exact they are: prefilter against brute force."""

from __future__ import annotations

import os
import time
from functools import partial

import numpy as np
from timing import best

from relume.image import Image
from relume.light import latlong
from relume.light.prefilter import prefilter
from relume.light.types import Environment, LightMaps

SIZES = ((1024, 512), (4096, 2048))
RUNS = 5
AIM = 600
"""Milliseconds, for 4096×2048 on two cores."""


def environment(height: int) -> Environment:
    """Return noise of high contrast with a sun of half a degree, seven tenths of all light."""
    rng = np.random.default_rng(0)
    pixels = rng.lognormal(-1, 1, (height, 2 * height, 3)).astype(np.float32)
    sun = np.array([0.48, 0.6, -0.64])
    disc = latlong.directions(height) @ sun > np.cos(np.radians(0.265))
    solid = np.broadcast_to(latlong.solid_angles(height)[:, None], disc.shape)
    rest = float((pixels[..., 1] * solid).sum())
    pixels[disc] += 7 / 3 * rest / solid[disc].sum()
    return Environment(Image(pixels, ("R", "G", "B")))


def brute_force(light: Environment, towards: np.ndarray, exponents: tuple[int, ...]) -> np.ndarray:
    """Return kernel times radiance times solid angle, summed over every texel: P×K×3."""
    pixels = light.image.pixels
    texels = latlong.directions(len(pixels)).reshape(-1, 3).astype(np.float32)
    flux = (pixels * latlong.solid_angles(len(pixels))[:, None, None]).reshape(-1, 3)
    out = np.empty((len(towards), len(exponents), 3))
    for position, direction in enumerate(towards.astype(np.float32)):
        cosine = np.maximum(texels @ direction, 0)
        for k, exponent in enumerate(exponents):
            kernel = (cosine**exponent).astype(np.float64)
            out[position, k] = (exponent + 1) / (2 * np.pi) * (kernel @ flux)
    return out


def errors(light: Environment, maps: LightMaps, count: int) -> tuple[np.ndarray, float]:
    """Return each map's largest error over its maximum, and brute force's seconds a texel."""
    rng = np.random.default_rng(1)
    brightest = [np.argsort(image.sum(2).ravel())[-2:] for image in maps.specular.values()]
    index = np.concatenate([rng.integers(0, maps.diffuse[..., 0].size, count), *brightest])
    towards = latlong.directions(len(maps.diffuse)).reshape(-1, 3)[index]
    start = time.perf_counter()
    expected = brute_force(light, towards, maps.exponents)
    seconds = (time.perf_counter() - start) / len(index)
    found = np.stack([image.reshape(-1, 3)[index] for image in maps.specular.values()], 1)
    peak = np.array([image.max((0, 1)) for image in maps.specular.values()])
    return (np.abs(found - expected) / peak).max((0, 2)), seconds


def main() -> None:
    threads = len(os.sched_getaffinity(0))
    print(f"Prefilter to five 256×128 maps, {threads} threads, best of {RUNS}; errors over each")
    print("map's maximum, at random directions and at the maxima\n")
    print(
        "| environment | prefilter, ms | aim | brute force, estimated, s | diffuse and n = 1 "
        "| n = 16 | n = 32 | n = 64 |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for width, height in SIZES:
        light = environment(height)
        taken = best(partial(prefilter, light, threads=threads), RUNS)
        maps = prefilter(light, threads=threads)
        error, seconds = errors(light, maps, 20 if height < 1000 else 6)
        aim = str(AIM) if width == 4096 else ""
        print(
            f"| {width}×{height} | {1000 * taken:.0f} | {aim} "
            f"| {seconds * maps.diffuse[..., 0].size:.0f} | "
            + " | ".join(f"{value:.1e}" for value in error)
            + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
