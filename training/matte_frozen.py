"""The frozen test split of mattes: people, places and takes that a committed list fixes.

`python -m relume.training.matte_frozen make FOLDER --bpy PYTHON` path-traces the people of the list
that FOLDER lacks, composes every scene and says where it differs from what the list remembers;
`measure FOLDER` measures mattes on it. Pictures are not kept with the code: the list is enough to
make them again, on one machine to the bit. Another version of Cycles draws other samples, so that
beside the digest of its bits every picture has a signature, which is compared to a tolerance.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from relume.encoding import encode
from relume.errors import InputError
from relume.files import replacing
from relume.training.matte_frozen_scenes import read_list, read_person, takes, traced, write_list
from relume.training.stage.make import STAGE

F32 = NDArray[np.float32]

TOLERANCE = 3
"""How far entries of two signatures of the same picture may lie apart."""


def make(folder: Path, bpy: Path | None, threads: int, *, renew: bool) -> bool:
    """Make what a folder lacks of the split and compare all of it with the list.

    Args:
        folder: where people are kept; scenes are composed when they are asked for.
        bpy: Python with bpy 4.5; not needed where all people are there.
        threads: of Cycles.
        renew: whether the list shall remember what is found.

    Returns:
        whether everything is as the list has it.

    Raises:
        InputError: people are missing and there is no Cycles.
    """
    known = read_list()
    if known["stage"] != STAGE:
        print(f"the list was made with stage {known['stage']}, this is stage {STAGE}", flush=True)
    fine = True
    for person in known["people"]:
        path = folder / f"{person['name']}.npz"
        start = time.monotonic()
        if not path.exists():
            if bpy is None:
                raise InputError("a person is missing", file=str(path), way_out="Give --bpy")
            stored = traced(bpy, person, threads)
            with replacing(path) as partial, partial.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **stored)
        colour, alpha = read_person(path)
        found = proof(alpha, colour)
        fine &= _told(person["name"], found, person, start, renew=renew)
    for scene, made in zip(known["scenes"], takes(folder), strict=True):
        start = time.monotonic()
        found = proof(made.plate.rgb, made.clean_plate.rgb)
        fine &= _told(made.name, found, scene, start, renew=renew)
    if renew:
        known["stage"] = STAGE
        write_list(known)
    return fine


def _told(
    name: str, found: dict[str, str], known: dict[str, Any], start: float, *, renew: bool
) -> bool:
    verdict = compared(found, known)
    print(f"{name}: {verdict}, {time.monotonic() - start:.1f} s", flush=True)
    if renew:
        known.update(found)
    return renew or verdict.startswith("same")


def signature(picture: F32, rows: int = 6, columns: int = 10) -> str:
    """Return area means of an encoded picture as rows × columns bytes in hexadecimal.

    Args:
        picture: H×W or H×W×C.
        rows: of the means.
        columns: of the means.
    """
    grey = encode(picture) if picture.ndim == 2 else encode(picture).mean(-1)
    lines = [part.mean(0) for part in np.array_split(np.asarray(grey, np.float64), rows)]
    means = [[cell.mean() for cell in np.array_split(line, columns)] for line in lines]
    return bytes(np.clip(np.round(np.array(means) * 200.0), 0, 255).astype(np.uint8)).hex()


def digest(*pictures: NDArray[Any]) -> str:
    """Return the beginning of the sha256 of pictures' bits."""
    found = hashlib.sha256()
    for picture in pictures:
        found.update(np.ascontiguousarray(picture).tobytes())
    return found.hexdigest()[:16]


def proof(*pictures: NDArray[Any]) -> dict[str, str]:
    """Return what the list remembers of pictures: their digest, and their signatures."""
    seen = [np.asarray(p / 65535.0 if p.dtype == np.uint16 else p, np.float32) for p in pictures]
    return {"digest": digest(*pictures), "signature": "".join(signature(p) for p in seen)}


def compared(found: Mapping[str, str], known: Mapping[str, str]) -> str:
    """Return how a proof compares with the remembered one: same bits, same, differs or new."""
    if "signature" not in known:
        return "new"
    if found["digest"] == known["digest"]:
        return "same bits"
    now, then = (np.frombuffer(bytes.fromhex(p["signature"]), np.uint8) for p in (found, known))
    if now.shape != then.shape:
        return "differs"
    apart = int(np.abs(now.astype(int) - then.astype(int)).max())
    return "same" if apart <= TOLERANCE else "differs"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="relume.training.matte_frozen", description=__doc__)
    parser.add_argument("what", choices=("make", "measure"))
    parser.add_argument("folder", type=Path, help="where the people are kept, some 8 MB each")
    parser.add_argument("--bpy", type=Path, help="Python with bpy 4.5, to trace people")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--renew", action="store_true", help="remember what is made in the list")
    parser.add_argument("--weights", type=Path, help="folder of matte.json and its weights")
    parser.add_argument("--only", nargs="*", default=(), help="people or numbers of scenes")
    parser.add_argument("--methods", nargs="*", default=(), help="of measure")
    parser.add_argument("--rows", type=Path, help="JSON of measure's figures, scene by scene")
    parser.add_argument("--look", type=Path, help="folder of pictures of the worst scenes")
    parser.add_argument("--write", type=Path, nargs="*", default=(), help="Markdown to renew")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.what == "make":
        return 0 if make(given.folder, given.bpy, given.threads, renew=given.renew) else 5
    from relume.training.matte_frozen_measure import measure

    measure(given)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
