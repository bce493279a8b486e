"""The worker as a process: started on demand, killed, cancelled, left alone, kept for long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from relume.errors import Cancelled as CoreCancelled
from relume.hosts.cli import main
from relume.hosts.worker.client import Cancelled, Output, RelumeError, Worker
from relume.hosts.worker.stop import between_layers

COMMAND = [sys.executable, "-m", "relume"]


@pytest.fixture
def real(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A client that starts a process of its own, with every library quiet about threads."""
    monkeypatch.setenv("RELUME_WORKER_THREADS", "1")
    with Worker("test", command=COMMAND) as worker:
        yield worker
        worker.shut_down()


def until(true, what):
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.01)


def is_gone(pid):
    return not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(
        f"/proc/{pid}/status"
    ).read_text(encoding="utf-8")


def shared():
    return sorted(path.name for path in Path("/dev/shm").iterdir())


def one_sentence(error):
    text = str(error.value)
    return text.endswith(".") and text.count(". ") == 0 and "\n" not in text


def test_it_starts_on_demand_and_once(real, place, tools, rgba):
    np.testing.assert_array_equal(tools.same(real, rgba), rgba)
    with Worker("other", command=["false"]) as other:
        other.ping()
        assert other.about["pid"] == real.about["pid"]
        assert real.stats()["clients"] == 2
    second = subprocess.run([*COMMAND, "worker"], capture_output=True, text=True, check=False)
    assert second.returncode == 0 and "serves already" in second.stdout
    # It is no child of the terminal that the host was started from, and has none of its files.
    pid = real.about["pid"]
    assert os.getsid(pid) == pid != os.getsid(0)
    assert Path(f"/proc/{pid}/cwd").resolve() == Path("/")


