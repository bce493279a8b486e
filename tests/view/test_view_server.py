"""The page's server: who may ask it, what for, and what it answers. No browser takes part."""

from __future__ import annotations

import json
import shlex
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PyOpenColorIO as ocio
import pytest

from relume.colour import config
from relume.colour.transforms import prepare
from relume.context import Settings
from relume.errors import Cancelled, Exit, InputError, UsageError
from relume.frames import Shot
from relume.geometry.camera import Camera
from relume.graph import Graph
from relume.hosts.cli import main
from relume.hosts.cli import view as cli
from relume.hosts.view import look, looks, packing, session, shelf
from relume.hosts.view.folders import Folders, Forbidden
from relume.hosts.view.opening import opening
from relume.light import harmonics
from relume.light.prefilter import prefilter
from relume.light.types import Environment
from relume.media.read import read
from relume.node import Node
from relume.nodes.adjust_light import AdjustLight
from relume.nodes.recipes import Backdrop, Plate
from relume.nodes.registry import REGISTRY
from relume.nodes.relight import Relight
from relume.shading.transport_file import unpack
from relume.shading.types import views

testclient = pytest.importorskip("starlette.testclient", reason="the extra [view] is not installed")
server = pytest.importorskip("relume.hosts.view.server", reason="the extra [view] is missing")

TOKEN = "a-token"
KEY = {"name": "key", "source": "rig:rembrandt", "knobs": {}}
LOOK = {"lights": [KEY], "relight": {}, "background": "none", "fov": 40, "frames": ""}


def unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a message as the page does."""
    (length,) = struct.unpack_from("<I", content)
    header = json.loads(content[4 : 4 + length])
    arrays = {}
    for name, about in header.pop("arrays").items():
        start = 4 + length + about["at"]
        assert start % 8 == 0, "a typed array must begin at a multiple of its element"
        count = int(np.prod(about["shape"]))
        flat = np.frombuffer(content, about["type"], count, start)
        arrays[name] = flat.reshape(about["shape"])
    return header, arrays


@pytest.fixture
def page(show: Path, tmp_path: Path) -> Iterator[Any]:
    """The page of a sequence."""
    settings = Settings(Shot(1001, 1004), threads=1)
    subject = look.Subject(str(show / "shot.####.exr"))
    frames = session.Session(subject, [1001, 1002, 1004], settings)
    kept = tmp_path / "kept"
    lights = shelf.Shelf(Folders([show, kept]), kept, settings)
    first = opening(frames, [look.Light("key", "rig:rembrandt")], "none", 40.0)
    yield server.Page(frames, lights, first, upload=100_000)
    frames.close()


@pytest.fixture
def client(page: Any) -> Iterator[Any]:
    """A browser's side of it, with the token."""
    app = server.application(page, TOKEN)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with testclient.TestClient(app, base_url="http://127.0.0.1:8000", headers=headers) as client:
        yield client


