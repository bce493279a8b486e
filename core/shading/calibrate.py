"""A transport calibrated by the light its plate was filmed under."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relume.geometry.subject import find_subject
from relume.light.types import LightMaps
from relume.shading.relight import relight
from relume.shading.types import Transport

F32 = NDArray[np.float32]

LEAST_BODY = 0.3
"""Share of the plate that counts as body colour even where the shine explains all of it."""

DARKEST = 1e-3
"""What is darker than this share of the subject's level is no evidence of an albedo."""

MOST = 2.0
"""Most that a pixel moves beside the others, as a natural logarithm: about seven times."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A calibrated transport.

    Attributes:
        transport: the same one with another albedo.
        stops: how much brighter the plate is than the subject as it was, under the light of the
            set; 0 where there is no subject.
    """

    transport: Transport
    stops: float


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
        The transport with another albedo, positive and continued beyond the matte as before.

    Raises:
        UsageError: the light has no map for a lobe that the transport weighs.
    """
    subject = find_subject(transport.foreground, transport.matte)
    if subject is None:
        return Calibrated(transport, 0.0)
    parts = relight(transport, {"set": light}, threads=threads).passes
    place = np.flatnonzero(subject.alpha > 0)
    alpha = subject.alpha.reshape(-1, 1)[place]

    def at(pixels: F32) -> F32:
        return pixels.reshape(-1, pixels.shape[2])[place]

    plate = at(transport.foreground.rgb) * alpha
    shine = at(parts["specular"].pixels)
    body = at(parts["diffuse"].pixels) + at(parts["residual"].pixels)
    solid = alpha[:, 0] > min(0.5, float(alpha.max()) / 2)
    dark = np.float32(DARKEST * max(float(np.median(plate[solid])), 1e-6)) * alpha

    def beyond(picture: F32, other: F32) -> F32:
        """Return by how much one picture is brighter than another, as a logarithm."""
        ratio = np.maximum(picture, dark) / np.maximum(other, dark)
        return np.asarray(np.nan_to_num(np.log(ratio)), np.float32)

    def middle(values: F32) -> F32:
        return np.asarray(np.median(values[solid], axis=0), np.float32)

    # What of the level is not put down to the albedo is put down to the light.
    brighter = middle(beyond(plate, body + shine))
    dimmer = np.exp(np.float32(1.0 - level) * brighter)
    body, shine = body * dimmer, shine * dimmer
    error = beyond(np.maximum(plate - shine, LEAST_BODY * plate), body)
    common = middle(error)
    taken = common + np.float32(detail) * np.clip(error - common, -MOST, MOST)

    albedo = transport.albedo.rgb.copy()
    albedo.reshape(-1, 3)[place] *= np.exp(taken)
    subject.extend(albedo)
    corrected = replace(transport, albedo=transport.albedo.like(albedo, ("R", "G", "B")))
    return Calibrated(corrected, float(brighter.mean() / np.log(2.0)))
