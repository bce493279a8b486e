"""Mattes by a network of the user's own, as an ONNX file beside an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relume.colour import convert
from relume.errors import InputError, UsageError
from relume.image import DATA, Image
from relume.matting.inputs import require_plate_size
from relume.matting.match import explained
from relume.matting.onnx_adapter import (
    ALPHA,
    CLASSES,
    CLEAN_PLATE,
    FOREGROUND,
    HINT,
    PLATE,
    RESULTS,
    TRIMAP,
    Adapter,
    Feed,
    Take,
)
from relume.matting.planes import planar, resized
from relume.matting.plate_matte import USEFUL
from relume.matting.trimap import certain, guide_notices
from relume.media.identity import content_digest

if TYPE_CHECKING:
    from torch import Tensor

F32 = NDArray[np.float32]

_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
}

_SPACES = {True: "lin_rec709_scene", False: "srgb_rec709_scene"}


@dataclass(frozen=True, slots=True, eq=False)
class OnnxMattes:
    """What the network says about a plate.

    Attributes:
        matte: A, 0 to 1, in the plate's windows; exactly 0 and 1 where a guide is certain.
        trimap: A, 0, 0.5 and 1: the network's, or what its matte leaves in doubt.
        foreground: R, G, B, straight, scene-linear: the network's where the matte is below 1 and
            above 0, the plate elsewhere and where the network gives none.
    """

    matte: Image
    trimap: Image
    foreground: Image


@dataclass(frozen=True, slots=True)
class _Frame:
    """Sizes: of the plate in square pixels, of the picture in the network, and continued there."""

    plate: tuple[int, int]
    seen: tuple[int, int]
    padded: tuple[int, int]


def open_model(path: str | Path, device: str = "cpu", threads: int = 1) -> Any:
    """Return an onnxruntime session of a model, opened once a process.

    Raises:
        UsageError: onnxruntime is not installed, or cannot use the device.
        InputError: the file is missing or no model it can run.
    """
    return _session(str(path), content_digest(path), device, threads)


@lru_cache(maxsize=4)
def _session(path: str, digest: str, device: str, threads: int) -> Any:
    del digest  # part of the key: a file may be replaced
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            "onnxruntime, which runs ONNX models, is not installed",
            way_out="pip install 'relume[onnx]'",
        ) from error
    kind, _, number = device.partition(":")
    wanted = {"cpu": "CPU", "cuda": "CUDA", "mps": "CoreML"}.get(kind, kind) + "ExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise UsageError(
            f"onnxruntime here cannot use the device '{device}'",
            way_out="Use --device cpu, or install the onnxruntime made for the device",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    provider = (wanted, {"device_id": int(number)}) if number else wanted
    try:
        return onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as error:  # its own errors share no base
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path} is no ONNX model that onnxruntime can run ({reason})", file=path
        ) from error


def onnx_matte(
    session: Any,
    adapter: Adapter,
    plate: Image,
    *,
    anchor: float = 0.0,
    guide: Image | None = None,
    clean_plate: Image | None = None,
) -> OnnxMattes:
    """Pull a matte with a user's network; every frame is its first.

    Args:
        session: of `open_model`.
        adapter: how to call it.
        plate: R, G, B, scene-linear, unbounded.
        anchor: stops to add where the adapter asks for the exposure anchor.
        guide: trimap or hint in A; where it is certain it wins.
        clean_plate: the same view without the subject, R, G, B, scene-linear.

    Raises:
        UsageError: adapter and model do not fit, something they want is not there or of another
            size, or the result is of no use.
    """
    _check_names(session, adapter)
    given = {PLATE: plate, CLEAN_PLATE: clean_plate, TRIMAP: guide, CLASSES: guide, HINT: guide}
    for source in sorted(adapter.sources):
        if given[source] is None:
            raise UsageError(
                f"the adapter feeds the {source.replace('_', ' ')} to the model, and none is wired",
                way_out="Wire one, or use another model",
            )
    for name, image in (("guide", guide), ("clean plate", clean_plate)):
        if image is not None:
            require_plate_size(image, plate, name)
    frame = _sizes(session, adapter, plate)
    gain = 2.0**anchor if adapter.anchored else 1.0
    pictures = {
        source: _picture(source, image, adapter, frame, gain)
        for source, image in given.items()
        if image is not None and source in adapter.sources
    }
    feeds = {}
    for entry in session.get_inputs():
        feed = adapter.inputs[entry.name]
        array = feed.constant if feed.constant is not None else _fed(feed, pictures, adapter)
        feeds[entry.name] = array.astype(_dtype(entry.name, entry.type))
    try:
        results = session.run(list(adapter.outputs), feeds)
    except Exception as error:  # its own errors share no base
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"the model refuses what the adapter feeds it ({reason})",
            way_out="Check the inputs' sources, shapes and size in the adapter",
        ) from error
    named = zip(adapter.outputs.items(), results, strict=True)
    found = {
        take.result: _taken(name, take, result, adapter, frame) for (name, take), result in named
    }
    return _settled(found, plate, guide, adapter, gain)


def onnx_notices(
    adapter: Adapter,
    plate: Image,
    matte: Image,
    *,
    anchor: float = 0.0,
    guide: Image | None = None,
    clean_plate: Image | None = None,
) -> list[str]:
    """Return what a user should know about the help that a network got, and about its matte.

    Args:
        adapter: how it was called.
        plate: as for `onnx_matte`, and so are anchor, guide and clean plate.
        matte: A, what came of it.
        anchor: stops to add before plate and clean plate are compared.
        guide: trimap or hint in A.
        clean_plate: R, G, B.

    Returns:
        Sentences without a full stop; none where all is well.
    """
    alpha = matte.take("A")
    notices = []
    if clean_plate is not None and CLEAN_PLATE not in adapter.sources:
        notices.append(
            "the adapter does not feed the clean plate to the model, so it was not used; leave it "
            "out, or use another model"
        )
    elif clean_plate is not None:
        behind = planar((alpha < 0.3).astype(np.float32))
        share = explained(plate.rgb, clean_plate.rgb, anchor, behind)
        if share < USEFUL:
            notices.append(
                f"the clean plate explains only {100.0 * share:.0f} % of the background, and the "
                "model was given it as it is; is it of another scene or exposure, or out of "
                "register?"
            )
    return notices + guide_notices(guide, empty=not alpha.any(), nothing=_NOTHING)


_NOTHING = "the model found nothing, the matte is empty; check range, mean and std in the adapter"


def _check_names(session: Any, adapter: Adapter) -> None:
    """Refuse an adapter that names other inputs or outputs than the model has."""
    for what, wanted, there in (
        ("input", adapter.inputs, [entry.name for entry in session.get_inputs()]),
        ("output", adapter.outputs, [entry.name for entry in session.get_outputs()]),
    ):
        unknown = [name for name in wanted if name not in there]
        if unknown:
            raise UsageError(
                f"the model has no {what} '{unknown[0]}'", way_out=f"It has {', '.join(there)}"
            )
    fed = [entry.name for entry in session.get_inputs() if entry.name not in adapter.inputs]
    if fed:
        raise UsageError(
            f"the adapter says nothing about the model's input '{fed[0]}'",
            way_out="Add it to inputs, with what it is from or a value",
        )


def _dtype(name: str, kind: str) -> Any:
    if kind not in _TYPES:
        raise UsageError(f"the model's input '{name}' is {kind}, which relume cannot feed")
    return _TYPES[kind]


def _sizes(session: Any, adapter: Adapter, plate: Image) -> _Frame:
    """Return the sizes to work at; those fixed in the model win."""
    height, width = plate.height, max(1, round(plate.width * plate.pixel_aspect))
    fixed: tuple[int, int] | None = None
    for entry in session.get_inputs():
        if PLATE in adapter.inputs[entry.name].sources and len(entry.shape or ()) == 4:
            sides = entry.shape[2:] if adapter.planar else entry.shape[1:3]
            if all(isinstance(side, int) and side > 0 for side in sides):
                fixed = (sides[0], sides[1])
    if fixed:
        scale = min(fixed[0] / height, fixed[1] / width)
    elif adapter.long_side or adapter.short_side:
        scale = adapter.long_side / max(height, width) or adapter.short_side / min(height, width)
    else:
        scale = 1.0
    seen = max(1, round(height * scale)), max(1, round(width * scale))
    step = adapter.multiple
    padded = fixed or (-(-seen[0] // step) * step, -(-seen[1] // step) * step)
    return _Frame((height, width), seen, padded)


def _picture(source: str, image: Image, adapter: Adapter, frame: _Frame, gain: float) -> F32:
    """Return what the network sees of an image, H×W×C, from 0 to 1, continued at the edges."""
    import torch

    is_colour = source in (PLATE, CLEAN_PLATE)
    pixels = image.rgb * np.float32(gain) if is_colour else image.take("A")
    if source in (TRIMAP, CLASSES):
        background, foreground = certain(pixels[:, :, 0])
        pixels = np.stack((background, foreground), -1).astype(np.float32)
    planes = planar(pixels)
    with torch.inference_mode():
        small = resized(planes, *frame.seen)[0].permute(1, 2, 0).contiguous().numpy()
    if is_colour:
        linear = Image(small, ("R", "G", "B"), image.colour)
        small = convert(linear, _SPACES[adapter.linear]).pixels
        small = np.clip(small, 0.0, 1.0) if adapter.clip else small
    elif source != HINT:
        clear, sure = small[:, :, 0] > 0.99, small[:, :, 1] > 0.99
        doubtful = ~(clear | sure)
        if source == CLASSES:
            small = np.stack((clear, doubtful, sure), -1).astype(np.float32)
        else:
            small = (sure + 0.5 * doubtful)[:, :, None].astype(np.float32)
    bottom, right = frame.padded[0] - frame.seen[0], frame.padded[1] - frame.seen[1]
    return np.pad(small, ((0, bottom), (0, right), (0, 0)), mode="edge")


def _fed(feed: Feed, pictures: Mapping[str, F32], adapter: Adapter) -> F32:
    """Return an input of the network."""
    parts = []
    for source in feed.sources:
        part = feed.low + (feed.high - feed.low) * pictures[source]
        if source in (PLATE, CLEAN_PLATE):
            part = part[:, :, ::-1] if feed.reverse else part
            part = (part - np.array(feed.mean)) / np.array(feed.deviation)
        parts.append(part)
    whole = np.concatenate(parts, 2)[None]
    return np.ascontiguousarray(whole.transpose(0, 3, 1, 2) if adapter.planar else whole)


def _taken(name: str, take: Take, result: NDArray[Any], adapter: Adapter, frame: _Frame) -> Tensor:
    """Return an output of the network at the plate's size in square pixels, 1×C×H×W."""
    import torch

    channels = RESULTS[take.result]
    shape = result.shape
    if result.ndim == 3 and channels == 1:
        result = result[:, None] if adapter.planar else result[..., None]
    if result.ndim == 4 and not adapter.planar:
        result = result.transpose(0, 3, 1, 2)
    if result.ndim != 4 or result.shape[:2] != (1, channels):
        raise UsageError(
            f"the model's output '{name}' has the shape {list(shape)}, which is no {take.result}",
            way_out=f"One of {channels} channel{'s' * (channels > 1)} and a batch of 1 is needed",
        )
    if not np.isfinite(result).all():
        raise UsageError(
            f"the model's output '{name}' is not finite",
            way_out="Check range, mean and std in the adapter",
        )
    values = torch.from_numpy(np.array(result, np.float32, order="C"))
    # An output may be smaller than the input; what was added at the edges goes in proportion.
    valid = [max(1, round(frame.seen[i] * values.shape[2 + i] / frame.padded[i])) for i in (0, 1)]
    with torch.inference_mode():
        values = resized(values[:, :, : valid[0], : valid[1]], *frame.plate)
        values = torch.sigmoid(values) if take.logits else values
        return (values - take.low) / (take.high - take.low)


