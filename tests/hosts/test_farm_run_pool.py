"""Jobs on several workers: whatever dies, every frame is rendered, and comes out the same."""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import Cancelled, Exit, InputError, OutputError, UsageError
from relume.files import sweep
from relume.frames import Shot
from relume.graph import Graph
from relume.hosts.cli import main
from relume.hosts.farm.chunk import Chunk, Session, run_chunk
from relume.hosts.farm.ledger import Ledger, chunks, size_for
from relume.hosts.farm.local import Process, Processes
from relume.hosts.farm.messages import error_to_dict, to_dict
from relume.hosts.farm.pool import Answer, Listener, Pool, Start
from relume.hosts.farm.runner import Options
from relume.image import DATA, Image
from relume.media.read import read
from relume.media.write import write
from relume.render import FrameReport

Plates = Callable[..., None]
WORKER = Path(__file__).with_name("farm_worker.py")
_spec = importlib.util.spec_from_file_location("farm_worker", WORKER)
assert _spec and _spec.loader
farm_worker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(farm_worker)
REGISTRY = farm_worker.REGISTRY
START = Processes(1, (sys.executable, str(WORKER)))


def job(frames: range, **nodes: dict[str, Any]) -> Chunk:
    """Return a job: plate → nodes given, each reading the one before → out/x.####.exr."""
    shot = str(Shot(frames[0], frames[-1]))
    text = json.dumps(farm_worker.chain(**nodes) | {"shot": shot})
    document = Graph.from_json(text, REGISTRY).to_json(REGISTRY)
    return Chunk(document, shot, tuple(frames), options=Options(retries=2, delay=0.01))


def pool(work: Chunk, start: Start, *, workers: int = 2, size: int = 4, **told: Any) -> Pool:
    listener = Listener(**({"frame": lambda report: None} | told))
    return Pool(work, ["out"], start, listener, workers=lambda: workers, size=size)


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path("out").iterdir())}


class Thread:
    """A worker in a thread of the test, which may be told to die."""

    def __init__(
        self,
        answer: Callable[[Answer], None],
        render: Callable[[Chunk, Callable[[FrameReport], None]], None],
    ) -> None:
        self._answer, self._render = answer, render
        self._chunks: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def send(self, chunk: str) -> None:
        self._chunks.put(chunk)

    def close(self) -> None:
        self._chunks.put("")

    def kill(self) -> None:
        self.close()

    def _work(self) -> None:
        self._answer({"ready": 0})
        try:
            while text := self._chunks.get():
                self._render(
                    Chunk.from_json(text), lambda report: self._answer({"report": to_dict(report)})
                )
                self._answer({"end": True})
            self._answer({"died": "closed"})
        except ConnectionAbortedError:
            self._answer({"died": "lost"})


def threads(render: Callable[[Chunk, Callable[[FrameReport], None]], None]) -> Start:
    return lambda answer: Thread(answer, render)


def session(chunk: Chunk, on_frame: Callable[[FrameReport], None]) -> None:
    Session(REGISTRY).run(chunk, on_frame)


# The ledger


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=60, unique=True),
    st.integers(1, 20),
    st.sets(st.integers(1, 500), max_size=5),
    st.randoms(use_true_random=False),
)
def test_only_frames_that_kill_are_given_up(
    frames: list[int], size: int, poison: set[int], chance: random.Random
) -> None:
    """A portion with a poison frame, and one in ten others, comes back in part."""
    ledger = Ledger(frames, size, deaths=3)
    done: list[int] = []
    given_up: list[int] = []
    deaths = 0
    while portion := ledger.take():
        bad = [number for number, frame in enumerate(portion) if frame in poison]
        if bad or (len(portion) > 1 and chance.random() < 0.1):
            reported = bad[0] if bad else chance.randrange(len(portion))
            done += portion[:reported]
            given_up += ledger.lost(portion[reported:])
            deaths += bool(bad)
        else:
            done += portion
    assert sorted(done + given_up) == sorted(frames)
    assert set(given_up) == poison & set(frames)
    assert deaths <= 4 * len(given_up)


def test_portions_are_small_for_few_frames_and_bounded_for_many() -> None:
    assert size_for(3, 8) == 1
    assert size_for(100, 2) == 7
    assert size_for(100_000, 2) == 16
    assert chunks([1, 2, 3, 4, 5], 2) == [(1, 2), (3, 4), (5,)]


