"""The colour contract: the pinned OCIO configuration, the default spaces and the known gamuts.

A leaf of plain constants that imports nothing of relume; `relume.colour` gives them life.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple

PINNED: Final = "ocio://studio-config-v4.0.0_aces-v2.0_ocio-v2.5"
"""The configuration in force without `$OCIO`, and the bridge into one's own.

`studio-config-latest` names a different configuration in each OCIO release, and OpenImageIO's own
OCIO is older than PyPI's; both read this one.
"""

WORKING_SPACE: Final = "lin_ap1_scene"
"""ACEScg: where nodes compute unless the graph says otherwise."""

UNTAGGED_LINEAR: Final = "lin_rec709_scene"
"""An untagged `.exr`, `.hdr` or other floating-point file without `$OCIO`."""

UNTAGGED_ENCODED: Final = "srgb_rec709_scene"
"""An untagged integer file; also what an integer picture is written in."""

SCENE_ROLE: Final = "aces_interchange"
"""The role that ties a configuration's scene-referred spaces to ACES2065-1."""

DISPLAY_ROLE: Final = "cie_xyz_d65_interchange"
"""The role that ties a configuration's display-referred spaces to CIE XYZ D65."""


class Chromaticities(NamedTuple):
    """CIE 1931 x, y of the primaries and the white of an RGB space, as in an EXR header."""

    red_x: float
    red_y: float
    green_x: float
    green_y: float
    blue_x: float
    blue_y: float
    white_x: float
    white_y: float


_D65 = (0.3127, 0.3290)
_ACES = (0.32168, 0.33767)

ACES_WHITE: Final = _ACES

GAMUTS: Final = MappingProxyType(
    {
        "lin_ap1_scene": Chromaticities(0.713, 0.293, 0.165, 0.830, 0.128, 0.044, *_ACES),
        "lin_ap0_scene": Chromaticities(0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, *_ACES),
        "lin_rec709_scene": Chromaticities(0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65),
        "lin_p3d65_scene": Chromaticities(0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *_D65),
        "lin_rec2020_scene": Chromaticities(0.708, 0.292, 0.17, 0.797, 0.131, 0.046, *_D65),
        "lin_adobergb_scene": Chromaticities(0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65),
        "ocio:lin_awg3_scene": Chromaticities(0.684, 0.313, 0.221, 0.848, 0.0861, -0.102, *_D65),
        "ocio:lin_awg4_scene": Chromaticities(
            0.7347, 0.2653, 0.1424, 0.8576, 0.0991, -0.0308, *_D65
        ),
        "ocio:lin_sgamut3_scene": Chromaticities(0.73, 0.28, 0.14, 0.855, 0.10, -0.05, *_D65),
        "ocio:lin_sgamut3cine_scene": Chromaticities(
            0.766, 0.275, 0.225, 0.80, 0.089, -0.087, *_D65
        ),
        "ocio:lin_vgamut_scene": Chromaticities(0.73, 0.28, 0.165, 0.84, 0.10, -0.03, *_D65),
        "ocio:lin_rwg_scene": Chromaticities(
            0.780308, 0.304253, 0.121595, 1.493994, 0.095612, -0.084589, *_D65
        ),
        "ocio:lin_dwg_scene": Chromaticities(0.8, 0.313, 0.1682, 0.9877, 0.079, -0.1155, *_D65),
        "ocio:lin_dgamut_scene": Chromaticities(0.71, 0.31, 0.21, 0.88, 0.09, -0.08, *_D65),
    }
)
"""Interop id of a scene-linear space → its chromaticities.

Source: SMPTE ST 2065-1 (AP0), AMPAS S-2014-004 (AP1), ITU-R BT.709, BT.2020, SMPTE EG 432-1 (P3),
Adobe RGB (1998), and the camera makers' colour science papers.
"""
