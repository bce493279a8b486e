"""A gizmo that puts the beauty together again from its passes, with a gain on each.

docs/passes.md has the arithmetic: relit is the sum of its parts, or of its lights; the composite is
relit over what is behind it.
"""

from __future__ import annotations

from relume.hosts.nuke.effect_gizmo import COLOUR, LAYERS, layer_lines
from relume.hosts.nuke.transport_gizmo import Script
from relume.hosts.ofx.chain import SLOTS

NAME = "RelumeBeauty"

PARTS = ("diffuse", "specular", "residual")
MODES = ("parts", "lights")

LETTERS = "abcdefgh"[:SLOTS]


def gizmo() -> str:
    """Return the text of the gizmo."""
    script = Script()
    passes = script.node("Input", name="passes")
    background = script.node("Input", name="background", number=1)
    parts = script.expression(
        passes,
        [" + ".join(f"{part}.{c} * parent.{part}" for part in PARTS) for c in COLOUR]
        + ["matte.alpha"],
    )
    lit = []
    for number, letter in enumerate(LETTERS, 1):
        layer = f"relit_light{number}"
        image = script.node("Shuffle", [passes], name=f"light_{letter}", **{"in": layer})
        lit.append(script.expression(image, [f"{c} * parent.gain_{letter}" for c in "rgb"]))
    lights = script.merged(script.total(lit), passes, ["Ar", "Ag", "Ab", "Bmatte.alpha"])
    relit = script.node("Switch", [parts, lights], which="{{parent.mode}}", name="relit")
    script.merged(
        relit, background, [*(f"A{c} + B{c} * (1 - Aa)" for c in "rgb"), "Aa + Ba * (1 - Aa)"]
    )
    script.node("Output", [f"MergeExpression{script.count}"], name="Output1")
    return "\n".join([*_head(), *script.lines, "end_group", ""])


def light_layers() -> list[str]:
    """Return the layers of the lights, as the effect Relight names them."""
    return [f"relit_light{number}" for number in range(1, SLOTS + 1)]


def _head() -> list[str]:
    help = (
        "The beauty from its passes: diffuse + specular + residual, or the sum of the lights, over "
        "the input background. Wire a file of `relume relight`, or, for the parts, RelumeRelight. "
        "All gains at 1 give back what relume rendered."
    )
    lines = ["#! nuke", "version 13.0 v1", *layer_lines()]
    lines += [f"add_layer {{{x} {' '.join(f'{x}.{c}' for c in COLOUR)}}}" for x in light_layers()]
    lines += ["Gizmo {", " inputs 2", f' help "{help}"', " addUserKnob {20 relume l Relume}"]
    lines.append(f' addUserKnob {{4 mode l from t "what to add up" M {{{" ".join(MODES)}}}}}')
    for part in PARTS:
        lines.append(f' addUserKnob {{7 {part} t "factor on {LAYERS[part][0]}" R 0 4}}')
        lines.append(f" {part} 1")
    for number, letter in enumerate(LETTERS, 1):
        lines.append(
            f' addUserKnob {{41 layer_{letter} l "light {number}" t "layer of a light"'
            f" T light_{letter}.in}}"
        )
        lines.append(f' addUserKnob {{7 gain_{letter} l gain t "factor on that light" R 0 4}}')
        lines.append(f" gain_{letter} 1")
    lines += [f" name {NAME}", "}"]
    return lines
