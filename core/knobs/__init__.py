"""Knobs: the typed, documented values of a node, each declared once."""

from relume.knobs.base import Knob
from relume.knobs.lists import Colour, Floats, Ints, OptionalColour
from relume.knobs.numbers import Float, Int, OptionalFloat
from relume.knobs.words import Bool, Choice, ColourSpace, File, OutputFile, Text, Texts

__all__ = [
    "Bool",
    "Choice",
    "Colour",
    "ColourSpace",
    "File",
    "Float",
    "Floats",
    "Int",
    "Ints",
    "Knob",
    "OptionalColour",
    "OptionalFloat",
    "OutputFile",
    "Text",
    "Texts",
]
