"""A transport as layers of a picture, so that it can be written, moved and relit elsewhere.

The coefficients of a pixel, in this order, fill `transport_00.R/G/B/A`, `transport_01.R/G/B/A` …:
the weight of D(N), one weight an exponent (1, 16, 32, 64), and the 16 weights of the spherical
harmonics in the order l² + l + m. The last layer is padded with 0. Where there is a camera, its
orientation is the attribute `worldToCamera`, and the directions to it are the layer `view`. A
transport that was calibrated says so in the attribute `relume:calibrated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from relume.errors import InputError
from relume.geometry.camera import Camera
from relume.image import DATA, Image, Layers
from relume.shading.types import EXPONENTS, HARMONICS, Transport

F32 = NDArray[np.float32]

PREFIX = "transport_"
COEFFICIENTS = 1 + len(EXPONENTS) + HARMONICS
_CHANNELS = ("R", "G", "B", "A")
_MATRIX = "worldToCamera"
_CALIBRATED = "relume:calibrated"
_GIVEN = {"foreground": "RGB", "albedo": "RGB", "normal": "XYZ", "matte": "A"}


def pack(transport: Transport) -> Layers:
    """Return a transport as layers.

    Args:
        transport: the subject.

    Returns:
        `rgba` (the plate's own subject, premultiplied), `foreground`, `albedo`, `normal`, `matte`,
        `transport_00` …, and `view` where there is a camera.
    """
    matte = transport.matte
    planar = np.concatenate((transport.diffuse[None], transport.specular, transport.residual))
    layers = -(-COEFFICIENTS // 4)
    flat = np.zeros((matte.height * matte.width, 4 * layers), np.float32)
    flat[transport.index, :COEFFICIENTS] = planar.T
    dense = flat.reshape(matte.height, matte.width, -1)
    alpha = matte.take("A")
    straight = transport.foreground.rgb
    packed = {
        "rgba": transport.foreground.like(
            np.concatenate((straight * alpha, alpha), axis=2), _CHANNELS, alpha="premultiplied"
        ),
        "foreground": transport.foreground,
        "albedo": transport.albedo,
        "normal": transport.normals,
        "matte": matte,
    }
    for number in range(layers):
        part = dense[:, :, 4 * number : 4 * number + 4]
        packed[f"{PREFIX}{number:02d}"] = matte.like(part, _CHANNELS, colour=DATA, alpha="none")
    if transport.view is not None:
        view = np.zeros((matte.height * matte.width, 3), np.float32)
        view[transport.index] = transport.view.T
        shaped = view.reshape(matte.height, matte.width, 3)
        packed["view"] = matte.like(shaped, ("X", "Y", "Z"), colour=DATA, alpha="none")
    attributes: dict[str, tuple[str, object]] = {}
    if transport.calibrated:
        attributes[_CALIBRATED] = ("int", 1)
    if transport.to_world is not None:
        # The inverse of a rotation is its transpose, and row vectors transpose it once more.
        matrix = np.eye(4)
        matrix[:3, :3] = transport.to_world
        attributes[_MATRIX] = ("matrix", tuple(matrix.reshape(-1).tolist()))
    if attributes:
        packed = {
            name: replace(image, metadata={**image.metadata, **attributes})
            for name, image in packed.items()
        }
    return Layers(packed)


def unpack(layers: Mapping[str, Image]) -> Transport:
    """Return the transport that `pack` laid out.

    Args:
        layers: layers by name, as read from a file.

    Raises:
        InputError: a layer or channel is missing.
    """
    count = -(-COEFFICIENTS // 4)
    names = [f"{PREFIX}{number:02d}" for number in range(count)]
    for name, channels in {**_GIVEN, **dict.fromkeys(names, "RGBA")}.items():
        if name not in layers or not layers[name].has(*channels):
            raise InputError(
                f"the file is no transport: it has no layer '{name}' of {'/'.join(channels)}",
                way_out="Make one with `relume analyse`",
            )
    matte = layers["matte"]
    dense = np.concatenate([layers[name].take(*_CHANNELS) for name in names], axis=2)
    flat = dense.reshape(-1, dense.shape[2])[:, :COEFFICIENTS]
    covered = (matte.take("A").reshape(-1) > 0) | (flat != 0).any(axis=1)
    index = np.flatnonzero(covered).astype(np.int32)
    planar = np.ascontiguousarray(flat[index].T)
    view = to_world = None
    if "view" in layers:
        towards = layers["view"].take("X", "Y", "Z").reshape(-1, 3)[index].T
        view = np.ascontiguousarray(towards / np.linalg.norm(towards, axis=0))
        if _MATRIX in layers["view"].metadata:
            matrix = layers["view"].metadata[_MATRIX][1]
            to_world = Camera.from_world_to_camera(matrix).to_world
    lobes = len(EXPONENTS)
    return Transport(
        foreground=layers["foreground"],
        matte=matte.like(matte.take("A"), ("A",), colour=DATA),
        normals=layers["normal"],
        albedo=layers["albedo"],
        index=index,
        diffuse=planar[0],
        specular=planar[1 : 1 + lobes],
        residual=planar[1 + lobes :],
        view=view,
        to_world=to_world,
        calibrated=_CALIBRATED in matte.metadata,
    )
