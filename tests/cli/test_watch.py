"""`ccsam watch`: what a folder shows while a run writes into it."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from keras_ccsam_cli.commands import watch
from keras_ccsam_cli.main import cli
from keras_ccsam_cli.watching.look import look
from keras_ccsam_cli.watching.page import Page
from keras_ccsam_cli.watching.sparkline import ASCII, BLOCKS, sparkline
from keras_ccsam_cli.watching.view import lines
from keras_ccsam_cli.watching.watcher import Watcher

from keras_ccsam import runs, writer
from keras_ccsam.writer import _started as started

pytestmark = pytest.mark.any_backend

RECIPE = 'name = "{name}"\n[stage1]\nepochs = {first}\n'
NOW = 2_000_000_000.0


def record(stage: int, epoch: int, seconds: float = 10.0, **metrics: Any) -> dict[str, Any]:
    """One line of metrics.jsonl."""
    metrics = metrics or {"accuracy": epoch / 10, "loss": 1 / epoch}
    return {"stage": stage, "epoch": epoch, "steps": 5, "seconds": seconds, **metrics}


def write_run(
    folder: Path,
    records: list[dict[str, Any]] = [],  # noqa: B006
    epochs: tuple[int, int] = (4, 3),
    at: float = NOW,
    name: str = "ccsam",
    **state: Any,
) -> Path:
    """Make a run directory as a run leaves it at a moment."""
    folder.mkdir(parents=True, exist_ok=True)
    second = f"[stage2]\nepochs = {epochs[1]}\n" if epochs[1] else ""
    text = "".join(json.dumps(one) + "\n" for one in records)
    content = {"kind": "run", "status": "running", **state}
    (folder / "recipe.toml").write_text(RECIPE.format(name=name, first=epochs[0]) + second)
    (folder / "state.json").write_text(json.dumps(content))
    if records:
        (folder / "metrics.jsonl").write_text(text)
    for path in folder.iterdir():
        os.utime(path, (at, at))
    return folder


def text_of(frame: Any, **page: Any) -> list[str]:
    """The rows of a frame."""
    return [line.plain for line in lines(frame, Page(**({"width": 100} | page)))]


def test_a_sparkline() -> None:
    assert sparkline([0, 1, 2, 3], 8) == "▁▃▆█"
    assert sparkline([3, None, 1], 8) == "█ ▁"
    assert sparkline([5, 5], 8) == "▄▄"
    assert sparkline([None, None], 8) == sparkline([], 8) == ""
    assert sparkline(list(range(100)), 8) == BLOCKS
    assert sparkline(list(range(100)), 8, ASCII) == ASCII
    # A spike of one epoch in many is averaged with its neighbours, and still there.
    assert sparkline([0] * 50 + [9] + [0] * 49, 10).count("▁") == 9


def test_a_finished_run(finished: Any) -> None:
    found = look(finished.path)
    report = finished.report
    assert found.state == "complete"
    assert [(s.number, s.done, s.epochs) for s in found.stages] == [(1, 2, 2), (2, 2, 2)]
    assert found.scores == {"overall": report.overall, **report.groups}
    first, second = found.stages
    assert first.accuracy_key == "val_accuracy" and second.accuracy_key == "accuracy"
    frame = Watcher([finished.path]).frame()
    assert frame.over
    rows = text_of(frame)
    assert rows[0].startswith(f"{finished.path.name}  complete  stage 2/2  epoch 2/2")
    assert rows[1].startswith("  stage 1  loss █") and "validation accuracy" in rows[1]
    assert rows[2].startswith("  stage 2  loss ") and "validation" not in rows[2]
    assert rows[3].startswith(f"  test %  overall {100 * report.overall:.2f}  many ")


def test_half_a_line_is_not_there_yet(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [record(1, 1)])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"stage": 1, "epoch": 2, "los')
    assert look(run).stages[0].done == 1
    with (run / "metrics.jsonl").open("a") as file:
        file.write('s": 0.5}\n')
    assert look(run).stages[0].series("loss") == [1.0, 0.5]


@pytest.mark.parametrize("name", ["state.json", "recipe.toml", "results.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]\n", b"\xff\xfe\n", b"[[[[\n3\n"])
def test_what_is_broken_is_not_fatal(tmp_path: Path, name: str, content: bytes) -> None:
    run = write_run(tmp_path / "run", [record(1, 1)])
    (run / name).write_bytes(content)
    assert text_of(Watcher([run]).frame(NOW))[0].startswith("run  running")


def test_time_left_over_both_stages(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", [record(1, 1, 60.0), record(1, 2), record(1, 3)], (6, 3))
    (shown,) = Watcher([run]).frame(NOW + 4).runs
    # The first epoch compiled; nobody knows the second stage; 4 of 10 seconds are over.
    assert (shown.pace, shown.left, shown.bounded) == (10.0, (3 + 3) * 10 - 4, True)
    assert "up to 56 s left" in text_of(Watcher([run]).frame(NOW + 4))[0]
    write_run(
        tmp_path / "b", [record(1, 1), record(2, 1, 1.0)], (1, 1), status="complete", name="crt"
    )
    shown = Watcher([tmp_path]).frame(NOW + 4).runs[0]
    assert (shown.left, shown.bounded) == (3 * 10 + 3 * 1 - 4, False)
    write_run(tmp_path / "c", [record(1, 1), record(2, 1, 2.0)], (1, 1), status="complete")
    assert Watcher([tmp_path]).frame(NOW + 4).runs[0].left == 3 * 10 + 3 * 2 - 4


def test_a_second_look_knows_the_time_of_validation(tmp_path: Path) -> None:
    records = [record(1, epoch) for epoch in range(1, 5)]
    watcher = Watcher([write_run(tmp_path, records[:1], (9, 0))])
    assert watcher.frame(NOW).runs[0].pace == 10
    write_run(tmp_path, records[:3], (9, 0), at=NOW + 30)
    assert watcher.frame(NOW + 30).runs[0].pace == 15
    # The second stage is not seen yet, and its records do not slow the first one down.
    write_run(tmp_path, records[:3], (3, 2), at=NOW + 30)
    (shown,) = watcher.frame(NOW + 30).runs
    assert (shown.look.stage.number, shown.left, shown.bounded) == (2, 2 * 15, True)
    write_run(tmp_path, [*records[:3], record(2, 1, 1.0)], (3, 2), at=NOW + 99)
    watcher.frame(NOW + 99)
    assert watcher._pace(tmp_path, look(tmp_path).stages[0]) == 15
    # A first stage that is taken over comes at once, and says nothing.
    watcher = Watcher([write_run(tmp_path / "crt", [], (4, 2))])
    watcher.frame(NOW)
    write_run(tmp_path / "crt", records, (4, 2), at=NOW + 1)
    watcher.frame(NOW + 1)
    write_run(tmp_path / "crt", [*records, record(2, 1, 2.0)], (4, 2), at=NOW + 4)
    (shown,) = watcher.frame(NOW + 4).runs
    assert (shown.pace, shown.left) == (2.0, 2.0)


def test_states(tmp_path: Path) -> None:
    run = write_run(tmp_path, [record(1, 1)])

    def state(after: float) -> str:
        return Watcher([run]).frame(NOW + after).runs[0].look.state

    assert (state(59), state(61)) == ("running", "stale")
    write_run(tmp_path, [record(1, 1, 100.0)])
    assert (state(499), state(501)) == ("running", "stale")  # five epochs
    (run / "metrics.jsonl").unlink()
    assert (state(599), state(601)) == ("running", "stale")  # before the first epoch
    write_run(tmp_path, [record(1, 1)], status="failed", error="ValueError: no memory")
    frame = Watcher([run]).frame(NOW + 1000)
    assert frame.over and frame.runs[0].left is None
    assert "failed" in text_of(frame)[0] and text_of(frame)[1] == "  ValueError: no memory"
    write_run(tmp_path, [record(1, epoch) for epoch in (1, 2, 3, 4)], (4, 0))
    frame = Watcher([run]).frame(NOW + 1)
    assert not frame.over and text_of(frame)[0].endswith("evaluating")


def test_a_killed_run_is_not_waited_for(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        mark = writer.this_process() | {"pid": process.pid, "started": started(process.pid)}
        run = write_run(tmp_path / "c" / "run", [record(1, 1)], process=mark)
        state = {"kind": "comparison", "status": "running", "process": mark}
        (tmp_path / "c" / "state.json").write_text(json.dumps(state))
        assert Watcher([run]).frame(NOW).runs[0].look.state == "running"
        process.kill()
        # Nobody has asked for its exit code yet: it is a zombie, and no process any more.
        while started(process.pid) is not None:
            time.sleep(0.01)
        frame = Watcher([tmp_path / "c"]).frame(NOW)
        assert frame.over and frame.runs[0].look.state == "killed"
        assert frame.counts() == {"killed": 1} and frame.runs[0].left is None
        assert text_of(frame)[0].startswith("run  killed  stage 1/2")
    result = CliRunner().invoke(cli, ["watch", str(tmp_path / "c")])
    assert result.exit_code == 0 and "killed" in result.stdout
    # One of another machine is waited for an hour.
    write_run(run, [record(1, 1)], process=mark | {"machine": "another"})
    for after, state, over in ((9, "running", False), (99, "stale", False), (3700, "stale", True)):
        frame = Watcher([tmp_path / "c"]).frame(NOW + after)
        assert (frame.runs[0].look.state, frame.over) == (state, over)


def test_what_is_not_finite_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path, [record(1, 1), record(1, 2, accuracy=0.1, loss=None)])
    assert "loss ▄  not finite  accuracy" in " ".join(text_of(Watcher([run]).frame(NOW)))


def test_a_comparison_and_what_comes_later(tmp_path: Path) -> None:
    folder = tmp_path / "compare"
    folder.mkdir()
    (folder / "state.json").write_text('{"kind": "comparison", "status": "running"}')
    watcher = Watcher([folder])
    frame = watcher.frame(NOW)
    assert not frame.over and text_of(frame) == ["no run has begun yet"]
    write_run(folder / "m2m-seed0", at=NOW)
    write_run(folder / "m2m-seed0" / "helper", [record(1, 1)], (4, 0), at=NOW + 1)
    write_run(folder / "ce-seed0.incomplete-1", at=NOW - 9)
    frame = watcher.frame(NOW + 1)
    assert [shown.look.name for shown in frame.runs] == ["m2m-seed0", "m2m-seed0/helper"]
    assert text_of(frame)[-1] == "2 runs: 2 running"
    for name in ("m2m-seed0", "m2m-seed0/helper"):
        write_run(folder / name, [record(1, 1)], (1, 0), at=NOW + 2, status="complete")
    assert not watcher.frame(NOW + 900).over  # another run may come
    (folder / "state.json").write_text('{"kind": "comparison", "status": "complete"}')
    assert watcher.frame(NOW + 900).over
    # A comparison that was interrupted says "running" for ever.
    (folder / "state.json").write_text('{"kind": "comparison", "status": "running"}')
    write_run(folder / "ce-seed0", at=NOW + 3, status="failed", error="KeyboardInterrupt")
    assert not watcher.frame(NOW + 4).over
    assert watcher.frame(NOW + 40).over


def test_a_reproduction_holds_comparisons(tmp_path: Path) -> None:
    (tmp_path / "cifar10-lt-50").mkdir()
    (tmp_path / "state.json").write_text('{"kind": "reproduction", "status": "complete"}')
    inner = tmp_path / "cifar10-lt-50" / "state.json"
    inner.write_text('{"kind": "comparison", "status": "complete"}')
    write_run(tmp_path / "cifar10-lt-50" / "ce-seed0", status="complete")
    (shown,) = Watcher([tmp_path]).frame(NOW).runs
    assert shown.look.name == "cifar10-lt-50/ce-seed0"


def test_every_width_holds_and_nothing_steers_the_terminal(tmp_path: Path) -> None:
    records = [record(1, 1), record(1, 2, val_accuracy=0.5, loss=0.25, val_loss=0.5)]
    for number in range(3):
        write_run(tmp_path / f"köder-{number}-\x1b[2J", records)
    error = "ValueError: \x1b]0;title\x07 ü"
    write_run(tmp_path / "failed", records, status="failed", error=error)
    frame = Watcher([tmp_path]).frame(NOW)
    for height in (None, 5, 8, 100):
        for width in (10, 20, 40, 80, 200):
            rows = text_of(frame, width=width, height=height, encoding="ascii")
            assert max(map(len, rows)) <= width
            assert len(rows) <= (height or 99)
            assert all(row.isascii() and row.isprintable() for row in rows)
    wide = " ".join(text_of(frame, height=8))
    assert "█" in wide and "köder-0-?[2J" in wide


def test_many_runs_have_a_row_each(tmp_path: Path) -> None:
    for number in range(9):
        records = [record(1, 1), record(1, 2)]
        state = "running" if number == 2 else "complete"
        write_run(tmp_path / f"run{number}", records, at=NOW + number, status=state)
    frame = Watcher([tmp_path]).frame(NOW + 9)
    rows = text_of(frame)
    assert len(rows) == 1 + 9 + 1 and rows[-1] == "9 runs: 1 running, 8 complete"
    assert rows[0].split() == ["run", "state", "stage,", "epoch", "loss", "accuracy",
                               "epoch", "takes"]  # fmt: skip
    assert rows[1].split() == ["run0", "complete", "1/2,", "2/4", "█▁", "0.5000", "▁█", "0.2000",
                               "10", "s"]  # fmt: skip
    short = text_of(frame, height=6)
    assert [row.split()[0] for row in short] == ["run", "run2", "run7", "run8", "and", "9"]
    assert short[-2] == "and 6 more"
    narrow = text_of(frame, width=26)
    assert narrow[0].split() == ["run", "state", "accuracy"]


def test_the_radius_where_it_is_recorded(tmp_path: Path) -> None:
    run = write_run(tmp_path, [record(1, 1)])
    (run / "analysis").mkdir()
    written = {
        "kind": "radius",
        "class_names": ["a", "b", "c"],
        "class_counts": [9, 1, 4],
        "values": {"radius": [[0.1, 0.02, 7.0], [None, 1.0, 7.0]]},
    }
    file = run / "analysis" / "radius.json"
    file.write_text(json.dumps(written))
    assert look(run).radius == {"class a": [0.1, None], "class b": [0.02, 1.0]}
    assert "  radius class b  ▁█ 1" in text_of(Watcher([run]).frame(NOW))
    for broken in ({"values": 3}, {"class_counts": [1]}, {"class_names": []}):
        file.write_text(json.dumps(written | broken))
        assert look(run).radius == {}


def test_json_is_one_frame(tmp_path: Path) -> None:
    write_run(tmp_path, [record(1, 1), record(1, 2, loss=None)])
    result = CliRunner().invoke(cli, ["watch", str(tmp_path), "--json"])
    assert result.exit_code == 0
    content = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(name))
    (run,) = content["runs"]
    assert (content["over"], run["state"], run["stage"]) == (False, "running", 1)
    assert run["stages"][0]["loss"] == [1.0, None]
    assert run["stages"][1] == {"stage": 2, "epochs": 3, "done": 0, "loss": [], "accuracy": [],
                                "accuracy_key": None}  # fmt: skip


def test_once(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [record(1, 1)])
    result = CliRunner().invoke(cli, ["watch", str(tmp_path), "--once"])
    assert result.exit_code == 0
    assert result.stdout.startswith("run  ") and "\x1b" not in result.stdout


def test_a_pipe_gets_each_change_and_ends_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    write_run(tmp_path, [record(1, 1)], (2, 0), at=now)
    steps = [
        lambda: None,  # nothing new
        lambda: write_run(tmp_path, [record(1, 1), record(1, 2)], (2, 0), at=now),
        lambda: write_run(tmp_path, [record(1, 1), record(1, 2)], (2, 0), status="complete"),
    ]
    monkeypatch.setattr(watch.time, "sleep", lambda _: steps.pop(0)())
    result = CliRunner().invoke(cli, ["watch", str(tmp_path)])
    assert result.exit_code == 0
    heads = [block.splitlines()[0] for block in result.stdout.split("\n\n")]
    assert [head.split()[1:5] for head in heads] == [
        ["running", "stage", "1/1", "epoch"],
        ["running", "stage", "1/1", "epoch"],
        ["complete", "stage", "1/1", "epoch"],
    ]
    assert ["1/2" in head for head in heads] == [True, False, False]


def test_to_leave_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    write_run(tmp_path, [record(1, 1)], at=time.time())
    monkeypatch.setattr(watch.time, "sleep", interrupt)
    result = CliRunner().invoke(cli, ["watch", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (130, "")


LIGHT = """
import sys, time
from keras_ccsam_cli.main import main
try:
    main(args=["watch", sys.argv[1], "--once"])
