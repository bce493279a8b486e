"""A plate, and what is worked out of it whatever the light."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relume.errors import UsageError
from relume.graph import Graph
from relume.nodes.albedo import Albedo
from relume.nodes.exposure_anchor import ExposureAnchor
from relume.nodes.fast_analysis import FastAnalysis
from relume.nodes.foreground import Foreground
from relume.nodes.matte import Matte
from relume.nodes.normals import Normals
from relume.nodes.onnx_matte import OnnxMatte
from relume.nodes.plate_matte import PlateMatte
from relume.nodes.read_matte import ReadMatte
from relume.nodes.recipes.lighting import CALIBRATED_ALBEDO, PlateLight, add_calibrated
from relume.nodes.recipes.sources import Knobs, Source, add_picture
from relume.nodes.steady_matte import SteadyMatte
from relume.nodes.transport import Transport
from relume.nodes.trimap import Trimap
from relume.nodes.trimap_matte import TrimapMatte

METHODS = ("network", "closed-form")
"""How a matte is pulled."""

PROFILES = ("best", "fast")
"""How a subject is analysed: by three networks that look four times each, or by one, once."""


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate and what is known about it.

    Attributes:
        picture: the plate.
        matte: a finished matte; relume then pulls none.
        trimap: certain background, unknown and certain foreground, for relume's matte.
        mask: a rough mask of the subject, for relume's matte.
        clean_plate: the same view without the subject, for relume's matte.
        method: `network`, or `closed-form`: solved from the trimap or mask, without a network.
        model: knobs of OnnxMatte: a network of the user's own instead of relume's.
        steady: whether the matte is averaged over a few frames.
        profile: one of `PROFILES`.
        light: what the plate was filmed under, to calibrate its transport by; graphs without a
            transport have no use for it.
        proxy: everything is worked at 1/proxy of the size.
    """

    picture: Source
    matte: Source | None = None
    trimap: Source | None = None
    mask: Source | None = None
    clean_plate: Source | None = None
    method: str = "network"
    model: Knobs | None = None
    steady: bool = False
    profile: str = "best"
    light: PlateLight | None = None
    proxy: int = 1

    def __post_init__(self) -> None:
        if self.matte is not None:
            for name in ("trimap", "mask", "clean_plate"):
                if getattr(self, name) is not None:
                    raise UsageError(
                        f"a finished matte leaves nothing to do for a {name.replace('_', ' ')}",
                        way_out="Give one or the other",
                    )
        if self.trimap is not None and self.mask is not None:
            raise UsageError(
                "a trimap and a mask cannot both guide the matte", way_out="Give one of them"
            )
        if self.method not in METHODS:
            raise UsageError(
                f"there is no matting method '{self.method}'",
                way_out=f"Choose one of {', '.join(METHODS)}",
            )
        if self.profile not in PROFILES:
            raise UsageError(
                f"there is no profile '{self.profile}'",
                way_out=f"Choose one of {', '.join(PROFILES)}",
            )
        if self.model is not None and (self.matte is not None or self.method != "network"):
            raise UsageError(
                "a model has no use beside a finished matte or another method",
                way_out="Give one or the other",
            )
        if self.method == "closed-form":
            if self.trimap is None and self.mask is None:
                raise UsageError(
                    "the closed-form method needs a trimap", way_out="Give --trimap, or --mask"
                )
            if self.clean_plate is not None:
                raise UsageError(
                    "the closed-form method has no use for a clean plate",
                    way_out="Leave one of the two out",
                )

    @property
    def wire(self) -> str:
        """The reference to the matte in the graphs of the recipes."""
        if self.steady:
            return "steady"
        return "matte.matte" if self.matte is None else "matte"

    @property
    def normals(self) -> str:
        """The reference to the normals."""
        return "normals" if self.profile == "best" else "analysis.normals"

    @property
    def albedo(self) -> str:
        """The reference to the albedo as a network sees it."""
        return "albedo" if self.profile == "best" else "analysis.albedo"

    @property
    def transport(self) -> str:
        """The reference to the transport as a network sees it."""
        return "transport" if self.profile == "best" else "analysis.transport"

    @property
    def colour(self) -> str:
        """The reference to the albedo in the graphs that have a transport."""
        return self.albedo if self.light is None else CALIBRATED_ALBEDO

    @property
    def subject(self) -> dict[str, str]:
        """The wires of a node that looks at the subject."""
        return {"foreground": "foreground", "matte": self.wire, "anchor": "anchor"}


def add_foreground(graph: Graph, plate: Plate) -> None:
    """Add plate, anchor, matte and foreground."""
    known: dict[str, str] = {}
    add_picture(graph, "plate", plate.picture, plate.proxy)
    graph.add("anchor", ExposureAnchor, plate="plate")
    if plate.matte is not None:
        add_picture(graph, "matte", plate.matte, plate.proxy, ReadMatte)
    else:
        wires = {"plate": "plate", "anchor": "anchor"}
        if plate.trimap is not None:
            add_picture(graph, "guide", plate.trimap, plate.proxy, ReadMatte)
            wires["guide"] = "guide"
        if plate.mask is not None:
            # A hand is as exact as the picture is large, so the doubt is measured on the subject.
            add_picture(graph, "mask", plate.mask, plate.proxy, ReadMatte)
            graph.add("guide", Trimap, {"measure": "subject"}, matte="mask")
            wires["guide"] = "guide"
        if plate.method == "closed-form":
            graph.add("matte", TrimapMatte, None, **wires)
        elif plate.model is not None:
            if plate.clean_plate is not None:
                add_picture(graph, "clean_plate", plate.clean_plate, plate.proxy)
                wires["clean_plate"] = "clean_plate"
            graph.add("matte", OnnxMatte, plate.model, **wires)
        elif plate.clean_plate is not None:
            add_picture(graph, "clean_plate", plate.clean_plate, plate.proxy)
            graph.add("matte", PlateMatte, None, **wires, clean_plate="clean_plate")
            known["clean_plate"] = "matte.aligned"
        else:
            graph.add("matte", Matte, None, **wires)
    if plate.steady:
        shaky = replace(plate, steady=False).wire
        graph.add("steady", SteadyMatte, plate="plate", matte=shaky, anchor="anchor")
    graph.add("foreground", Foreground, None, plate="plate", matte=plate.wire, **known)


def add_normals(graph: Graph, plate: Plate) -> None:
    """Add what `add_foreground` does, and normals."""
    add_foreground(graph, plate)
    if plate.profile == "fast":
        graph.add("analysis", FastAnalysis, None, **plate.subject)
    else:
        graph.add("normals", Normals, None, **plate.subject)


def add_albedo(graph: Graph, plate: Plate) -> None:
    """Add what `add_normals` does, and albedo."""
    add_normals(graph, plate)
    if plate.profile == "best":
        graph.add("albedo", Albedo, None, **plate.subject, normals=plate.normals)


def add_transport(graph: Graph, plate: Plate) -> str:
    """Add what `add_albedo` does, and transport; return the reference to the transport."""
    add_albedo(graph, plate)
    if plate.profile == "best":
        wires = {**plate.subject, "normals": plate.normals, "albedo": plate.albedo}
        graph.add("transport", Transport, None, **wires)
    return add_calibrated(graph, plate.light, plate.transport)
