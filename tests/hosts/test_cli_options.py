"""Options: knobs and options agree, lights are read right, and none is silently ignored."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from relume.errors import Exit, UsageError
from relume.hosts.cli import main
from relume.hosts.cli.knob_options import knob_option, knobs_of, limits
from relume.hosts.cli.lights import parse_lights
from relume.knobs import Bool, Choice, Colour, Float, Ints, OptionalFloat, Texts
from relume.node import Node

Capture = pytest.CaptureFixture[str]

RELIGHT = ["relight", "plate.exr", "--light", "rig:rim", "--out", "x.exr"]
STUDIO = ["relight", "plate.exr", "--light", "studio.exr", "--out", "x.exr"]
MATTE = ["matte", "plate.exr", "--out", "x.exr"]


class Knobs(Node):
    """A node of every sort of knob."""

    id, version, category = "knobs", 1, "Test"
    amount = Float(0.5, "How much.", min=0, max=2, unit="stops")
    free = Float(-1.0, "Anything.")
    seek = OptionalFloat(None, "Found.", min=0)
    tint = Colour((1.0, 1.0, 1.0), "Tint.")
    powers = Ints((1, 16), "Powers.", min=1, max=64)
    way = Choice("up", "Which way.", choices=("up", "down"))
    switch = Bool(False, "On or off.")
    names = Texts((), "Names.")


@click.command()
@knob_option(Knobs, "amount", "--amount")
@knob_option(Knobs, "seek", "--seek")
@knob_option(Knobs, "tint", "--tint")
@knob_option(Knobs, "powers", "--powers")
@knob_option(Knobs, "way", "--way")
@knob_option(Knobs, "switch", "--switch")
@knob_option(Knobs, "names", "--names")
@knob_option(Knobs, "amount", "--other", on="other")
def every_kind(**options: object) -> None:
    click.echo(json.dumps([knobs_of(options, "knobs"), knobs_of(options, "other")]))


def called(*arguments: str) -> tuple[int, str]:
    from click.testing import CliRunner

    result = CliRunner().invoke(every_kind, arguments)
    return result.exit_code, result.output


def test_only_what_is_given_becomes_a_knob() -> None:
    assert json.loads(called()[1]) == [{}, {}]
    arguments = ["--amount", "1.5", "--seek", "none", "--tint", "1,2,3", "--powers", "4,8"]
    arguments += ["--way", "down", "--switch", "--names", "a, b", "--other", "0"]
    assert json.loads(called(*arguments)[1]) == [
        {
            "amount": 1.5,
            "tint": [1.0, 2.0, 3.0],
            "powers": [4, 8],
            "way": "down",
            "switch": True,
            "names": ["a", "b"],
        },
        {"amount": 0.0},
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--amount", "3"], "'3' is not a number from 0 to 2 in stops."),
        (["--amount", "nan"], "'nan' is not a number from 0 to 2 in stops."),
        (["--powers", "4,80"], "'4,80' is not a list of whole numbers from 1 to 64."),
        (["--way", "left"], "'left' is not one of 'up', 'down'."),
    ],
)
def test_a_value_the_knob_refuses_is_a_usage_error(arguments: list[str], words: str) -> None:
    code, output = called(*arguments)
    assert code == Exit.USAGE
    assert words in output


def test_help_has_doc_range_unit_and_default() -> None:
    help = " ".join(called("--help")[1].split())
    assert "--amount STOPS How much. [from 0 to 2; stops; default: 0.5]" in help
    assert "--way [up|down] Which way. [default: up]" in help
    declared = Knobs.knobs()
    assert limits(declared["free"]) == "default: -1"
    assert limits(declared["seek"]) == "from 0; default: found by itself"
    assert limits(declared["powers"]) == "from 1 to 64; default: 1,16"
    assert limits(declared["switch"]) == "default: false"


def test_lights_are_named() -> None:
    lights = parse_lights(
        [
            "key=studio.exr",
            "shots/sunset_1k.hdr",
            "rig:rim",
            "original",
            "fill=rig:neon",
            "1k.####.exr",
        ]
    )
    assert lights == {
        "key": {"file": "studio.exr"},
        "sunset_1k": {"file": "shots/sunset_1k.hdr"},
        "rim": "rig:rim",
        "original": "original",
        "fill": "rig:neon",
        "light_1k": {"file": "1k.####.exr"},
    }


def test_lights_without_a_name_are_told_apart() -> None:
    assert list(parse_lights(["a/x.exr", "b/x.exr", "rig:rim", "rig:rim"])) == [
        "x", "x_2", "rim", "rim_2",
    ]  # fmt: skip
    assert list(parse_lights(["left.exr"])) == ["light_left"]


def test_a_file_with_an_equals_sign_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key=1.exr"
    path.touch()
    assert parse_lights([str(path)]) == {"key_1": {"file": str(path)}}


@pytest.mark.parametrize("name", ["1k", "a-b", "left", "right", "é"])
def test_names_that_no_pass_can_have(name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}' cannot name a light"):
        parse_lights([f"{name}=studio.exr"])


def test_two_lights_of_one_name() -> None:
    with pytest.raises(UsageError, match="two lights are called 'key'"):
        parse_lights(["key=a.exr", "key=b.exr"])


NO_EFFECT = [
    ([*RELIGHT, "--light-space", "ACEScg"], "--light-space"),
    ([*RELIGHT, "--fov", "50"], "--fov"),
    ([*RELIGHT, "--background", "bg.exr", "--fov", "50"], "--fov"),
    ([*RELIGHT, "--background", "environment", "--fit", "fill"], "--fit"),
    ([*RELIGHT, "--background", "environment", "--background-space", "ACEScg"],
     "--background-space"),
    ([*RELIGHT, "--fit", "fill"], "--fit"),
    ([*RELIGHT, "--offset", "3"], "--offset"),
    ([*RELIGHT, "--background", "bg.exr", "--offset", "3"], "--offset"),
    (["relight", "p.exr", "--light", "original", "--out", "x.exr", "--light-rotation", "9"],
     "--light-rotation"),
    ([*RELIGHT, "--original-amount", "0.5"], "--original-amount"),
    ([*RELIGHT, "--light-wrap", "8"], "--light-wrap"),
    ([*RELIGHT, "--match-grain"], "--match-grain"),
    (["shade", *RELIGHT[1:], "--match-levels"], "--match-levels"),
    ([*MATTE, "--background-space", "ACEScg"], "--background-space"),
    (["light", "rig:rim", "--out", "x.exr", "--light-space", "ACEScg"], "--light-space"),
    ([*RELIGHT, "--plate-light-rotation", "9"], "--plate-light-rotation"),
    ([*RELIGHT, "--plate-light-gain", "2"], "--plate-light-gain"),
    ([*RELIGHT, "--calibrate-detail", "0"], "--calibrate-detail"),
    ([*RELIGHT, "--plate-light", "rig:rim", "--plate-light-space", "ACEScg"],
     "--plate-light-space"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "flag"), NO_EFFECT)
def test_an_option_without_effect_is_refused(
    arguments: list[str], flag: str, capsys: Capture
) -> None:
    assert main(arguments) == Exit.USAGE
    assert f"{flag} has no effect" in capsys.readouterr().err


@pytest.mark.parametrize(
    "extra",
    [
        ["--matte", "a.exr", "--mask", "b.exr"],
        ["--matte", "a.exr", "--clean-plate", "b.exr"],
        ["--matte", "a.exr", "--trimap", "b.exr"],
        ["--trimap", "a.exr", "--mask", "b.exr"],
    ],
)
def test_two_things_that_cannot_both_decide_the_matte(extra: list[str], capsys: Capture) -> None:
    assert main([*MATTE, *extra]) == Exit.USAGE
    assert "Give one" in capsys.readouterr().err


def test_the_environment_needs_a_light_from_all_around(capsys: Capture) -> None:
    lights = ["--light", "original", "--background", "environment", "--out", "x.exr"]
    assert main(["relight", "plate.exr", *lights]) == Exit.USAGE
    assert "no environment among the lights" in capsys.readouterr().err


TWO = ["relight", "p.exr", "--light", "key=rig:rembrandt", "--light", "rim=rig:rim",
       "--light", "original", "--out", "x.exr"]  # fmt: skip


def test_a_light_is_adjusted_alone_or_with_the_others(capsys: Capture) -> None:
    arguments = ["--light-gain", "0.5", "--light-gain", "key=1,0.8,0.6", "--light-blur", "rim=12"]
    arguments += ["--light-rotation", "20", "--light-exposure", "original=-1"]
    assert main([*TWO, *arguments, "--print-graph"]) == Exit.DONE
    nodes = json.loads(capsys.readouterr().out)["nodes"]
    assert nodes["key_light"]["knobs"]["gain"] == [1.0, 0.8, 0.6]
    assert "blur" not in nodes["key_light"]["knobs"]
    assert nodes["rim_light"]["knobs"]["gain"] == [0.5, 0.5, 0.5]
    assert nodes["rim_light"]["knobs"]["blur"] == 12.0
    assert nodes["rim_light"]["knobs"]["rotate"] == 20.0
    assert nodes["original_light"]["knobs"]["exposure"] == -1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--light-gain", "fill=1"], "There are: key, rim, original"),
        (["--light-gain", "key=1,2"], "'1,2' is not 3 numbers"),
        (["--light-blur", "key=-1"], "'-1' is not a number from 0 to 180 in degrees"),
        (["--light-gain", "1", "--light-gain", "2"], "one is named twice"),
        (["--light-rotation", "original=5"], "--light-rotation has no effect on the original"),
        (["--light-blur", "original=5"], "--light-blur has no effect on the original"),
    ],
)
def test_adjustments_that_mean_nothing(arguments: list[str], words: str, capsys: Capture) -> None:
    assert main([*TWO, *arguments]) == Exit.USAGE
    assert words in capsys.readouterr().err


# Every option of the contract arrives at the knob that it stands for.

SET = ["--plate-light", "set.hdr"]
ARRIVES = [
    ([*RELIGHT, "--input-space", "ARRI LogC4"], "plate.colour", "ARRI LogC4"),
    ([*STUDIO, "--light-space", "ACEScg"], "studio_environment.colour", "ACEScg"),
    ([*STUDIO, "--light-rotation", "30"], "studio_light.rotate", 30.0),
    ([*STUDIO, *SET, "--plate-light-rotation", "30"], "plates_own_light.rotate", 30.0),
    ([*STUDIO, *SET, "--plate-light-exposure", "-1"], "plates_own_light.exposure", -1.0),
    ([*STUDIO, *SET, "--plate-light-gain", "2"], "plates_own_light.gain", [2.0, 2.0, 2.0]),
    ([*STUDIO, *SET, "--plate-light-space", "ACEScg"], "plates_own_environment.colour", "ACEScg"),
    ([*STUDIO, *SET, "--calibrate-level", "0"], "calibration.level", 0.0),
    ([*STUDIO, *SET, "--calibrate-detail", "1"], "calibration.detail", 1.0),
    ([*STUDIO, "--light-exposure", "-1"], "studio_light.exposure", -1.0),
    ([*STUDIO, "--light-gain", "2"], "studio_light.gain", [2.0, 2.0, 2.0]),
    ([*STUDIO, "--light-blur", "studio=9"], "studio_light.blur", 9.0),
    ([*STUDIO, "--background", "environment", "--light-gain", "studio=1,2,3"], "background.gain",
     [1.0, 2.0, 3.0]),
    ([*STUDIO, "--background", "environment", "--fov", "55"], "background.fov", 55.0),
    ([*STUDIO, "--background", "environment", "--light-rotation", "30"], "background.rotate", 30.0),
    ([*STUDIO, "--background", "environment", "--light-exposure", "2"], "background.exposure", 2.0),
    ([*STUDIO, "--background", "b.####.exr", "--offset", "-5"], "background.offset", -5),
    ([*STUDIO, "--background", "b.exr", "--background-space", "sRGB"], "background.colour", "sRGB"),
    ([*STUDIO, "--background", "b.exr", "--fit", "fill"], "over.fit", "fill"),
    ([*STUDIO, "--output-space", "lin_rec709_scene"], "write.colour", "lin_rec709_scene"),
    ([*STUDIO, "--depth", "float"], "write.depth", "float"),
    ([*STUDIO, "--compression", "piz"], "write.compression", "piz"),
    ([*STUDIO, "--passes", "matte,relit_*"], "write.passes", ["matte", "relit_*"]),
    ([*STUDIO, "--proxy", "4"], "plate.scale", 0.25),
    ([*STUDIO, "--matte", "m.exr"], "matte.file", "m.exr"),
    ([*STUDIO, "--mask", "m.exr"], "mask.file", "m.exr"),
    ([*STUDIO, "--clean-plate", "c.exr"], "clean_plate.file", "c.exr"),
    ([*MATTE, "--trimap", "t.exr"], "guide.file", "t.exr"),
    ([*MATTE, "--background", "b.exr"], "background.file", "b.exr"),
    ([*STUDIO, "--diffuse-gain", "0.9"], "relight.diffuse_gain", 0.9),
    ([*STUDIO, "--specular-gain", "2"], "relight.specular_gain", 2.0),
    ([*STUDIO, "--gloss", "-1.5"], "relight.gloss", -1.5),
    ([*STUDIO, "--shadow-strength", "0.5"], "relight.residual_gain", 0.5),
    ([*STUDIO, "--light", "original", "--original-amount", "0.2"], "relight.original", 0.2),
    ([*STUDIO, "--skin-hue-limit", "10"], "relight.skin_hue_limit", 10.0),
    ([*STUDIO, "--background", "b.exr", "--light-wrap", "24"], "wrap.radius", 24.0),
    ([*STUDIO, "--background", "b.exr", "--light-wrap", "24", "--proxy", "4"], "wrap.radius", 6.0),
    ([*STUDIO, "--background", "b.exr", "--light-wrap", "9", "--fit", "fill"], "wrap.fit", "fill"),
    (["defocus", "p.exr", "--out", "x.exr", "--radius", "24"], "defocus.radius", 24.0),
    (["defocus", "p.exr", "--out", "x.exr", "--proxy", "2"], "defocus.margin", 2.0),
    (["defocus", "p.exr", "--out", "x.exr", "--blades", "6"], "defocus.blades", 6),
    (["defocus", "p.exr", "--out", "x.exr", "--rotation", "15"], "defocus.rotation", 15.0),
    (["defocus", "p.exr", "--out", "x.exr", "--curvature", "0.5"], "defocus.curvature", 0.5),
    (["shade", "t.exr", *STUDIO[2:], "--gloss", "1"], "relight.gloss", 1.0),
    (["shade", "t.exr", *STUDIO[2:], "--light-rotation", "5"], "studio_light.rotate", 5.0),
    (["light", "e.exr", "--out", "m.exr", "--light-space", "raw"], "light_environment.colour",
     "raw"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "knob", "value"), ARRIVES)
def test_an_option_arrives_at_its_knob(
    arguments: list[str], knob: str, value: object, capsys: Capture
) -> None:
    assert main([*arguments, "--print-graph"]) == Exit.DONE
    nodes = json.loads(capsys.readouterr().out)["nodes"]
    node, _, name = knob.partition(".")
    assert nodes[node]["knobs"][name] == value
