"""Colour spaces: which one a file is in, how to name one, and how to get from one to another."""

from relume.colour.config import config, config_digest, pinned
from relume.colour.display import to_display, to_uint8
from relume.colour.identity import chromaticities, interop_id, is_linear
from relume.colour.input import InputSpace, input_space
from relume.colour.spaces import canonical, encoding, from_chromaticities, resolve, working_space
from relume.colour.transforms import convert

__all__ = [
    "InputSpace",
    "canonical",
    "chromaticities",
    "config",
    "config_digest",
    "convert",
    "encoding",
    "from_chromaticities",
    "input_space",
    "interop_id",
    "is_linear",
    "pinned",
    "resolve",
    "to_display",
    "to_uint8",
    "working_space",
]
