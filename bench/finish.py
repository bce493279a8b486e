"""Seconds of what joins a subject with its background at 1080p, beside plain SciPy."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from scipy import ndimage, signal
from timing import best

from relume.compositing.convolve import aperture, convolve, gaussian
from relume.compositing.defocus import Lens, defocus
from relume.compositing.grain import add_grain, make_grain, measure_grain
from relume.compositing.levels import measure_levels
from relume.compositing.wrap import light_wrap
from relume.image import DATA, Image

WIDTH, HEIGHT = 1920, 1080
RADIUS = 24
RUNS = 3


def pictures() -> tuple[Image, Image, Image]:
    """Return a grainy plate, the matte of a large ellipse in it, and the cut-out."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    plate = 0.2 + 0.4 * x[..., None] / WIDTH + rng.normal(0, 0.01, (HEIGHT, WIDTH, 3))
    plate = plate.astype(np.float32)
    alpha = np.clip((330 - np.hypot(x - 960, 0.7 * (y - 640))) / 6, 0, 1)[..., None]
    cut = np.concatenate((plate * alpha, alpha), axis=2)
    return (
        Image(plate, ("R", "G", "B")),
        Image(alpha, ("A",), colour=DATA),
        Image(cut, ("R", "G", "B", "A"), alpha="premultiplied"),
    )


def main() -> None:
    threads = len(os.sched_getaffinity(0))
    plate, matte, cut = pictures()
    pixels = plate.pixels.astype(np.float64)
    disc, bell = aperture(RADIUS), gaussian(RADIUS / 2)
    grain = measure_grain(plate)
    if grain is None:
        raise SystemExit("the grain of the plate is not found")
    lens = Lens(RADIUS, 6)
    rows: list[tuple[str, Callable[[], object], Callable[[], object] | None]] = [
        (
            f"disc of radius {RADIUS} alone",
            lambda: convolve(plate.pixels, disc, threads),
            lambda: signal.oaconvolve(pixels, disc[:, :, None], "same", axes=(0, 1)),
        ),
        (
            f"Gaussian of {RADIUS / 2:g} alone",
            lambda: convolve(plate.pixels, bell, threads),
            lambda: ndimage.gaussian_filter(pixels, (RADIUS / 2, RADIUS / 2, 0)),
        ),
        ("Defocus, foreground given", lambda: defocus(
            plate, matte, lens, foreground=plate, threads=threads), None),
        ("LightWrap", lambda: light_wrap(cut, plate, RADIUS, threads=threads), None),
        ("MatchLevels, measuring both", lambda: [measure_levels(p) for p in (cut, plate)], None),
        ("MatchGrain, measuring", lambda: measure_grain(plate), None),
        (
            "MatchGrain, grain added",
            lambda: add_grain(cut, grain, 0, 1),
            lambda: np.random.default_rng(0).standard_normal((HEIGHT, WIDTH, 3), np.float32),
        ),
    ]  # fmt: skip
    print(f"Finish at {WIDTH}×{HEIGHT}, {threads} threads, best of {RUNS}\n")
    print("| what | s | SciPy or NumPy alone, s |\n|---|---:|---:|")
    for name, work, plain in rows:
        reference = f"{best(plain, RUNS):.2f}" if plain else ""
        print(f"| {name} | {best(work, RUNS):.2f} | {reference} |", flush=True)
    laid = make_grain(grain, HEIGHT, WIDTH, 0, 1) * grain.strength(plate.pixels)
    print(f"\nGrain of 0.01 measured and made again: {laid.std():.4f}")


if __name__ == "__main__":
    main()
