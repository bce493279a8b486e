"""Make the README's picture from the demo's contact sheet: `make picture`."""

from __future__ import annotations

import sys
from pathlib import Path

import OpenImageIO as oiio

WIDTH = 1600
BYTES = 400_000


def main(sheet: str, picture: str) -> int:
    """Write the sheet as a JPEG of at most 400 kB; return the exit code."""
    image = oiio.ImageBuf(sheet)
    spec = image.spec()
    if spec.width > WIDTH:
        height = round(spec.height * WIDTH / spec.width)
        image = oiio.ImageBufAlgo.resize(image, roi=oiio.ROI(0, WIDTH, 0, height))
    image = oiio.ImageBufAlgo.channels(image, (0, 1, 2))
    for quality in range(92, 40, -4):
        image.specmod().attribute("Compression", f"jpeg:{quality}")
        if not image.write(picture):
            print(image.geterror() or oiio.geterror(), file=sys.stderr)
            return 1
        if Path(picture).stat().st_size <= BYTES:
            return 0
    print(f"{picture} is larger than {BYTES} bytes at any quality.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