def _settled(
    found: Mapping[str, Tensor],
    plate: Image,
    guide: Image | None,
    adapter: Adapter,
    gain: float,
) -> OnnxMattes:
    """Return the results in the plate's windows; a guide wins."""
    import torch

    def back(values: Tensor) -> F32:
        with torch.inference_mode():
            whole = resized(values, plate.height, plate.width)
            return whole[0].permute(1, 2, 0).contiguous().numpy()

    alpha = np.clip(back(found[ALPHA]), 0.0, 1.0)
    if TRIMAP in found:
        background, foreground = certain(back(found[TRIMAP])[:, :, 0])
    elif CLASSES in found:
        best = back(found[CLASSES]).argmax(2)
        background, foreground = best == 0, best == 2
    else:
        background, foreground = certain(alpha[:, :, 0])
    if guide is not None:
        clear, sure = certain(guide.take("A")[:, :, 0])
        alpha[clear], alpha[sure] = 0.0, 1.0
        background, foreground = (background & ~sure) | clear, (foreground & ~clear) | sure
    trimap = np.where(background, 0.0, np.where(foreground, 1.0, 0.5))[:, :, None]
    colour = plate.like(plate.rgb, ("R", "G", "B"), alpha="none")
    if FOREGROUND in found:
        shown = Image(back(found[FOREGROUND]), ("R", "G", "B"), _SPACES[adapter.linear])
        straight = convert(shown, plate.colour).pixels / np.float32(gain)
        soft = (alpha > 0.0) & (alpha < 1.0)
        colour = colour.like(np.where(soft, straight, colour.pixels))
    return OnnxMattes(
        matte=plate.like(alpha, ("A",), colour=DATA, alpha="none"),
        trimap=plate.like(trimap.astype(np.float32), ("A",), colour=DATA, alpha="none"),
        foreground=colour,
    )
