"""Make the pictures of docs/how_relighting_works.md from the demo's photograph.

`python docs/pictures/how_relighting_works.py docs/pictures`
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
from drawing import write_jpeg
from numpy.typing import NDArray

from relume.colour import to_display
from relume.hosts.cli import main as relume
from relume.hosts.cli.contact_sheet import Tile, sheet, stacked
from relume.hosts.cli.demo import photograph, shown
from relume.image import Image, Layers
from relume.media.read import read

F32 = NDArray[np.float32]

KEY, SUN = "rembrandt", "sunset"
"""The two lights: rigs that relume draws."""

WIDTH = 1400
BYTES = 145_000


def main(folder: str) -> int:
    """Analyse the photograph, shade it under two lights, and draw; return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        plate = photograph(work)
        transport, relit = str(work / "transport.exr"), str(work / "relit.exr")
        lights = [f"--light=key=rig:{KEY}", f"--light=sun=rig:{SUN}"]
        commands = [
            ["analyse", str(plate), "--out", transport],
            ["shade", transport, *lights, "--out", relit],
            ["shade", transport, lights[0], "--out", str(work / "key.exr")],
            ["light", f"rig:{KEY}", "--out", str(work / "maps.exr")],
            ["light", f"rig:{KEY}", "--environment", "--out", str(work / "light.exr")],
        ]
        for words in commands:
            if code := relume(words):
                return code
        files = {path.stem: read(path).layers for path in work.glob("*.exr")}
        picture = shown(read(plate).layer())
    pages = {
        "analysis": analysis(picture, files["transport"]),
        "light": look_ups(files["light"], files["maps"], files["key"]),
        "sum": sums(files["key"], files["relit"]),
    }
    for title, rows in pages.items():
        save(sheet(rows), Path(folder) / f"how_{title}.jpg")
    return 0


def analysis(plate: F32, layers: Layers) -> list[list[Tile]]:
    """Return what is estimated from the plate, before any light is known."""
    alpha = layers["matte"].take("A")
    weights = np.concatenate([layers[f"transport_{i:02d}"].pixels for i in range(6)], axis=2)
    seen, lobes, harmonics = weights[..., :1], weights[..., 2:5], weights[..., 5:21]
    return [
        [
            Tile("plate", plate),
            Tile("matte", grey(alpha)),
            Tile("normals, N", (0.5 + 0.5 * layers["normal"].pixels) * alpha),
            Tile("albedo", shown(layers["albedo"]) * alpha),
        ],
        [
            Tile("w: how much soft light gets there", grey(seen * alpha)),
            Tile("how much it shines, 25 times", grey(25 * lobes.sum(2)[..., None] * alpha)),
            Tile("t: more or less from above, 6 times", signed(6 * harmonics[..., 2:3] * alpha)),
            Tile("t: from screen right, 6 times", signed(6 * harmonics[..., 3:4] * alpha)),
        ],
    ]


def look_ups(light: Layers, maps: Layers, key: Layers) -> list[list[Tile]]:
    """Return a light, its maps, and what each pixel finds in them."""
    environment = to_display(light["rgba"])
    pair = stacked([to_display(maps[name]) for name in ("diffuse", "specular_016")])

    def inside(name: str) -> F32:
        return to_display(key[name]) * key["relit"].take("A")

    return [
        [
            Tile(f"the light (rig:{KEY})", environment),
            Tile("its maps: D above, S below", pair),
            Tile("D at each pixel's N", inside("diffuse_light")),
            Tile("S at each pixel's mirror direction R", inside("specular_light_016")),
        ]
    ]


def sums(key: Layers, both: Layers) -> list[list[Tile]]:
    """Return the parts that add up to a light, and the lights that add up to the picture."""
    residual = key["residual"].pixels.mean(2, keepdims=True)
    alone = [both[f"relit_{name}"] for name in ("key", "sun")]
    half = both["relit"].like(0.5 * alone[0].rgb + 2 * alone[1].rgb, ("R", "G", "B"))
    return [
        [
            Tile("diffuse: albedo, w and D(N) multiplied", shown(key["diffuse"])),
            Tile("specular, 3 times", shown(brighter(key["specular"], 3))),
            Tile("residual, 8 times", signed(8 * residual)),
            Tile("their sum: relit", shown(colours(key["relit"]))),
        ],
        [
            Tile("key alone", shown(alone[0])),
            Tile(f"a second light alone (rig:{SUN})", shown(alone[1])),
            Tile("both: the sum", shown(colours(both["relit"]))),
            Tile("half the key, twice the second", shown(half)),
        ],
    ]


def brighter(image: Image, gain: float) -> Image:
    """Return a picture times a factor."""
    return image.like(image.pixels * np.float32(gain))


def colours(image: Image) -> Image:
    """Return R, G and B alone."""
    return image.like(image.rgb, ("R", "G", "B"))


def grey(values: F32) -> F32:
    """Return numbers from 0 to 1 as they are, in grey."""
    return np.repeat(np.clip(values, 0, 1), 3, axis=2)


def signed(values: F32) -> F32:
    """Return numbers around 0 in orange where they are positive and blue where negative."""
    more, less = np.clip(values, 0, 1), np.clip(-values, 0, 1)
    orange, blue = np.float32([1.0, 0.6, 0.1]), np.float32([0.1, 0.5, 1.0])
    return np.clip(more * orange + less * blue, 0, 1) ** np.float32(0.6)


def save(page: Image, path: Path) -> None:
    """Write a sheet as a JPEG of a limited size."""
    image = oiio.ImageBuf(np.ascontiguousarray(page.pixels))
    height = round(page.height * WIDTH / page.width)
    image = oiio.ImageBufAlgo.resize(image, roi=oiio.ROI(0, WIDTH, 0, height))
    image.set_write_format("uint8")
    write_jpeg(image, path, BYTES)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