# The pool, with workers in threads


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("size", [1, 4, 50])
def test_neither_portions_nor_workers_nor_order_change_a_byte(
    workers: int, size: int, plates: Plates
) -> None:
    plates(*range(1, 15))
    work = job(range(1, 15), grade={"type": "grade", "knobs": {"exposure": 1.0}})
    whole = run_chunk(work.to_json(), REGISTRY)
    before = files()
    backwards = Chunk.from_json(work.to_json().replace(
        json.dumps(list(work.frames)), json.dumps(list(work.frames[::-1]))
    ))  # fmt: skip
    assert backwards.frames == work.frames[::-1]
    reports = pool(backwards, threads(session), workers=workers, size=size).run()
    assert files() == before
    assert [report.frame for report in reports] == list(work.frames[::-1])
    assert {r.frame: r.digest for r in reports} == {r["frame"]: r["sha256"] for r in whole}


def test_ten_thousand_frames_with_failures(plates: Plates) -> None:
    """Workers die and frames fail all along; every twentieth frame is a real file."""
    frames = range(1, 10_001)
    plates(1)
    chance = random.Random(5)
    work = job(frames)
    still = work.graph.replace("plate.####.exr", "plate.0001.exr")
    poison, failing = {77, 4000}, set(range(14, 10_000, 1000))

    def render(chunk: Chunk, on_frame: Callable[[FrameReport], None]) -> None:
        for frame in chunk.frames:
            if frame in poison or chance.random() < 0.002:
                raise ConnectionAbortedError
            if frame in failing:
                error = InputError("it is not there", frame=frame)
                on_frame(FrameReport("out", frame, "", "failed", error))
            elif frame % 20 == 1:
                Session(REGISTRY).run(Chunk(still, work.shot, (frame,)), on_frame)
            else:
                on_frame(FrameReport("out", frame, f"{frame}", "done"))

    told: list[int] = []
    crowd = pool(work, threads(render), workers=32, size=16, frame=lambda r: told.append(r.frame))
    reports = crowd.run()
    assert [report.frame for report in reports] == list(frames)
    assert sorted(told) == list(frames)
    assert {report.frame for report in reports if report.error} == failing | poison
    assert crowd.deaths > 10
    assert len(files()) == 500
    for path in Path("out").iterdir():
        read(path)


def test_a_worker_that_is_already_free_takes_what_comes_back(plates: Plates) -> None:
    """One of two workers dies late, with a single frame, when the other has nothing left to do."""
    plates(1, 2)
    others_are_free = threading.Event()
    fates = iter([True, False])

    def render(chunk: Chunk, on_frame: Callable[[FrameReport], None]) -> None:
        if chunk.frames == (1,) and next(fates):
            assert others_are_free.wait(60)
            raise ConnectionAbortedError
        session(chunk, on_frame)
        if chunk.frames == (2,):
            threading.Timer(0.5, others_are_free.set).start()

    told: list[int] = []
    end = time.monotonic() + 60
    reports = pool(
        job(range(1, 3)),
        threads(render),
        size=1,
        frame=lambda report: told.append(report.frame),
        is_cancelled=lambda: time.monotonic() > end,
    ).run()
    assert told == [2, 1] and {report.status for report in reports} == {"done"}


def test_a_job_that_is_refused_is_told_once(plates: Plates) -> None:
    plates(1, 2, 3)
    Path("out/x.0001.exr").mkdir(parents=True)
    told: list[FrameReport] = []
    with pytest.raises(UsageError, match="is a folder"):
        pool(job(range(1, 4)), START, size=3, frame=told.append).run()
    assert told == []


def test_fail_fast_hands_out_nothing_more(plates: Plates) -> None:
    plates(*range(1, 40))
    Path("plate.0002.exr").unlink()
    work = job(range(1, 40))
    fast = Chunk(work.graph, work.shot, work.frames, options=Options(fail_fast=True))
    reports = pool(fast, threads(session), workers=1, size=2).run()
    assert [report.frame for report in reports if report.error] == [2]
    assert len(reports) <= 4


def test_cancelling_asks_every_worker_to_give_up(plates: Plates) -> None:
    plates(*range(1, 40))
    told: list[int] = []
    with pytest.raises(Cancelled):
        pool(
            job(range(1, 40)),
            threads(session),
            frame=lambda report: told.append(report.frame),
            is_cancelled=lambda: len(told) > 5,
        ).run()
    assert len(files()) == len(told) < 39


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"relume_chunk": 1}', '{"relume_chunk": 2}'])
def test_what_is_no_chunk_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no chunk"):
        Chunk.from_json(text)


