"""Rendering in one process: overlapped, in order, tried again, within a limit of memory."""

from __future__ import annotations

import gc
import importlib.util
import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.cache import MemoryCache
from relume.errors import Cancelled, Exit, InputError, OutputError, UsageError
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.hosts.cli import main
from relume.hosts.farm import memory as farm_memory
from relume.hosts.farm.memory import TooLarge, forget_peak, peak, resident
from relume.hosts.farm.messages import FrameFailed, from_dict, to_dict
from relume.hosts.farm.prepare import absolute, safe_targets, settle
from relume.hosts.farm.runner import Options, run_frames
from relume.image import Image
from relume.media.identity import content_digest
from relume.media.write import write
from relume.node import Node
from relume.nodes.read import Read
from relume.render import FrameReport, render

Plates = Callable[..., None]
_spec = importlib.util.spec_from_file_location(
    "farm_worker", Path(__file__).with_name("farm_worker.py")
)
assert _spec and _spec.loader
farm_worker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(farm_worker)
REGISTRY = farm_worker.REGISTRY


def graph(**nodes: dict[str, Any]) -> Graph:
    """Return plate → nodes given, each reading the one before → out/x.####.exr."""
    return Graph.from_json(json.dumps(farm_worker.chain(**nodes)), REGISTRY)


def evaluator(document: Graph, last: int = 8, **kwargs: Any) -> Evaluator:
    return Evaluator(document, REGISTRY, Settings(Shot(1, last), threads=1), **kwargs)


def run(document: Graph, frames: range, **options: Any) -> list[FrameReport]:
    return run_frames(evaluator(document), frames, Options(**options), lambda report: None)


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path("out").iterdir())}


GRADE: dict[str, Any] = {"type": "grade", "knobs": {"exposure": 1.0}}


def test_the_files_are_those_of_a_plain_loop(plates: Plates) -> None:
    plates(*range(1, 9))
    render(evaluator(graph(grade=GRADE)), range(1, 9))
    plain = files()
    for path in Path("out").iterdir():
        path.unlink()
    reports = run(graph(grade=GRADE), range(1, 9))
    assert files() == plain
    assert [report.frame for report in reports] == list(range(1, 9))
    assert all(report.digest == content_digest(report.path) for report in reports)
    assert all(set(report.nodes) == {"plate", "grade", "out"} for report in reports)
    assert all(report.peak_memory > 0 and report.worker for report in reports)


