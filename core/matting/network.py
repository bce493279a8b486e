"""Mattes of people by the matting network: any size, unclamped plates, the same pixels always."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relume.encoding import encode
from relume.image import DATA, Image
from relume.matting.cascade import DOUBT, Frame, refine_all
from relume.matting.edges import guided_edges
from relume.matting.inputs import require_plate_size
from relume.matting.nearby import nearby_alpha
from relume.matting.people import oversights, people
from relume.matting.planes import drawn, planar, resized
from relume.matting.trimap import certain

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class MatteResult:
    """What the matting network says about a plate.

    Attributes:
        matte: A, 0 to 1, in the plate's windows.
        trimap: A, background 0, unknown 0.5, foreground 1.
        empty: no person was found; the matte is 0 everywhere.
        error: expected mean |alpha - truth| of the coarse pass over its doubtful pixels.
    """

    matte: Image
    trimap: Image
    empty: bool
    error: float


def coarse_person(
    plate: Image,
    anchor: float,
    model: Any,
    *,
    keep: Image | None = None,
    reject: Image | None = None,
) -> Image:
    """Return a coarse matte of the people in a plate; drawn masks choose among them and win.

    Args:
        plate: R, G, B, scene-linear, unbounded.
        anchor: stops to add before the network reads the plate.
        model: a `relume.networks.matte.MatteNet`.
        keep: mask drawn over the subject; where it exceeds 0.95 the matte is 1, and people whom
            it does not touch are dropped.
        reject: mask drawn over what is no subject; where it exceeds 0.95 the matte is 0.

    Returns:
        A in the plate's windows, all 0 where nobody is found.

    Raises:
        UsageError: a mask differs from the plate in size.
    """
    wanted = None if keep is None else certain(_mask(keep, plate, "keep mask"))[1]
    unwanted = None if reject is None else certain(_mask(reject, plate, "reject mask"))[1]
    view = _look(plate, anchor, model, _marks(plate, wanted, unwanted), wanted)
    alpha = np.zeros((plate.height, plate.width), np.float32)
    if view is not None:
        alpha = _plane(_settled(view, view.alpha, plate))
    if wanted is not None:
        alpha[wanted] = 1.0
    if unwanted is not None:
        alpha[unwanted] = 0.0
    return plate.like(alpha[:, :, None], ("A",), colour=DATA, alpha="none")


def estimate_matte(
    plate: Image,
    anchor: float,
    guide: Image | None,
    model: Any,
    *,
    clean_plate: Image | None = None,
    refine: bool = True,
) -> MatteResult:
    """Pull the matte of the people in a plate.

    Args:
        plate: R, G, B, scene-linear, unbounded.
        anchor: stops to add before the network reads the plate.
        guide: trimap or hint in A: below 0.05 the matte is 0, above 0.95 it is 1; or None.
        model: a `relume.networks.matte.MatteNet`.
        clean_plate: the same view without the subject, R, G, B, aligned; or None.
        refine: whether to work at the plate's resolution where the coarse matte is doubtful, and
            to let edges follow the picture.

    Returns:
        Matte and trimap in the plate's windows.

    Raises:
        UsageError: guide or clean plate differ from the plate in size.
    """
    marks, background, foreground = None, None, None
    if guide is not None:
        background, foreground = certain(_mask(guide, plate, "guide"))
        if foreground.any():
            marks = np.stack((foreground, ~(foreground | background))).astype(np.float32)
    if clean_plate is not None:
        require_plate_size(clean_plate, plate, "clean plate", "Reformat or align the clean plate")
    # A guide without foreground does not say who is meant, so the network chooses without it.
    chosen = None if marks is None else foreground
    view = _look(plate, anchor, model, marks, chosen, clean_plate)
    shape = (plate.height, plate.width)
    alpha, trimap = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    error = 0.0
    if view is not None:
        fine = view.alpha
        if refine:
            fine = _refined(view, plate, anchor, model, marks, clean_plate)
        settled = _settled(view, fine, plate)
        if marks is None:
            settled = _whole(settled, view)
        alpha = _plane(settled)
        if refine:
            import torch

            gain = np.float32(2.0**anchor)
            alpha = guided_edges(plate.rgb, alpha, lambda part: encode(part * gain))
            if clean_plate is None:
                threads = torch.get_num_threads()
                alpha = nearby_alpha(plate.rgb, alpha, gain=float(gain), threads=threads)
        trimap = _classes(view, plate)
        error = view.doubt
    if background is not None and foreground is not None:
        alpha[background], alpha[foreground] = 0.0, 1.0
        trimap[background], trimap[foreground] = 0.0, 1.0
    return MatteResult(
        matte=plate.like(alpha[:, :, None], ("A",), colour=DATA, alpha="none"),
        trimap=plate.like(trimap[:, :, None], ("A",), colour=DATA, alpha="none"),
        empty=not bool(alpha.any()),
        error=error,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """The coarse answer, 1×C×h×w each, without the padding; `hidden` at half that size."""

    alpha: Tensor
    trimap: Tensor
    error: Tensor
    hidden: Tensor
    support: Tensor
    doubt: float


def _mask(mask: Image, plate: Image, what: str) -> NDArray[np.float32]:
    require_plate_size(mask, plate, what)
    return mask.take("A")[:, :, 0]


def _marks(
    plate: Image, wanted: NDArray[np.bool_] | None, unwanted: NDArray[np.bool_] | None
) -> NDArray[np.float32] | None:
    """Return certain foreground and unknown, 2×H×W, of drawn masks."""
    if wanted is None and unwanted is None:
        return None
    none = np.zeros((plate.height, plate.width), bool)
    sure = none if wanted is None else wanted
    out = none if unwanted is None else unwanted
    return np.stack((sure & ~out, ~(sure | out))).astype(np.float32)


def _plane(x: Tensor) -> NDArray[np.float32]:
    out: NDArray[np.float32] = x[0, 0].cpu().numpy().astype(np.float32)
    return out


def coarse_scale(height: float, width: float, side: int) -> float:
    """Return how much smaller the coarse pass sees a plate; small plates are enlarged.

    It sees as many pixels as a square of `side` has, whatever the frame's shape: a person is then
    about as large in a wide frame as in the frames that it learnt from.
    """
    return side / math.sqrt(height * width)


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def _look(
    plate: Image,
    anchor: float,
    model: Any,
    marks: NDArray[np.float32] | None,
    chosen: NDArray[np.bool_] | None,
    clean_plate: Image | None = None,
) -> _View | None:
    """Run the coarse pass; None where there is nobody."""
    import torch
    from torch.nn import functional as fn

    from relume.networks.matte import STRIDE, look_around

    wide = plate.width * plate.pixel_aspect
    scale = coarse_scale(plate.height, wide, model.side)
    height, width = _even(plate.height * scale), _even(wide * scale)
    gain = 2.0**anchor
    with torch.inference_mode():
        colour = encode(resized(planar(plate.rgb), height, width) * gain)
        if chosen is None and float(colour.amax() - colour.amin()) < 1e-3:
            # Nothing is to be seen in a plate of one colour, whatever a network makes of it.
            return None
        parts = [colour, torch.zeros(1, 7, height, width)]
        if clean_plate is not None:
            parts[1][:, :3] = encode(resized(planar(clean_plate.rgb), height, width) * gain)
            parts[1][:, 3] = 1.0
        if marks is not None:
            mark = drawn(torch.from_numpy(marks)[None], height, width)
            parts[1][:, 4:6] = mark.marks
            parts[1][:, 6] = 1.0
        padding = (0, -width % STRIDE, 0, -height % STRIDE)
        device = next(model.parameters()).device
        inputs = fn.pad(torch.cat(parts, 1), padding, mode="replicate").to(device)
        out = look_around(model.coarse, inputs)
        alpha = out.alpha[:, :, :height, :width].cpu()
        if marks is not None:
            # Soft parts beside what is drawn may hang on it.
            alpha = mark.over(alpha)
        near = None
        if chosen is not None:
            spread = resized(torch.from_numpy(chosen)[None, None].float(), height, width)
            near = spread[0, 0].numpy() > 0.0
        found = people(alpha[0, 0].numpy(), near)
        if not found.any():
            return None
        support = torch.from_numpy(found.astype(np.float32))[None, None]
        error = out.error[:, :, :height, :width].cpu() * support
        alpha = alpha * support
        doubtful = (alpha > DOUBT[0]) & (alpha < DOUBT[1])
        return _View(
            alpha=alpha,
            trimap=out.trimap[:, :, :height, :width].cpu(),
            error=error,
            hidden=out.hidden[:, :, : height // 2, : width // 2].cpu(),
            support=support,
            doubt=float(error[doubtful].mean()) if bool(doubtful.any()) else 0.0,
        )


def _settled(view: _View, alpha: Tensor, plate: Image) -> Tensor:
    """Return the final matte at the plate's size: gated by the people, exact where it is sure."""
    import torch

    from relume.networks.matte import settle

    size = (plate.height, plate.width)
    with torch.inference_mode():
        gate = (resized(view.support, *size) > 0).float()
        return settle(resized(alpha, *size) * gate, resized(view.trimap, *size) * gate)


