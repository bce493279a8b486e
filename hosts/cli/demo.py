"""`relume demo`: relight a photograph under three light rigs."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from relume.cache import MemoryCache
from relume.colour import to_display
from relume.errors import Exit, OutputError, UsageError
from relume.evaluate import Cache
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.contact_sheet import Tile, sheet, stacked
from relume.hosts.cli.job import Job
from relume.hosts.cli.options import device_option
from relume.image import Image, Layers
from relume.nodes.recipes import RIG, Backdrop, Lighting, Plate, light_graph, relight_graph

RIGS = ("rembrandt", "sunset", "neon")
"""The presets of LightRig that the demo shows."""

_Picture = NDArray[np.float32]


@click.command(epilog=example("relume demo --out demo"))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    default="demo",
    show_default=True,
    help="Folder of the pictures.",
)
@device_option
@debug_option
def command(out: Path, device: str) -> int:
    """Relight the portrait of Eileen Collins (NASA, public domain) under three light rigs.

    Writes an EXR with every pass for each rig, the rig's light maps, and contact_sheet.png. Needs
    the extra [demo].
    """
    plate = photograph(out)
    job = Job(device=device, skip_existing=True)
    caches: list[Cache] = [MemoryCache()]  # the photograph is analysed once for all three
    for rig in RIGS:
        graphs = (
            light_graph(RIG + rig, str(out / f"{rig}_maps.exr")),
            relight_graph(
                Plate(str(plate)),
                Lighting({rig: RIG + rig}),
                str(out / f"{rig}.exr"),
                Backdrop(str(plate)),
            ),
        )
        for graph in graphs:
            code = job.carry_out(graph, caches)
            if code != Exit.DONE:
                return code
    path = out / "contact_sheet.png"
    write_sheet(path, plate, out)
    click.echo(f"Look at {path}")
    return Exit.DONE


def photograph(folder: Path) -> Path:
    """Copy scikit-image's astronaut to a folder, unless it is there, and return its path.

    Raises:
        UsageError: scikit-image is not installed, or another file has the name.
        OutputError: the folder cannot be written to.
    """
    try:
        import PIL
        import skimage.data

        del PIL
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the demo needs the package '{error.name}', which is not installed",
            way_out="pip install 'relume[demo]'",
        ) from None
    source = Path(skimage.data.__file__).with_name("astronaut.png")
    target = folder / "astronaut.png"
    if target.exists():
        if filecmp.cmp(source, target, shallow=False):
            return target
        raise UsageError(f"{target} is another picture", way_out="Use --out for another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror}", way_out="Use --out for another folder"
        ) from None
    return target


def write_sheet(path: Path, plate: Path, folder: Path) -> None:
    """Draw the contact sheet of a demo folder."""
    from relume.keys import digest
    from relume.media.identity import content_digest
    from relume.media.read import read
    from relume.media.write import write

    files = [folder / f"{rig}{kind}.exr" for rig in RIGS for kind in ("", "_maps")]
    passes = {file.stem: read(file).layers for file in files}
    picture = sheet(tiles(read(plate).layer(), passes))
    fingerprint = digest("contact_sheet", *(content_digest(file) for file in [plate, *files]))
    write(path, {"rgba": picture}, depth="uint8", fingerprint=fingerprint)


def tiles(plate: Image, passes: dict[str, Layers]) -> list[list[Tile]]:
    """Return plate, matte, normals and albedo, then for each rig its maps and its pictures.

    Args:
        plate: the photograph.
        passes: layers of `RIG` and of `RIG_maps` for every rig.
    """
    first = passes[RIGS[0]]
    alpha = first["matte"].take("A")
    rows = [
        [
            Tile("plate", shown(plate)),
            Tile("matte", np.repeat(alpha, 3, axis=2)),
            Tile("normals", (0.5 + 0.5 * first["normal"].take("X", "Y", "Z")) * alpha),
            Tile("albedo", shown(first["albedo"]) * alpha),
        ]
    ]
    for rig in RIGS:
        maps, layers = passes[f"{rig}_maps"], passes[rig]
        lobes = [name for name in maps if name.startswith("specular")]
        rows.append(
            [
                Tile(
                    f"{rig}: diffuse and specular light maps",
                    stacked([to_display(maps["diffuse"]), to_display(maps[lobes[1]])]),
                ),
                Tile(f"{rig}: diffuse", shown(layers["diffuse"])),
                Tile(f"{rig}: relit", shown(layers["relit"])),
                Tile(f"{rig}: over the plate", shown(layers["rgba"])),
            ]
        )
    return rows


def shown(image: Image) -> _Picture:
    """Return a picture for a screen, without tone mapping, as the photograph has none either."""
    return to_display(image, tone_map=False)