def test_the_next_frame_is_read_and_the_last_is_written_meanwhile(
    plates: Plates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow node of a frame ends only once the next is read and the last is written."""
    plates(1, 2, 3)
    read: dict[int, str] = {}
    events = {frame: threading.Event() for frame in range(1, 5)}
    events[4].set()
    compute = Read.compute

    def noted(node: Read, ctx: Any) -> Image:
        assert ctx.frame not in read, "read twice"
        read[ctx.frame] = threading.current_thread().name
        image = compute(node, ctx)
        events[ctx.frame].set()
        return image

    def wait(node: Node, ctx: Any, image: Image) -> Image:
        assert events[ctx.frame + 1].wait(60)
        return image

    monkeypatch.setattr(Read, "compute", noted)
    monkeypatch.setattr(farm_worker.Slow, "compute", wait)
    assert [report.status for report in run(graph(slow={"type": "slow"}), range(1, 4))] == [
        "done"
    ] * 3
    assert read[1] == "MainThread"
    assert read[2].startswith("relume-read") and read[3].startswith("relume-read")


def test_what_is_pending_is_what_would_be_computed(plates: Plates) -> None:
    plates(1, 2)
    document = evaluator(graph(grade=GRADE))
    assert list(document.pending("out", 1).values()) == [("plate", 1), ("grade", 1), ("out", 1)]
    document.evaluate("grade", 1)
    assert list(document.pending("out", 1).values()) == [("out", 1)]
    assert len(document.pending("out", 2)) == 3
    document.evaluate("out", 1)
    assert document.pending("out", 1) == {}
    assert document.computed == {"plate": 1, "grade": 1, "out": 1}


def test_what_was_repaired_ahead_is_told_with_its_frame(plates: Plates) -> None:
    plates(1, 2, 3)
    pixels = np.ones((4, 4, 3), np.float32)
    pixels[1, 1] = np.nan
    write("plate.0002.exr", {"rgba": Image(pixels, ("R", "G", "B"))}, depth="float")
    told: list[tuple[str, int, str]] = []
    document = evaluator(graph(), on_notice=lambda *notice: told.append(notice))
    run_frames(document, range(1, 4), Options(), lambda report: None)
    assert [(node, frame) for node, frame, _ in told] == [("plate", 2)]


def test_what_is_kept_on_disk_is_told_of_again_once_a_run(
    plates: Plates, graded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plates(1, 2, 3)
    pixels = np.ones((4, 4, 3), np.float32)
    pixels[1, 1] = np.nan
    write("plate.0002.exr", {"rgba": Image(pixels, ("R", "G", "B"))}, depth="float")
    for options in ([], ["--overwrite"], ["--overwrite", "--jobs", "1"]):
        words = ["run", "graph.json", "--cache", "kept", "--threads", "1", *options]
        assert main(words) == Exit.DONE
        err = capsys.readouterr().err
        told = [line for line in err.splitlines() if "NaN" in line]
        assert len(told) == 1, (options, err)
        assert told[0].startswith("Warning: frame 2, node plate: 1 pixel")


def test_every_failure_is_told_at_its_frame_and_the_others_go_on(plates: Plates) -> None:
    plates(1, 2, 3, 5, 6, 7)
    data = Path("plate.0003.exr").read_bytes()
    Path("plate.0003.exr").write_bytes(data[: len(data) // 2])
    Path("out/x.0006.exr").mkdir(parents=True)
    reports = run(graph(grade=GRADE), range(1, 8))
    assert [report.frame for report in reports] == list(range(1, 8))
    failed = {report.frame: report.error for report in reports if report.error}
    assert set(failed) == {3, 4, 6}
    assert all(error.frame == frame for frame, error in failed.items())
    assert "damaged" in str(failed[3]) and "plate.0003" in str(failed[3])
    assert "does not exist" in str(failed[4])
    assert "is a folder" in str(failed[6])
    assert not list(Path("out").glob(".*"))


def test_fail_fast_writes_nothing_after_the_failure(plates: Plates) -> None:
    plates(1, 2, 4, 5, 6)
    reports = run(graph(), range(1, 7), fail_fast=True, retries=5)
    assert [(report.frame, report.status) for report in reports] == [
        (1, "done"),
        (2, "done"),
        (3, "failed"),
    ]
    assert list(files()) == ["x.0001.exr", "x.0002.exr"]


def test_a_refused_first_file_refuses_the_job(plates: Plates) -> None:
    plates(1, 2)
    Path("out/x.0001.exr").mkdir(parents=True)
    with pytest.raises(UsageError, match="is a folder"):
        run(graph(), range(1, 3))
    assert list(Path("out").iterdir()) == [Path("out/x.0001.exr")]


def fickle(times: int) -> dict[str, Any]:
    Path("counts").mkdir()
    return {
        "type": "fickle",
        "knobs": {"frames": [2, 4], "times": [times], "folder": "counts"},
    }


def test_what_a_disk_may_be_to_blame_for_is_tried_again_after_the_others(plates: Plates) -> None:
    plates(*range(1, 6))
    order: list[int] = []
    reports = run_frames(
        evaluator(graph(fickle=fickle(2))),
        range(1, 6),
        Options(retries=2, delay=0.01),
        lambda report: order.append(report.frame),
    )
    assert order == [1, 3, 5, 2, 4]
    assert {report.status for report in reports} == {"done"}
    assert [report.attempts for report in reports] == [1, 1, 1, 3, 3]


def test_it_is_not_tried_for_ever(plates: Plates) -> None:
    plates(*range(1, 6))
    reports = run(graph(fickle=fickle(9)), range(1, 6), retries=2, delay=0.01)
    failed = {report.frame: report for report in reports if report.error}
    assert set(failed) == {2, 4}
    assert all(report.attempts == 3 for report in failed.values())
    assert isinstance(failed[2].error, InputError)


def test_cancelling_keeps_what_is_written_and_leaves_nothing_else(plates: Plates) -> None:
    plates(*range(1, 9))
    done: list[int] = []
    with pytest.raises(Cancelled):
        run_frames(
            evaluator(graph(), is_cancelled=lambda: len(done) >= 3),
            range(1, 9),
            Options(),
            lambda report: done.append(report.frame),
        )
    assert done == list(range(1, len(done) + 1)) and 3 <= len(done) < 8
    assert list(files()) == [f"x.{frame:04d}.exr" for frame in done]


def test_a_listener_that_fails_ends_the_run_with_its_own_error(plates: Plates) -> None:
    plates(*range(1, 9))

    def gone(report: FrameReport) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_frames(evaluator(graph(slow={"type": "slow"})), range(1, 9), Options(), gone)


def test_memory_is_dropped_before_a_frame_fails(
    plates: Plates, monkeypatch: pytest.MonkeyPatch
) -> None:
    plates(*range(1, 5))
    cache = MemoryCache()
    gib = 1 << 30
    monkeypatch.setattr(farm_memory, "resident", lambda: gib + (gib if len(cache) > 2 else 0))
    document = evaluator(graph(), caches=[cache])
    reports = run_frames(document, range(1, 5), Options(max_memory=1.5), lambda report: None)
    assert [report.status for report in reports] == ["done"] * 4
    assert len(cache) <= 3


def test_a_frame_that_needs_too_much_fails_alone(
    plates: Plates, monkeypatch: pytest.MonkeyPatch
) -> None:
    plates(*range(1, 5))
    held: list[int] = []  # asked before and after the memory is dropped
    monkeypatch.setattr(farm_memory, "resident", lambda: (held.pop() if held else 1) << 30)

    def swell(node: Node, ctx: Any, image: Image) -> Image:
        held.extend([3, 3] if ctx.frame == 2 else [])
        return image

    monkeypatch.setattr(farm_worker.Slow, "compute", swell)
    document = evaluator(graph(slow={"type": "slow"}))
    reports = run_frames(document, range(1, 5), Options(max_memory=2.0), lambda report: None)
    assert [report.frame for report in reports if report.error] == [2]
    error = reports[1].error
    assert isinstance(error, TooLarge) and error.frame == 2 and error.node == "slow"
    assert "3.00 GiB are in use and --max-memory is 2" in str(error)


def test_a_failure_that_is_kept_holds_no_pictures(
    plates: Plates, monkeypatch: pytest.MonkeyPatch
) -> None:
    plates(1, 2)
    alive: list[weakref.ref[Any]] = []

    def fail(node: Node, ctx: Any, image: Image) -> Image:
        alive.append(weakref.ref(image.pixels))
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    monkeypatch.setattr(farm_worker.Slow, "compute", fail)
    reports = run_frames(
        evaluator(graph(slow={"type": "slow"}), caches=[]), [1, 2], Options(), lambda report: None
    )
    assert "second" in str(reports[0].error) and len(alive) == 2
    gc.collect()
    assert [found() for found in alive] == [None, None]


def test_memory_is_measured() -> None:
    forget_peak()
    before = resident()
    block = np.ones(64 << 20, np.uint8)
    held = resident() - before
    assert 48 << 20 < held < 96 << 20
    del block
    assert peak() - before > 48 << 20


def test_the_log_has_a_line_a_frame(graded: Path, plates: Plates) -> None:
    plates(1, 2, 4)
    assert main(["run", "graph.json", "--frames", "1-4", "--log", "log/a.jsonl"]) == 4
    assert main(["run", "graph.json", "--frames", "1-2", "--skip-existing", "--log",
                 "log/a.jsonl"]) == 0  # fmt: skip
    lines = [json.loads(line) for line in Path("log/a.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["status"]) for line in lines] == [
        (1, "done"), (2, "done"), (3, "failed"), (4, "done"), (1, "skipped"), (2, "skipped"),
    ]  # fmt: skip
    first, failed = lines[0], lines[2]
    assert first["sha256"] == content_digest("out/graded.0001.exr")
    assert set(first["nodes"]) == {"plate", "graded", "out"}
    assert first["peak_memory"] > 1 << 20 and first["error"] is None
    assert failed["error"]["kind"] == "InputError"
    assert failed["error"]["text"].startswith("node plate, frame 3: plate.0003.exr does not exist")


_APPEND = """
import sys
from relume.hosts.farm.frame_log import FrameLog
from relume.render import FrameReport
with FrameLog("log.jsonl") as log:
    for frame in range(100):
        log.add(FrameReport("out", frame, "x" * 5000, "done", worker=sys.argv[1]))
"""


def test_lines_of_several_processes_do_not_mix(here: Path) -> None:
    crowd = [subprocess.Popen([sys.executable, "-c", _APPEND, str(n)]) for n in range(3)]
    assert [process.wait() for process in crowd] == [0, 0, 0]
    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    for number in range(3):
        mine = [line["frame"] for line in lines if line["worker"] == str(number)]
        assert mine == list(range(100))


def test_a_log_that_cannot_be_opened_is_told_before_anything_is_rendered(
    graded: Path, plates: Plates
) -> None:
    plates(1)
    Path("folder").mkdir()
    assert main(["run", "graph.json", "--log", "folder"]) != Exit.DONE
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "error",
    [None, InputError("a", way_out="b", frame=3), OutputError("c"), UsageError("d", node="n"),
     TooLarge("e", file="f")],
)  # fmt: skip
def test_a_report_survives_json(error: Any) -> None:
    report = FrameReport("out", 7, "x.exr", "failed" if error else "done", error, 1.25, ["w"])
    report.nodes, report.peak_memory, report.digest = {"a": 0.5}, 12, "ab"
    again = from_dict(json.loads(json.dumps(to_dict(report))))
    assert to_dict(again) == to_dict(report)
    if error:
        assert again.error is not None
        assert str(again.error) == str(error) and again.error.exit_code == error.exit_code
        assert isinstance(again.error, type(error)) or type(again.error) is FrameFailed


def exposed(**anchor: Any) -> Graph:
    """Return a graph whose picture depends on an exposure anchor; another anchor is not used."""
    nodes = {
        "plate": {"type": "read", "knobs": {"file": "plate.####.exr"}},
        "gone": {"type": "read", "knobs": {"file": "gone.####.exr"}},
        "unused": {"type": "exposure_anchor", "inputs": {"plate": "gone"}},
        "anchor": {"type": "exposure_anchor", "knobs": anchor, "inputs": {"plate": "plate"}},
        "exposed": {"type": "expose", "inputs": {"image": "plate", "anchor": "anchor"}},
        "out": {
            "type": "write",
            "knobs": {"file": "out/x.####.exr"},
            "inputs": {"layers": {"rgba": "exposed"}},
        },
    }
    return Graph.from_json(json.dumps({"relume": 1, "nodes": nodes}), REGISTRY)


def test_a_job_settles_shot_and_exposure(plates: Plates) -> None:
    plates(3, 4, 5, 6)
    document = exposed()
    whole = Evaluator(document, REGISTRY, Settings(Shot(3, 6), threads=1))
    settled = settle(whole)
    assert settled.shot == "3-6"
    measured = settled.nodes["anchor"].knobs["stops"]
    assert measured == whole.evaluate("anchor", 5) and measured != 0.0
    assert settled.nodes["unused"].knobs == {}
    assert document.nodes["anchor"].knobs == {} and document.shot is None
    again = Graph.from_json(settled.to_json(REGISTRY), REGISTRY)
    assert again.nodes["anchor"].knobs["stops"] == measured
    part = Evaluator(again, REGISTRY, Settings(Shot.parse("3-6"), threads=1))
    one, other = (each.evaluate("exposed", 6).pixels for each in (part, whole))
    np.testing.assert_array_equal(one, other)
    assert part.computed == {"plate": 2, "anchor": 1, "exposed": 1}


def test_an_exposure_that_is_set_is_kept(plates: Plates) -> None:
    plates(1)
    assert settle(evaluator(exposed(stops=2.0))).nodes["anchor"].knobs["stops"] == 2.0


def test_an_exposure_that_cannot_be_measured_is_told_before_anything_is_rendered(
    plates: Plates,
) -> None:
    document = exposed()
    document.shot = "1-4"
    plates(2, 3)
    with pytest.raises(InputError, match=r"plate\.0001\.exr does not exist"):
        settle(evaluator(document))


def test_paths_hold_in_any_folder(here: Path) -> None:
    document = graph(grade=GRADE)
    document.nodes["plate"].knobs["file"] = {"keys": [[1, "a.####.exr"], [5, "b.####.exr"]]}
    made = absolute(document, REGISTRY)
    assert made.nodes["out"].knobs["file"] == str(here / "out/x.####.exr")
    assert made.nodes["plate"].knobs["file"] == {
        "keys": [[1, str(here / "a.####.exr")], [5, str(here / "b.####.exr")]]
    }
    assert document.nodes["out"].knobs["file"] == "out/x.####.exr"


def test_no_part_of_a_job_writes_what_another_reads(plates: Plates) -> None:
    """With an offset, frame 4 writes the file that frame 3 reads."""
    plates(*range(1, 9))
    document = graph()
    document.nodes["plate"].knobs["offset"] = 1
    document.nodes["out"].knobs["file"] = "plate.####.exr"
    with pytest.raises(UsageError, match="is read by this graph"):
        safe_targets(evaluator(document), range(1, 8))
    Path("linked.0006.exr").symlink_to(Path("plate.0003.exr").absolute())
    document.nodes["out"].knobs["file"] = "linked.####.exr"
    with pytest.raises(UsageError, match="is read by this graph") as caught:
        safe_targets(evaluator(document), range(1, 8))
    assert caught.value.frame == 6
    assert safe_targets(evaluator(graph()), [7]) == [Path("out/x.0007.exr")]