except SystemExit as stop:
    assert not stop.code
print(sorted({"keras", "numpy", "pydantic", "keras_ccsam"} & set(sys.modules)))
print(time.process_time())
"""


def test_it_starts_without_keras_in_half_a_second(tmp_path: Path) -> None:
    write_run(tmp_path, [record(1, 1)])

    def seconds() -> float:
        words = [sys.executable, "-c", LIGHT, str(tmp_path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        *_, heavy, taken = done.stdout.splitlines()
        assert heavy == "[]"
        return float(taken)  # of the processor: other processes may be busy

    assert min(seconds() for _ in range(3)) < 0.5


def test_a_page_without_colour(tmp_path: Path) -> None:
    write_run(tmp_path, [record(1, 1)])
    words = [sys.executable, "-m", "keras_ccsam_cli", "watch", str(tmp_path), "--once"]
    told = {"FORCE_COLOR": "1", "TERM": "xterm", "PYTHONIOENCODING": "ascii"}
    plain = subprocess.run(
        words, capture_output=True, env={**os.environ, **told, "NO_COLOR": "1"}, check=True
    ).stdout
    assert b"\x1b[3" not in plain and plain.isascii()
    coloured = subprocess.run(words, capture_output=True, env={**os.environ, **told}, check=True)
    assert b"\x1b[3" in coloured.stdout


@pytest.mark.slow
def test_on_a_terminal_while_another_process_trains(small: Any, tmp_path: Path) -> None:
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    state = tmp_path / "state.json"
    state.write_text('{"kind": "comparison", "status": "running"}')
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 70))
    words = [sys.executable, "-m", "keras_ccsam_cli", "watch", str(tmp_path), "--interval", "0.1"]
    told = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    told = {key: value for key, value in told.items() if key not in ("COLUMNS", "LINES")}
    watching = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=told)
    os.close(theirs)
    drawn = bytearray()

    def drain() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 4096):
                drawn.extend(part)

    reader = threading.Thread(target=drain)
    reader.start()
    deadline = time.monotonic() + 60
    while b"no run has begun yet" not in drawn and time.monotonic() < deadline:
        time.sleep(0.05)
    recipe = small("crt", "stage1.epochs=20", "stage1.boundaries=[]")
    runs.run(recipe, tmp_path / "crt-seed0", progress="none", compile_cache="off")
    state.write_text('{"kind": "comparison", "status": "complete"}')
    assert watching.wait(60) == 0
    reader.join(60)
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())
    assert "no run has begun yet" in text
    epochs = {int(found) for found in re.findall(r"stage 1/2  epoch (\d+)/20", text)}
    assert len(epochs) > 2, "it did not move while the run went on"
    last = [row.strip() for row in text.replace("\r", "\n").split("\n") if row.strip()][-4:]
    assert last[0].startswith("crt-seed0  complete  stage 2/2  epoch 2/2")
    assert last[3].startswith("test %  overall ")
    assert all(len(row) <= 70 for row in text.replace("\r", "\n").split("\n"))


@pytest.mark.parametrize("interval", ["nan", "inf", "1e300", "0"])
def test_an_interval_that_nobody_can_wait_for_is_refused(tmp_path, interval):
    result = CliRunner().invoke(cli, ["watch", str(tmp_path), "--interval", interval])
    assert result.exit_code == 2
    assert "--interval" in result.output
