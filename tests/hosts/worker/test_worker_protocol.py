"""Who may talk to the worker, and what it makes of nonsense."""

from __future__ import annotations

import array
import fcntl
import json
import mmap
import os
import random
import socket
import stat
import struct
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from relume.hosts.worker.client import Output, Picture, RelumeError, Worker, worker_folder
from relume.hosts.worker.server import Place

HEADER = struct.Struct("<4sIQ")
ADD_SEALS, SEALS = 1033, 0x1 | 0x2 | 0x4


class Raw:
    """A client that says whatever it likes."""

    def __init__(self, greet: bool = True) -> None:
        found = json.loads(Place.find().file("json").read_text())
        self.token = found["token"]
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(found["address"].partition(":")[2])
        self.id = 0
        if greet:
            assert self.hello()["ok"]

    def close(self) -> None:
        self.socket.close()

    def hello(self, **fields):
        given = {"op": "hello", "protocol": 1, "token": self.token, "client": "c" * 32}
        return self.ask(**{**given, **fields})

    def frame(self, payload=b"", **fields):
        self.id += 1
        body = json.dumps({"id": self.id, **fields}).encode()
        return HEADER.pack(b"RLM1", len(body), len(payload)) + body + payload

    def ask(self, payload=b"", descriptors=(), **fields):
        data = self.frame(payload, **fields)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        sent = self.socket.sendmsg([data], [rights] if descriptors else [])
        if sent < len(data):
            # Sending nothing fails too where the worker has hung up.
            self.socket.sendall(data[sent:])
        while "event" in (answer := self.receive()):
            pass
        return answer

    def receive(self):
        head = self.exactly(HEADER.size)
        magic, length, payload = HEADER.unpack(head)
        assert magic == b"RLM1"
        answer = json.loads(self.exactly(length))
        self.exactly(payload)
        return answer

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def is_closed(self):
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        return True


@pytest.fixture
def raw(server):
    with closing(Raw()) as client:
        yield client


def refused(answer, kind, text=""):
    assert not answer["ok"]
    assert answer["error"]["kind"] == kind, answer
    assert text in answer["error"]["message"]
    return True


def memfd(size, seals=SEALS):
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, ADD_SEALS, seals)
    return descriptor


def test_the_folder_and_its_files_are_the_users_alone(server):
    place = server.place
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.file("sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(place.file("json").stat().st_mode) == 0o600
    assert len(server.token) == 32


def test_a_token_is_needed(server):
    with closing(Raw(greet=False)) as client:
        assert refused(client.hello(token="0" * 32), "token")
        assert client.is_closed()
    with closing(Raw(greet=False)) as client:
        assert refused(client.ask(op="ping"), "protocol", "not hello")
        assert client.is_closed()


def test_another_version_is_told_which(server):
    with closing(Raw(greet=False)) as client:
        assert refused(client.hello(protocol=2), "version", "version 2 of the protocol")
        assert client.is_closed()


def test_requests_out_of_order_are_refused(raw):
    assert raw.ask(op="ping") == {"id": 2, "ok": True}
    raw.id = 1
    assert refused(raw.ask(op="ping"), "protocol", "the id 2 is not larger than 2")
    assert refused(raw.ask(op="explode"), "protocol", "no operation 'explode'")
    assert refused(raw.ask(op="ping", also=1), "protocol", "the field 'also'")
    assert raw.ask(op="ping")["ok"]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        HEADER.pack(b"RLM1", 0, 0),
        HEADER.pack(b"RLM1", 1 << 25, 0),
        HEADER.pack(b"RLM1", 2, 1 << 40) + b"{}",
        HEADER.pack(b"RLM1", 2, 0) + b"\xff\xff",
        HEADER.pack(b"RLM1", 2, 0) + b"[]",
        HEADER.pack(b"RLM1", 10, 0) + b'{"id":NaN}',
        HEADER.pack(b"RLM1", 200_000, 0) + b'{"a":' * 40_000,
    ],
)
def test_a_broken_frame_ends_the_connection_and_nothing_else(raw, worker, data):
    raw.socket.sendall(data)
    assert refused(raw.receive(), "protocol")
    assert raw.is_closed()
    worker.ping()


