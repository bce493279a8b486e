"""Make the README's picture from the demo's contact sheet: `make picture`."""

from __future__ import annotations

import sys
from pathlib import Path

import OpenImageIO as oiio
from drawing import write_jpeg

WIDTH = 1600
BYTES = 400_000


def main(sheet: str, picture: str) -> None:
    """Write the sheet as a JPEG of at most 400 kB."""
    image = oiio.ImageBuf(sheet)
    spec = image.spec()
    if spec.width > WIDTH:
        height = round(spec.height * WIDTH / spec.width)
        image = oiio.ImageBufAlgo.resize(image, roi=oiio.ROI(0, WIDTH, 0, height))
    write_jpeg(oiio.ImageBufAlgo.channels(image, (0, 1, 2)), Path(picture), BYTES)


if __name__ == "__main__":
    main(*sys.argv[1:])
