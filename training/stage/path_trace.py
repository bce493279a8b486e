"""Path trace one exported view with Blender's Cycles.

Runs inside the interpreter that has `bpy` (`pip install bpy==4.5.*`, a virtual environment of its
own because it pins another numpy), so it imports nothing of relume:
`python path_trace.py JOB.npz OUT_PREFIX` writes OUT_PREFIX_0.exr, OUT_PREFIX_1.exr …, one a light,
and OUT_PREFIX_coverage.exr where the job asks for it.
`relume.training.stage.validation` writes the job and reads the pictures. (It must not be called
`cycles`: Blender would import it in place of its renderer.)
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import bpy
import numpy as np

SKIN, HAIR, CLOTH = 1, 2, 3


def main(job_path: str, prefix: str) -> None:
    """Build the scene of a job and render it under each of its lights."""
    with np.load(job_path, allow_pickle=False) as stored:
        job = {name: stored[name] for name in stored.files}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    # Empty factory settings leave even the bundled renderer switched off; the module that switches
    # it on can only be found once bpy is imported.
    importlib.import_module("addon_utils").enable("cycles", default_set=True)
    scene = bpy.context.scene
    settings(scene, job)
    camera(scene, float(job["fov"]))
    for k in range(int(job["meshes"])):
        scene.collection.objects.link(surface(job, f"mesh{k}_"))
    for k in range(int(job["growths"])):
        scene.collection.objects.link(strands(job, f"growth{k}_"))
    texture = world(scene)
    for k in range(int(job["lights"])):
        texture.image = picture(f"light{k}", job[f"light{k}"])
        scene.render.filepath = f"{prefix}_{k}.exr"
        bpy.ops.render.render(write_still=True)
    if "coverage" in job:
        coverage(scene, int(job["coverage"]))
        scene.render.filepath = f"{prefix}_coverage.exr"
        bpy.ops.render.render(write_still=True)


def coverage(scene: Any, samples: int) -> None:
    """Make everything shine evenly, so that the picture is its own alpha and edges get all samples.

    Alpha is never denoised, and adaptive sampling looks at colour alone: noise of a colour pass
    that is good enough to denoise would be noise of the matte.
    """
    white = bpy.data.materials.new("white")
    white.use_nodes = True
    nodes, links = white.node_tree.nodes, white.node_tree.links
    nodes.clear()
    glow, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    links.new(glow.outputs["Emission"], output.inputs["Surface"])
    bpy.context.view_layer.material_override = white
    scene.cycles.use_denoising = False
    scene.cycles.samples = samples
    scene.cycles.adaptive_min_samples = min(64, samples)
    scene.cycles.adaptive_threshold = 0.003
    scene.cycles.max_bounces = 0


def settings(scene: Any, job: dict[str, Any]) -> None:
    """Choose the renderer, its samples and the passes."""
    scene.render.engine = "CYCLES"
    scene.render.threads_mode = "FIXED"
    scene.render.threads = int(job["threads"])
    scene.cycles.device = "CPU"
    scene.cycles.samples = int(job["samples"])
    scene.cycles.use_adaptive_sampling = True
    scene.cycles.adaptive_threshold = 0.02
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.seed = int(job["seed"])
    scene.cycles.max_bounces = 6
    scene.cycles.transparent_max_bounces = 16
    # The same filter as the ray caster's, whose alpha and normals the pictures are used with.
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles_curves.shape = "RIBBONS"
    scene.render.use_persistent_data = True
    scene.render.film_transparent = True
    scene.render.resolution_y, scene.render.resolution_x = (int(v) for v in job["size"])
    scene.render.resolution_percentage = 100
    layer = bpy.context.view_layer
    layer.use_pass_normal = True
    layer.use_pass_diffuse_color = True
    scene.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    scene.render.image_settings.color_depth = "32"
    scene.render.image_settings.exr_codec = "ZIP"


def camera(scene: Any, fov: float) -> None:
    """Put the camera at the origin: Blender's cameras look along −Z too."""
    data = bpy.data.cameras.new("camera")
    data.sensor_fit = "VERTICAL"
    data.angle_y = np.radians(fov)
    data.clip_start, data.clip_end = 0.1, 10000.0
    seen = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(seen)
    scene.camera = seen


def surface(job: dict[str, Any], prefix: str) -> Any:
    """Make a mesh object with its smooth normals, colours and material."""
    vertices, faces = job[prefix + "vertices"], job[prefix + "faces"]
    data = bpy.data.meshes.new(prefix)
    data.from_pydata(vertices, [], faces)
    data.shade_smooth()
    data.normals_split_custom_set_from_vertices(job[prefix + "normals"])
    colour = data.color_attributes.new("colour", "FLOAT_COLOR", "POINT")
    rgba = np.ones((len(vertices), 4), np.float32)
    rgba[:, :3] = job[prefix + "colour"]
    colour.data.foreach_set("color", rgba.ravel())
    layer = data.uv_layers.new(name="uv")
    layer.data.foreach_set("uv", job[prefix + "uv"][faces.ravel()].astype(np.float32).ravel())
    label = int(job[prefix + "label"])
    texture = job.get(prefix + "texture")
    data.materials.append(coat(prefix, label, texture))
    return bpy.data.objects.new(prefix, data)


