"""Mattes with the help of a clean plate: align it, look at both, solve what is left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from relume.image import DATA, Image
from relume.matting.align import Aligned, align_clean_plate
from relume.matting.foreground import estimate_layers
from relume.matting.known_background import solve_matte
from relume.matting.network import estimate_matte
from relume.matting.trimap import certain

USEFUL = 0.35
"""A clean plate that explains less of the background than this is taken for another scene's."""


@dataclass(frozen=True, slots=True, eq=False)
class PlateMatteResult:
    """What plate and clean plate say together.

    Attributes:
        matte: A, 0 to 1, in the plate's windows.
        trimap: A, background 0, unknown 0.5, foreground 1.
        aligned: the clean plate in register, and how well it fits; where it was not used, the
            background as the plate alone suggests it.
        empty: the matte is 0 everywhere.
        used: whether the clean plate fits well enough to be believed.
    """

    matte: Image
    trimap: Image
    aligned: Aligned
    empty: bool
    used: bool


def plate_matte(
    plate: Image,
    clean_plate: Image,
    anchor: float,
    guide: Image | None,
    model: Any,
    *,
    moving: bool = True,
    parallax: bool = True,
    match: bool = True,
) -> PlateMatteResult:
    """Pull the matte of the people in a plate whose background is known.

    Source: Sengupta et al. 2020, Background Matting: The World is Your Green Screen, for a network
    that reads both; `known_background` for what follows it.

    Args:
        plate: R, G, B, scene-linear, unbounded.
        clean_plate: the same view without the subject, R, G, B, of the same size.
        anchor: stops to add before pictures are compared.
        guide: trimap or hint in A, which always wins; or None.
        model: a `relume.networks.matte.MatteNet`.
        moving: whether the camera may have moved between the two.
        parallax: whether to follow small local moves too.
        match: whether to fit the clean plate's exposure.

    Raises:
        UsageError: clean plate or guide differ from the plate in size.
    """
    alone = estimate_matte(plate, anchor, guide, model, refine=False)
    aligned = align_clean_plate(
        plate,
        clean_plate,
        anchor,
        subject=alone.matte,
        moving=moving,
        mesh=parallax,
        match=match,
    )
    if aligned.explained < USEFUL:
        found = estimate_matte(plate, anchor, guide, model)
        # What reads the background after this must not be given another scene's.
        _, behind = estimate_layers(plate.rgb, found.matte.pixels[:, :, 0])
        guess = plate.like(behind, ("R", "G", "B"), alpha="none")
        aligned = replace(aligned, clean_plate=guess)
        return PlateMatteResult(found.matte, found.trimap, aligned, found.empty, used=False)
    found = estimate_matte(plate, anchor, guide, model, clean_plate=aligned.clean_plate)
    if found.empty:
        return PlateMatteResult(found.matte, found.trimap, aligned, empty=True, used=True)
    gain = np.float32(2.0**anchor)
    picture = plate.rgb * gain
    alpha = solve_matte(picture, aligned.clean_plate.rgb * gain, found.matte.pixels[:, :, 0])
    if guide is not None:
        background, foreground = certain(guide.take("A")[:, :, 0])
        alpha[background], alpha[foreground] = 0.0, 1.0
    trimap = np.where(alpha <= 0.0, 0.0, np.where(alpha >= 1.0, 1.0, 0.5)).astype(np.float32)
    matte, classes = (
        plate.like(values[:, :, None], ("A",), colour=DATA, alpha="none")
        for values in (alpha, trimap)
    )
    return PlateMatteResult(matte, classes, aligned, empty=not bool(alpha.any()), used=True)
