"""SMPTE time code as OpenEXR packs it, counted in frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, order=True)
class Timecode:
    """Hours, minutes, seconds, frames.

    Attributes:
        hours: 0 to 23.
        minutes: 0 to 59.
        seconds: 0 to 59.
        frames: 0 to one less than the rate.
        drop: whether numbers are dropped so that 29.97 frames a second keep to the clock.
    """

    hours: int
    minutes: int
    seconds: int
    frames: int
    drop: bool = False

    @classmethod
    def packed(cls, value: object) -> Self | None:
        """Read the attribute `smpte:TimeCode`: two words, binary-coded decimal in the first.

        Source: SMPTE ST 12-1, as packed in OpenEXR's ImfTimeCode.h (TV60 packing).

        Returns:
            The time code, or None where there is none or its digits are none.
        """
        if not isinstance(value, list | tuple) or not value or not isinstance(value[0], int):
            return None
        word = value[0] & 0xFFFFFFFF
        hours, minutes, seconds, frames = [
            (word >> shift & 0xF) + 10 * (word >> (shift + 4) & tens)
            for shift, tens in ((24, 0x3), (16, 0x7), (8, 0x7), (0, 0x3))
        ]
        if any(word >> shift & 0xF > 9 for shift in (0, 8, 16, 24)):
            return None
        return cls(hours, minutes, seconds, frames, drop=bool(word & 0x40))

    def count(self, rate: float) -> int:
        """Return the number of frames since midnight.

        Args:
            rate: frames a second; 23.976 counts as 24.
        """
        base = round(rate)
        minutes = self.hours * 60 + self.minutes
        number = (minutes * 60 + self.seconds) * base + self.frames
        if not self.drop:
            return number
        # Every minute but each tenth begins at frame 2 (at 60 a second, 4).
        return number - base // 15 * (minutes - minutes // 10)

    def __str__(self) -> str:
        separator = ";" if self.drop else ":"
        return f"{self.hours:02d}:{self.minutes:02d}:{self.seconds:02d}{separator}{self.frames:02d}"
