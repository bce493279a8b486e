"""Take an image from one colour space to another."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import PyOpenColorIO as ocio
from numpy.typing import NDArray

from relume.colour.config import config, config_digest, pinned
from relume.colour.spaces import Space, canonical, missing_role, parse_measured, resolve, to_ap0
from relume.errors import UsageError
from relume.image import Image, Pixels

_FAINTEST = np.float32(2.0**-24)
"""The least alpha a half float holds; below it R, G, B are converted as they are."""

_lock = threading.RLock()
_transforms: dict[tuple[str, Space, Space], Transform] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """A conversion ready to run, safe to share between threads.

    Attributes:
        processor: OCIO's 32-bit float CPU processor.
        identity: nothing changes.
        linear: a 3×3 matrix without offset, so multiplying by alpha before or after is the same.
        keeps_nan: NaN comes out as NaN.
    """

    processor: ocio.CPUProcessor
    identity: bool
    linear: bool
    keeps_nan: bool

    def apply(self, rgba: NDArray[np.float32]) -> None:
        """Convert H×W×4 float32 in place; the fourth channel is left alone.

        Args:
            rgba: C-contiguous, writable.
        """
        # OCIO writes into read-only arrays without a word.
        if not (rgba.flags.writeable and rgba.flags.c_contiguous and rgba.dtype == np.float32):
            raise ValueError("colour is converted in place in contiguous, writable float32")
        if self.identity:
            return
        nan = None if self.keeps_nan else np.isnan(rgba[..., :3])
        height, width = rgba.shape[:2]
        # Four packed channels: OCIO takes 4 to 40 times longer over three.
        self.processor.apply(ocio.PackedImageDesc(rgba, width, height, 4))
        if nan is not None and nan.any():
            rgba[..., :3][nan] = np.nan

    def apply_rgb(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return …×3 colours converted."""
        flat = np.ascontiguousarray(rgb, np.float32).reshape(1, -1, 3)
        rgba = np.ones((1, flat.shape[1], 4), np.float32)
        rgba[..., :3] = flat
        self.apply(rgba)
        return np.ascontiguousarray(rgba[0, :, :3]).reshape(np.shape(rgb))


def convert(image: Image, to: str) -> Image:
    """Return the image in another colour space, unclamped.

    R, G, B are divided by A around a conversion that is not linear, and multiplied again; A and
    every other channel keep their bits. A luminance image (`Y`) is converted as a neutral. An
    image or target of `data` is returned as it is: numbers are not light.

    Args:
        image: any image.
        to: interop id, name, alias or role of the space wanted.

    Returns:
        The image with `colour` naming the space it is now in.

    Raises:
        UsageError: a space is unknown, or no role ties the configuration to it.
    """
    source, target = resolve(image.colour), resolve(to)
    if "data" in (source.owner, target.owner):
        return image
    name = canonical(to)
    if source == target or not (image.has("R", "G", "B") or image.has("Y")):
        return image.like(image.pixels, colour=name)
    step = transform(source, target)
    if step.identity:
        return image.like(image.pixels, colour=name)
    colours = ("R", "G", "B") if image.has("R", "G", "B") else ("Y", "Y", "Y")
    index = [image.channels.index(channel) for channel in colours]
    rgba = _gather(image, index)
    alpha = image.pixels[:, :, image.channels.index("A")] if image.has("A") else None
    if alpha is None or image.alpha != "premultiplied" or step.linear or (alpha == 1.0).all():
        step.apply(rgba)
    else:
        nothing = (np.abs(alpha) < _FAINTEST) & ~rgba[:, :, :3].any(axis=2)
        divisor = np.where(np.abs(alpha) < _FAINTEST, np.float32(1.0), alpha)
        for place in range(3):
            rgba[:, :, place] /= divisor
        step.apply(rgba)
        for place in range(3):
            rgba[:, :, place] *= divisor
        # A curve need not send 0 to 0, but nothing, times alpha, is 0 in every space: otherwise
        # the clear part of the picture would jump at the edge of the covered one.
        rgba[nothing, :3] = 0.0
    return image.like(_scatter(rgba, image, index), colour=name)


def transform(source: Space, target: Space) -> Transform:
    """Return the conversion between two spaces, from a cache.

    Raises:
        UsageError: no role ties the configuration in force to a space outside it.
    """
    key = (config_digest(), source, target)
    with _lock:
        if key not in _transforms:
            _transforms[key] = prepare(_processor(source, target))
        return _transforms[key]


