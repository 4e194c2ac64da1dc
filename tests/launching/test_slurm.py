"""Jobs of submitit, by its executor for one machine: it has the signals and the requeueing."""

import json
import os
import signal

import pytest

from keras_ccsam import launching
from keras_ccsam.comparison import compare
from keras_ccsam.launching import known
from keras_ccsam.runs.run_directory import RunDirectory
from tests.launching.same_runs import assert_same
from tests.launching.test_local import until

submitit = pytest.importorskip(
    "submitit", reason='submitit is not installed: pip install "keras-ccsam[slurm]"'
)
pytestmark = pytest.mark.any_backend


@pytest.mark.slow
def test_a_job_whose_time_ends_saves_and_goes_on_in_the_queues_next_turn(small, tmp_path):
    recipe = small("ce", "stage1.epochs=30")
    compare([recipe], out=tmp_path / "whole", progress="none")
    run = RunDirectory(tmp_path / "out" / "ce-seed0")
    launcher = launching.named("slurm", options={"cluster": "local"})
    submit, tasks = launcher.submit, []

    def submitted(job):
        tasks.append(submit(job))
        until(lambda: run.metrics_file.exists() and len(run.metrics()) > 2)
        # What SLURM sends before it takes the node away.
        pid = json.loads((run.path / "state.json").read_text())["process"]["pid"]
        os.kill(pid, signal.SIGUSR2)
        return tasks[0]

    launcher.submit = submitted
    found = compare([recipe], out=tmp_path / "out", progress="none", launcher=launcher)
    assert not found.missing
    assert_same(tmp_path / "whole" / "ce-seed0", run.path)
    kept = tmp_path / "out" / "logs" / "slurm"
    told = "".join(file.read_text() for file in kept.glob("*_log.out"))
    told += "".join(file.read_text() for file in kept.glob("*_log.err"))
    assert "Requeued job" in told and "Job completed successfully" in told
    assert json.loads((kept / "jobs.json").read_text()) == {"ce-seed0": tasks[0]._job.job_id}


def test_what_is_asked_for_stands_in_the_batch_file(tmp_path, monkeypatch):
    """As sbatch is given it; there is none here, so its call is taken down."""
    monkeypatch.setattr(known.shutil, "which", lambda name: f"/usr/bin/{name}")
    options = {"partition": "gpu", "time": "90m", "gpus": "2", "memory": "16", "cpus": "4"}
    options |= {"account": "us", "setup": "module load cuda"}
    launcher = launching.named("slurm", options=options)
    launcher.open(1, tmp_path)
    text = launcher._executor._executor._make_submission_file_text("run", "0")
    for line in (
        "#SBATCH --partition=gpu",
        "#SBATCH --time=90",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH --mem=16GB",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --account=us",
        "#SBATCH --signal=USR2@90",
        "module load cuda",
    ):
        assert line in text, text


class Answered:
    """A job as submitit tells of it."""

    job_id = "7"

    def __init__(self, state, result=None):
        self.state, self._result = state, result

    def result(self):
        if self._result is None:
            raise submitit.core.utils.UncompletedJobError("no result")
        return self._result


@pytest.mark.parametrize(
    ("state", "result", "status", "words"),
    [
        ("COMPLETED", {"status": "complete"}, "complete", ""),
        ("NODE_FAIL", None, "lost", "job 7 ended as NODE_FAIL"),
        ("TIMEOUT", None, "lost", "job 7 ended as TIMEOUT"),
        ("OUT_OF_MEMORY", None, "failed", "job 7 ended as OUT_OF_MEMORY"),
        ("CANCELLED by 3", None, "failed", "job 7 ended as CANCELLED"),
        # scancel lets it save; to begin it again is nobody's wish.
        ("CANCELLED", {"status": "stopped", "reason": "x"}, "failed", "job 7 was cancelled"),
        ("PREEMPTED", {"status": "stopped", "reason": "x"}, "stopped", "x"),
    ],
)
def test_what_slurm_says_of_a_job(state, result, status, words):
    outcome = launching.slurm.SlurmTask(Answered(state, result)).outcome()
    assert outcome.status == status and outcome.reason.startswith(words)


def test_a_job_that_is_still_in_the_queue_is_not_submitted_again(tmp_path, monkeypatch):
    from keras_ccsam.launching.slurm import write_json
    from tests.launching.test_carrying_out import job

    states = {"1": "RUNNING", "2": "COMPLETED", "3": "PENDING"}
    monkeypatch.setattr(known.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(
        submitit.SlurmJob, "get_info", lambda self, mode: {"State": states[self.job_id]}
    )
    launcher = launching.named("slurm")
    launcher.open(3, tmp_path)
    submitted = []

    def submit(function):
        submitted.append(function.told["path"])
        return Answered("PENDING")

    monkeypatch.setattr(launcher._executor, "submit", submit)
    launcher._folder.mkdir(parents=True, exist_ok=True)
    write_json(launcher._folder / "jobs.json", {"a": "1", "b": "2", "c": "3"})
    where = [launcher.submit(job(name)).where() for name in ("a", "b", "c", "d")]
    assert where == ["job 1", "job 7", "job 3", "job 7"]
    assert submitted == ["out/b", "out/d"]
    known_jobs = json.loads((launcher._folder / "jobs.json").read_text())
    assert known_jobs == {"a": "1", "b": "7", "c": "3", "d": "7"}