def fetched(client: Any, frame: int) -> Any:
    """Ask for a frame until it is there."""
    for _ in range(200):
        answer = client.get(f"/api/frame/{frame}")
        if answer.status_code != 202:
            return answer
    pytest.fail("the frame never came")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer a-tokem"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8000"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "127.0.0.1@evil.example"}, 421),
        ({"Host": "192.168.0.7:8000"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9000"}, 403),
        ({"Origin": "https://127.0.0.1:8000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "localhost:1234", "Origin": "http://localhost:1234"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({}, 200),
    ],
)
def test_who_may_ask(client, headers, status):
    answer = client.get("/api/opening", headers=headers)
    assert answer.status_code == status
    assert ("error" in answer.json()) == (status != 200)


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/static/style.css"])
def test_the_page_itself_is_open_to_this_machine_alone(client, path):
    client.headers.pop("Authorization")
    assert client.get(path).status_code == 200
    assert client.get(path, headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("path", ["/", "/api/opening", "/static/app.js", "/static/gone.js"])
def test_every_answer_carries_the_headers(client, path):
    for headers in ({}, {"Host": "evil.example"}):
        answer = client.get(path, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd"]
)
def test_nothing_but_the_page_is_served(client, path):
    assert client.get(path).status_code == 404


def test_the_page_names_no_other_place():
    for path in server.STATIC.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, path.name
        assert "https:" not in text, path.name
        assert "//cdn" not in text, path.name


def test_a_file_outside_the_folders_is_refused(client, show, tmp_path):
    outside = tmp_path / "outside.exr"
    outside.write_bytes((show / "hdri" / "sun.exr").read_bytes())
    (show / "link.exr").unlink(missing_ok=True)
    (show / "link.exr").symlink_to(outside)
    near = show.with_name(f"{show.name}-beside")
    near.mkdir(exist_ok=True)
    (near / "sun.exr").write_bytes(outside.read_bytes())
    names = [
        str(outside),
        f"{show}/../{outside.relative_to(show.parent.parent)}",
        str(show / "link.exr"),
        str(near / "sun.exr"),
        "/etc/passwd",
        "\0/etc/passwd",
        "outside.exr",
    ]
    for name in names:
        for call in ("light", "environment"):
            assert client.post(f"/api/{call}", json={"source": name}).status_code == 403, name
            assert (
                client.post(f"/api/{call}", json={"source": f"background:{name}"}).status_code
                == 403
            )
        document = {**LOOK, "lights": [{**KEY, "source": name}], "out": "o.####.exr"}
        for call in ("graph", "command"):
            assert client.post(f"/api/{call}", json=document).status_code == 403, name
    for inside in (show / "hdri" / "sun.exr", show / "hdri" / ".." / "hdri" / "sun.exr"):
        assert client.post("/api/light", json={"source": str(inside)}).status_code == 200
    odd = {"source": str(show / "hdri" / "sun.exr"), "adjust": [1]}
    assert client.post("/api/light", json=odd).status_code == 400
    (show / "link.exr").unlink()


def test_a_folder_reached_through_a_link_keeps_its_name(show, tmp_path):
    (tmp_path / "mount").symlink_to(show)
    named = tmp_path / "mount" / "hdri" / "sun.exr"
    assert Folders([tmp_path / "mount"]).allowed(str(named)) == named
    # Dots are taken as text, before a link can give them another meaning.
    assert Folders([tmp_path / "mount"]).allowed(f"{named.parent}/../hdri/sun.exr") == named


def test_a_file_that_was_named_is_allowed_and_its_neighbours_are_not(show):
    folders = Folders([], [show / "hdri" / "sun.exr"])
    assert folders.allowed(str(show / "hdri" / "sun.exr")).name == "sun.exr"
    with pytest.raises(Forbidden):
        folders.allowed(str(show / "still.exr"))


def test_the_lights_of_a_folder_are_its_lat_long_pictures(client, show):
    (show / "broken.hdr").write_bytes(b"no picture")
    folders = Folders([show / "hdri", show, show / "gone"])
    assert folders.environments() == [show / "hdri" / "sun.exr"]
    assert folders.environments([show / "hdri" / "sun.exr"]) == []
    assert client.get("/api/lights").json() == []
    (show / "broken.hdr").unlink()


@pytest.mark.parametrize("lie", [False, True])
def test_an_oversized_upload_is_refused(client, page, lie):
    content = bytes(page.upload + 1)
    # Without a length, as a chunked body comes, what arrives is counted.
    body = iter([content[:60_000], content[60_000:]]) if lie else content
    answer = client.post("/api/upload?name=big.hdr", content=body)
    assert answer.status_code == 413
    assert "--max-upload" in answer.json()["error"]
    assert not page.shelf.kept.exists()


def test_a_request_that_is_no_document_is_refused(client):
    for content in (b"", b"[1]", b"{", b"\xff", b"[" * 100_000):
        assert client.post("/api/light", content=content).status_code == 400
    assert client.post("/api/light", content=b'"' + b"a" * (2 << 20)).status_code == 413


def test_a_dropped_light_is_kept_under_its_digest(client, page, show):
    content = (show / "hdri" / "sun.exr").read_bytes()
    answer = client.post("/api/upload?name=..%2F..%2Fmy sun.exr", content=content).json()
    kept = Path(answer["source"])
    assert answer["kept"]
    assert kept.parent.parent == page.shelf.kept
    assert kept.name == "my_sun.exr"
    assert kept.read_bytes() == content
    assert kept.parent.stat().st_mode & 0o077 == 0
    assert client.post("/api/upload?name=my sun.exr", content=content).json() == answer
    assert client.post("/api/light", json={"source": str(kept)}).status_code == 200


def test_a_dropped_light_that_lies_in_a_folder_is_taken_from_there(page, show):
    page.shelf.folders = Folders([show / "hdri"])
    content = (show / "hdri" / "sun.exr").read_bytes()
    assert page.shelf.keep("sun.exr", content) == show / "hdri" / "sun.exr"
    assert not page.shelf.kept.exists()


@pytest.mark.parametrize(
    ("name", "content"), [("a.png", b"x"), ("a.hdr", b"no picture"), ("a.exr", b""), ("", b"")]
)
def test_a_dropped_file_that_is_no_light_is_refused_and_not_kept(client, page, name, content):
    answer = client.post(f"/api/upload?name={name}", content=content)
    assert answer.status_code == 422
    assert not list(page.shelf.kept.rglob("*.*"))


def test_a_dropped_picture_that_is_not_lat_long_is_refused(client, page, show):
    content = (show / "behind.exr").read_bytes()
    answer = client.post("/api/upload?name=behind.exr", content=content)
    assert answer.status_code == 422
    assert "2:1" in answer.json()["error"]


def test_a_frame_holds_the_transport_as_the_file_does(client, show):
    header, arrays = unpacked(fetched(client, 1002).content)
    layers = read(show / "shot.1002.exr").layers
    transport = unpack(layers)
    x, y, w, h = header["box"]
    inside = slice(y, y + h), slice(x, x + w)
    assert header["size"] == [96, 72]
    assert header["step"] == 1
    weights = arrays["coefficients"].transpose(1, 2, 0, 3).reshape(h, w, -1)
    wanted = np.concatenate([layers[f"transport_{n:02d}"].pixels for n in range(6)], axis=2)
    np.testing.assert_array_equal(weights, wanted[inside])
    assert np.count_nonzero(wanted) == np.count_nonzero(weights), "nothing lies outside the box"
    albedo, normal, foreground = arrays["subject"]
    np.testing.assert_array_equal(albedo[..., :3], transport.albedo.rgb[inside])
    np.testing.assert_array_equal(albedo[..., 3:], transport.matte.pixels[inside])
    np.testing.assert_array_equal(normal[..., :3], transport.normals.pixels[inside])
    assert np.count_nonzero(normal[..., 3]) == len(transport.index)
    np.testing.assert_array_equal(foreground[..., :3], transport.foreground.rgb[inside])


def test_a_frame_of_too_many_pixels_leaves_some_out(monkeypatch, show):
    transport = unpack(read(show / "still.exr").layers)
    monkeypatch.setattr(packing, "MOST_PIXELS", 500)
    header, arrays = unpacked(packing.pack_frame(transport, {"plate": transport.albedo}))
    step = header["step"]
    assert step > 1
    assert header["size"] == [-(-96 // step), -(-72 // step)]
    some = slice(None, None, step), slice(None, None, step)
    np.testing.assert_array_equal(
        arrays["plate"][..., :3], transport.albedo.rgb[some].astype(np.float16)
    )
    x, y, w, h = header["box"]
    full = np.zeros((*arrays["plate"].shape[:2], 4), np.float16)
    full[y : y + h, x : x + w] = arrays["coefficients"][1]
    dense = np.zeros((72, 96), np.float32)
    dense.reshape(-1)[transport.index] = transport.specular[3]
    np.testing.assert_array_equal(full[..., 0], dense[some].astype(np.float16))


def test_an_empty_subject_is_a_frame_too(show):
    transport = unpack(read(show / "still.exr").layers)
    nothing = replace(
        transport,
        index=transport.index[:0],
        diffuse=transport.diffuse[:0],
        specular=transport.specular[:, :0],
        residual=transport.residual[:, :0],
    )
    header, arrays = unpacked(packing.pack_frame(nothing, {}))
    assert header["box"] == [0, 0, 1, 1]
    assert not arrays["coefficients"].any()


def test_a_camera_travels_with_the_frame(show):
    base = unpack(read(show / "still.exr").layers)
    turn = np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]])
    camera = Camera(35.0, turn)
    seen = replace(base, view=views(camera, base.foreground, base.index), to_world=turn)
    header, arrays = unpacked(packing.pack_frame(seen, {}))
    assert header["view"]
    np.testing.assert_allclose(header["toWorld"], turn.ravel())
    light = np.random.default_rng(5).normal(size=(16, 3))
    turned = np.reshape(header["harmonics"], (16, 16)) @ light
    np.testing.assert_allclose(turned, harmonics.seen_from(light, turn), atol=1e-12)
    x, y, _, _ = header["box"]
    row, column = np.divmod(base.index[100], 96)
    towards = arrays["subject"][3, row - y, column - x, :3]
    np.testing.assert_allclose(towards, seen.view[:, 100], atol=1e-3)


def test_values_that_halves_cannot_hold_stay_finite():
    given = np.array([1e9, -1e9, 65504.0, 1e-9], np.float32)
    np.testing.assert_array_equal(packing.half(given), [65504, -65504, 65504, 0])


def test_a_light_comes_with_its_maps(client, page, show):
    path = str(show / "hdri" / "sun.exr")
    header, arrays = unpacked(client.post("/api/light", json={"source": path}).content)
    maps = prefilter(Environment(read(path, space="lin_ap1_scene").layer()))
    assert header["exponents"] == {"1": 0, "16": 1, "32": 2, "64": 3}
    for exponent, layer in header["exponents"].items():
        np.testing.assert_allclose(
            arrays["maps"][layer], maps.specular[int(exponent)], rtol=1e-5, atol=1e-5
        )
    np.testing.assert_allclose(arrays["harmonics"], maps.harmonics[:16], rtol=1e-5, atol=1e-6)
    soft = client.post("/api/light", json={"source": path, "adjust": {"blur": 20.0}})
    _, softer = unpacked(soft.content)
    assert softer["maps"][3].max() < 0.5 * arrays["maps"][3].max()
    bad = client.post("/api/light", json={"source": path, "adjust": {"blur": -1}})
    assert bad.status_code == 400
    assert "blur" in bad.json()["error"]


def test_the_picture_of_an_environment(client, show, monkeypatch):
    path = str(show / "hdri" / "sun.exr")
    _, arrays = unpacked(client.post("/api/environment", json={"source": path}).content)
    wanted = read(path).layer().rgb.astype(np.float16)
    np.testing.assert_array_equal(arrays["environment"][..., :3], wanted)
    monkeypatch.setattr(packing, "_WIDEST", 64)
    _, smaller = unpacked(client.post("/api/environment", json={"source": path}).content)
    assert smaller["environment"].shape == (32, 64, 4)
    original = client.post("/api/environment", json={"source": "original"})
    assert original.status_code == 400


def test_a_missing_frame_is_told(client):
    assert client.get("/api/frame/1003").status_code == 422
    assert client.get("/api/frame/latest").status_code == 404


def test_a_frame_that_fails_is_told_once_and_then_tried_again(client, page, show):
    good = (show / "shot.1004.exr").read_bytes()
    (show / "shot.1004.exr").write_bytes(good[:2000])
    answer = fetched(client, 1004)
    assert answer.status_code == 422
    assert "shot.1004.exr" in answer.json()["error"]
    (show / "shot.1004.exr").write_bytes(good)
    assert fetched(client, 1004).status_code == 200
    assert list(page.session._packed) == [1004]


def test_a_frame_is_cancelled_between_two_nodes(client, page, monkeypatch):
    reached, gone = threading.Event(), threading.Event()
    declared = REGISTRY["read_transport"]
    compute = declared.compute

    def slow(self: Node, ctx: Any) -> Any:
        reached.set()
        while not gone.wait(0.01):
            ctx.check_cancel()
        return compute(self, ctx)

    monkeypatch.setattr(declared, "compute", slow)
    answer = client.get("/api/frame/1001")
    assert answer.status_code == 202
    assert reached.wait(10)
    status = client.get("/api/frame/1001").json()
    assert status == {"frame": 1001, "node": "plate", "fraction": 0.0}
    job = page.session.request(1001)
    assert client.post("/api/cancel", json={"frame": 1002}).status_code == 200
    assert not job.stop.is_set()
    client.post("/api/cancel", json={"frame": 1001})
    with pytest.raises(Cancelled):
        job.result.result(10)
    gone.set()
    assert fetched(client, 1001).status_code == 200, "asked for again, it is begun again"


def test_packed_frames_are_kept_within_a_limit(page, monkeypatch):
    monkeypatch.setattr(session, "KEPT", 400_000)
    for frame in (1001, 1002, 1004, 1001):
        job = page.session.request(frame)
        if isinstance(job, session.Job):
            job.result.result(20)
    assert 1001 in page.session._packed
    assert len(page.session._packed) < 3


def test_the_displays_are_those_of_the_configuration(client):
    told = client.get("/api/opening").json()["displays"]
    here = config()
    assert set(told) == set(here.getDisplays())
    assert next(iter(told)) == here.getDefaultDisplay()
    for display, offered in told.items():
        assert set(offered) == set(here.getViews(display))
        assert offered[0] == here.getDefaultView(display)
    for names in ({"display": "none"}, {"display": "sRGB - Display", "view": "none"}):
        assert client.post("/api/display", json=names).status_code == 400


@pytest.mark.parametrize("view", ["Un-tone-mapped", "Raw"])
def test_the_lattice_holds_what_ocio_says(client, view):
    names = {"display": "sRGB - Display", "view": view}
    header, arrays = unpacked(client.post("/api/display", json=names).content)
    lattice, shaper = arrays["lattice"], header["shaper"]
    last = lattice.shape[0] - 1
    rng = np.random.default_rng(2)
    b, g, r = at = rng.integers(0, last + 1, (3, 500))
    places = np.stack((r, g, b), 1) / last * shaper["span"] + shaper["low"]
    light = np.sign(places) * (2 ** np.abs(places) - 1) / shaper["scale"]
    transform = ocio.DisplayViewTransform(src="ACEScg", **names)
    shown = prepare(config().getProcessor(transform)).apply_rgb(light.astype(np.float32))
    found = lattice[tuple(at)][:, :3].astype(np.float64)
    size = np.abs(found)
    code = np.where(size <= 0.0031308, 12.92 * size, 1.055 * size ** (1 / 2.4) - 0.055)
    near = np.abs(shown) < 4
    np.testing.assert_allclose(np.sign(found) * code * near, shown * near, atol=2e-3)
    assert light.min() == pytest.approx(-0.25)
    assert light.max() == pytest.approx(128)


def test_a_show_of_its_own_is_obeyed(client, monkeypatch, tmp_path):
    own = ocio.Config.CreateRaw()
    own.addColorSpace(ocio.ColorSpace(name="plain", encoding="scene-linear"))
    own.setRole("scene_linear", "plain")
    own.setRole("aces_interchange", "plain")
    half = ocio.ColorSpace(name="half")
    half.setTransform(
        ocio.MatrixTransform(np.diag([0.5, 0.5, 0.5, 1]).ravel().tolist()),
        ocio.COLORSPACE_DIR_FROM_REFERENCE,
    )
    own.addColorSpace(half)
    own.addDisplayView("wall", "dim", "half")
    path = tmp_path / "config.ocio"
    path.write_text(own.serialize())
    monkeypatch.setenv("OCIO", str(path))
    assert looks.displays()["wall"] == ["dim"]
    lattice = looks.bake("wall", "dim")
    grey = looks.unshaped(np.array([40 / (looks.GRID - 1)]))[0]
    decoded = float(lattice[40, 40, 40, 1])
    code = 0.5 * grey
    assert decoded == pytest.approx(((code + 0.055) / 1.055) ** 2.4, rel=2e-3)


def graph_for(client: Any, **changes: Any) -> Graph:
    answer = client.post("/api/graph", json={**LOOK, "out": "relit.####.exr", **changes})
    assert answer.status_code == 200, answer.json()
    return Graph.from_json(answer.text, REGISTRY)


def words_for(client: Any, **changes: Any) -> list[str]:
    answer = client.post("/api/command", json={**LOOK, "out": "relit.####.exr", **changes})
    assert answer.status_code == 200, answer.json()
    return shlex.split(answer.json()["command"])[1:]


MIXED = [
    {**KEY, "knobs": {"rotate": 30.5, "exposure": -1, "gain": [1, 0.5, 0.25]}},
    {"name": "rim", "source": "rig:rim", "knobs": {"rotate": -12, "exposure": -1, "blur": 7.5}},
    {"name": "original", "source": "original", "knobs": {"exposure": -1, "rotate": 9}},
]


@pytest.mark.parametrize("background", ["none", "environment"])
def test_command_and_graph_are_one(client, capsys, background):
    relight = {"gloss": 0.5, "original": 0.3, "residual_gain": 1, "diffuse_gain": 1.2}
    changes = {"lights": MIXED, "relight": relight, "background": background, "fov": 33}
    graph = graph_for(client, **changes)
    words = words_for(client, **changes)
    capsys.readouterr()
    assert main([*words, "--print-graph"]) == Exit.DONE
    printed = Graph.from_json(capsys.readouterr().out, REGISTRY)
    assert printed.to_json(REGISTRY) == graph.to_json(REGISTRY)
    assert "--light-exposure" in words
    assert words[words.index("--light-exposure") + 1] == "-1", "all agree: said once"


def test_a_light_is_estimated_around_a_picture(client, page, show, capsys):
    page.shelf.estimate = {"fill": "mean"}
    # The words of the command line that made that estimate.
    page.session.subject = replace(page.session.subject, estimate=("--fill", "mean"))
    around = {"name": "sky", "source": f"background:{show / 'behind.exr'}", "knobs": {}}
    graph = graph_for(client, lights=[around], fov=55)
    words = words_for(client, lights=[around], fov=55)
    capsys.readouterr()
    assert main([*words, "--print-graph"]) == Exit.DONE
    printed = Graph.from_json(capsys.readouterr().out, REGISTRY)
    assert printed.to_json(REGISTRY) == graph.to_json(REGISTRY)
    means = []
    for fov in (30, 90):
        answer = client.post("/api/environment", json={"source": around["source"], "fov": fov})
        means.append(unpacked(answer.content)[1]["environment"].astype(np.float32).mean())
        answer = client.post("/api/light", json={"source": around["source"], "fov": fov})
        assert answer.status_code == 200
    assert means[0] != means[1], "a wider view covers more of the sphere"
    for source in ("background:/etc/passwd", f"background:{show}/../a.####.exr"):
        assert client.post("/api/light", json={"source": source}).status_code == 403
    wrong = client.post("/api/light", json={"source": around["source"], "fov": "wide"})
    assert wrong.status_code == 400


def test_a_plate_is_looked_at_in_the_profile_that_was_asked_for(
    show, monkeypatch, capsys, tmp_path
):
    seen: list[Any] = []
    monkeypatch.chdir(show)
    monkeypatch.setattr(server, "serve", lambda page, *_: seen.append(page))
    for words in ([], ["--profile", "fast"]):
        assert main(["view", "behind.exr", *words, "--no-open"]) == Exit.DONE
        page = seen.pop()
        subject = page.session.subject
        assert subject.transport == ("analysis.transport" if words else "transport")
        shown = look.Look.of({**LOOK, "out": "o.exr"})
        graph = look.graph_of(subject, shown, page.shelf)
        graph.source(REGISTRY, subject.transport)
        line = look.command_of(subject, shown, page.shelf)
        assert ("--profile fast" in line) is bool(words)
        capsys.readouterr()
        assert main([*shlex.split(line)[1:], "--print-graph"]) == Exit.DONE
        printed = Graph.from_json(capsys.readouterr().out, REGISTRY)
        assert printed.nodes.keys() == graph.nodes.keys()
        page.session.close()


def test_a_background_that_is_named_may_be_estimated_around(show, monkeypatch, capsys, tmp_path):
    seen: list[Any] = []
    monkeypatch.chdir(show / "hdri")
    monkeypatch.setattr(server, "serve", lambda page, *_: seen.append(page))
    words = ["view", "../still.exr", "--background", "../behind.exr", "--light", "background"]
    assert main([*words, "--no-open"]) == Exit.DONE
    (page,) = seen
    source = page.opening["lights"][0]["source"]
    assert source == f"background:{show}/hdri/../behind.exr"
    assert page.opening["estimates"] == [source]
    assert page.shelf.source(source) == {"background": str(show / "behind.exr")}
    page.session.close()
    assert main(["view", "../still.exr", "--light", "background", "--no-open"]) == Exit.USAGE
    assert "no background picture" in capsys.readouterr().err


def test_the_command_gives_the_frame_that_is_asked_for(client):
    words = words_for(client, frames="1002")
    assert words[words.index("--frames") + 1] == "1002"
    assert "--frames" not in words_for(client)


def test_every_knob_of_the_page_has_an_option():
    for command in ("shade", "relight"):
        flags = look._flags(command)
        assert {f"adjust__{knob}" for knob in AdjustLight.knobs()} <= set(flags)
        assert {f"look__{knob}" for knob in Relight.knobs()} <= set(flags)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lights": []}, "no light is on"),
        ({"lights": [KEY, KEY]}, "one name"),
        ({"lights": [{**KEY, "source": "rig:none"}]}, "no rig"),
        ({"lights": [{**KEY, "name": "a b"}]}, "a b"),
        ({"lights": [{**KEY, "knobs": {"exposure": 99}}]}, "exposure"),
        ({"lights": [{**KEY, "knobs": {"exposure": None}}]}, "exposure"),
        ({"lights": [{**KEY, "knobs": {"speed": 1}}]}, "speed"),
        ({"lights": [{**KEY, "source": "sky.####.exr"}]}, "sequence"),
        ({"lights": "key"}, "no look"),
        ({"relight": {"gloss": "high"}}, "gloss"),
        ({"background": "picture"}, "no background"),
        ({"background": "environment", "lights": [{**KEY, "source": "original"}]}, "environment"),
        ({"fov": "wide"}, "no look"),
        ({"fov": 500, "background": "environment"}, "fov"),
        ({"out": ""}, "no file"),
        ({"frames": "soon"}, "frame"),
    ],
)
def test_a_look_that_cannot_be_rendered_is_refused(client, changes, says):
    for call in ("graph", "command"):
        answer = client.post(f"/api/{call}", json={**LOOK, "out": "o.####.exr", **changes})
        assert answer.status_code == 400
        assert says in answer.json()["error"]