def prepare(processor: ocio.Processor) -> Transform:
    """Make a processor ready to run on float32 pixels."""
    # The default optimisation approximates powers and logarithms to 3e-5; this one to 1e-6.
    cpu = processor.getOptimizedCPUProcessor(ocio.OPTIMIZATION_LOSSLESS)
    probe = np.array([np.nan, 0.5, 0.5, 1.0], np.float32).reshape(1, 1, 4)
    cpu.apply(ocio.PackedImageDesc(probe, 1, 1, 4))
    return Transform(
        processor=cpu,
        identity=processor.isNoOp(),
        linear=_is_matrix(processor.createGroupTransform()),
        keeps_nan=bool(np.isnan(probe[0, 0, 0])),
    )


def _processor(source: Space, target: Space) -> ocio.Processor:
    if source.owner == "header" or target.owner == "header":
        return _through_chromaticities(source, target)
    try:
        if source.owner == target.owner:
            where = config() if source.owner == "show" else pinned()
            return where.getProcessor(source.name, target.name)
        return _bridge(source, target)
    except ocio.Exception as error:
        raise UsageError(
            f"no conversion from {source.name!r} to {target.name!r} ({str(error).rstrip('.')})",
            way_out="Correct the OCIO configuration",
        ) from error


def _bridge(source: Space, target: Space) -> ocio.Processor:
    """Return the processor between a space of the show and a space of the pinned configuration."""
    ends = [
        (config() if space.owner == "show" else pinned(), space.name) for space in (source, target)
    ]
    try:
        return ocio.Config.GetProcessorFromConfigs(*ends[0], *ends[1])
    except ocio.Exception as error:
        if "role" not in str(error):
            raise
    # Without the role, OCIO can still recognise the reference space by its numbers.
    own, other = (source, target) if source.owner == "show" else (target, source)
    try:
        mine, theirs = ocio.Config.IdentifyInterchangeSpace(
            config(), own.name, pinned(), other.name
        )
    except ocio.Exception as error:
        raise missing_role(own) from error
    between = (mine, theirs) if own is source else (theirs, mine)
    (first, first_name), (second, second_name) = ends
    return ocio.Config.GetProcessorFromConfigs(
        first, first_name, between[0], second, second_name, between[1]
    )


def _through_chromaticities(source: Space, target: Space) -> ocio.Processor:
    """Return the processor to or from a linear space that only its chromaticities describe."""
    ap0 = resolve("lin_ap0_scene")
    group = ocio.GroupTransform()
    for space, direction in (
        (source, ocio.TRANSFORM_DIR_FORWARD),
        (target, ocio.TRANSFORM_DIR_INVERSE),
    ):
        if space.owner == "header":
            matrix = np.eye(4)
            matrix[:3, :3] = to_ap0(parse_measured(space.name))
            step = ocio.MatrixTransform(matrix=matrix.ravel().tolist())
            step.setDirection(direction)
            group.appendTransform(step)
        else:
            ends = (space, ap0) if space is source else (ap0, space)
            group.appendTransform(_processor(*ends).createGroupTransform())
    return pinned().getProcessor(group)


def _is_matrix(group: ocio.GroupTransform) -> bool:
    return all(
        isinstance(step, ocio.MatrixTransform) and not any(step.getOffset()) for step in group
    )


def _gather(image: Image, index: list[int]) -> NDArray[np.float32]:
    """Return a new H×W×4 array of the colour channels, with 1 or the image's A as the fourth."""
    if image.channels == ("R", "G", "B", "A"):
        return image.pixels.copy()
    rgba = np.ones((image.height, image.width, 4), np.float32)
    for place, channel in enumerate(index):
        rgba[:, :, place] = image.pixels[:, :, channel]
    return rgba


def _scatter(rgba: NDArray[np.float32], image: Image, index: list[int]) -> Pixels:
    """Put converted colours back among the image's other channels."""
    if image.channels == ("R", "G", "B", "A"):
        rgba[:, :, 3] = image.pixels[:, :, 3]
        return rgba
    pixels = image.pixels.copy()
    for place, channel in enumerate(index):
        pixels[:, :, channel] = rgba[:, :, place]
    return pixels