def test_clients_that_come_at_once_find_the_same_worker(place):
    workers = [Worker(f"test {number}", command=COMMAND) for number in range(4)]
    threads = [threading.Thread(target=worker.connect) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({worker.about["pid"] for worker in workers}) == 1
    workers[0].shut_down()
    for worker in workers:
        worker.close()


def test_a_worker_killed_in_the_middle_costs_one_sentence(real, place, tools, rgba):
    before = shared()
    large = np.tile(rgba, (200, 200, 1))
    graph = json.loads(json.dumps(tools.SAME))
    graph["nodes"]["graded"] = {
        "type": "grade",
        "knobs": {"gamma": [1.2, 1.2, 1.2]},
        "inputs": {"image": "same"},
    }
    killed = []

    def kill(node, frame, fraction):
        if node == "graded" and not killed:
            killed.append(real.about["pid"])
            os.kill(killed[0], signal.SIGKILL)

    def render():
        return real.render(
            graph,
            1,
            [Output("graded")],
            inputs={"plate": "p"},
            images={"p": tools.picture(large)},
            on_progress=kill,
        )

    with pytest.raises(RelumeError, match="ended in the middle of its work; try again") as error:
        render()
    assert one_sentence(error) and error.value.kind == "worker"
    (found,) = render()
    assert (found.width, found.height) == (1400, 1000)
    assert real.about["pid"] != killed[0]
    assert shared() == before


def test_a_worker_that_left_while_nobody_asked_is_replaced_without_a_word(real, tools, rgba):
    tools.same(real, rgba)
    pid = real.about["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: is_gone(pid), "it is dead")
    np.testing.assert_array_equal(tools.same(real, rgba), rgba)
    assert real.about["pid"] != pid


def test_a_worker_that_hangs_is_told(server, worker, monkeypatch, tools, gate):
    from relume.hosts.worker import client

    monkeypatch.setattr(client, "_SILENCE", 0.3)
    monkeypatch.setattr(type(server.renders), "pending", lambda self: [])  # no `alive`
    with pytest.raises(RelumeError, match="did not answer within") as error:
        worker.render(tools.slow(), 1, [Output("slow")])
    assert one_sentence(error)


def test_news_do_not_prolong_a_render_that_takes_too_long(worker, tools, gate, monkeypatch):
    monkeypatch.setattr("relume.hosts.worker.server._BEAT", 0.2)
    with pytest.raises(RelumeError, match="did not answer within 2 seconds"):
        worker.render(tools.slow(), 1, [Output("slow")], timeout=2.0)


def test_a_render_that_takes_too_long_is_given_up(worker, tools, gate):
    with pytest.raises(RelumeError, match="did not answer within 1 seconds"):
        worker.render(tools.slow(), 1, [Output("slow")], timeout=1.0)
    gate.open.set()
    (found,) = worker.render(tools.slow(1), 1, [Output("slow")])
    assert tools.pixels(found) == [[[1.0]]]


def test_a_cancel_is_answered_while_the_node_still_computes(server, worker, tools, gate):
    stop = threading.Event()

    def render():
        with pytest.raises(Cancelled):
            worker.render(tools.slow(), 1, [Output("slow")], is_cancelled=stop.is_set)

    thread = threading.Thread(target=render)
    thread.start()
    assert gate.arrived.acquire(timeout=30)
    stop.set()
    thread.join(30)
    # The host has its answer, and the node has not even looked whether it should stop.
    assert not thread.is_alive() and not gate.open.is_set() and not server.renders.is_idle()
    worker.ping()
    gate.open.set()
    (found,) = worker.render(tools.slow(2), 1, [Output("slow")])
    assert tools.pixels(found) == [[[2.0]]]
    # The cancelled one stopped where it next looked.
    assert gate.passed == 1


def test_a_render_that_waits_for_another_is_cancelled_as_well(server, worker, tools, gate):
    with Worker("other") as other:
        busy = threading.Thread(target=other.render, args=(tools.slow(), 1, [Output("slow")]))
        busy.start()
        assert gate.arrived.acquire(timeout=30)
        calls = iter([False, True])
        with pytest.raises(Cancelled):
            worker.render(
                tools.slow(1), 1, [Output("slow")], is_cancelled=lambda: next(calls, True)
            )
        gate.open.set()
        busy.join(30)
    assert gate.passed == 1


def test_a_network_stops_before_its_next_layer():
    torch = pytest.importorskip("torch")
    stop = threading.Event()
    ran = []

    class Layer(torch.nn.Module):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def forward(self, x):
            ran.append(self.number)
            if self.number == 1:
                stop.set()
            return x

    network = torch.nn.Sequential(*map(Layer, range(4)))
    with pytest.raises(CoreCancelled), between_layers(stop.is_set):
        network(torch.zeros(1))
    assert ran == [0, 1]
    network(torch.zeros(1))  # elsewhere networks run on
    assert ran[2:] == [0, 1, 2, 3]


def test_a_client_that_dies_takes_its_render_along(server, worker, tools, gate, rgba):
    graph = tools.slow()
    graph["nodes"]["plate"] = {"type": "input"}
    graph["nodes"]["slow"]["inputs"] = {"image": "plate"}
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import client, array\n"
        "worker = client.Worker('dying')\n"
        "pixels = array.array('f', [0.0] * 16)\n"
        "picture = client.Picture(pixels, 2, 2, colour='lin_ap1_scene')\n"
        f"worker.render({graph!r}, 1, [client.Output('slow')],"
        " inputs={'plate': 'p'}, images={'p': picture})\n"
    )
    from relume.hosts.worker import client

    # Run as it is in a host: a copy of one file, in a Python that knows nothing of relume.
    folder = str(Path(client.__file__).parent)
    child = subprocess.Popen([sys.executable, "-S", "-E", "-c", script, folder])
    assert gate.arrived.acquire(timeout=30)
    stats = worker.stats()
    assert (stats["clients"], stats["images"], stats["segments"]) == (2, 1, 2)
    child.kill()
    child.wait()
    until(lambda: worker.stats()["clients"] == 1, "the dead client is forgotten")
    stats = worker.stats()
    assert (stats["images"], stats["segments"]) == (0, 0)
    assert server.renders.pending() == []
    gate.open.set()
    np.testing.assert_array_equal(tools.same(worker, rgba), rgba)
    assert gate.passed == 0


def test_what_cannot_be_started_is_told_in_a_sentence(place, monkeypatch, tmp_path):
    for command, message in (
        (["/no/such/relume"], "relume cannot be started as `/no/such/relume` "),
        (["false"], r"does not start \(exit code 1\)"),
    ):
        with pytest.raises(RelumeError, match=message) as error:
            Worker("test", command=command).connect()
        assert one_sentence(error)
    with pytest.raises(RelumeError, match="did not answer within 0 seconds") as error:
        Worker("test", command=["true"], start=0.2).connect()
    assert one_sentence(error)
    monkeypatch.delenv("RELUME_COMMAND")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "relume").mkdir()
    (tmp_path / "relume" / "command").write_text("/noted/by\ninstall\n")
    with pytest.raises(RelumeError, match="`/noted/by install`"):
        Worker("test").connect()


def test_a_host_keeps_its_python_and_libraries_to_itself(place, tmp_path, monkeypatch):
    seen = tmp_path / "environment"
    monkeypatch.setenv("PYTHONHOME", "/host")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/host")
    monkeypatch.setenv("OCIO", "/show/config.ocio")
    script = tmp_path / "relume"
    script.write_text(f"#!/bin/sh\nenv > {seen}; exit 3\n")
    script.chmod(0o755)
    with pytest.raises(RelumeError, match="exit code 3"):
        Worker("test", command=[str(script)]).connect()
    found = seen.read_text().splitlines()
    assert "OCIO=/show/config.ocio" in found
    assert not [line for line in found if line.startswith(("PYTHON", "LD_LIBRARY"))]


