"""The node declaration: ports, knobs and one compute, from which everything else derives."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, TypeVar

from relume.errors import UsageError
from relume.knobs import File, Knob

PortColour = Literal["scene_linear", "network", "data", "any"]
Frames = tuple[int, int] | Literal["first"]


class Port:
    """A place for a wire.

    Args:
        type: what travels here, one class or several.
        doc: what it is for, a sentence.
    """

    def __init__(self, type: type | tuple[type, ...], doc: str) -> None:
        self.types = type if isinstance(type, tuple) else (type,)
        self.doc = doc
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def type_name(self) -> str:
        """The names of the types, for messages and tables."""
        return " or ".join(t.__name__ for t in self.types)


class Out(Port):
    """A result of the node."""


class In(Port):
    """An input of the node.

    Args:
        type: what may be wired here.
        doc: what it is for.
        colour: what the port needs; the evaluator converts images to it, unpremultiplied.
            `scene_linear` is the working space, `network` the one networks read, `data` takes
            stored numbers unchanged, `any` takes whatever comes.
        frames: offsets (first, last) of the frames wanted around the current one, clamped to the
            shot and passed as a tuple; `first` is the first frame of the shot.
        optional: whether the port may be left unwired; compute then receives None, or an empty
            dict where the port takes many.
    """

    many = False

    def __init__(
        self,
        type: type | tuple[type, ...],
        doc: str,
        *,
        colour: PortColour = "scene_linear",
        frames: Frames = (0, 0),
        optional: bool = False,
    ) -> None:
        super().__init__(type, doc)
        if frames != "first" and frames[0] > frames[1]:
            raise ValueError(f"the frames {frames} end before they begin")
        self.colour = colour
        self.frames = frames
        self.optional = optional

    @property
    def is_window(self) -> bool:
        """Whether compute receives a tuple of frames."""
        return self.frames not in ((0, 0), "first")


class Many(In):
    """An input that takes an ordered `{name: reference}`; compute receives an ordered dict."""

    many = True


P = TypeVar("P")


class Node:
    """A step of a graph. Subclasses declare `id`, `version`, `category`, ports, knobs, `compute`.

    `compute(self, ctx, **inputs)` is a pure function of its inputs and knobs; with several outputs
    it returns a NamedTuple whose fields are the output ports.

    Args:
        name: the node's name in the graph, for messages.
        knobs: values that differ from the defaults.

    Raises:
        UsageError: an unknown knob, or a value its knob refuses.
    """

    id: ClassVar[str]
    version: ClassVar[int]
    category: ClassVar[str]
    weights: ClassVar[tuple[str, ...]] = ()
    """Names of the weights the node reads; its key then holds their digests and the device."""
    engine: ClassVar[str] = ""
    """Package other than torch that computes; the key then holds its version and the device."""
    uses_frame: ClassVar[bool] = False
    """Whether compute reads `ctx.frame`, so that the frame is part of the key."""
    compute: Callable[..., Any]

    _members: ClassVar[dict[str, Knob[Any] | Port]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        members: dict[str, Knob[Any] | Port] = {}
        for base in reversed(cls.__mro__):
            for name, value in vars(base).items():
                if isinstance(value, Knob | Port):
                    members[name] = value
                else:
                    members.pop(name, None)
        for name, member in members.items():
            if name in _RESERVED:
                raise TypeError(f"{cls.__name__}.{name}: a node keeps this name for itself")
            if isinstance(member, Knob):
                member.default = member.check(member.default)
        cls._members = members

    def __init__(self, name: str = "", knobs: Mapping[str, object] | None = None) -> None:
        declared = self.knobs()
        given = dict(knobs or {})
        self.name = name or self.id
        check_names(self.name, "knob", given, declared)
        values: dict[str, Any] = {}
        for key, knob in declared.items():
            try:
                values[key] = knob.check(given[key]) if key in given else knob.default
            except UsageError as error:
                raise error.locate(node=self.name) from None
        self.__dict__["_values"] = values

    @classmethod
    def members(cls, kind: type[P]) -> dict[str, P]:
        """Return the declared members of a kind, in order of declaration."""
        return {name: value for name, value in cls._members.items() if isinstance(value, kind)}

    @classmethod
    def knobs(cls) -> dict[str, Knob[Any]]:
        """Return the knobs by name."""
        return cls.members(Knob)

    @classmethod
    def inputs(cls) -> dict[str, In]:
        """Return the input ports by name."""
        return cls.members(In)

    @classmethod
    def outputs(cls) -> dict[str, Out]:
        """Return the output ports by name."""
        return cls.members(Out)

    @classmethod
    def doc(cls) -> str:
        """Return the node's documentation."""
        return inspect.cleandoc(cls.__doc__ or "")

    @classmethod
    def upgrade(cls, values: dict[str, Any], from_version: int) -> dict[str, Any]:
        """Return the knob values of an older version of this node in today's terms."""
        del from_version
        return values

    @property
    def values(self) -> Mapping[str, Any]:
        """The checked knob values."""
        values: Mapping[str, Any] = self.__dict__["_values"]
        return values

    def files(self, frame: int) -> list[str]:
        """Return the files this node reads at a frame; their identity is part of the key."""
        from relume.media.sequence import resolve

        names = [self.values[name] for name in self.members(File)]
        return [str(resolve(name, frame)) for name in names if name]

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return the whole declaration as JSON, which hosts and documentation are made from."""
        return {
            "id": cls.id,
            "version": cls.version,
            "category": cls.category,
            "doc": cls.doc(),
            "inputs": {
                name: {
                    "type": port.type_name,
                    "colour": port.colour,
                    "frames": port.frames if port.frames == "first" else list(port.frames),
                    "optional": port.optional,
                    "many": port.many,
                    "doc": port.doc,
                }
                for name, port in cls.inputs().items()
            },
            "outputs": {
                name: {"type": port.type_name, "doc": port.doc}
                for name, port in cls.outputs().items()
            },
            "knobs": {name: knob.schema() for name, knob in cls.knobs().items()},
        }


_RESERVED = frozenset(vars(Node)) | {"id", "version", "category", "compute", "name", "ctx"}


def check_names(
    node: str | None, what: str, given: Iterable[str], declared: Mapping[str, object]
) -> None:
    """Refuse names that are not declared, suggesting those that are.

    Raises:
        UsageError: a name is unknown.
    """
    unknown = [name for name in given if name not in declared]
    if unknown:
        near = difflib.get_close_matches(unknown[0], declared, 1)
        known = ", ".join(declared) or "none"
        raise UsageError(
            f"there is no {what} '{unknown[0]}'",
            way_out=f"Did you mean '{near[0]}'?" if near else f"It has: {known}",
            node=node,
        )


class Registry(Mapping[str, type[Node]]):
    """The node types a graph may use, by id."""

    def __init__(self, types: Iterable[type[Node]]) -> None:
        self._types: dict[str, type[Node]] = {}
        for cls in types:
            if cls.id in self._types:
                raise ValueError(f"two node types have the id '{cls.id}'")
            self._types[cls.id] = cls

    def find(self, id: str, node: str | None = None) -> type[Node]:
        """Return the node type of an id.

        Raises:
            UsageError: there is none, told with the nearest name and the node that asked for it.
        """
        if id in self._types:
            return self._types[id]
        near = difflib.get_close_matches(id, self._types, 1)
        raise UsageError(
            f"there is no node type '{id}'",
            way_out=f"Did you mean '{near[0]}'?" if near else "See `relume nodes` for the list",
            node=node,
        )

    def __getitem__(self, id: str) -> type[Node]:
        return self._types[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)