@pytest.mark.parametrize("keep", [1, 15, 16, 20])
def test_a_client_may_die_in_the_middle_of_a_frame(server, worker, keep):
    worker.connect()
    with closing(Raw()) as client:
        client.socket.sendall(client.frame(op="stats")[:keep])
    while worker.stats()["clients"] > 1:
        pass


def test_segments_that_could_be_taken_away_are_refused(raw, worker, tmp_path):
    wrong = {
        "unsealed": memfd(4096, 0),
        "may shrink": memfd(4096, 0x1 | 0x4),
        "may grow": memfd(4096, 0x1 | 0x2),
        "may be sealed": memfd(4096, 0x2 | 0x4),
        "shorter": memfd(4095),
        "longer": memfd(4097),
        "file": os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT),
        "socket": os.dup(raw.socket.fileno()),
        "read only": os.open(f"/proc/self/fd/{memfd(4096)}", os.O_RDONLY),
    }
    for what, descriptor in wrong.items():
        answer = raw.ask(op="segment", segment=what, bytes=4096, descriptors=[descriptor])
        assert refused(answer, "protocol"), what
        os.close(descriptor)
    good = memfd(4096)
    for count in (0, 2):
        answer = raw.ask(op="segment", segment="s", bytes=4096, descriptors=[good] * count)
        assert refused(answer, "protocol", "one file descriptor")
    assert raw.ask(op="segment", segment="s", bytes=4096, descriptors=[good])["ok"]
    with pytest.raises(PermissionError):
        os.ftruncate(good, 0)
    assert refused(raw.ask(op="ping", descriptors=[good], x=1), "protocol")
    assert worker.stats()["segments"] == 1
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [good] * 9))
    raw.socket.sendmsg([raw.frame(op="ping")], [rights])
    assert refused(raw.receive(), "protocol", "too many file descriptors")
    os.close(good)


def test_nothing_beyond_a_segment_is_read_or_written(raw):
    descriptor = memfd(4096)
    memory = mmap.mmap(descriptor, 4096)
    np.frombuffer(memory, np.float32)[:] = np.arange(1024, dtype=np.float32)
    assert raw.ask(op="segment", segment="s", bytes=4096, descriptors=[descriptor])["ok"]
    os.close(descriptor)
    image = {
        "op": "image", "serial": "a", "segment": "s", "width": 16, "height": 16,
        "channels": list("RGBA"), "colour": "lin_ap1_scene",
    }  # fmt: skip
    assert raw.ask(**image)["ok"]
    for wrong in (
        {"offset": 4}, {"offset": 4096}, {"offset": -4}, {"offset": 2}, {"height": 17},
        {"width": 1 << 17}, {"width": 0}, {"width": 1 << 70}, {"offset": 1 << 63}, {"segment": "t"},
    ):  # fmt: skip
        assert refused(raw.ask(**{**image, **wrong}), "protocol"), wrong
    nodes = {"plate": {"type": "input"}}
    render = {"op": "render", "graph": {"relume": 1, "nodes": nodes}, "frame": 1}
    render["inputs"] = {"plate": "a"}

    def wanted(*outputs):
        return raw.ask(**render, outputs=[{"output": "plate", "segment": "s"} | o for o in outputs])

    before = memory[:]
    for wrong in ({"offset": 4}, {"window": [0, 0, 17, 16]}, {"offset": 1 << 40}):
        answer = wanted(wrong)
        assert refused(answer, "room")
        assert answer["error"]["segment"] == "s" and answer["error"]["bytes"] > 4096
    assert refused(wanted({"window": [0, 0, 1 << 24, 1 << 24], "offset": 0}), "room")
    assert refused(wanted({"offset": 2, "window": [0, 0, 1, 1]}), "protocol")
    small = {"window": [0, 0, 4, 4]}
    assert refused(wanted({**small, "offset": 0}, {**small, "offset": 252}), "usage", "overlap")
    assert refused(wanted({"segment": "t"}), "protocol", "no segment 't'")
    huge = {"segment": "", "window": [0, 0, 1 << 24, 1 << 24]}
    assert refused(raw.ask(**render, outputs=[{"output": "plate", **huge}]), "protocol")
    assert memory[:] == before
    answer = wanted({"window": [1, 1, 2, 2], "offset": 4080})
    assert answer["ok"] and answer["outputs"][0]["offset"] == 4080
    np.testing.assert_array_equal(np.frombuffer(memory, np.float32)[-4:], [68, 69, 70, 71])
    assert memory[:4080] == before[:4080]


