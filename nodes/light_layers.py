"""LightLayers."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image, Layers
from relume.light.types import LightMaps
from relume.node import In, Node, Out


class LightLayers(Node):
    """Lay light maps out as pictures to look at or to write: `diffuse`, `specular_016` …."""

    id, version, category = "light_layers", 1, "Light"
    light_maps = In(LightMaps, "Prefiltered light.")
    layers = Out(Layers, "Lat-long maps in the environment's layout.")

    def compute(self, ctx: Context, light_maps: LightMaps) -> Layers:
        """Name the maps."""
        from relume.light.maps import settled

        still = settled(light_maps)
        maps = {"diffuse": still.diffuse}
        maps |= {f"specular_{n:03d}": pixels for n, pixels in still.specular.items()}
        return Layers(
            {
                name: Image(pixels, ("R", "G", "B"), colour=light_maps.colour)
                for name, pixels in maps.items()
            }
        )