def test_the_words_of_the_user_come_again(show, tmp_path, capsys):
    plate = Plate({"file": "plate.####.exr", "colour": "srgb_rec709_scene"}, "m.exr", proxy=2)
    subject = look.Subject(
        "plate.####.exr",
        plate,
        Backdrop({"file": "bg.exr"}, over={"fit": "fill"}),
        shot="1001-1010",
        words=tuple(
            "--input-space srgb_rec709_scene --matte m.exr --proxy 2 --shot 1001-1010".split()
        ),
        behind=("--background", "bg.exr", "--fit", "fill"),
    )
    lights = shelf.Shelf(
        Folders([show]), tmp_path, Settings(Shot(1, 1)), {"colour": "lin_rec709_scene"}
    )
    sun = {"name": "sun", "source": str(show / "hdri" / "sun.exr"), "knobs": {}}
    for background in ("picture", "plate", "environment", "none"):
        shown = look.Look.of({**LOOK, "lights": [sun], "background": background, "out": "o.exr"})
        graph = look.graph_of(subject, shown, lights)
        line = look.command_of(subject, shown, lights)
        capsys.readouterr()
        assert main([*shlex.split(line)[1:], "--print-graph"]) == Exit.DONE
        printed = Graph.from_json(capsys.readouterr().out, REGISTRY)
        for one in (printed, graph):
            for node in one.nodes.values():
                if "file" in node.knobs:
                    node.knobs["file"] = Path(node.knobs["file"]).name
        assert printed.to_json(REGISTRY) == graph.to_json(REGISTRY)