def test_segments_and_images_are_dropped(raw, worker):
    for number in range(64):
        descriptor = memfd(4096)
        assert raw.ask(op="segment", segment=str(number), bytes=4096, descriptors=[descriptor])[
            "ok"
        ]
        os.close(descriptor)
    descriptor = memfd(4096)
    answer = raw.ask(op="segment", segment="more", bytes=4096, descriptors=[descriptor])
    assert refused(answer, "protocol", "64 segments")
    assert raw.ask(op="segment", segment="0", bytes=4096, descriptors=[descriptor])["ok"]
    os.close(descriptor)
    names = [str(number) for number in range(64)] + ["unknown"]
    assert raw.ask(op="drop", segments=names, serials=["unknown"])["ok"]
    assert worker.stats()["segments"] == 0


def valid(raw, index):
    """Return the fields of a request that is right, but for segments of another connection."""
    graph = {"relume": 1, "nodes": {"plate": {"type": "input"}}}
    output = {"output": "plate", "segment": "s", "offset": 0, "window": [0, 0, 4, 4]}
    return [
        {"op": "ping"},
        {"op": "nodes"},
        {"op": "stats"},
        {"op": "open", "graph": graph, "outputs": ["plate"], "frame": 1, "shot": "1-2"},
        {"op": "drop", "segments": ["x"], "serials": ["y"]},
        {
            "op": "image", "serial": "a", "segment": "s", "offset": 0, "width": 4, "height": 4,
            "channels": list("RGBA"), "colour": "lin_ap1_scene", "rows": "bottom_up",
        },
        {"op": "render", "graph": graph, "frame": 1, "inputs": {"plate": "a"}, "outputs": [output]},
        {"op": "cancel", "target": 3},
        {"op": "segment", "segment": "s", "bytes": 4096},
    ][index % 9]  # fmt: skip


JUNK = [
    None, True, -1, 0, 1, 1 << 31, 1 << 63, 1 << 200, -(1 << 63), 0.5, 1e308, "", "a", "x" * 5000,
    "\ud800", "\x00", "../../etc", [], [[]], [1, 2, 3], [None] * 300, {}, {"a": {"b": []}},
    {"keys": []}, {"": ""}, [1e9, 0, 1, 1], ["R", "R"], [-(1 << 62)] * 4,
]  # fmt: skip


def mutated(chance, value, depth=0):
    """Return JSON with a part of it replaced, removed or doubled."""
    if depth and chance.random() < 0.15:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        found = {key: mutated(chance, item, depth + 1) for key, item in value.items()}
        if found and chance.random() < 0.1:
            del found[chance.choice(list(found))]
        if chance.random() < 0.1:
            found[chance.choice(["x", "segment", "offset", "id", "op"])] = chance.choice(JUNK)
        return found
    if isinstance(value, list):
        return [mutated(chance, item, depth + 1) for item in value]
    return value


def test_a_thousand_random_and_mutated_messages(server, worker, rgba, tools):
    chance = random.Random(7)
    answered = 0
    client = Raw()
    guarded = memfd(3 * 4096)
    memory = mmap.mmap(guarded, 3 * 4096)
    memory[:] = b"\xa5" * len(memory)
    for index in range(1000):
        fields = mutated(chance, valid(client, index))
        fields.setdefault("id", client.id + 1)
        client.id += 1
        body = json.dumps(fields).encode()
        if index % 5 == 0:
            body = bytearray(body)
            for _ in range(chance.randrange(1, 4)):
                body[chance.randrange(len(body))] = chance.randrange(256)
        header = bytearray(HEADER.pack(b"RLM1", len(body), 0))
        if index % 17 == 0:
            header[chance.randrange(16)] = chance.randrange(256)
        if index % 29 == 0:
            header, body = b"", chance.randbytes(chance.randrange(1, 400))
        descriptors = []
        if fields.get("op") == "segment" or chance.random() < 0.05:
            descriptors = [guarded] if chance.random() < 0.8 else [memfd(4096), memfd(8192, 0)]
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        try:
            client.socket.sendmsg([bytes(header) + bytes(body)], [rights] if descriptors else [])
            client.socket.settimeout(0.02)
            while True:
                answer = client.receive()
                assert answer.get("event") or isinstance(answer["ok"], bool)
                if not answer.get("event") and not answer["ok"]:
                    # A fault of the client is told as such: nothing in the worker fell over.
                    assert "fault in relume" not in answer["error"]["message"], answer
                    assert "Error:" not in answer["error"]["message"], answer
                answered += 1
                break
        except TimeoutError:
            pass  # it waits for the rest of a frame
        except (EOFError, ConnectionError):
            client.close()
            client = Raw()
        if index % 29 == 0:
            client.close()
            client = Raw()
        for descriptor in descriptors:
            if descriptor != guarded:
                os.close(descriptor)
    client.close()
    assert answered > 500
    np.testing.assert_array_equal(tools.same(worker, rgba), rgba)
    # Renders may write within what the client lent as 4,096 bytes; never behind it.
    assert memory[4096:] == b"\xa5" * 8192
    os.close(guarded)


