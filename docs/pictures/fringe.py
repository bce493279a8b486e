"""Make the picture of edges: a cut-out over black, white, green and a bright highlight.

`python docs/pictures/fringe.py docs/pictures/fringe.jpg` takes the demo's photograph.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from drawing import TO_SCREEN, srgb
from numpy.typing import NDArray
from skimage import data

from relume import weights
from relume.colour import convert
from relume.compositing.resample import resize_pixels
from relume.exposure import anchor_of
from relume.hosts.cli.contact_sheet import Tile, sheet
from relume.image import Image
from relume.matting.foreground import estimate_foreground
from relume.matting.network import estimate_matte
from relume.media.read import read
from relume.media.write import write

F32 = NDArray[np.float32]

BEHIND = {
    "black": (0.0, 0.0, 0.0),
    "white": (1.0, 1.0, 1.0),
    "green": (0.05, 0.6, 0.08),
    "highlight, 20 times white": (20.0, 18.0, 14.0),
}
"""Linear ACEScg."""

CROPS = ((100, 30, 200), (10, 150, 200))
"""Left, top and side of what is enlarged: hair, and shoulder."""


def screen(pixels: F32) -> F32:
    """Return linear ACEScg as it looks on a screen: its highlights clipped, sRGB."""
    return srgb(np.clip(pixels @ TO_SCREEN.T, 0, 1))


def part(pixels: F32, crop: tuple[int, int, int]) -> F32:
    """Return a square of a picture, enlarged."""
    left, top, side = crop
    return resize_pixels(
        np.ascontiguousarray(pixels[top : top + side, left : left + side]), 400, 400
    )


def main(path: str) -> None:
    """Write the picture as a JPEG."""
    photograph = read(Path(data.__file__).with_name("astronaut.png")).layer()
    plate = convert(photograph, "lin_ap1_scene")
    found = estimate_matte(plate, anchor_of(plate.rgb), None, weights.load("matte"))
    alpha = found.matte.pixels
    front = estimate_foreground(plate, found.matte).rgb
    rows = []
    for crop in CROPS:
        tiles = [Tile("the plate", part(screen(plate.rgb), crop))]
        tiles.append(Tile("the matte", part(np.repeat(alpha, 3, -1), crop)))
        for name, colour in BEHIND.items():
            over = alpha * front + (1 - alpha) * np.float32(colour)
            tiles.append(Tile(f"over {name}", part(screen(over), crop)))
        tiles.append(
            Tile(
                "without Foreground, over white", part(screen(alpha * plate.rgb + 1 - alpha), crop)
            )
        )
        rows.append(tiles)
    page = sheet(rows)
    small = resize_pixels(page.pixels, 1800, round(1800 * page.height / page.width))
    write(path, {"rgba": Image(np.clip(small, 0, 1), ("R", "G", "B"), colour=page.colour)})


if __name__ == "__main__":
    main(*sys.argv[1:])
