"""A Ray cluster of two workers on this machine, one of which is killed in the middle.

Ray takes long to start and to install, so `make test-ray` runs this file, and `make test` does so
only where Ray is installed.
"""

import json
import threading

import pytest

from keras_ccsam import launching
from keras_ccsam.comparison import compare
from keras_ccsam.runs.run_directory import RunDirectory
from tests.launching.same_runs import assert_same
from tests.launching.test_local import until

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
