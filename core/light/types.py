"""What travels on the wires of light: environments, light maps and named lights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from relume.errors import InputError
from relume.image import Image

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """Radiance from every direction, as a lat-long image.

    +Y is up, the image centre is the direction the camera looks (−Z), u grows to the right (+X).

    Attributes:
        image: H×2H R, G, B, scene-linear, absolute scale, unbounded, every value finite.
    """

    image: Image

    def __post_init__(self) -> None:
        if self.image.width != 2 * self.image.height:
            raise InputError(
                f"an environment is a lat-long image twice as wide as high, this one is "
                f"{self.image.width}×{self.image.height}",
                way_out="Convert it to lat-long, or resize it to 2:1",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """A light that Relight can add to a picture.

    Attributes:
        gain: three factors on R, G, B.
    """

    gain: F32 = field(default_factory=lambda: np.ones(3, np.float32))

    def __post_init__(self) -> None:
        gain = np.array(np.broadcast_to(self.gain, (3,)), np.float32)
        gain.flags.writeable = False
        object.__setattr__(self, "gain", gain)

    def adjusted(self, *, gain: F32, rotation: float = 0.0) -> Light:
        """Return this light scaled by `gain` and turned by `rotation` degrees."""
        del rotation  # only light from all around has a direction to turn
        return replace(self, gain=self.gain * np.asarray(gain, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class OriginalLight(Light):
    """The light the plate was filmed under: its picture is the plate's own foreground."""


@dataclass(frozen=True, slots=True, eq=False)
class LightMaps(Light):
    """An environment convolved with the kernels that shade a subject.

    The maps are lat-long images in the environment's layout, indexed by direction. They hold the
    unrotated light; `rotation` and `gain` are applied when the light is looked up, so that turning
    or dimming a light never convolves again.

    Attributes:
        diffuse: H×W×3 irradiance over π, D(n).
        specular: Phong exponent → H×W×3 normalised lobe S_n(r), ascending exponents.
        harmonics: (order+1)²×3 spherical-harmonic coefficients of the radiance, order 4, real,
            orthonormal, index l²+l+m, polar axis +Y, azimuth from +Z towards +X.
        rotation: degrees added; +90 moves light from behind the subject to screen right.
        colour: the colour space the maps are in.
    """

    diffuse: F32 = field(kw_only=True)
    specular: Mapping[int, F32] = field(kw_only=True)
    harmonics: F32 = field(kw_only=True)
    rotation: float = field(default=0.0, kw_only=True)
    colour: str = field(default="lin_ap1_scene", kw_only=True)

    def __post_init__(self) -> None:
        # Dataclasses with slots rebuild the class, so a bare super() would look up the old one.
        Light.__post_init__(self)
        object.__setattr__(self, "specular", MappingProxyType(dict(sorted(self.specular.items()))))
        for array in (self.diffuse, self.harmonics, *self.specular.values()):
            array.flags.writeable = False

    @property
    def exponents(self) -> tuple[int, ...]:
        """The Phong exponents there are maps for, ascending."""
        return tuple(self.specular)

    def adjusted(self, *, gain: F32, rotation: float = 0.0) -> LightMaps:
        """Return this light scaled by `gain` and turned by `rotation` degrees."""
        return replace(
            self,
            gain=self.gain * np.asarray(gain, np.float32),
            rotation=(self.rotation + rotation) % 360.0,
        )
