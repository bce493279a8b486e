"""A single network as an ONNX file, for applications that run such files themselves.

The file is the network and nothing around it: what it reads must be prepared as its metadata says,
colours in the encoding of `relume.encoding` after the exposure anchor.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from relume import weights
from relume.errors import UsageError
from relume.files import replacing
from relume.networks.express import ALBEDO, NORMALS, TRANSPORT, ExpressNet
from relume.networks.matte import STRIDE, CoarseNet, MatteNet

ENCODING = "sign(x) log2(1 + 16 |x|) / log2(65), x scene-linear ACEScg times 2^anchor"

_COLOUR = ("R", "G", "B")
_NORMAL = ("X", "Y", "Z")


@dataclass(frozen=True, slots=True)
class Form:
    """What goes into a network and what comes out.

    Attributes:
        planes: channels of the input, in order.
        outputs: names of the outputs, in order.
        stride: height and width are multiples of it.
    """

    planes: tuple[str, ...]
    outputs: tuple[str, ...]
    stride: int


FORMS = {
    "normals": Form((*_COLOUR, "A"), ("normals",), 2),
    "albedo": Form((*_COLOUR, *_NORMAL, "A"), ("albedo",), 2),
    "transport": Form(
        (*_COLOUR, *_NORMAL, *(f"albedo.{c}" for c in _COLOUR), "A"), ("weights",), 2
    ),
    "express": Form((*_COLOUR, "A"), ("normals", "albedo", "weights"), 2),
    "matte": Form(
        (
            *_COLOUR,
            *(f"clean_plate.{c}" for c in _COLOUR),
            *("has_clean_plate", "guide.foreground", "guide.unknown", "has_guide"),
        ),
        ("alpha", "trimap"),
        STRIDE,
    ),
}
"""Networks that make sense alone. Of the matting network it is the coarse pass."""


class _Matte(nn.Module):
    """The coarse pass, with probabilities instead of logits."""

    def __init__(self, coarse: CoarseNet) -> None:
        super().__init__()
        self.coarse = coarse

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the matte, N×1×H×W, and background, unknown, foreground, N×3×H×W."""
        found = self.coarse(x)
        return torch.sigmoid(found.alpha), torch.softmax(found.trimap, 1)


class _Express(nn.Module):
    """The fast network, its answers apart."""

    def __init__(self, model: ExpressNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return N×3×H×W normals and encoded albedo, and N×21×H×W weights of light."""
        found = self.model(x)
        return found[:, NORMALS], found[:, ALBEDO], found[:, TRANSPORT]


def module(name: str) -> nn.Module:
    """Return a network as it is exported, float32, with the weights that relume uses.

    Raises:
        UsageError: there is none of that name.
        InputError: its weights are missing or damaged.
    """
    if name not in FORMS:
        raise UsageError(
            f"the network '{name}' cannot be exported alone",
            way_out=f"There are: {', '.join(FORMS)}",
        )
    model = weights.load(name)
    if isinstance(model, ExpressNet):
        return _Express(model).eval()
    return _Matte(model.coarse).eval() if isinstance(model, MatteNet) else model


def export(name: str, path: Path, size: Sequence[int]) -> None:
    """Write a network as an ONNX file for pictures of one size, whole or not at all.

    Args:
        name: of the network.
        path: of the file.
        size: width and height in square pixels, multiples of the network's stride.

    Raises:
        UsageError: there is no such network, or the size does not fit it.
        InputError: its weights are missing or damaged.
        OutputError: the file cannot be written.
    """
    model, form = module(name), FORMS[name]
    width, height = size
    if width < 2 * STRIDE or height < 2 * STRIDE or width % form.stride or height % form.stride:
        raise UsageError(
            f"the network '{name}' has no size {width}x{height}",
            way_out=f"Give multiples of {form.stride}, of {2 * STRIDE} at least",
        )
    example = torch.zeros(1, len(form.planes), height, width)
    with _quiet():
        program = torch.onnx.export(
            model,
            (example,),
            input_names=["planes"],
            output_names=list(form.outputs),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(
        {
            "relume.network": name,
            "relume.sha256": weights.digest(name),
            "relume.planes": json.dumps(form.planes),
            "relume.encoding": ENCODING,
        }
    )
    with replacing(path) as temporary:
        program.save(str(temporary))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what the exporter says of its own parts."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
