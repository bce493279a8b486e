"""The node types there are, in the order a picture passes through them."""

from __future__ import annotations

from relume.image import Box
from relume.light.types import LightMaps
from relume.light.types import OriginalLight as OriginalLightType
from relume.node import Registry
from relume.nodes.adjust_light import AdjustLight
from relume.nodes.albedo import Albedo
from relume.nodes.calibrate import Calibrate
from relume.nodes.camera import Camera
from relume.nodes.colour_space import ColourSpace
from relume.nodes.crop import Crop
from relume.nodes.defocus import Defocus
from relume.nodes.despill import Despill
from relume.nodes.environment_background import EnvironmentBackground
from relume.nodes.environment_image import EnvironmentImage
from relume.nodes.estimate_light import EstimateLight
from relume.nodes.exposure_anchor import ExposureAnchor
from relume.nodes.fast_analysis import FastAnalysis
from relume.nodes.foreground import Foreground
from relume.nodes.grade import Grade
from relume.nodes.input import Input
from relume.nodes.light_layers import LightLayers
from relume.nodes.light_rig import LightRig
from relume.nodes.light_wrap import LightWrap
from relume.nodes.match_grain import MatchGrain
from relume.nodes.match_levels import MatchLevels
from relume.nodes.matte import Matte
from relume.nodes.neural_render import NeuralRender
from relume.nodes.normals import Normals
from relume.nodes.onnx_matte import OnnxMatte
from relume.nodes.original_light import OriginalLight
from relume.nodes.over import Over
from relume.nodes.pack_transport import PackTransport
from relume.nodes.phong import Phong
from relume.nodes.plate_matte import PlateMatte
from relume.nodes.prefilter_light import PrefilterLight
from relume.nodes.premult import Premult
from relume.nodes.read import Read
from relume.nodes.read_environment import ReadEnvironment
from relume.nodes.read_matte import ReadMatte
from relume.nodes.read_transport import ReadTransport
from relume.nodes.reformat import Reformat
from relume.nodes.relight import Relight
from relume.nodes.segment import Segment
from relume.nodes.shuffle import Shuffle
from relume.nodes.steady_matte import SteadyMatte
from relume.nodes.transport import Transport
from relume.nodes.trimap import Trimap
from relume.nodes.trimap_matte import TrimapMatte
from relume.nodes.unpremult import Unpremult
from relume.nodes.write import Write

REGISTRY = Registry(
    (
        Read,
        ReadMatte,
        ReadEnvironment,
        ReadTransport,
        Input,
        Write,
        ExposureAnchor,
        Segment,
        Trimap,
        Matte,
        PlateMatte,
        TrimapMatte,
        OnnxMatte,
        SteadyMatte,
        Foreground,
        Despill,
        Camera,
        Normals,
        Albedo,
        LightRig,
        EstimateLight,
        PrefilterLight,
        AdjustLight,
        OriginalLight,
        LightLayers,
        EnvironmentBackground,
        EnvironmentImage,
        Transport,
        Phong,
        FastAnalysis,
        Calibrate,
        Relight,
        NeuralRender,
        PackTransport,
        Over,
        MatchLevels,
        LightWrap,
        MatchGrain,
        Defocus,
        Premult,
        Unpremult,
        Shuffle,
        ColourSpace,
        Grade,
        Reformat,
        Crop,
    )
)

WIRE_TYPES: dict[str, type] = {
    cls.__name__: cls
    for node in REGISTRY.values()
    for port in (*node.inputs().values(), *node.outputs().values())
    for cls in port.types
} | {cls.__name__: cls for cls in (Box, LightMaps, OriginalLightType)}
"""What a cache on disk may hold: what travels on wires, and what that is made of."""
