"""The frames of a shot."""

from __future__ import annotations

from dataclasses import dataclass

from relume.errors import UsageError


@dataclass(frozen=True, slots=True)
class Shot:
    """First and last frame of a shot, whatever part of it is rendered.

    Attributes:
        first: first frame.
        last: last frame, not before the first.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise UsageError(
                f"the shot {self.first}-{self.last} ends before it begins",
                way_out="Give it as first-last, such as 1001-1100",
            )

    @classmethod
    def parse(cls, text: str) -> Shot:
        """Read `1001-1100`, or `1001` for a single frame.

        Raises:
            UsageError: the text is neither.
        """
        import re

        match = re.fullmatch(r"(-?\d+)(?:-(-?\d+))?", text.strip())
        if not match:
            raise UsageError(
                f"'{text}' is not a shot", way_out="Give it as first-last, such as 1001-1100"
            )
        first = int(match[1])
        return cls(first, int(match[2]) if match[2] is not None else first)

    def clamp(self, frame: int) -> int:
        """Return the nearest frame of the shot."""
        return min(max(frame, self.first), self.last)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"
