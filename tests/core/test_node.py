"""The declaration of a node, the registry, and what is refused while declaring."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relume.errors import InputError, UsageError
from relume.image import Image
from relume.knobs import File, Float, Int, Knob, Text
from relume.light.types import Environment
from relume.node import In, Many, Node, Out, Registry


class Blur(Node):
    """Blur a picture.

    A second paragraph.
    """

    id, version, category = "blur", 3, "Filter"
    image = In(Image, "The picture.")
    past = In(Image, "The frames before.", frames=(-4, 0), colour="data")
    start = In(Image, "The first frame.", frames="first", optional=True)
    masks = Many((Image, Environment), "Masks by name.", optional=True)
    out = Out(Image, "The blurred picture.")
    size = Float(2, "Radius.", min=0, unit="px")
    plate = File("", "A file.")
    note_ = Text("", "A label.", affects=False)

    def compute(self, ctx: Any, **inputs: Any) -> Any:
        return inputs["image"]


def test_members_stand_in_order_of_declaration():
    assert list(Blur.inputs()) == ["image", "past", "start", "masks"]
    assert list(Blur.outputs()) == ["out"]
    assert list(Blur.knobs()) == ["size", "plate", "note_"]
    assert [member.name for member in Blur.members(Knob).values()] == list(Blur.knobs())


def test_the_class_holds_the_declaration_and_the_node_the_value():
    node = Blur("one", {"size": 7})
    assert isinstance(Blur.size, Float)
    assert (node.size, node.plate, node.name) == (7.0, "", "one")
    assert Blur().name == "blur"
    with pytest.raises(AttributeError, match=r"Blur\.size"):
        node.size = 3.0
    assert node.size == 7.0


def test_a_default_is_checked_and_typed_like_any_value():
    assert type(Blur().size) is float
    with pytest.raises(UsageError, match=r"Bad\.size = 9 .*from 0 to 1"):

        class Bad(Node):
            id, version, category = "bad", 1, "Test"
            size = Float(9, "Out of range.", min=0, max=1)


@pytest.mark.parametrize("name", ["values", "files", "weights", "name", "ctx", "compute", "id"])
def test_names_a_node_needs_itself_cannot_be_knobs_or_ports(name):
    for member in (Int(0, "A knob."), In(Image, "A port.")):
        with pytest.raises(TypeError, match=name):
            type("Bad", (Node,), {name: member})


def test_a_window_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="end before"):
        In(Image, "Backwards.", frames=(0, -4))


def test_a_subclass_inherits_replaces_and_removes():
    class Sharpen(Blur):
        id = "sharpen"
        size = Float(5.0, "Another default.")
        plate = None  # type: ignore[assignment]
        amount = Float(1.0, "Added.")

    assert list(Sharpen.knobs()) == ["size", "note_", "amount"]
    assert Sharpen().size == 5.0
    assert Sharpen.knobs()["size"].owner == "Sharpen"
    assert list(Blur.knobs()) == ["size", "plate", "note_"]


def test_an_unknown_knob_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"node one: .*knob 'sise'.*'size'"):
        Blur("one", {"sise": 1})
    with pytest.raises(UsageError, match=r"'zzz'\. It has: size, plate, note_\."):
        Blur("one", {"zzz": 1})


def test_the_schema_says_everything_and_is_json():
    schema = json.loads(json.dumps(Blur.schema()))
    assert {key: schema[key] for key in ("id", "version", "category", "doc")} == {
        "id": "blur",
        "version": 3,
        "category": "Filter",
        "doc": "Blur a picture.\n\nA second paragraph.",
    }
    assert schema["inputs"]["past"] == {
        "type": "Image", "colour": "data", "frames": [-4, 0], "optional": False, "many": False,
        "doc": "The frames before.",
    }  # fmt: skip
    assert schema["inputs"]["image"]["frames"] == [0, 0]
    assert schema["inputs"]["start"]["frames"] == "first"
    assert schema["inputs"]["masks"]["type"] == "Image or Environment"
    assert schema["outputs"] == {"out": {"type": "Image", "doc": "The blurred picture."}}
    assert list(schema["knobs"]) == ["size", "plate", "note_"]


def test_files_are_those_of_the_frame(tmp_path):
    (tmp_path / "plate.1001.exr").touch()
    (tmp_path / "single.exr").touch()
    sequence = Blur("one", {"plate": str(tmp_path / "plate.####.exr")})
    assert sequence.files(1001) == [str(tmp_path / "plate.1001.exr")]
    with pytest.raises(InputError, match=r"plate\.1002\.exr"):
        sequence.files(1002)
    assert Blur("one", {"plate": str(tmp_path / "single.exr")}).files(7) == [
        str(tmp_path / "single.exr")
    ]
    assert Blur().files(1001) == []


def test_the_registry_finds_by_id_and_suggests():
    registry = Registry([Blur])
    assert registry.find("blur") is registry["blur"] is Blur
    assert list(registry) == ["blur"]
    assert len(registry) == 1
    with pytest.raises(UsageError, match=r"node a: there is no node type 'blurr'.*'blur'"):
        registry.find("blurr", "a")
    with pytest.raises(UsageError, match="relume nodes"):
        registry.find("xyz")


def test_two_types_of_one_id_are_refused():
    with pytest.raises(ValueError, match="blur"):
        Registry([Blur, Blur])
