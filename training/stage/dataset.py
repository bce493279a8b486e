"""Views on disk: one compressed file each, written atomically."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relume.errors import InputError
from relume.files import replacing

F32 = NDArray[np.float32]

SPLITS = ("train", "val", "test")

WIDE = 1000
"""The wide cast's first number, see `relume.training.stage.cast`."""


@dataclass(slots=True, eq=False)
class View:
    """What one camera sees of one person, and how light reaches it.

    Everything is in camera space (+X right, +Y up, +Z to the camera).

    Attributes:
        alpha: H×W coverage.
        normals: H×W×3 unit, zero where alpha is 0.
        albedo: H×W×3 straight linear Rec. 709, zero where alpha is 0.
        labels: H×W; 0 background, 1 skin, 2 hair, 3 cloth, 4 eyes, teeth, mouth.
        gloss: H×W strength of the specular reflection, 1 is its label's usual.
        index: P flat pixel positions with alpha > 0, ascending.
        directions: 256×3 unit directions of the light's cells.
        visibility: P×32 bits, most significant first: nothing blocks direction k.
        bounce: P×9×3, light that arrives after one reflection off the subject: its radiance over
            π-normalised irradiance is the dot product with the environment's order-2 harmonics.
        tangents: P×3 fibre directions, zero where there is no hair.
        meta: subject, hair and pose ids, tone, camera, specular lobes of the labels.
    """

    alpha: F32
    normals: F32
    albedo: F32
    labels: NDArray[np.uint8]
    gloss: F32
    index: NDArray[np.int32]
    directions: F32
    visibility: NDArray[np.uint8]
    bounce: F32
    tangents: F32
    meta: dict[str, object] = field(default_factory=dict)


def write_view(path: Path, view: View) -> None:
    """Write a view; the file appears whole or not at all."""
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            alpha=np.round(view.alpha * 65535.0).astype(np.uint16),
            normals=view.normals.astype(np.float16),
            albedo=view.albedo.astype(np.float16),
            labels=view.labels,
            gloss=np.clip(np.round(view.gloss * 100.0), 0, 255).astype(np.uint8),
            index=view.index,
            directions=view.directions,
            visibility=view.visibility,
            bounce=view.bounce.astype(np.float16),
            tangents=np.round(view.tangents * 127.0).astype(np.int8),
            meta=np.array(json.dumps(view.meta)),
        )


def read_view(path: Path | str) -> View:
    """Read a view.

    Raises:
        InputError: the file is missing, truncated or not a view.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return View(
                alpha=stored["alpha"].astype(np.float32) / np.float32(65535.0),
                normals=stored["normals"].astype(np.float32),
                albedo=stored["albedo"].astype(np.float32),
                labels=stored["labels"],
                gloss=stored["gloss"].astype(np.float32) / np.float32(100.0),
                index=stored["index"],
                directions=stored["directions"],
                visibility=stored["visibility"],
                bounce=stored["bounce"].astype(np.float32),
                tangents=stored["tangents"].astype(np.float32) / np.float32(127.0),
                meta=json.loads(str(stored["meta"])),
            )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            "this is not a readable light stage view",
            file=str(path),
            way_out="Delete it and run `python -m relume.training.stage` again",
        ) from error


def list_views(root: Path | str, split: str) -> list[Path]:
    """Return the finished views of a split, sorted by id."""
    return sorted((Path(root) / split).glob("[!.]*.npz"))


def split_seeds(split: str, number: int) -> tuple[int, int]:
    """Return the subject id and the hair id of view `number` of a split.

    Ids of different splits never meet: the id modulo 16 tells the split (14 validates, 15 tests).
    Hair ids run at another pace than subjects, so that a person is seen with several heads of
    hair and each head of hair on several people.
    """

    def numbered(position: int) -> int:
        if split == "train":
            return position // 14 * 16 + position % 14
        return position * 16 + {"val": 14, "test": 15}[split]

    if split not in SPLITS:
        raise InputError(f"no split named {split}", way_out="Choose train, val or test")
    return numbered(number), numbered((number * 7 + 3) % 4099)


def split_of(identity: int) -> str:
    """Return the split that a subject or hair id belongs to."""
    return {14: "val", 15: "test"}.get(identity % 16, "train")
