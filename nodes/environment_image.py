"""EnvironmentImage."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image
from relume.light.types import Environment
from relume.node import In, Node, Out


class EnvironmentImage(Node):
    """Take an environment as the lat-long picture that it is, to look at or to write."""

    id, version, category = "environment_image", 1, "Light"
    environment = In(Environment, "The environment.")
    image = Out(Image, "R, G, B in the environment's layout.")

    def compute(self, ctx: Context, environment: Environment) -> Image:
        """Return the picture."""
        return environment.image