def test_a_chunk_of_another_version_is_refused() -> None:
    text = job(range(1, 3)).to_json().replace('"version": "', '"version": "9.', 1)
    with pytest.raises(UsageError, match="relume 9"):
        Chunk.from_json(text)


def test_a_chunk_survives_json() -> None:
    work = job(range(1, 3))
    assert Chunk.from_json(work.to_json()) == work
    assert "\n" not in work.to_json()


# Processes that are killed


def test_workers_that_are_killed_lose_nothing(plates: Plates) -> None:
    """`kill -9` to a random worker after every third frame, eight times."""
    plates(*range(1, 41), size=(64, 64))
    work = job(range(1, 41), slow={"type": "slow", "knobs": {"seconds": 0.08}})
    run_chunk(work.to_json(), REGISTRY)
    before = files()
    for path in Path("out").iterdir():
        path.unlink()
    crew: list[Process] = []
    start_one = Processes(1, (sys.executable, str(WORKER)))
    chance = random.Random(11)
    killed: list[int] = []
    told: list[int] = []

    def start(answer: Callable[[Answer], None]) -> Process:
        crew.append(start_one(answer))
        return crew[-1]

    def on_frame(report: FrameReport) -> None:
        told.append(report.frame)
        if len(told) % 3 == 0 and len(killed) < 8:
            victim = chance.choice([process for process in crew if process.pid not in killed])
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)

    crowd = pool(work, start, frame=on_frame)
    reports = crowd.run()
    assert len(killed) == 8 and crowd.deaths == 8
    assert [(report.frame, report.status) for report in reports] == [
        (frame, "done") for frame in range(1, 41)
    ]
    sweep(Path("out"))
    assert files() == before