def test_it_leaves_when_nobody_needs_it(serve, place, tools, rgba, gate):
    with serve(idle=0.05) as server, Worker("test", start=0.2) as worker:
        busy = threading.Thread(target=worker.render, args=(tools.slow(), 1, [Output("slow")]))
        busy.start()
        assert gate.arrived.acquire(timeout=30)
        time.sleep(0.2)
        assert server.place.file("sock").exists()  # it is not idle while it renders
        gate.open.set()
        busy.join(30)
        until(lambda: not server.place.file("sock").exists(), "it has left")
        assert sorted(path.name for path in place.iterdir()) == ["worker-1.lock"]
        with pytest.raises(RelumeError, match="cannot be started"):
            worker.ping()


def test_the_command_ends_it(real, place, monkeypatch):
    real.ping()
    pid = real.about["pid"]
    assert main(["worker", "--stop"]) == 0
    until(lambda: is_gone(pid), "it has ended")
    assert main(["worker", "--stop"]) == 0  # there is none, and none is started
    assert not (place / "worker-1.sock").exists()


def test_more_than_its_memory_fails_in_words(serve, place, tools, rgba):
    with serve(max_memory=0.05) as server, Worker("test") as worker:
        with pytest.raises(RelumeError, match=r"--max-memory is 0\.05") as error:
            tools.same(worker, rgba)
        assert error.value.kind == "memory"
        worker.ping()
        assert server.images.held() == (0, 0)


def test_images_beyond_their_share_make_room_for_newer_ones(server, worker, tools, rgba):
    server.images._limit = 3 * rgba.nbytes
    for number in range(8):
        serial = str(number)
        np.testing.assert_array_equal(tools.same(worker, rgba + number, serial), rgba + number)
        assert worker.stats()["images"] <= 4
    # What one render needs at once is kept, however much it is.
    graph = {"relume": 1, "nodes": {}}
    for number in range(6):
        graph["nodes"][f"in{number}"] = {"type": "input"}
    found = worker.render(
        graph,
        1,
        [Output(name) for name in graph["nodes"]],
        inputs={name: name for name in graph["nodes"]},
        images={name: tools.picture(rgba) for name in graph["nodes"]},
    )
    assert len(found) == 6
    with pytest.raises(RelumeError, match="images of one render take more than") as error:
        for number in range(20):
            worker.lend(f"more {number}", tools.picture(rgba))
    assert error.value.kind == "memory"
    tools.same(worker, rgba)


def test_hundreds_of_renders_leave_nothing_behind(real, tools):
    graph = json.loads(json.dumps(tools.SAME))
    graph["nodes"]["graded"] = {"type": "grade", "inputs": {"image": "same"}}
    before = shared()
    pixels = np.random.default_rng(3).random((90, 160, 4), np.float32)

    def render(number):
        graph["nodes"]["graded"]["knobs"] = {"exposure": 0.01 * number}
        serial = f"plate{number}"
        (found,) = real.render(
            graph, 1, [Output("graded", channels="RGBA", window=(0, 0, 160, 90))],
            inputs={"plate": serial}, images={serial: tools.picture(pixels)},
        )  # fmt: skip
        assert len(found.pixels) == pixels.size
        real.drop([serial])
        if number % 50 == 0:  # other segments, and now and then another connection
            real.close()

    def held(process):
        folder = Path(f"/proc/{process}/fd")
        links = []
        for path in folder.iterdir():
            try:
                links.append(str(path.readlink()))
            except FileNotFoundError:
                continue  # the one that reads the folder
        mapped = Path(f"/proc/{process}/maps").read_text().count("memfd:")
        return len(links), sum("memfd:" in link for link in links), mapped

    for number in range(1, 101):
        render(number)
    pid, first = real.stats()["pid"], real.stats()
    descriptors = held(pid), held("self")
    for number in range(101, 601):
        render(number)
    last = real.stats()
    assert last["pid"] == pid and last["renders"] - first["renders"] == 500
    assert (held(pid), held("self")) == descriptors
    # 500 results are kept on purpose; beside them it grows by less than one in ten of them.
    kept = last["cache_bytes"] - first["cache_bytes"]
    grown = last["resident_bytes"] - first["resident_bytes"]
    assert grown - kept < 50 * pixels.nbytes
    assert shared() == before