def test_another_user_cannot_connect(server):
    if os.getuid() != 0:
        pytest.skip("only root can be somebody else")
    path = str(server.place.file("sock"))

    def as_nobody():
        """Return what a process of another user finds when it connects."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(5)
                    client.connect(path)
                    found = client.recv(1)
                    os.write(writing, b"let in" if found else b"hung up on")
            except PermissionError:
                os.write(writing, b"kept out")
            except BaseException as error:
                os.write(writing, repr(error).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        with os.fdopen(reading) as said:
            return said.read()

    assert as_nobody() == "kept out"
    # Were the files open to all, the kernel still says who is at the other end.
    server.place.folder.chmod(0o755)
    server.place.file("sock").chmod(0o666)
    assert as_nobody() == "hung up on"


def test_a_folder_that_others_may_use_is_refused(place, tmp_path, monkeypatch):
    place.chmod(0o750)
    with pytest.raises(RelumeError, match="Others may use the folder"):
        worker_folder()
    place.chmod(0o700)
    link = tmp_path / "link"
    link.symlink_to(place)
    monkeypatch.setenv("RELUME_WORKER_DIR", str(link))
    with pytest.raises(RelumeError, match="Others may use the folder"):
        Worker("test").connect()


def test_where_the_folder_is(tmp_path, monkeypatch):
    monkeypatch.delenv("RELUME_WORKER_DIR", raising=False)
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert worker_folder() == runtime / "relume"
    fallback = Path(f"/tmp/relume-{os.getuid()}")
    for missing in ("", str(tmp_path / "missing"), str(tmp_path / ("x" * 90))):
        monkeypatch.setenv("XDG_RUNTIME_DIR", missing)
        if len(missing) > 90:
            Path(missing).mkdir()
        assert worker_folder() == fallback
    monkeypatch.setenv("RELUME_WORKER_DIR", str(tmp_path / ("y" * 90)))
    with pytest.raises(RelumeError, match="too long for a socket"):
        worker_folder()


def test_pixels_may_travel_in_payloads_over_loopback(serve, place, tools, rgba):
    with serve(tcp=True) as server, Worker("test") as worker:
        assert server.address.startswith("tcp:127.0.0.1:")
        np.testing.assert_array_equal(tools.same(worker, rgba), rgba)
        assert not worker.about["segments"]
        two = worker.render(
            tools.SAME, 1, [Output("same", channels="A"), Output("same", channels="R")],
            inputs={"plate": "one"},
        )  # fmt: skip
        np.testing.assert_array_equal(tools.pixels(two[1]), rgba[..., :1])
        fields = {"width": 7, "height": 6, "colour": "lin_ap1_scene"}
        with pytest.raises(RelumeError, match="its size says"):
            worker.lend("two", Picture(rgba, **fields))
        worker.ping()


def test_the_client_needs_only_python_3_7():
    import ast

    from relume.hosts.worker import client

    source = Path(client.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 7))
    imported = set()
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in item.names}
        elif isinstance(item, ast.ImportFrom):
            assert not item.level
            imported.add(item.module.partition(".")[0])
        # What no grammar knows, but came after 3.7.
        assert not (isinstance(item, ast.keyword) and item.arg == "missing_ok")
        assert getattr(item, "attr", "") not in {
            "memfd_create", "send_fds", "removeprefix", "removesuffix", "F_ADD_SEALS",
        } or "hasattr(os" in source  # fmt: skip
    assert imported <= set(sys.stdlib_module_names)
