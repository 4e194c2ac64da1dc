"""A Ray cluster of two workers on this machine, one of which is killed in the middle.

Ray takes long to start and to install, so `make test-ray` runs this file, and `make test` does so
only where Ray is installed.
"""

import json
import os
import subprocess
import sys
import threading

import pytest

from keras_ccsam import launching, recipes, runs
from keras_ccsam.comparison import compare
from keras_ccsam.runs.run_directory import RunDirectory
from tests.launching.same_runs import assert_same
from tests.launching.test_local import until
from tests.test_examples import EXAMPLES

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "keras-ccsam[ray]"')
pytestmark = [
    pytest.mark.any_backend,
    pytest.mark.slow,
    # Of Ray itself.
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def cluster():
    """A head that runs nothing, and two workers of one core each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.workers = [made.add_node(num_cpus=1) for _ in range(2)]
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_run_whose_worker_is_killed_goes_on_elsewhere(cluster, small, tmp_path):
    recipe, other = small("ce", "stage1.epochs=60"), small("sam", "stage1.epochs=2")
    compare([recipe, other], out=tmp_path / "whole", progress="none")
    out = tmp_path / "out"
    run = RunDirectory(out / "ce-seed0")
    before = {}

    def kill():
        until(lambda: run.metrics_file.exists() and len(run.metrics()) > 2, 300)
        process = json.loads((run.path / "state.json").read_text())["process"]
        before.update(process, epochs=len(run.metrics()))
        [node] = [node for node in cluster.workers if _is_of(process["pid"], node)]
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    launcher = launching.Ray(address=cluster.address)
    found = compare([recipe, other], out=out, progress="line", launcher=launcher)
    killer.join(timeout=10)
    assert before["epochs"] < 60, "the worker was not killed in the middle"
    assert not found.missing
    for name in ("ce-seed0", "sam-seed0"):
        assert_same(tmp_path / "whole" / name, out / name)
    assert "epoch 60/60" in (out / "logs" / "ce-seed0.log").read_text()


def _is_of(pid, node):
    """Whether a process is a worker of a node: its raylet is an ancestor."""
    raylet = node.all_processes["raylet"][0].process.pid
    while pid > 1:
        if pid == raylet:
            return True
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
    return False


def test_what_no_machine_has_is_refused_in_words(cluster, small, tmp_path):
    launcher = launching.Ray(address=cluster.address, cpus=5, gpus=0)
    with pytest.raises(ValueError, match=r"no machine .* more than 1 cpus.*cpus=5"):
        compare([small("ce")], out=tmp_path / "x", progress="none", launcher=launcher)


def test_one_model_on_two_workers_of_ray_train_is_that_of_one_process(tmp_path):
    out = tmp_path / "by-ray"
    line = [sys.executable, "-P", str(EXAMPLES / "ray_train.py"), str(out), "--epochs", "1"]
    # On a busy machine a minute is short for two workers that import Keras.
    environment = {**os.environ, "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "250"}
    ended = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=400)
    assert ended.returncode == 0, ended.stderr[-2000:]
    one = runs.run(
        recipes.load("ccsam", overrides=("stage1.epochs=1",)), tmp_path / "one", progress="none"
    )
    losses = [[r["loss"] for r in RunDirectory(p).metrics()] for p in (out, one.path)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert RunDirectory(out).results()["test"]["overall"] == pytest.approx(one.report.overall)
