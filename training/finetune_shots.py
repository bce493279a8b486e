"""Shots of the user's own with clean plates, made ready for fine-tuning the matting network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from relume.colour import convert
from relume.encoding import NETWORK_SPACE, encode
from relume.errors import UsageError
from relume.exposure import measure_anchor
from relume.image import Image
from relume.matting.foreground import estimate_layers
from relume.matting.inputs import matte_from_image
from relume.matting.network import coarse_scale
from relume.matting.plate_matte import plate_matte
from relume.media.read import read
from relume.media.sequence import existing_frames, is_sequence, resolve
from relume.networks.matte import STRIDE, MatteNet, settle

F32 = NDArray[np.float32]

HELD = 0.2
"""The last fifth of every shot is held out: neighbours of a frame would tell too much of it."""

STILL = 0.02
"""Encoded difference of two frames up to which a pixel counts as unchanged."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Files of one shot.

    Attributes:
        plate: a sequence, or a file.
        clean_plate: the view without the subject; a single file holds for every frame.
        truth: finished mattes, only to be measured against; or empty.
    """

    plate: str
    clean_plate: str
    truth: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame as the coarse pass sees it, scene-linear ACEScg after the exposure anchor.

    Attributes:
        shot: index of its shot.
        number: the frame.
        plate: 3×H×W.
        clean: 3×H×W, aligned and matched to the plate.
        teacher: 1×H×W, the matte of PlateMatte with the weights there were before.
        truth: 1×H×W, or None.
    """

    shot: int
    number: int
    plate: Tensor
    clean: Tensor
    teacher: Tensor
    truth: Tensor | None


def load_frames(
    shots: Sequence[Shot], model: MatteNet, say: Callable[[str], None] = lambda _: None
) -> tuple[list[Frame], list[Frame]]:
    """Read shots, align their clean plates and ask the teacher.

    Args:
        shots: the files.
        model: the teacher.
        say: is told of every frame left out.

    Returns:
        Frames to train on, and frames held out.

    Raises:
        InputError: a file is missing or unreadable.
        UsageError: sizes differ, or a shot leaves nothing to train on.
    """
    train: list[Frame] = []
    held: list[Frame] = []
    for index, shot in enumerate(shots):
        numbers = existing_frames(shot.plate) if is_sequence(shot.plate) else [1]
        anchor: float | None = None
        found: list[Frame] = []
        for number in numbers:
            plate = _colour(shot.plate, number)
            anchor = measure_anchor(plate) if anchor is None else anchor
            frame = _frame(shot, index, number, plate, anchor, model)
            if isinstance(frame, str):
                say(f"{shot.plate}, frame {number}: {frame}, so it was left out.")
            else:
                found.append(frame)
        keep = max(1, round(HELD * len(found)))
        if len(found) <= keep:
            raise UsageError(
                f"{shot.plate} has {len(found)} usable frames, which leaves none to train on",
                way_out="Give a sequence, plate.####.exr, with a person in it and a clean plate of "
                "the same view",
            )
        train += found[:-keep]
        held += found[-keep:]
    return train, held


def working_size(image: Image, side: int) -> tuple[int, int]:
    """Return about the size at which the coarse pass sees a plate, height and width."""
    shape = (float(image.height), image.width * image.pixel_aspect)
    scale = coarse_scale(*shape, side)
    tall, wide = (max(STRIDE, round(x * scale / STRIDE) * STRIDE) for x in shape)
    return tall, wide


def read_place(name: str, side: int) -> Tensor:
    """Return a background to put behind, 3×H×W scene-linear ACEScg, at about the size of plates.

    Raises:
        InputError: the file is missing or unreadable.
    """
    image = _colour(name, 1)
    return _resized(image.rgb, working_size(image, side))


def coarse_matte(model: MatteNet, inputs: Tensor) -> Tensor:
    """Return the settled matte of the coarse pass, N×1×H×W.

    Args:
        model: the network.
        inputs: N×10×H×W as `relume.networks.matte.INPUTS` says.
    """
    out = model.coarse(inputs)
    return settle(torch.sigmoid(out.alpha.float()), torch.softmax(out.trimap.float(), 1))


