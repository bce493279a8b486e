"""LightLayers."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image, Layers
from relume.light.types import LightMaps
from relume.node import In, Node, Out
from relume.shading.types import HARMONICS


class LightLayers(Node):
    """Lay light out as pictures to look at or to write: `diffuse`, `specular_016` …, `harmonics`.

    `harmonics` is sixteen upright stripes of equal width: what a comp needs of the light beside the
    maps, in a form that every application can read.
    """

    id, version, category = "light_layers", 2, "Light"
    light_maps = In(LightMaps, "Prefiltered light.")
    layers = Out(
        Layers,
        "Lat-long maps in the environment's layout; stripe l² + l + m of `harmonics` is the "
        "spherical-harmonic coefficient of that index.",
    )

    def compute(self, ctx: Context, light_maps: LightMaps) -> Layers:
        """Name the maps."""
        from relume.light.maps import settled, stripes

        still = settled(light_maps)
        maps = {"diffuse": still.diffuse}
        maps |= {f"specular_{n:03d}": pixels for n, pixels in still.specular.items()}
        maps["harmonics"] = stripes(still.harmonics[:HARMONICS], *still.diffuse.shape[:2])
        return Layers(
            {
                name: Image(pixels, ("R", "G", "B"), colour=light_maps.colour)
                for name, pixels in maps.items()
            }
        )
