"""Camera."""

from __future__ import annotations

import json
from pathlib import Path

from relume.context import Context
from relume.errors import InputError
from relume.geometry.camera import Camera as PlateCamera
from relume.image import Image
from relume.knobs import File, Float
from relume.node import In, Node, Out


class Camera(Node):
    """Say how the plate was filmed; lights are then fixed to the world instead of to the picture.

    The camera comes from a JSON file `{"fov": 40, "worldToCamera": [16 numbers], "frames": {…}}`,
    else from the plate's `worldToCamera`, else it is `fov` alone.
    """

    id, version, category = "camera", 1, "Geometry"
    uses_frame = True
    plate = In(Image, "A plate whose header may hold `worldToCamera`.", colour="any", optional=True)
    camera = Out(PlateCamera, "The camera of the frame.")
    file = File("", "A camera as JSON; empty for the plate's header.")
    fov = Float(40.0, "Horizontal field of view.", unit="degrees", min=1, max=170)

    def compute(self, ctx: Context, plate: Image | None) -> PlateCamera:
        """Read the camera."""
        from relume.media.metadata import value_of

        if self.file:
            try:
                document = json.loads(Path(self.file).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise InputError(
                    f"the camera file cannot be read: {error}", file=self.file
                ) from None
            return PlateCamera.from_json(document, ctx.frame)
        matrix = None if plate is None else value_of(plate.metadata, "worldToCamera")
        if matrix is not None:
            return PlateCamera.from_world_to_camera(matrix, self.fov)
        return PlateCamera(self.fov)
