"""Matte and foreground of a 1080p frame on two threads, beside pymatting in the same run.

The subject is drawn by formulas and covers a third of the frame; the network's arithmetic does not
depend on what it sees, only the number of refined tiles does, and it is printed.
"""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
from timing import best

from relume.exposure import measure_anchor
from relume.image import Image
from relume.matting.foreground import estimate_layers
from relume.matting.network import estimate_matte
from relume.networks.matte import MatteNet, build

HEIGHT, WIDTH = 1080, 1920
RUNS = 5


def frame() -> tuple[Image, np.ndarray, np.ndarray]:
    """Return a plate, its alpha and its true straight foreground."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    front = np.stack((0.4 + 0.2 * np.sin(x / 90), 0.3 + 0.1 * np.cos(y / 70), 0.2 + 0 * x), -1)
    back = np.stack(
        (0.1 + 0.05 * np.cos(x / 60), 0.2 + 0.1 * np.sin(y / 50), 0.5 + 0.3 * np.sin((x + y) / 99)),
        -1,
    )
    coarse = torch.from_numpy(rng.standard_normal((1, 1, 135, 240)).astype(np.float32))
    wisps = torch.nn.functional.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic")
    radius = np.hypot(x - WIDTH / 2, y - 0.6 * HEIGHT)
    alpha = np.clip((420 + 18 * wisps[0, 0].numpy() - radius) / 40 + 0.5, 0, 1).astype(np.float32)
    plate = alpha[..., None] * front + (1 - alpha[..., None]) * back
    return Image(plate.astype(np.float32), ("R", "G", "B")), alpha, front


def network() -> tuple[MatteNet, str]:
    """Return the shipped network, or an untrained one of the same size where there is none."""
    from relume import weights
    from relume.errors import InputError

    try:
        model = weights.load("matte")
        assert isinstance(model, MatteNet)
        return model, "shipped weights"
    except InputError:
        return build().eval(), "untrained"


def main() -> None:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymatting import estimate_foreground_ml

    plate, alpha, truth = frame()
    model, which = network()
    anchor = measure_anchor(plate)
    soft = (alpha > 0.05) & (alpha < 0.999)
    # A trimap with a wide unknown band makes the refiner work as hard as long hair does.
    band = np.where(alpha <= 0, 0, np.where(alpha >= 1, 1, 0.5)).astype(np.float32)
    guide = Image(band[..., None], ("A",), "data")
    found: dict[str, np.ndarray] = {}

    def ours() -> None:
        found["ours"] = estimate_layers(plate.pixels, alpha)[0]

    def theirs() -> None:
        found["pymatting"] = estimate_foreground_ml(plate.pixels, alpha)

    def whole() -> None:
        matte = estimate_matte(plate, anchor, guide, model).matte
        estimate_layers(plate.pixels, matte.pixels[:, :, 0])

    def error(name: str) -> str:
        return f"{1e3 * np.abs(found[name] - truth)[soft].mean():.1f}"

    def coarse() -> None:
        estimate_matte(plate, anchor, guide, model, refine=False)

    def refined() -> None:
        estimate_matte(plate, anchor, guide, model)

    rows = [
        ("matte with trimap, coarse only", best(coarse, RUNS), ""),
        ("matte with trimap, refined", best(refined, RUNS), ""),
        ("foreground", best(ours, RUNS), "ours"),
        ("foreground, pymatting estimate_foreground_ml", best(theirs, RUNS), "pymatting"),
        ("matte and foreground", best(whole, RUNS), ""),
    ]
    print(
        f"1080p, {torch.get_num_threads()} threads, best of {RUNS}; {which}; "
        f"{100 * (band == 0.5).mean():.0f} % unknown\n"
    )
    print("| what | ms | error of F × 1e3 where alpha is soft |")
    print("|---|---:|---:|")
    for name, spent, key in rows:
        print(f"| {name} | {1e3 * spent:.0f} | {error(key) if key else ''} |")


if __name__ == "__main__":
    main()