def test_the_command_line_knows_plates_from_transports(show):
    assert cli.is_transport(str(show / "still.exr"), "")
    assert cli.is_transport(str(show / "shot.####.exr"), "")
    assert cli.is_transport(str(show / "shot.####.exr"), "1002-1004")
    assert not cli.is_transport(str(show / "behind.exr"), "")
    with pytest.raises(InputError):
        cli.is_transport(str(show / "gone.exr"), "")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["still.exr", "--matte", "behind.exr"], Exit.USAGE, "--matte has no effect on a transp"),
        (["still.exr", "--proxy", "2"], Exit.USAGE, "--proxy has no effect"),
        (["still.exr", "--steady"], Exit.USAGE, "--steady has no effect"),
        (["still.exr", "--profile", "fast"], Exit.USAGE, "--profile has no effect"),
        (["still.exr", "--fit", "fill"], Exit.USAGE, "--fit has no effect without --background"),
        (["still.exr", "--light", "gone.exr"], Exit.INPUT, "gone.exr does not exist"),
        (["still.exr", "--light", "rig:none"], Exit.USAGE, "no rig"),
        (["gone.exr"], Exit.INPUT, "gone.exr"),
        (["shot.####.exr", "--shot", "1"], Exit.INPUT, "1"),
        (["still.exr", "--allow", "nowhere"], Exit.INPUT, "nowhere is no folder"),
    ],
)
def test_what_the_command_refuses(show, monkeypatch, capsys, words, code, says):
    monkeypatch.chdir(show)
    monkeypatch.setattr(server, "serve", lambda *_: pytest.fail("it was served"))
    assert main(["view", *words, "--no-open"]) == code
    assert says in capsys.readouterr().err