def _whole(alpha: Tensor, view: _View) -> Tensor:
    """Return a matte without the small holes deep inside a person that nobody drew."""
    import torch

    with torch.inference_mode():
        small = resized(alpha, view.alpha.shape[2], view.alpha.shape[3])
        holes = torch.from_numpy(oversights(_plane(small)).astype(np.float32))[None, None]
        return torch.maximum(alpha, resized(holes, alpha.shape[2], alpha.shape[3]))


def _classes(view: _View, plate: Image) -> NDArray[np.float32]:
    """Return the network's trimap at the plate's size, 0 outside the people."""
    import torch

    size = (plate.height, plate.width)
    with torch.inference_mode():
        background, unknown, foreground = resized(view.trimap, *size)[0]
        doubtful = unknown >= torch.maximum(background, foreground)
        classes = torch.where(doubtful, 0.5, (foreground > background).float())
        gate = resized(view.support, *size)[0, 0] > 0
        return _plane((classes * gate)[None, None])


def _refined(
    view: _View,
    plate: Image,
    anchor: float,
    model: Any,
    marks: NDArray[np.float32] | None,
    clean_plate: Image | None,
) -> Tensor:
    """Return alpha at the plate's height, in square pixels, refined where it is doubtful."""
    import torch

    size = plate.height, max(1, round(plate.width * plate.pixel_aspect))
    gain = 2.0**anchor
    with torch.inference_mode():
        clean = None
        if clean_plate is not None:
            clean = resized(planar(clean_plate.rgb), *size) * gain
            clean = torch.cat((clean, torch.ones_like(clean[:, :1])), 1)
        frame = Frame(
            plate=resized(planar(plate.rgb), *size) * gain,
            hidden=view.hidden,
            clean=clean,
            marks=None if marks is None else resized(torch.from_numpy(marks)[None], *size),
        )
        return refine_all(model, frame, view.alpha, view.error)
