"""A gizmo that lights a transport in Nuke with the nodes that Nuke brings along.

Its inputs are a picture of `relume analyse` and one of `relume light`; neither relume nor a
graphics card is needed. docs/transport.md has the arithmetic, and
`python -m relume.hosts.nuke.transport_gizmo` prints the gizmo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relume.shading.transport_file import PREFIX
from relume.shading.types import EXPONENTS, HARMONICS, ORDER

NAME = "RelumeTransport"

PARTS = ("relit", "diffuse", "specular", "residual")

_RGB = ("red", "green", "blue")
_CHANNELS = (*_RGB, "alpha")


@dataclass
class Script:
    """Nodes of a Nuke script, written one after the other.

    Nuke reads a script as a stack machine: a node takes its inputs from the top of the stack, the
    first one first.
    """

    lines: list[str] = field(default_factory=list)
    count: int = 0

    def node(self, kind: str, inputs: Sequence[str] = (), **knobs: str | int) -> str:
        """Write a node and return its name.

        Args:
            kind: class of the node.
            inputs: names of nodes.
            knobs: values as Nuke's script holds them, without quotes.
        """
        self.count += 1
        name = str(knobs.pop("name", f"{kind}{self.count}"))
        self.lines += [f"push ${each}" for each in reversed(inputs)]
        self.lines.append(f"{kind} {{")
        self.lines.append(f" inputs {len(inputs)}")
        self.lines += [f" {knob} {_quoted(value)}" for knob, value in knobs.items()]
        self.lines += [f" name {name}", f" xpos {self.count * 20}", f" ypos {self.count * 30}", "}"]
        self.lines.append(f"set {name} [stack 0]")
        return name

    def expression(
        self, image: str, channels: Sequence[str], given: Mapping[str, str] | None = None
    ) -> str:
        """Write an Expression and return its name.

        Args:
            image: the input.
            channels: of red, green, blue and alpha; an empty one is left as it is.
            given: up to four named expressions that the others use.
        """
        return self.node("Expression", [image], **_variables(given or {}), **_formulas(channels))

    def merged(self, a: str, b: str, channels: Sequence[str]) -> str:
        """Write a MergeExpression of the inputs A and B and return its name."""
        return self.node("MergeExpression", [b, a], **_formulas(channels))

    def total(self, images: Sequence[str]) -> str:
        """Write the sum of pictures and return its name."""
        first, *rest = images
        for image in rest:
            first = self.merged(image, first, [f"A{c} + B{c}" for c in "rgb"])
        return first


def _variables(given: Mapping[str, str]) -> dict[str, str]:
    knobs: dict[str, str] = {}
    for number, (name, formula) in enumerate(given.items()):
        knobs |= {f"temp_name{number}": name, f"temp_expr{number}": formula}
    return knobs


def _formulas(channels: Sequence[str]) -> dict[str, str]:
    return {f"expr{number}": formula for number, formula in enumerate(channels) if formula}


def _quoted(value: str | int) -> str:
    text = str(value)
    plain = text.startswith("{") or text.replace("_", "").replace(".", "").isalnum()
    return text if plain else f'"{text}"'


def gizmo() -> str:
    """Return the text of the gizmo."""
    script = Script()
    transport = script.node("Input", name="transport")
    light = script.node("Input", name="light", number=1)
    view = script.node("Input", name="view", number=2)
    normal = script.node("Shuffle", [transport], **{"in": "normal"})
    at_normal = _place(script, normal)
    mirror = script.merged(
        view,
        normal,
        # Nothing wired means a camera far away.
        [
            _mirrored("Br", "Ar"),
            _mirrored("Bg", "Ag"),
            _mirrored("Bb", f"(Ab + {_NOWHERE})"),
            "(Br * Br + Bg * Bg + Bb * Bb) > 0",
        ],
    )
    at_mirror = _place(script, mirror, there="a")
    body = _looked_up(script, light, "diffuse", at_normal)
    gain = "pow(2, parent.exposure)"
    matte = "Bmatte.alpha"
    parts = {
        "diffuse": script.merged(
            body,
            transport,
            [
                f"A{c[0]} * Balbedo.{c} * {_weight(0, 'B')} * {matte} * parent.diffuse * {gain}"
                for c in _RGB
            ]
            + [matte],
        )
    }
    shine = []
    for row, exponent in enumerate(EXPONENTS):
        lobe = _looked_up(script, light, f"specular_{exponent:03d}", at_mirror)
        factor = f"{_weight(1 + row, 'B')} * {matte} * parent.specular * {gain}"
        shine.append(script.merged(lobe, transport, [f"A{c} * {factor}" for c in "rgb"] + [matte]))
    parts["specular"] = _with_matte(script, script.total(shine), transport)
    around = script.total(_terms(script, transport, light))
    parts["residual"] = script.merged(
        around,
        transport,
        [
            f"{matte} * (A{c[0]} * Balbedo.{c} * parent.residual * {gain}"
            f" + Bforeground.{c} * parent.original)"
            for c in _RGB
        ]
        + [matte],
    )
    relit = _with_matte(script, script.total(list(parts.values())), transport)
    shown = [relit, *(parts[name] for name in PARTS[1:])]
    script.node("Switch", shown, which="{{parent.part}}", name="shown")
    script.node("Output", ["shown"], name="Output1")
    return "\n".join([*_head(), *script.lines, "end_group", ""])


_NOWHERE = "((Ar * Ar + Ag * Ag + Ab * Ab) == 0)"
"""1 where the input A is black."""


def _mirrored(normal: str, view: str) -> str:
    facing = f"(Br * Ar + Bg * Ag + Bb * (Ab + {_NOWHERE}))"
    return f"2 * {facing} * {normal} - {view}"


def _place(script: Script, direction: str, there: str = "(r * r + g * g + b * b) > 0") -> str:
    """Return where directions lie in a map: red columns, green rows, alpha whether there is one."""
    return script.expression(
        direction,
        [
            "across * 2 * parent.map_rows - 0.5",
            "down * parent.map_rows - 0.5",
            "0",
            there,
        ],
        {
            "across": "atan2(r, 0 - b) / (2 * pi) + 0.5 - parent.rotation / 360",
            "down": "atan2(sqrt(r * r + b * b), g) / pi",
        },
    )


def _looked_up(script: Script, light: str, layer: str, place: str) -> str:
    """Return a layer of the light at places, bilinear.

    Four pixels are read unfiltered and mixed: filters would meet the seam of the map and its poles.
    """
    image = script.node("Shuffle", [light], **{"in": layer})
    taps = []
    for down in (0, 1):
        for right in (0, 1):
            across = "(r - floor(r))" if right else "(1 - r + floor(r))"
            along = "(g - floor(g))" if down else "(1 - g + floor(g))"
            tap = script.expression(
                place,
                [
                    "at - floor(at)",
                    "1 - (row + 0.5) / parent.map_rows",
                    "0",
                    f"{across} * {along} * a",
                ],
                {
                    "wanted": f"floor(g) + {down}",
                    "row": "clamp(wanted, 0, parent.map_rows - 1)",
                    # Beyond a pole the map goes on, half a turn away.
                    "at": f"(floor(r) + {right + 0.5}) / (2 * parent.map_rows)"
                    " + 0.5 * abs(wanted - row)",
                },
            )
            taps.append(_weighed(script, image, tap))
    return script.total(taps)


def _terms(script: Script, transport: str, light: str) -> list[str]:
    """Return each harmonic of the light times its weight in the transport.

    Turning the light mixes the coefficients of m and −m; here their weights are mixed instead, the
    other way.
    """
    image = script.node("Shuffle", [light], **{"in": "harmonics"})
    terms = []
    for degree in range(ORDER + 1):
        for m in range(-degree, degree + 1):
            middle = degree * (degree + 1)
            index = middle + m
            own = _weight(_RESIDUAL + index)
            if m:
                other = _weight(_RESIDUAL + middle - m)
                angle = f"{abs(m)} * parent.rotation * pi / 180"
                sign = "-" if m > 0 else "+"
                own = f"{own} * cos({angle}) {sign} {other} * sin({angle})"
            column = (index + 0.5) / HARMONICS
            place = script.expression(transport, [f"{column:g}", "0.5", "0", own])
            terms.append(_weighed(script, image, place))
    return terms


def _weighed(script: Script, image: str, place: str) -> str:
    """Return the pixels of an image at red, green of `place`, times its alpha."""
    found = script.node("STMap", [image, place], channels="rgb", uv="rgb", filter="Impulse")
    return script.merged(found, place, ["Ar * Ba", "Ag * Ba", "Ab * Ba"])


def _with_matte(script: Script, image: str, transport: str) -> str:
    return script.merged(image, transport, ["Ar", "Ag", "Ab", "Bmatte.alpha"])


_RESIDUAL = 1 + len(EXPONENTS)
"""Where the weights of the harmonics begin."""


def _weight(number: int, side: str = "") -> str:
    """Return the channel of a coefficient of the transport."""
    return f"{side}{PREFIX}{number // 4:02d}.{_CHANNELS[number % 4]}"


def _head() -> list[str]:
    """Return the knobs of the gizmo."""
    help = (
        "Lights a picture of `relume analyse` (input transport) with one of `relume light` (input "
        "light), both written in the script's working space and read without a colour transform. "
        "Input view is for transports that have a layer `view`: shuffle it into rgb."
    )
    numbers = {
        "rotation": (0, -360, 360, "degrees; light behind the subject moves to screen right"),
        "exposure": (0, -10, 10, "stops on the light"),
        "diffuse": (1, 0, 4, "factor on the diffuse part"),
        "specular": (1, 0, 4, "factor on the specular part"),
        "residual": (1, 0, 4, "factor on shadow, bounce and subsurface"),
        "original": (0, 0, 4, "amount of the light the plate was filmed under"),
    }
    lines = ["#! nuke", "version 13.0 v1", "Gizmo {", " inputs 3", f' help "{help}"']
    lines.append(" addUserKnob {20 relume l Relume}")
    for name, (default, low, high, tip) in numbers.items():
        lines.append(f' addUserKnob {{7 {name} t "{tip}" R {low} {high}}}')
        lines.append(f" {name} {default}")
    lines.append(f' addUserKnob {{4 part t "what to show" M {{{" ".join(PARTS)}}}}}')
    lines.append(' addUserKnob {3 map_rows l "map rows" t "height of the light maps"}')
    lines += [" map_rows 128", f" name {NAME}", "}"]
    return lines


if __name__ == "__main__":
    print(gizmo(), end="")
