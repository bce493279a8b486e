"""The lights of a page: checked, convolved by the nodes, and kept where they can be found again."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relume.cache import MemoryCache
from relume.errors import InputError, OutputError, UsageError
from relume.evaluate import Evaluator, Settings
from relume.files import write_whole
from relume.geometry.camera import FOV
from relume.graph import Graph
from relume.hosts.cli.lights import parse_light
from relume.hosts.view.folders import Folders
from relume.image import Image
from relume.light.types import LightMaps
from relume.media.sequence import is_sequence
from relume.nodes.adjust_light import AdjustLight
from relume.nodes.estimate_light import EstimateLight
from relume.nodes.light_rig import LightRig
from relume.nodes.prefilter_light import PrefilterLight
from relume.nodes.read import Read
from relume.nodes.read_environment import ReadEnvironment
from relume.nodes.recipes import BACKGROUND, ORIGINAL, RIG, Source
from relume.nodes.registry import REGISTRY

ESTIMATED = f"{BACKGROUND}:"
"""As a light: what the name of a picture begins with, around which the light is estimated."""

_ODD = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(slots=True)
class Shelf:
    """The lights that a page may choose from.

    Attributes:
        folders: where files may come from.
        kept: folder for dropped files.
        settings: what the evaluation fixes.
        knobs: knobs of ReadEnvironment for every file, such as its colour.
        estimate: knobs of EstimateLight, the field of view apart.
    """

    folders: Folders
    kept: Path
    settings: Settings
    knobs: Mapping[str, Any] = field(default_factory=dict)
    estimate: Mapping[str, Any] = field(default_factory=dict)
    _cache: MemoryCache = field(default_factory=lambda: MemoryCache(1 << 29))
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def source(self, text: str) -> Source:
        """Return a light as a recipe takes it.

        Args:
            text: `original`, `rig:PRESET`, a file, or `background:` and a picture.

        Raises:
            UsageError: there is no such rig, or the file is a sequence.
            Forbidden: the file is not one the page may read.
        """
        if text == ORIGINAL or text.startswith(RIG):
            found: Source = parse_light(text)
            return found
        if text.startswith(ESTIMATED):
            picture = text.removeprefix(ESTIMATED)
            path = self.folders.allowed_at(picture, self.settings.shot.first)
            return {BACKGROUND: str(path), **self.knobs}
        if is_sequence(text) and not Path(text).is_file():
            raise UsageError(
                f"{text} is a sequence, and the page shows lights that stand still",
                way_out="Name one of its frames; `relume shade` takes the sequence",
            )
        return {"file": str(self.folders.allowed(text)), **self.knobs}

    def maps(
        self, text: str, adjust: Mapping[str, Any] | None = None, fov: float = FOV
    ) -> LightMaps:
        """Return the maps of a light in the working space.

        Args:
            text: a light that has an environment.
            adjust: knobs of AdjustLight that are to be worked into the maps.
            fov: field of view of the picture that a light is estimated from.

        Raises:
            RelumeError: the light cannot be read, or the page may not read it.
        """
        graph = self._graph(text, fov)
        graph.add("light", AdjustLight, adjust, light="maps")
        graph.check(REGISTRY)
        light: LightMaps = self._evaluate(graph, "light")
        return light

    def environment(self, text: str, fov: float = FOV) -> Image:
        """Return the picture of a light, in the space it is stored in.

        Raises:
            RelumeError: as for `maps`.
        """
        image: Image = self._evaluate(self._graph(text, fov), "environment").image
        return image

    def _graph(self, text: str, fov: float) -> Graph:
        source = self.source(text)
        if source == ORIGINAL:
            raise UsageError("the original light has no environment")
        graph = Graph()
        if isinstance(source, str):
            graph.add("environment", LightRig, {"preset": source.removeprefix(RIG)})
        elif BACKGROUND in source:
            knobs = dict(source)
            graph.add("picture", Read, {"file": knobs.pop(BACKGROUND), **knobs})
            estimate = {**self.estimate, "fov": fov}
            graph.add("environment", EstimateLight, estimate, plate="picture")
        else:
            graph.add("environment", ReadEnvironment, source)
        graph.add("maps", PrefilterLight, environment="environment")
        return graph

    def _evaluate(self, graph: Graph, reference: str) -> Any:
        # One at a time: several large environments at once would only fight for the same cores.
        with self._turn:
            evaluator = Evaluator(graph, REGISTRY, self.settings, caches=[self._cache])
            return evaluator.evaluate(reference, self.settings.shot.first)

    def keep(self, name: str, content: bytes) -> Path:
        """Keep a dropped file, and return where it is.

        The same content of the same name in an allowed folder is taken from there; else it is
        kept under its digest, so that commands and graphs that name it stay true.

        Raises:
            InputError: it is no .exr or .hdr, or no lat-long picture.
            OutputError: it cannot be kept.
        """
        plain = _ODD.sub("_", Path(name).name).lstrip("._") or "light"
        if Path(plain).suffix.lower() not in (".exr", ".hdr"):
            raise InputError(
                f"{plain} is no light that can be dropped here",
                way_out="Drop a lat-long .hdr or .exr",
            )
        for path in self.folders.environments():
            if path.name == Path(name).name and path.stat().st_size == len(content):
                if path.read_bytes() == content:
                    return path
        folder = self.kept / hashlib.sha256(content).hexdigest()[:16]
        path = folder / plain
        if not path.exists():
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"cannot keep {path}: {error.strerror}") from error
            write_whole(path, content)
        try:
            self.environment(str(path))
        except Exception:
            path.unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
            raise
        return path


def kept_lights() -> Path:
    """Return the folder in which dropped lights are kept from one call to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "relume" / "lights"
