"""Caches: limits, exact round trips, damage, killed writers, and processes that share a folder."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from relume.cache import DiskCache, MemoryCache, size_of
from relume.errors import UsageError
from relume.image import Box, Image, Layers
from relume.light.types import Environment, LightMaps
from relume.shading.types import Transport

TYPES = {cls.__name__: cls for cls in (Box, Image, Layers, Environment, LightMaps, Transport)}
MIB = 1 << 20


def array(size: int = 1000) -> np.ndarray:
    return np.zeros(size, np.uint8)


# Sizes.


def test_arrays_are_counted_once_and_by_what_they_keep_alive():
    block = array(10_000)
    overhead = size_of(None)
    assert size_of(block) == 10_000 + overhead
    assert size_of((block, [block[::2], block[:5]], {"a": block})) == 10_000 + overhead
    assert size_of((block, block.copy())) == 20_000 + overhead


def test_every_wire_type_is_measured():
    pixels = np.zeros((4, 8, 3), np.float32)
    image = Image(pixels, ("R", "G", "B"))
    maps = {n: np.zeros((2, 4, 3), np.float32) for n in (1, 16)}
    light = LightMaps(diffuse=pixels, specular=maps, harmonics=np.zeros((25, 3), np.float32))
    bytes_of = {id(a): a.nbytes for a in (pixels, *maps.values(), light.harmonics, light.gain)}
    values = (Layers({"a": image, "b": image}), Environment(image), light)
    assert size_of(values) - size_of(None) == sum(bytes_of.values())


def test_tensors_count_as_well():
    class Tensor:
        nbytes = 4096

    assert size_of([Tensor(), "text", 1]) - size_of(None) == 4096


# Memory.


def test_the_least_recently_used_goes_first():
    cache = MemoryCache(limit=3 * size_of(array()))
    for key in "abc":
        cache.put(key, array())
    assert cache.get("a") is not None
    cache.put("d", array())
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
    cache.resize(size_of(array()))
    assert (len(cache), cache.get("d") is not None) == (1, True)
    cache.clear()
    assert (len(cache), cache.used, cache.get("d")) == (0, 0, None)


def test_what_is_larger_than_the_limit_is_not_kept_and_pushes_nothing_out():
    cache = MemoryCache(limit=2 * size_of(array()))
    cache.put("a", array())
    cache.put("big", array(5000))
    assert cache.get("big") is None
    assert cache.get("a") is not None
    cache.put("a", array(5000))  # a newer value that does not fit leaves no older one behind
    assert cache.get("a") is None
    assert cache.used == 0


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 4000)), max_size=40),
    st.integers(0, 10_000),
)
def test_the_limit_holds_whatever_is_put(puts, limit):
    cache = MemoryCache(limit=limit)
    latest: dict[str, np.ndarray] = {}
    for key, size in puts:
        latest[key] = array(size)
        cache.put(key, latest[key])
        assert cache.used <= limit
    kept = {key: value for key in latest if (value := cache.get(key)) is not None}
    assert all(value is latest[key] for key, value in kept.items())
    assert cache.used == sum(map(size_of, kept.values()))


def test_threads_may_share_a_cache():
    cache = MemoryCache(limit=20 * size_of(array()))

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for key in random.integers(0, 60, 500):
            cache.put(str(key), array())
            cache.get(str(random.integers(0, 60)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.used == len(cache) * size_of(array()) <= cache.limit


# Disk: round trips.

EXTREMES = np.float32([-5, 1e30, -1e30, 1e5, 65504, 0.0, -0.0, 1e-45, 0.1])


def same(a: Any, b: Any) -> None:
    """Assert that two values are alike to the last bit."""
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()
    elif isinstance(a, MappingProxyType | dict | Layers):
        assert isinstance(b, type(a))
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert type(a) is type(b)
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif dataclasses.is_dataclass(a):
        assert type(a) is type(b)
        for field in dataclasses.fields(a):
            same(getattr(a, field.name), getattr(b, field.name))
    else:
        assert repr(a) == repr(b)


def picture(height: int, width: int, channels: tuple[str, ...], **options: Any) -> Image:
    pixels = np.resize(EXTREMES, (height, width, len(channels)))
    return Image(pixels, channels, **options)


def wire_values() -> dict[str, Any]:
    rgb = ("R", "G", "B")
    plate = picture(
        3,
        5,
        ("R", "G", "B", "A"),
        colour="srgb_rec709_scene",
        alpha="premultiplied",
        data=Box(-2, 7, 3, 10),
        display=Box.of_size(20, 10),
        pixel_aspect=2.0,
        metadata={"owner": "Ömer", "framesPerSecond": 23.976, "capDate": None, "r": (24, 1)},
    )
    matte = picture(3, 5, ("A",), colour="data")
    light = LightMaps(
        diffuse=np.resize(EXTREMES, (2, 4, 3)),
        specular={16: np.resize(-EXTREMES, (2, 4, 3)), 1: np.resize(EXTREMES, (1, 2, 3))},
        harmonics=np.resize(EXTREMES, (25, 3)),
        rotation=359.5,
        colour="lin_rec709_scene",
        gain=np.float32([-1, 0.1, 1e30]),
    )
    transport = Transport(
        foreground=picture(3, 5, rgb),
        matte=matte,
        normals=picture(3, 5, ("X", "Y", "Z"), colour="data"),
        albedo=picture(3, 5, rgb),
        index=np.int32([0, 7, 14]),
        diffuse=EXTREMES[:3].copy(),
        specular=np.resize(EXTREMES, (2, 3)),
        residual=np.resize(EXTREMES, (16, 3)),
        exponents=(1, 16),
    )
    return {
        "image": plate,
        "layers": Layers({"relit": plate, "albedo": picture(1, 1, rgb), "matte": matte}),
        "environment": Environment(picture(2, 4, rgb)),
        "light maps": light,
        "transport": transport,
        "transport with a view": dataclasses.replace(transport, view=np.resize(EXTREMES, (3, 3))),
    }


@pytest.mark.parametrize("name", wire_values())
def test_every_wire_type_comes_back_bit_by_bit(tmp_path, name):
    value = (wire_values()[name],)
    DiskCache(tmp_path, TYPES).put("key", value)
    same(value, DiskCache(tmp_path, TYPES).get("key"))


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]))
    | hnp.arrays(
        st.sampled_from([np.float32, np.float16, np.int32, np.uint8, np.float64, np.bool_]),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(PLAIN)
def test_whatever_is_plain_comes_back(tmp_path_factory, value):
    cache = DiskCache(tmp_path_factory.getbasetemp() / "plain", TYPES)
    cache.put("key", (value,))
    same((value,), cache.get("key"))


def test_arrays_of_any_layout_come_back(tmp_path):
    cache = DiskCache(tmp_path, TYPES)
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    cache.put("key", (values[::-1, :, ::2], np.asfortranarray(values)))
    back = cache.get("key")
    assert back is not None
    np.testing.assert_array_equal(back[0], values[::-1, :, ::2])
    np.testing.assert_array_equal(back[1], values)


def test_not_a_number_and_infinity_are_not_lost(tmp_path):
    cache = DiskCache(tmp_path, TYPES)
    value = (math.nan, math.inf, -0.0, np.float32([math.nan, -math.inf]))
    cache.put("key", value)
    same(value, cache.get("key"))


class Strange:
    pass


class Pair(NamedTuple):
    a: int
    b: int


@dataclasses.dataclass
class Box2:
    a: int


class OwnMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter("a")

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    "value",
    [Strange(), Pair(1, 2), Box2(1), OwnMapping(), b"bytes", {1, 2}, np.array([Strange()])],
    ids=lambda value: type(value).__name__,
)
def test_what_would_need_a_pickle_or_come_back_as_something_else_is_not_stored(tmp_path, value):
    cache = DiskCache(tmp_path, TYPES)
    cache.put("key", (1, value))
    assert not list(tmp_path.rglob("*.npz"))
    assert cache.get("key") is None


def test_a_type_of_the_same_name_is_not_mistaken_for_a_known_one(tmp_path):
    impostor = dataclasses.make_dataclass("Box", ["x0", "y0", "x1", "y1"])
    cache = DiskCache(tmp_path, TYPES)
    cache.put("key", (impostor(0, 0, 1, 1),))
    assert cache.get("key") is None


def test_a_known_named_tuple_comes_back_as_one(tmp_path):
    cache = DiskCache(tmp_path, {"Pair": Pair})
    cache.put("key", (Pair(1, 2),))
    assert cache.get("key") == (Pair(1, 2),)
    assert type(cache.get("key")[0]) is Pair


def test_no_file_holds_a_pickle(tmp_path):
    cache = DiskCache(tmp_path, TYPES)
    for name, value in wire_values().items():
        cache.put(name, (value,))
    files = list(tmp_path.rglob("*.npz"))
    assert len(files) == len(wire_values())
    for path in files:
        with np.load(path, allow_pickle=False) as archive:
            assert all(archive[name].dtype.kind in "fiu" for name in archive)


# Disk: the folder.


def test_the_folder_is_for_the_user_alone(tmp_path):
    old = os.umask(0)
    try:
        cache = DiskCache(tmp_path / "a" / "b", TYPES)
        cache.put("key", (1,))
    finally:
        os.umask(old)
    inside = [cache.folder, *cache.folder.rglob("*")]
    assert len(inside) == 3
    assert {path.stat().st_mode & 0o077 for path in inside} == {0}
    assert cache.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702, 0o1777])
def test_a_folder_others_may_write_to_is_refused(tmp_path, mode):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(UsageError, match=r"others may write .*shared\. .*0700"):
        DiskCache(folder, TYPES)


def test_the_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: os.stat(tmp_path).st_uid + 1)  # noqa: PTH116
    with pytest.raises(UsageError, match="others may write"):
        DiskCache(tmp_path, TYPES)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot use the cache folder"):
        DiskCache(tmp_path / "file" / "cache", TYPES)


# Disk: damage.


def only_file(folder: Path) -> Path:
    (path,) = folder.rglob("*.npz")
    return path


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_file_is_never_believed(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    cache = DiskCache(folder, TYPES)
    value = (Image(np.resize(EXTREMES, (2, 2, 3)), ("R", "G", "B"), metadata={"a": "b"}),)
    cache.put("key", value)
    path = only_file(folder)
    content = bytearray(path.read_bytes())
    kind = data.draw(st.sampled_from(["cut", "flip", "zero", "replace"]))
    place = data.draw(st.integers(0, len(content) - 1))
    if kind == "cut":
        del content[place:]
    elif kind == "flip":
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "zero":
        content[place : place + 64] = bytes(len(content[place : place + 64]))
    else:
        content = bytearray(data.draw(st.binary(max_size=64)))
    path.write_bytes(content)
    result = cache.get("key")
    if result is None:
        assert not path.exists()  # so that the result is computed and kept anew
    else:
        same(value, result)  # the damage hit what nobody reads, such as a date
    cache.put("key", value)
    same(value, cache.get("key"))


def test_a_result_of_a_type_unknown_today_is_computed_again(tmp_path):
    DiskCache(tmp_path, TYPES).put("key", (wire_values()["environment"],))
    assert DiskCache(tmp_path, {}).get("key") is None


def test_a_file_that_holds_a_pickle_is_not_opened(tmp_path):
    cache = DiskCache(tmp_path, TYPES)
    cache.put("key", (1,))
    path = only_file(tmp_path)
    np.savez(path, tree=np.array([{"tuple": [1]}], dtype=object))
    assert cache.get("key") is None


# Disk: limits.


def test_the_files_read_longest_ago_go_first(tmp_path):
    cache = DiskCache(tmp_path, TYPES)
    for age, key in enumerate(("aa", "bb", "cc")):
        cache.put(key, (array(100_000),))
        os.utime(tmp_path / key / f"{key}.npz", (age, age))
    assert cache.get("aa") is not None  # reading makes it young again
    cache.limit = 350_000
    cache.put("dd", (array(100_000),))
    assert [key for key in ("aa", "bb", "cc", "dd") if cache.get(key)] == ["aa", "cc", "dd"]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.npz")) <= cache.limit


def test_what_is_larger_than_the_limit_pushes_nothing_out(tmp_path):
    cache = DiskCache(tmp_path, TYPES, limit=200_000)
    cache.put("small", (array(1000),))
    cache.put("large", (array(300_000),))
    assert cache.get("small") is not None
    assert cache.get("large") is None


# Disk: processes.

WRITER = """
import resource, signal, sys
import numpy as np
from relume.cache import DiskCache
cache = DiskCache(sys.argv[1], {})
signal.signal(signal.SIGXFSZ, getattr(signal, sys.argv[2]))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
cache.put("key", (np.zeros(4 << 20, np.uint8),))
print("went on")
"""


def write_with_little_room(folder: Path, on_limit: str) -> subprocess.CompletedProcess[str]:
    """Put 4 MiB where the system allows files of 1 MiB."""
    command = [sys.executable, "-c", WRITER, str(folder), on_limit]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_process_killed_while_it_writes_leaves_nothing_that_is_read(tmp_path):
    assert write_with_little_room(tmp_path, "SIG_DFL").returncode == -signal.SIGXFSZ
    cache = DiskCache(tmp_path, {})
    assert cache.get("key") is None
    (rest,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert 0 < rest.stat().st_size <= MIB

    cache.put("other", (1,))
    assert rest.exists()  # it may be that of a process still at work
    os.utime(rest, (0, time.time() - 7200))
    cache.put("other", (1,))
    assert not rest.exists()


def test_a_full_disk_only_means_that_nothing_is_kept(tmp_path):
    done = write_with_little_room(tmp_path, "SIG_IGN")
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_became_read_only_is_still_read(tmp_path, monkeypatch):
    cache = DiskCache(tmp_path, {})
    cache.put("key", (1,))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    # Not by mode: root may write anywhere.
    monkeypatch.setattr("os.utime", refuse)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    assert cache.get("key") == (1,)
    cache.put("other", (2,))
    assert cache.get("other") is None


SHARER = """
import sys
import numpy as np
from relume.cache import DiskCache
cache = DiskCache(sys.argv[1], {}, limit=3_000_000)
for turn in range(60):
    key = f"{turn % 8:02d}"
    cache.put(key, (key, np.full(100_000, int(key), np.float32)))
    found = cache.get(f"{(turn * 3) % 8:02d}")
    if found is not None:
        assert (found[1] == int(found[0])).all(), found[0]
"""


def test_processes_share_a_folder(tmp_path):
    cache = DiskCache(tmp_path, {})
    command = [sys.executable, "-c", SHARER, str(tmp_path)]
    others = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    seen = set()
    while any(process.poll() is None for process in others):
        for key in range(8):
            found = cache.get(f"{key:02d}")
            if found is not None:
                np.testing.assert_array_equal(found[1], np.full(100_000, key, np.float32))
                seen.add(key)
    for process in others:
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
    assert seen
    assert not list(tmp_path.rglob("*.tmp"))
