"""Names of image files: single files, sequences, and the frames there are of them.

A sequence is a file name with one frame token: `%04d`, `####` (a digit each), `@@@@` or `$F4`.
Any other name is a single file, which holds for every frame.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from fileseq.constants import PAD_STYLE_HASH1
from fileseq.exceptions import MaxSizeException, ParseException
from fileseq.filesequence import FileSequence
from fileseq.frameset import FrameSet

from relume.errors import InputError, UsageError

MOVIES = frozenset(
    ".3gp .avi .braw .dv .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .r3d .ts .webm"
    " .wmv .y4m".split()
)

_LONGEST = 1_000_000
_TOKEN = re.compile(r"%0?\d*d|#+|@+|\$F\d*")
_RANGE_HELP = "Write frames as 1001-1100, 1001-1100x2 or 1001-1005,1010"


def parse_frames(text: str) -> tuple[int, ...]:
    """Read a frame range: `1001-1100`, `1001-1100x2`, `1001-1005,1010`.

    Returns:
        The frames, ascending, each once.

    Raises:
        UsageError: the text is no range of whole frames.
    """
    if ":" in text:
        # To fileseq it is a stagger, to OpenJD a step: neither is a good guess.
        raise UsageError(f"the frame range {text!r} has a ':'", way_out=_RANGE_HELP)
    try:
        frames = list(FrameSet(text))
    except (ParseException, MaxSizeException) as error:
        raise UsageError(f"{text!r} is no frame range", way_out=_RANGE_HELP) from error
    if not frames or any(int(frame) != frame for frame in frames):
        raise UsageError(f"{text!r} is no range of whole frames", way_out=_RANGE_HELP)
    if len(frames) > _LONGEST:
        raise UsageError(f"{text!r} is {len(frames)} frames long", way_out=_RANGE_HELP)
    return tuple(sorted({int(frame) for frame in frames}))


def format_frames(frames: Iterable[int]) -> str:
    """Return frames as a range, `1001-1005,1010`."""
    return str(FrameSet(sorted(set(frames))))


def is_sequence(name: str | Path) -> bool:
    """Return whether a name has a frame token, and so stands for a file a frame."""
    return bool(_TOKEN.search(Path(name).name))


def path_at(name: str | Path, frame: int) -> Path:
    """Return the file of a frame, whether or not it exists.

    Args:
        name: a sequence or a single file.
        frame: frame number.

    Raises:
        UsageError: the name has more than one frame token.
    """
    if not is_sequence(name):
        return Path(name)
    before, width, after = _split(Path(name).name)
    return Path(name).with_name(f"{before}{str(frame).zfill(width)}{after}")


def existing_frames(name: str | Path) -> list[int]:
    """Return the frames of a sequence that exist, ascending; none for a single file."""
    if not is_sequence(name):
        return []
    before, width, after = _split(Path(name).name)
    pattern = re.compile(f"{re.escape(before)}(-?\\d+){re.escape(after)}")
    try:
        names = os.listdir(Path(name).parent)  # noqa: PTH208
    except OSError:
        return []
    numbers = [match[1] for file in names if (match := pattern.fullmatch(file))]
    # The padding decides: `plate.7.exr` is not frame 7 of `plate.%04d.exr`.
    return sorted(int(number) for number in numbers if str(int(number)).zfill(width) == number)


def resolve(name: str | Path, frame: int, offset: int = 0) -> Path:
    """Return the file to read at a frame.

    Args:
        name: a sequence, or a single file that holds for every frame.
        frame: frame of the shot.
        offset: added to find the number in the file name.

    Raises:
        InputError: the file is missing, with the nearest frames there are; or it is a movie.
        UsageError: the name has more than one frame token.
    """
    refuse_movie(name)
    if Path(name).is_file():
        return Path(name)  # also a single file that happens to have a # in its name
    path = path_at(name, frame + offset)
    if path.is_file():
        return path
    if path.is_dir():
        raise InputError(
            f"{path} is a folder", way_out="Name a file or a sequence such as plate.####.exr"
        )
    if not is_sequence(name):
        raise InputError(f"{path} does not exist", way_out="Check the path")
    raise InputError(f"{path} does not exist", way_out=_nearest(name, frame + offset), frame=frame)


def refuse_movie(name: str | Path) -> None:
    """Refuse a movie file.

    Raises:
        InputError: the name is that of a movie; the way out is the line that makes frames of it.
    """
    path = Path(name)
    if path.suffix.lower() in MOVIES:
        frames = path.with_name(f"{path.stem}.%04d.png")
        raise InputError(
            f"{path} is a movie, and relume reads frames",
            way_out=f"Make frames of it: ffmpeg -i '{path}' -pix_fmt rgb48be -start_number 1001 "
            f"'{frames}'",
        )


def _nearest(name: str | Path, number: int) -> str:
    """Say which frames there are instead."""
    there = existing_frames(name)
    if not there:
        return f"No frame of {Path(name).name} exists in {Path(name).parent}"
    before = [frame for frame in there if frame < number][-1:]
    after = [frame for frame in there if frame > number][:1]
    near = " and ".join(str(frame) for frame in before + after)
    if len(there) == 1:
        return f"Only frame {near} exists"
    return f"{len(there)} from {there[0]} to {there[-1]} exist, nearest {near}"


@lru_cache(maxsize=256)
def _split(name: str) -> tuple[str, int, str]:
    """Return what stands before the frame number of a file name, its width, and what follows."""
    tokens = list(_TOKEN.finditer(name))
    if len(tokens) != 1:
        raise UsageError(
            f"{name!r} has more than one frame token",
            way_out="Use one of %04d, #### or @@@@ in the file name",
        )
    token = tokens[0]
    # Only the token goes through fileseq: in `take2####.exr` it would take the 2 for a frame,
    # and by default it counts four digits to a #.
    width = FileSequence(f"_.{token[0]}.x", pad_style=PAD_STYLE_HASH1).zfill()
    return name[: token.start()], width, name[token.end() :]