def consistency(
    frames: Sequence[Frame], mattes: Sequence[Tensor], score: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """Return what can be said of mattes without truth, and with it where there is some.

    Args:
        frames: in order.
        mattes: 1×H×W of each.
        score: rates encoded pictures, N×3×H×W; 1 is as good as a photograph.

    Returns:
        `rebuild`: mean |αF + (1 − α)B − plate| × 1000, encoded, with B the clean plate and F
        estimated from plate and matte alone. `missed`: where the matte is 0, the mean
        encoded difference of plate and clean plate × 1000. `score` of composites over another
        frame's clean plate, mirrored. `flicker`: root mean square change of alpha × 100 where two
        neighbouring frames show the same. `mad` × 1000 against the truth.
    """
    rows: dict[str, list[float]] = {}
    before: tuple[Frame, Tensor] | None = None
    for frame, matte in zip(frames, mattes, strict=True):
        rest = 1.0 - matte
        plate = _interleaved(frame.plate)
        front, _ = estimate_layers(plate, matte[0].numpy())
        again = matte * _planar(front) + rest * frame.clean
        seen, behind = encode(frame.plate), encode(frame.clean)
        apart = (encode(again) - seen).abs().mean()
        empty = (matte <= 0.0).float()
        differs = (seen - behind).abs().mean(0, keepdim=True)
        missed = (differs * empty).sum() / empty.sum().clamp(min=1.0)
        found = {"rebuild": 1e3 * float(apart), "missed": 1e3 * float(missed)}
        over = frame.plate + rest * (frame.clean.flip(2) - frame.clean)
        found["score"] = float(score(encode(over)[None]).mean())
        if frame.truth is not None:
            found["mad"] = 1e3 * float((matte - frame.truth).abs().mean())
        if before is not None and (before[0].shot, before[0].number + 1) == (
            frame.shot,
            frame.number,
        ):
            same = (seen - encode(before[0].plate)).abs().amax(0, keepdim=True) < STILL
            if bool(same.any()):
                change = (matte - before[1])[same].square().mean().sqrt()
                found["flicker"] = 1e2 * float(change)
        before = frame, matte
        for key, value in found.items():
            rows.setdefault(key, []).append(value)
    return {key: float(np.mean(values)) for key, values in rows.items()}


def _frame(
    shot: Shot, index: int, number: int, plate: Image, anchor: float, model: MatteNet
) -> Frame | str:
    """Return one frame, or why it is of no use."""
    clean = _colour(shot.clean_plate, number)
    found = plate_matte(plate, clean, anchor, None, model)
    if not found.used:
        share = 100.0 * found.aligned.explained
        return f"the clean plate explains only {share:.0f} % of the background"
    if found.empty:
        return "no person was found"
    size = working_size(plate, model.side)
    gain = 2.0**anchor
    truth = None
    if shot.truth:
        path = resolve(shot.truth, number)
        matte = matte_from_image(read(path, space="data", frame=number).layers)
        if matte.pixels.shape[:2] != plate.pixels.shape[:2]:
            raise UsageError(
                f"the truth is {matte.width}×{matte.height}, the plate "
                f"{plate.width}×{plate.height}",
                way_out="Give mattes of the plate's size",
                file=str(path),
            )
        truth = _resized(matte.pixels, size)
    return Frame(
        shot=index,
        number=number,
        plate=_resized(plate.rgb, size) * gain,
        clean=_resized(found.aligned.clean_plate.rgb, size) * gain,
        teacher=_resized(found.matte.pixels, size).clamp(0.0, 1.0),
        truth=truth,
    )


def _colour(name: str, number: int) -> Image:
    """Return a picture in the networks' space."""
    path: Path = resolve(name, number)
    return convert(read(path, frame=number).layer(), NETWORK_SPACE)


def _planar(pixels: F32) -> Tensor:
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), np.float32, order="C"))


def _interleaved(planes: Tensor) -> F32:
    return np.ascontiguousarray(planes.permute(1, 2, 0).numpy())


def _resized(pixels: F32, size: tuple[int, int]) -> Tensor:
    return fn.interpolate(
        _planar(pixels)[None], size=size, mode="bilinear", align_corners=False, antialias=True
    )[0]
