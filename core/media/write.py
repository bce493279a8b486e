"""Write an image file atomically: all of it, or nothing and a plain sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import OpenImageIO as oiio

import relume
from relume.errors import UsageError
from relume.files import replacing
from relume.image import Image
from relume.media.formats import Part, plan
from relume.media.guard import check_target, fingerprint_of, is_current
from relume.media.identity import utf8_name
from relume.media.metadata import Metadata
from relume.media.read import verify

__all__ = ["check_target", "fingerprint_of", "is_current", "verify", "write"]

_ROWS = 256
"""Rows handed over at a time: enough for every core, little beside the frame."""


def write(
    path: str | Path,
    layers: Mapping[str, Image],
    *,
    depth: str = "half",
    compression: str = "zips",
    multipart: bool = False,
    fingerprint: str = "",
    inputs: Iterable[str | Path] = (),
    overwrite: bool = False,
    metadata: Metadata | None = None,
) -> list[str]:
    """Write layers to a file in the colour space they are in.

    OpenEXR takes any number of layers, unclamped: `rgba` as R G B A, premultiplied, then
    `layer.channel`. PNG, TIFF and JPEG take one layer, alone; whole numbers are sRGB encoded.

    Args:
        path: the file; its ending chooses the format. Missing folders are made.
        layers: layers by name, all colour in one space.
        depth: `half`, `float`, `uint8` or `uint16`; `half` is 8 bits in PNG and JPEG and 16 in
            TIFF. A layer beyond ±65504 is written as float.
        compression: of OpenEXR: none, rle, zips, zip, piz, pxr24, b44, b44a, dwaa, dwab,
            htj2k256, htj2k32; with a level, `dwaa:45`.
        multipart: one part a layer.
        fingerprint: what the frame was made from.
        inputs: every file that was read to make it.
        overwrite: replace a file that relume did not write.
        metadata: attributes beside those of the main layer.

    Returns:
        Sentences the user should read.

    Raises:
        UsageError: the target may not be written, or the format cannot hold the layers.
        OutputError: the disk is full, or the file cannot be written; nothing is left behind.
    """
    target = Path(path)
    check_target(target, inputs=inputs, overwrite=overwrite)
    parts, warnings = plan(
        target, layers, depth=depth, compression=compression, multipart=multipart,
        fingerprint=fingerprint, version=relume.__version__, metadata=metadata or {},
    )  # fmt: skip
    with replacing(target) as temporary:
        _write_parts(temporary, parts)
        _check_header(temporary, parts[0])
    return warnings


def _write_parts(temporary: Path, parts: list[Part]) -> None:
    output = oiio.ImageOutput.create(parts[0].file_format)
    if output is None:
        raise UsageError(f"OpenImageIO was built without {parts[0].file_format}")
    name = utf8_name(temporary)
    # Every return code counts: writing to a file that failed to open ends the process.
    if len(parts) == 1:
        opened = output.open(name, parts[0].spec)
    else:
        opened = output.open(name, tuple(part.spec for part in parts))
    if not opened:
        raise OSError(_reason(output, name))
    closed = False
    try:
        for number, part in enumerate(parts):
            if number and not output.open(name, part.spec, "AppendSubimage"):
                raise OSError(_reason(output, name))
            for begin in range(0, part.spec.height, _ROWS):
                end = min(begin + _ROWS, part.spec.height)
                rows = part.rows(begin, end)
                y = part.spec.y
                if not output.write_scanlines(y + begin, y + end, 0, rows):
                    raise OSError(_reason(output, name))
        closed = True
        if not output.close():
            raise OSError(_reason(output, name))
    finally:
        if not closed:
            output.close()


def _check_header(temporary: Path, part: Part) -> None:
    """Prove that the compression is the one asked for: OpenEXR falls back to zip in silence."""
    if part.file_format != "openexr":
        return
    source = oiio.ImageInput.open(str(temporary))
    if source is None:
        raise OSError(oiio.geterror())
    stored = str(source.spec().getattribute("compression"))
    source.close()
    wanted = str(part.spec.getattribute("compression")).partition(":")[0]
    if stored.partition(":")[0] != wanted:
        raise UsageError(
            f"this OpenImageIO cannot write {wanted} and stored {stored}",
            way_out="Choose another compression",
        )


def _reason(output: oiio.ImageOutput, name: str) -> str:
    """Return what OpenImageIO says, without the name of a file the user never sees."""
    said = " ".join(output.geterror().replace(f'"{name}"', "").split()).rstrip(".")
    return said or "no reason given"
