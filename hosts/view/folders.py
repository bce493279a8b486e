"""Which files the page may name: those in folders, or the very files, that the user allowed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from relume.errors import RelumeError
from relume.media.sequence import is_sequence, path_at

MOST = 300
"""Files listed at most: the header of each is read."""

_SUFFIXES = (".exr", ".hdr")


class Forbidden(RelumeError):
    """The page asked for something it may not have."""


class Folders:
    """Folders and files that the user allowed.

    Links are followed before anything is compared, so that none leads out of a folder.

    Args:
        folders: folders whose files may be read.
        files: files that may be read wherever they are.
    """

    def __init__(self, folders: Iterable[str | Path], files: Iterable[str | Path] = ()) -> None:
        self._folders = [Path(os.path.realpath(folder)) for folder in folders]
        self._files = {os.path.realpath(file) for file in files}

    def allowed(self, name: str) -> Path:
        """Return the file that a name stands for.

        Raises:
            Forbidden: it is neither an allowed file nor inside an allowed folder.
        """
        # A zero byte is the one character that no path can hold. Dots go before links are followed,
        # so that the path that is returned, as the user spells it, leads to what is compared here.
        path = Path(os.path.abspath(name.replace("\0", "")))  # noqa: PTH100
        real = Path(os.path.realpath(path))
        if str(real) in self._files or any(real.is_relative_to(f) for f in self._folders):
            return path
        raise Forbidden(
            f"{name} is outside the folders that this page may read",
            way_out="Start `relume view` with --allow and its folder",
        )

    def allowed_at(self, name: str, frame: int) -> Path:
        """Return a file or a sequence, of which one frame will be read.

        Raises:
            Forbidden: the sequence or that frame of it is outside.
        """
        path = self.allowed(name)
        if is_sequence(path) and os.path.realpath(path) not in self._files:
            self.allowed(str(path_at(path, frame)))
        return path

    def environments(self, but: Iterable[str | Path] = ()) -> list[Path]:
        """Return the lat-long pictures directly inside the folders, sorted by name.

        Args:
            but: files that are no light, such as the frames that are being looked at.
        """
        seen = {os.path.realpath(file) for file in but}
        found: list[Path] = []
        for folder in self._folders:
            try:
                names = sorted(folder.iterdir())
            except OSError:
                continue  # a folder that is gone or closed has nothing to offer
            files = [name for name in names if name.suffix.lower() in _SUFFIXES]
            found += [name for name in files if os.path.realpath(name) not in seen]
        return [path for path in found[:MOST] if _is_lat_long(path)]


def _is_lat_long(path: Path) -> bool:
    import OpenImageIO as oiio

    from relume.media.identity import utf8_name

    source = oiio.ImageInput.open(utf8_name(path))
    if source is None:
        oiio.geterror()  # taken, so that no later message carries it
        return False
    try:
        spec = source.spec()
        return bool(spec.width == 2 * spec.height)
    finally:
        source.close()
