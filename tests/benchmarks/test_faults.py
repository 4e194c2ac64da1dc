"""Killing runs: in which phase a run is, by its files; and a difference is seen, however small."""

import os

import numpy as np
import pytest

from benchmarks import phases
from benchmarks.kills import _without_addresses, difference
from benchmarks.phases import Watch

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize(
    ("files", "epochs", "expected"),
    [
        ([], 2, phases.START),
        (["state.json"], 2, phases.START),
        (["state.json", "checkpoints/state/stage1/snapshot-000001"], 2, phases.STAGE_1),
        (["checkpoints/state/stage1/.snapshot-000002.0123abcd.writing"], 2, phases.SAVE),
        (["checkpoints/.0123abcd.stage1.weights.h5"], 2, phases.SAVE),
        ([".0123abcd.model.keras"], 2, phases.SAVE),
        (["checkpoints/stage1.weights.h5"], 2, phases.BETWEEN),
        (["checkpoints/stage1.weights.h5"], 0, phases.EVALUATION),
        (["checkpoints/stage1.weights.h5", "checkpoints/state/stage2/snapshot-000001"], 2,
         phases.STAGE_2),
        (["checkpoints/stage1.weights.h5", "metrics.jsonl"], 2, phases.EVALUATION),
        (["results.json"], 2, phases.AFTER),
        (["helper/checkpoints/state/stage1/snapshot-000001"], 0, phases.HELPER),
    ],
)  # fmt: skip
def test_a_phase_is_known_by_what_the_process_has_left(files, epochs, expected, tmp_path):
    """What an earlier process of the run has left does not count."""
    watch = Watch(tmp_path, epochs)
    for name in {"state.json", "checkpoints/state/stage1/", *files} if files else ():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if "snapshot" in name or name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text('{"stage": 2}\n' * 2)
        later = watch._since + 10**9
        os.utime(path, ns=(later, later))
    assert watch.phase() == expected
    watch._since += 2 * 10**9
    if expected != phases.AFTER:
        assert watch.phase() == phases.START


def test_the_last_bit_counts():
    one = {"w": np.ones(3, "float32"), "log": [{"loss": 0.5}]}
    assert difference(one, {**one, "w": np.ones(3, "float32")}) == 0.0
    assert difference(one, {**one, "w": np.nextafter(one["w"], np.float32(2))}) > 0.0
    assert difference(one, {**one, "log": [{"loss": 0.5}] * 2}) == float("inf")
    assert difference(one, {"w": one["w"]}) == float("inf")


def test_where_an_object_lay_in_memory_is_no_difference():
    config = {"layers": [{"dtype": {"name": "float32", "shared_object_id": 1}}]}
    assert _without_addresses(config) == {"layers": [{"dtype": {"name": "float32"}}]}