def test_only_what_killed_processes_of_this_machine_left_is_swept(here: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = socket.gethostname()
    Path(f".x.0001.exr.{host}.{dead.pid}.tmp").touch()
    kept = [
        f".x.0001.exr.{host}.{os.getpid()}.tmp", f".x.0001.exr.else{host}.{dead.pid}.tmp",
        f"x.{host}.{dead.pid}.tmp", f".x.0001.exr.{host}.tmp", "x.0001.exr",
    ]  # fmt: skip
    for name in kept:
        Path(name).touch()
    sweep(Path())
    sweep(Path("none"))
    assert sorted(path.name for path in Path().iterdir()) == sorted(kept)


@pytest.mark.parametrize("options", [[], ["--jobs", "1"]])
def test_the_next_run_removes_what_a_killed_one_left(
    options: list[str], graded: Path, plates: Plates
) -> None:
    plates(1, 2)
    dead = subprocess.Popen(["true"])
    dead.wait()
    Path("out").mkdir()
    Path(f"out/.graded.0001.exr.{socket.gethostname()}.{dead.pid}.tmp").touch()
    assert main(["run", "graph.json", *options]) == Exit.DONE
    assert sorted(p.name for p in Path("out").iterdir()) == ["graded.0001.exr", "graded.0002.exr"]


def test_a_frame_that_kills_its_worker_fails_alone(plates: Plates) -> None:
    plates(*range(1, 13))
    work = job(range(1, 13), poison={"type": "poison", "knobs": {"frames": [5]}})
    crowd = pool(work, START, size=6)
    reports = crowd.run()
    failed = {report.frame: report.error for report in reports if report.error}
    assert list(failed) == [5]
    assert failed[5] is not None
    assert "ended the process that rendered it, 3 times (killed by SIGKILL)" in str(failed[5])
    assert crowd.deaths == 4  # once with others in hand, then three times alone
    assert len([report for report in reports if report.status == "done"]) == 11


def test_a_worker_that_cannot_start_ends_the_job(plates: Plates) -> None:
    plates(1, 2)
    broken = Processes(1, (sys.executable, "-c", "raise SystemExit(7)"))
    with pytest.raises(OutputError, match="exit code 7"):
        pool(job(range(1, 3)), broken).run()


def test_a_worker_keeps_its_memory_from_portion_to_portion(plates: Plates) -> None:
    plates(1)
    work = job(range(1, 5))
    document = Graph.from_json(work.graph, REGISTRY)
    document.nodes["plate"].knobs["file"] = "plate.0001.exr"
    shared = Session(REGISTRY)
    for frame in range(1, 5):
        chunk = Chunk(document.to_json(REGISTRY), "1-4", (frame,))
        (report,) = shared.run(chunk, lambda report: None)
        assert ("plate" in report.nodes) is (frame == 1)


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


def wait_for(truth: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.fixture
def busy(graded: Path, plates: Plates) -> Iterator[subprocess.Popen[str]]:
    """Start a job of many large frames on two workers, and wait for its first frames."""
    plates(*range(1, 61), size=(400, 600))
    process = subprocess.Popen(
        [sys.executable, "-m", "relume", "run", "graph.json", "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline().startswith("frame ")
    yield process
    process.kill()
    process.communicate()


def whole_frames() -> int:
    """Return how many frames there are, having read each to its last line."""
    found = [path for path in Path("out").iterdir() if not path.name.startswith(".")]
    for path in found:
        assert read(path).layer().pixels.shape == (400, 600, 3)
    return len(found)


def test_a_terminal_s_ctrl_c_does_not_end_a_worker(here: Path) -> None:
    said: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    worker = START(said.put)
    assert isinstance(worker, Process)
    os.kill(worker.pid, signal.SIGINT)  # while it starts
    assert said.get(timeout=60) == {"ready": worker.pid}
    os.kill(worker.pid, signal.SIGINT)
    worker.close()
    assert said.get(timeout=60) == {"died": f"exit code {int(Exit.CANCELLED)}"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_that_is_cancelled_ends_its_workers(
    number: signal.Signals, busy: subprocess.Popen[str]
) -> None:
    workers = children(busy.pid)
    assert len(workers) == 2
    busy.send_signal(number)
    _, errors = busy.communicate(timeout=60)
    assert busy.returncode == Exit.CANCELLED
    assert errors.splitlines()[-1] == "Cancelled."
    wait_for(lambda: not any(map(is_running, workers)))
    assert not list(Path("out").glob(".*"))
    assert 3 <= whole_frames() < 60


def test_a_job_that_is_killed_leaves_no_workers_and_is_completed_by_the_next(
    busy: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    workers = children(busy.pid)
    busy.kill()
    wait_for(lambda: not any(map(is_running, workers)))
    before = whole_frames()
    assert before < 60
    assert main(["run", "graph.json", "--jobs", "2", "--skip-existing"]) == Exit.DONE
    assert whole_frames() == 60
    out = capsys.readouterr().out
    assert f"{60 - before} frames done, {before} frame" in out
    np.testing.assert_array_equal(
        read("out/graded.0060.exr").layer().pixels, read("plate.0060.exr").layer().pixels
    )


def test_the_command_lists_what_failed(
    graded: Path, plates: Plates, capsys: pytest.CaptureFixture[str]
) -> None:
    plates(1, 2, 4)
    arguments = ["run", "graph.json", "--frames", "1-4", "--jobs", "2", "--retries", "0"]
    assert main([*arguments, "--log", "log.jsonl"]) == Exit.FRAMES_FAILED
    captured = capsys.readouterr()
    assert "Failed: 3." in captured.err
    assert "3 frames done, 1 frame failed" in captured.out
    assert len(Path("log.jsonl").read_text().splitlines()) == 4


def test_an_error_of_a_portion_is_that_of_each_of_its_frames(plates: Plates) -> None:
    """A cluster may refuse in the middle: what was rendered before counts."""
    plates(1, 2, 3, 4)

    class Moody(Thread):
        def _work(self) -> None:
            self._answer({"ready": 0})
            while text := self._chunks.get():
                chunk = Chunk.from_json(text)
                if 3 in chunk.frames:
                    self._answer({"refused": error_to_dict(UsageError("I will not"))})
                    continue
                session(chunk, lambda report: self._answer({"report": to_dict(report)}))
                self._answer({"end": True})
            self._answer({"died": "closed"})

    start: Start = lambda answer: Moody(answer, session)  # noqa: E731
    reports = pool(job(range(1, 5)), start, workers=1, size=2).run()
    assert [report.status for report in reports] == ["done", "done", "failed", "failed"]
    assert [str(report.error) for report in reports[2:]] == [
        "frame 3: I will not.",
        "frame 4: I will not.",
    ]


def test_other_commands_share_their_frames_as_well(plates: Plates) -> None:
    plates(1, 2, 3)
    trimap = np.full((12, 16, 1), 0.5, np.float32)
    trimap[:4], trimap[8:] = 0.0, 1.0
    write("trimap.exr", {"rgba": Image(trimap, ("A",), colour=DATA)})
    words = ["matte", "plate.####.exr", "--trimap", "trimap.exr", "--threads", "1"]
    assert main([*words, "--out", "one/matte.####.exr"]) == Exit.DONE
    assert main([*words, "--out", "two/matte.####.exr", "--jobs", "2"]) == Exit.DONE
    for frame in (1, 2, 3):
        name = f"matte.{frame:04d}.exr"
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