def picture(name: str, pixels: Any) -> Any:
    """Make an image of linear values, row 0 at the top."""
    height, width = pixels.shape[:2]
    image = bpy.data.images.new(name, width, height, float_buffer=True, is_data=False)
    image.colorspace_settings.name = "Linear Rec.709"
    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., :3] = pixels[::-1]
    image.pixels.foreach_set(rgba.ravel())
    image.update()
    image.pack()
    return image


def coat(name: str, label: int, texture: Any) -> Any:
    """Make the material of skin, cloth or eyes."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = nodes["Principled BSDF"]
    colour = nodes.new("ShaderNodeAttribute")
    colour.attribute_name = "colour"
    socket = colour.outputs["Color"]
    if texture is not None:
        image = nodes.new("ShaderNodeTexImage")
        image.image = picture(name + "texture", texture.astype(np.float32))
        mixed = nodes.new("ShaderNodeMix")
        mixed.data_type, mixed.blend_type = "RGBA", "MULTIPLY"
        mixed.inputs["Factor"].default_value = 1.0
        links.new(image.outputs["Color"], mixed.inputs["A"])
        links.new(socket, mixed.inputs["B"])
        socket = mixed.outputs["Result"]
    links.new(socket, shader.inputs["Base Color"])
    if label == SKIN:
        shader.inputs["Roughness"].default_value = 0.42
        shader.inputs["IOR"].default_value = 1.4
        shader.inputs["Subsurface Weight"].default_value = 0.12
        shader.inputs["Subsurface Radius"].default_value = (1.0, 0.3, 0.15)
        shader.inputs["Subsurface Scale"].default_value = 0.046
    elif label == CLOTH:
        shader.inputs["Roughness"].default_value = 0.85
        shader.inputs["Specular IOR Level"].default_value = 0.3
        shader.inputs["Sheen Weight"].default_value = 0.05
    else:
        shader.inputs["Roughness"].default_value = 0.06
        shader.inputs["IOR"].default_value = 1.376
    return material


def strands(job: dict[str, Any], prefix: str) -> Any:
    """Make a hair object from S×K×3 points, S colours and a width."""
    points, colours = job[prefix + "points"], job[prefix + "colours"]
    count, knots = points.shape[:2]
    data = bpy.data.hair_curves.new(prefix)
    data.add_curves([knots] * count)
    data.attributes["position"].data.foreach_set("vector", points.astype(np.float32).ravel())
    taper = 0.5 * float(job[prefix + "width"]) * (1.0 - 0.7 * np.linspace(0, 1, knots) ** 3)
    radius = data.attributes.get("radius") or data.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", np.tile(taper, count).astype(np.float32))
    shade = data.attributes.new("colour", "FLOAT_COLOR", "CURVE")
    rgba = np.ones((count, 4), np.float32)
    rgba[:, :3] = colours
    shade.data.foreach_set("color", rgba.ravel())
    material = bpy.data.materials.new(prefix)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    fibre = nodes.new("ShaderNodeBsdfHairPrincipled")
    fibre.parametrization = "COLOR"
    fibre.inputs["Roughness"].default_value = 0.3
    fibre.inputs["Radial Roughness"].default_value = 0.4
    attribute = nodes.new("ShaderNodeAttribute")
    attribute.attribute_name = "colour"
    output = nodes.new("ShaderNodeOutputMaterial")
    links.new(attribute.outputs["Color"], fibre.inputs["Color"])
    links.new(fibre.outputs["BSDF"], output.inputs["Surface"])
    data.materials.append(material)
    return bpy.data.objects.new(prefix, data)


def world(scene: Any) -> Any:
    """Make a world lit by a lat-long picture in relume's convention; return its texture node.

    Blender reads direction b at u = 0.5 − atan2(b.y, b.x)/2π with +Z up; relume reads d at
    u = 0.5 + atan2(d.x, −d.z)/2π with +Y up: b = (−d.z, −d.x, d.y).
    """
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    scene.world.cycles.sampling_method = "MANUAL"
    scene.world.cycles.sample_map_resolution = 1024
    nodes, links = scene.world.node_tree.nodes, scene.world.node_tree.links
    coordinates = nodes.new("ShaderNodeTexCoord")
    split = nodes.new("ShaderNodeSeparateXYZ")
    joined = nodes.new("ShaderNodeCombineXYZ")
    links.new(coordinates.outputs["Generated"], split.inputs[0])
    for source, target, sign in (("Z", "X", -1.0), ("X", "Y", -1.0), ("Y", "Z", 1.0)):
        factor = nodes.new("ShaderNodeMath")
        factor.operation = "MULTIPLY"
        factor.inputs[1].default_value = sign
        links.new(split.outputs[source], factor.inputs[0])
        links.new(factor.outputs[0], joined.inputs[target])
    texture = nodes.new("ShaderNodeTexEnvironment")
    links.new(joined.outputs[0], texture.inputs["Vector"])
    links.new(texture.outputs["Color"], nodes["Background"].inputs["Color"])
    return texture


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
