"""PrefilterLight."""

from __future__ import annotations

from relume.context import Context
from relume.knobs import Int, Ints
from relume.light.prefilter import EXPONENTS, HEIGHT, prefilter
from relume.light.types import Environment, LightMaps
from relume.node import In, Node, Out


class PrefilterLight(Node):
    """Convolve an environment into the light maps that shade a subject.

    Exact, without random numbers and on the environment's absolute scale.

    Source: Pandey et al. 2021, section 3.2. D(n) = 1/π ∫ L max(0, n·ω) dω and
    S_n(r) = (n+1)/2π ∫ L max(0, r·ω)ⁿ dω.
    """

    id, version, category = "prefilter_light", 1, "Light"
    environment = In(Environment, "Lat-long radiance, any size.")
    light_maps = Out(LightMaps, "Diffuse irradiance and one Phong lobe an exponent.")
    exponents = Ints(EXPONENTS, "Phong exponents of the specular maps.", min=1, max=1024)
    height = Int(HEIGHT, "Rows of the maps; lobes above 64 need more.", min=8, max=2048)

    def compute(self, ctx: Context, environment: Environment) -> LightMaps:
        """Convolve."""
        return prefilter(environment, self.exponents, self.height, threads=ctx.threads)
