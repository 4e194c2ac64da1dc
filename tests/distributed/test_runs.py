"""A run may go on with another number of processes, and ends as if it never had been stopped."""

import os

import numpy as np
import pytest

from keras_ccsam import runs, stopping
from keras_ccsam.callbacks import MetricsLog
from tests.distributed import runs_worker
from tests.distributed.started import BACKEND, run_together

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BACKEND == "tensorflow", reason="one process trains on TensorFlow"),
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process, without an interruption."""
    out = tmp_path_factory.mktemp("alone") / "run"
    return runs.run(runs_worker.recipe(), out, progress="none")


def assert_alike(run, alone):
    for one, other in zip(runs_worker.weights(run), runs_worker.weights(alone.path), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    directory = runs.RunDirectory(run)
    assert directory.status() == "complete"
    assert directory.damage() is None
    logs = [
        [{k: v for k, v in record.items() if k != "seconds"} for record in each.metrics()]
        for each in (directory, runs.RunDirectory(alone.path))
    ]
    for mine, theirs in zip(*logs, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    left_out = ("seconds", "ms_per_step")
    for name, value in alone.results.items():
        if name not in left_out and name != "temperature":
            assert_close(directory.results()[name], value)


def assert_close(found, wanted):
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_close(found[key], value)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_close(one, other)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=1e-4)
    else:
        assert found == wanted


def test_two_processes_then_one(alone, tmp_path):
    out = tmp_path / "run"
    run_together("tests.distributed.runs_worker", ["stop", str(out)], 2, seconds=400)
    assert runs.RunDirectory(out).status() == "interrupted"
    runs.resume(out, progress="none")
    assert_alike(out, alone)


def test_one_process_then_two(alone, tmp_path, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as patched, stopping.stoppable():
        patched.setattr(MetricsLog, "on_train_batch_begin", runs_worker.stop_at(12), raising=False)
        with pytest.raises(stopping.Stopped):
            runs.run(runs_worker.recipe(), out, progress="none")
    before = set(os.listdir(tmp_path))
    run_together("tests.distributed.runs_worker", ["resume", str(out)], 2, seconds=400)
    assert set(os.listdir(tmp_path)) == before
    assert_alike(out, alone)


# A run inside the run, and a mean of weights with a pass over the data at the end. On JAX that pass
# is refused where there are several processes.
@pytest.mark.any_backend
@pytest.mark.parametrize("name", ["m2m", "crt-swa"])
def test_what_is_more_than_two_stages(name, tmp_path):
    alone = runs.run(runs_worker.recipe(name), tmp_path / "alone", progress="none")
    run_together("tests.distributed.runs_worker", [name, str(tmp_path / "run")], 2, seconds=400)
    assert_alike(tmp_path / "run", alone)
