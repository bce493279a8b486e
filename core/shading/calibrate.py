"""A transport calibrated by the light its plate was filmed under."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relume.geometry.subject import find_subject
from relume.image import Image
from relume.light.types import LightMaps
from relume.shading.relight import relight
from relume.shading.types import Transport

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAST_BODY = 0.3
"""Share of a picture that counts as body colour even where the shine is all of it."""

DARKEST = 1e-3
"""What is darker than this share of the subject's level is no evidence of an albedo."""

FEW = 0.01
"""Share of the subject that must be evidence, for a colour channel to be corrected."""

MOST = 2.0
"""Most that a pixel moves beside the others, as a natural logarithm: about seven times."""

FARTHEST = 4.0
"""Most stops that all of them move."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A calibrated transport.

    Attributes:
        transport: the same one with another albedo.
        stops: of R, G and B, how much brighter the plate is than the subject as it was, under the
            light of the set; NaN where either is too dark to say.
    """

    transport: Transport
    stops: tuple[float, float, float]


def calibrate(
    transport: Transport,
    light: LightMaps,
    *,
    level: float = 0.6,
    detail: float = 0.6,
    threads: int = 1,
) -> Calibrated:
    """Correct the albedo of a transport so that under the light of the set the plate comes out.

    How bright and of what colour the light is cannot be told from a picture of a person; on a set
    it is measured. The plate less the shine, over the body colour under that light, is what the
    albedo is wrong by, if the shading is right. It is not quite, so only a share of the error is
    taken out: in logarithms, that weighs the plate's word against the network's.

    Source: a ratio image (Riklin-Raviv and Shashua 2001, The Quotient Image) folded into the
    albedo, so that what comes out is linear in the new light as before.

    Args:
        transport: the subject.
        light: what the plate was filmed under, in its colour space and at its exposure.
        level: share of the difference in level and colour that is the albedo's; the rest is taken
            for a fault of the light, such as an HDRI of another exposure.
        detail: share that is taken out of what each pixel is wrong by beside the others.
        threads: to compute with; the result does not depend on it.

    Returns:
        The transport with another albedo, continued beyond the matte as before. Pixels and colour
        channels that are too dark to say anything move with the others, or not at all.

    Raises:
        UsageError: the light has no map for a lobe that the transport weighs.
    """
    subject = find_subject(transport.foreground, transport.matte)
    if subject is None:
        return Calibrated(transport, (np.nan, np.nan, np.nan))
    place = np.flatnonzero(subject.alpha > 0)
    alpha = subject.alpha.reshape(-1, 1)[place]

    def at(image: Image) -> F32:
        return image.rgb.reshape(-1, 3)[place]

    def lit(**gains: float) -> F32:
        return at(relight(transport, {"set": light}, passes=False, threads=threads, **gains).relit)

    plate = at(transport.foreground) * alpha
    body = lit(specular_gain=0.0)
    shine = lit(diffuse_gain=0.0, residual_gain=0.0)
    solid = alpha > min(0.5, float(alpha.max()) / 2)
    bright = _bright(plate, solid, alpha) & _bright(body, solid, alpha)
    seen = bright & solid
    told = seen.sum(0) >= max(1.0, FEW * solid.sum())

    # What of the level is not put down to the albedo is put down to the light.
    brighter = _middle(_ratio(plate, body + shine), seen, told)
    dimmer = np.exp(np.float32(1.0 - level) * brighter)
    body, shine = body * dimmer, shine * dimmer
    error = _ratio(
        np.maximum(plate - shine, LEAST_BODY * plate),
        np.maximum(body, LEAST_BODY * (body + shine)),
    )
    common = _middle(error, seen, told)
    own = np.where(bright & told, np.clip(error - common, -MOST, MOST), 0)

    albedo = transport.albedo.rgb.copy()
    albedo.reshape(-1, 3)[place] *= np.exp(common + np.float32(detail) * own)
    subject.extend(albedo)
    corrected = replace(
        transport, albedo=transport.albedo.like(albedo, ("R", "G", "B")), calibrated=True
    )
    red, green, blue = np.where(told, brighter / np.log(2.0), np.nan).tolist()
    return Calibrated(corrected, (red, green, blue))


def _bright(picture: F32, solid: Mask, alpha: F32) -> Mask:
    """Return which values of a premultiplied picture are not dark beside the solid ones."""
    shown = picture[solid[:, 0]]
    shown = shown[np.isfinite(shown)]
    level = np.median(shown) if len(shown) else 0.0
    # Comparisons are false for NaN.
    return np.asarray((picture > max(DARKEST * level, 1e-9) * alpha) & (picture < np.inf))


def _ratio(picture: F32, other: F32) -> F32:
    """Return by how much one picture is brighter than another, as a logarithm."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(np.log(picture / other)), np.float32)


def _middle(values: F32, seen: Mask, told: Mask) -> F32:
    """Return the median of what is seen of each channel, within bounds; 0 where nothing is told."""
    most = FARTHEST * np.log(2.0)
    found = [
        np.clip(np.median(values[seen[:, c], c]), -most, most) if told[c] else 0.0
        for c in range(values.shape[1])
    ]
    return np.array(found, np.float32)
