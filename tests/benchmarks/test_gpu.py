"""What `benchmarks/gpu.py` begins, leaves and goes on with; nothing is timed."""

import argparse
import json

import pytest

from benchmarks import gpu, record

pytestmark = pytest.mark.any_backend


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def pieces(clock, done, *times, fails=()):
    def run(name, seconds):
        def carried_out(deadline):
            clock.now += seconds
            if name in fails:
                raise RuntimeError("out of memory")
            if clock.now <= deadline:
                done.add(name)

        return carried_out

    return [
        gpu.Piece(str(n), "steps", seconds, run(str(n), seconds), lambda n=n: str(n) in done)
        for n, seconds in enumerate(times)
    ]


def test_a_piece_is_begun_while_there_is_time_for_it():
    clock, done = Clock(), set()
    said = gpu.carried_out(pieces(clock, done, 60, 500, 100), 200, clock)
    assert done == {"0", "2"}
    assert said[1] == "1: no time left for its 500 s"
    again = gpu.carried_out(pieces(clock, done, 60, 500, 100), clock.now + 600, clock)
    assert done == {"0", "1", "2"}
    assert again[0] == "0: was there"


def test_one_that_fails_leaves_the_others_alone():
    clock, done = Clock(), set()
    said = gpu.carried_out(pieces(clock, done, 10, 10, fails={"0"}), 100, clock)
    assert done == {"1"}
    assert said[0] == "0: FAILED: out of memory"


def options(tmp_path, **others):
    values = {"toy": True, "seeds": 2, "runs": str(tmp_path / "runs"), "data": None}
    return argparse.Namespace(out=str(tmp_path), backends=["torch"], **values | others)


def test_a_schedule_is_there_when_all_its_recipes_are(tmp_path):
    schedules = gpu.Schedules(options(tmp_path), "cpu")
    (piece,) = schedules.pieces()
    found = {"test": {"balanced": 0.5}, "stage1": {}, "seconds": 1.0, "ms_per_step": 2.0}
    for recipe in gpu.RECIPES:
        assert not piece.is_there()
        folder = tmp_path / "runs" / f"{recipe}-seed0"
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(found))
        schedules._collect(tmp_path / "runs", 0, "torch")
    assert piece.is_there()
    rows = record.load(schedules.path)["rows"]
    assert [(row["recipe"], row["seed"]) for row in rows] == [(r, 0) for r in gpu.RECIPES]


def test_the_full_list_begins_with_what_everybody_asks_for(tmp_path):
    steps = [p.name for p in gpu.Steps(options(tmp_path, toy=False), "NVIDIA A100").pieces()]
    assert steps[0] == "steps: resnet32, batch 128, tf32"
    assert len(steps) == 6 + 2
    runs = list(gpu.Schedules(options(tmp_path, toy=False), "NVIDIA A100").pieces())
    assert [piece.name[-6:] for piece in runs] == ["seed 0", "seed 1"]


def test_a_command_is_asked_to_save_when_the_time_is_up():
    import sys
    import time

    code = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(75))\ntime.sleep(60)"
    began = time.monotonic()
    assert gpu._until([sys.executable, "-c", code], began + 1.0) in (75, -15)
    assert time.monotonic() - began < 30