def test_the_command_serves_this_machine_alone(show, monkeypatch, capsys, tmp_path):
    seen: list[Any] = []
    monkeypatch.chdir(show)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        server, "serve", lambda page, token, at: seen.append((page, token, at.getsockname()))
    )
    words = ["still.exr", "--background", "environment", "--fov", "25", "--light", "hdri/sun.exr"]
    assert main(["view", *words, "--no-open", "--max-upload", "3"]) == Exit.DONE
    ((page, token, (host, port)),) = seen
    assert host == "127.0.0.1"
    assert f"http://127.0.0.1:{port}/#{token}" in capsys.readouterr().out
    assert len(token) >= 32
    assert page.upload == 3 << 20
    told = page.opening
    assert (told["background"], told["fov"]["value"]) == ("environment", 25.0)
    assert [one["name"] for one in told["lights"]] == ["sun"]
    assert told["out"] == str(show / "relit.exr")
    assert page.shelf.kept == tmp_path / "relume" / "lights"
    page.session.close()


def test_what_the_user_said_of_a_plate_is_said_again(show, monkeypatch, capsys):
    seen: list[Any] = []
    monkeypatch.chdir(show)
    monkeypatch.setattr(server, "serve", lambda page, *_: seen.append(page))
    plate = ["behind.exr", "--matte", "hdri/m.exr", "--proxy", "2", "--steady"]
    behind = ["--background", "behind.exr", "--fit", "fill"]
    assert main(["view", *plate, *behind, "--shot", "1-3", "--no-open"]) == Exit.DONE
    (page,) = seen
    page.session.close()
    subject = page.session.subject
    assert page.opening["background"] == "picture"
    said = {"--matte", str(show / "hdri" / "m.exr"), "--proxy", "2", "--steady", "--shot", "1-3"}
    assert set(subject.words) == said
    assert subject.behind == ("--background", str(show / "behind.exr"), "--fit", "fill")
    for background in subject.backgrounds:
        shown = look.Look.of({**LOOK, "background": background, "out": "o.exr"})
        graph = look.graph_of(subject, shown, page.shelf)
        line = look.command_of(subject, shown, page.shelf)
        capsys.readouterr()
        assert main([*shlex.split(line)[1:], "--print-graph"]) == Exit.DONE
        printed = Graph.from_json(capsys.readouterr().out, REGISTRY)
        assert printed.to_json(REGISTRY) == graph.to_json(REGISTRY)


def test_a_port_that_is_taken_is_told():
    listener = cli.listen(0)
    with listener, pytest.raises(UsageError, match="port"):
        cli.listen(listener.getsockname()[1])


def test_a_background_is_put_where_over_puts_it(page, show):
    behind = read(show / "behind.exr").layer()
    alpha = np.full((72, 96, 1), 0.5, np.float32)
    seen = behind.like(np.concatenate((behind.rgb, alpha), axis=2), "RGBA", alpha="straight")
    found = page.session._alone(seen, behind)
    np.testing.assert_array_equal(found.rgb, behind.rgb * np.float32(0.5))
