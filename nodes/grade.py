"""Grade."""

from __future__ import annotations

from relume.compositing.grade import Grading, grade
from relume.context import Context
from relume.image import Image
from relume.knobs import Colour, Float
from relume.node import In, Node, Out

_ONE = (1.0, 1.0, 1.0)
_ZERO = (0.0, 0.0, 0.0)


class Grade(Node):
    """Grade colour: black and white point, lift and gain, multiply, offset, gamma, exposure.

    With a = multiply·(gain − lift)/(whitepoint − blackpoint) the result is
    (a·x + offset + lift − a·blackpoint)^(1/gamma); gamma keeps the sign. Nothing is clamped.
    """

    id, version, category = "grade", 1, "Colour"
    image = In(Image, "The picture; premultiplied colour is divided by alpha while graded.")
    out = Out(Image, "The graded picture.")
    exposure = Float(0.0, "Exposure, applied first.", unit="stops", min=-40, max=40)
    blackpoint = Colour(_ZERO, "Input value that becomes `lift`.")
    whitepoint = Colour(_ONE, "Input value that becomes `gain`.")
    lift = Colour(_ZERO, "Output of the black point.")
    gain = Colour(_ONE, "Output of the white point.")
    multiply = Colour(_ONE, "Factor.")
    offset = Colour(_ZERO, "Added to the result.")
    gamma = Colour(_ONE, "Exponent 1/gamma on the magnitude.", min=0.01, max=100)

    def compute(self, ctx: Context, image: Image) -> Image:
        """Grade the image."""
        return grade(image, Grading(**self.values))
