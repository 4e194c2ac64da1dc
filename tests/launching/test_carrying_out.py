"""Who waits for whom, who is tried again, and what becomes of the others."""

import dataclasses
from pathlib import Path

import pytest

from keras_ccsam import stopping
from keras_ccsam.launching import Job, Launcher, Outcome, Task
from keras_ccsam.launching.carrying_out import carry_out

pytestmark = pytest.mark.any_backend


class Scripted(Task):
    """Ends after some looks, as it was told."""

    def __init__(self, job, outcome, looks=1):
        self.job, self._outcome, self._looks, self.asked = job, outcome, looks, False

    def done(self):
        self._looks -= 1
        return self.asked or self._looks < 0

    def outcome(self):
        return Outcome("stopped", "saved") if self.asked else self._outcome

    def stop(self):
        self.asked = True

    def where(self):
        return f"place of {self.job.name}"


class Pretended(Launcher):
    """Executes nothing; `script` says how each try of a run ends."""

    pause = 0.0

    def __init__(self, script=None, **options):
        super().__init__(**options)
        self.script = {name: list(tries) for name, tries in (script or {}).items()}
        self.begun, self.most, self.closed = [], 0, False

    def open(self, count, folder):
        return "pretended"

    def room(self, running):
        self.most = max(self.most, running)
        return super().room(running)

    def submit(self, job):
        self.begun.append((job.name, job.stage1_from and Path(job.stage1_from).name))
        tries = self.script.get(job.name, [])
        return Scripted(job, tries.pop(0) if tries else Outcome("complete"))

    def close(self):
        self.closed = True


def job(name, stage1_from=None):
    return Job("", f"out/{name}", f"out/logs/{name}.log", stage1_from, {}, "b", False, [], ".", [])


FAILED, LOST = Outcome("failed", "its own mistake"), Outcome("lost", "no machine")


def carried(jobs, launcher, say=lambda line: None, **options):
    return carry_out(jobs, launcher, Path("out/logs"), say, **options)


def test_nobody_begins_before_the_run_whose_first_stage_it_takes_over():
    launcher = Pretended()
    lent = [job("ce"), job("crt", "out/ce"), job("sam"), job("lws", "out/ce")]
    # The lender of an earlier comparison is there already, and nobody waits for it.
    lent.append(job("tau", "out/earlier"))
    assert carried(lent, launcher) == {}
    names = [name for name, _ in launcher.begun]
    assert names[:3] == ["ce", "sam", "tau"] and sorted(names[3:]) == ["crt", "lws"]
    assert launcher.closed


def test_no_more_at_a_time_than_was_asked_for():
    launcher = Pretended(jobs=2)
    carried([job(f"r{n}") for n in range(5)], launcher)
    assert (launcher.most, len(launcher.begun)) == (2, 5)


def test_a_run_that_fails_ends_no_other_and_the_next_one_lends_in_its_place():
    launcher, said, ended = Pretended({"ce": [FAILED]}, retries=5), [], []
    jobs = [job("ce"), job("crt", "out/ce"), job("lws", "out/ce"), job("sam")]

    def note(job, outcome):
        ended.append((job.name, outcome.status))
        return "overall 9"

    assert carried(jobs, launcher, said.append, ended=note) == {"ce": "its own mistake"}
    assert launcher.begun == [("ce", None), ("sam", None), ("crt", None), ("lws", "crt")]
    assert dict(ended) == {"ce": "failed"} | dict.fromkeys(("sam", "crt", "lws"), "complete")
    assert any("ce: failed: its own mistake (see out/logs/ce.log)" in line for line in said)
    assert any("sam: done in 0 s: overall 9" in line for line in said)


def test_who_shares_a_first_stage_that_diverged_is_not_begun():
    diverged = Outcome("failed", "FloatingPointError: the loss is no longer finite")
    launcher = Pretended({"ce": [diverged]})
    missing = carried([job("ce"), job("crt", "out/ce"), job("lws", "out/ce")], launcher)
    assert launcher.begun == [("ce", None)]
    assert list(missing) == ["ce", "crt", "lws"]
    assert "its first stage is that of ce, which diverged" in missing["lws"]


def test_what_was_lost_is_begun_again_as_often_as_that_is_allowed():
    launcher = Pretended({"ce": [LOST, LOST]}, retries=2)
    assert carried([job("ce"), job("sam")], launcher) == {}
    assert [name for name, _ in launcher.begun].count("ce") == 3
    launcher = Pretended({"ce": [LOST, LOST]}, retries=1)
    assert carried([job("ce"), job("sam")], launcher) == {"ce": "no machine"}


@pytest.mark.parametrize("outlives", [False, True])
def test_a_signal_lets_what_runs_save_or_leaves_it_to_its_launcher(outlives, monkeypatch):
    launcher, asked = Pretended(jobs=2), []
    launcher.outlives = outlives
    tasks = []
    submit = launcher.submit

    def submitted(job):
        tasks.append(submit(job))
        tasks[-1]._looks = 1000
        asked.append("SIGTERM")
        return tasks[-1]

    launcher.submit = submitted
    monkeypatch.setattr(stopping, "requested", lambda: asked[0] if len(asked) > 1 else None)
    with pytest.raises(stopping.Stopped) as stopped:
        carried([job("a"), job("b"), job("c")], launcher)
    assert [task.asked for task in tasks] == [not outlives] * 2
    words = "what was submitted goes on: place of a, place of b" if outlives else "2 runs have"
    assert words in str(stopped.value)
    assert Path(stopped.value.run).parent == Path("out")
    assert launcher.closed


def test_a_job_is_plain_values():
    import json

    told = job("ce", "out/x").to_dict()
    assert Job(**json.loads(json.dumps(told))) == dataclasses.replace(job("ce", "out/x"))
