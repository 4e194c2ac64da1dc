"""The command `make bench-check`, with processes that are played here, and once with real ones."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from benchmarks import check, record
from benchmarks.asked import Asked
from benchmarks.side_by_side import pair as pairs
from benchmarks.side_by_side import revisions, worker
from benchmarks.side_by_side.workloads import BACKENDS, WORKLOADS
from benchmarks.versus.processes import environment

pytestmark = pytest.mark.any_backend


class Played:
    """A worker's part: its turns take what `script` says of its side and row."""

    script: dict[tuple[str, str], Any]
    started: list[str]
    ended: list[Any]

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.name, self.side = name, name.split(", ")[1]
        self.started.append(name)
        self.row, self.answers = "", [{"device": "cpu"}]

    def tell(self, **command: Any) -> None:
        if "make" in command:
            self.row = command["make"]
            made = self.script.get((self.side, self.row))
            if made is KeyboardInterrupt:
                raise made
            self.answers.append({"error": made} if isinstance(made, str) else {"made": True})
            return
        took = command["turn"] * self.script.get((self.side, self.row), 0.2)
        self.answers.append({"seconds": took, "processor_seconds": took})

    def hear(self) -> dict[str, Any]:
        return self.answers.pop(0)

    def ask(self, **command: Any) -> dict[str, Any]:
        self.tell(**command)
        return self.hear()

    def __enter__(self) -> "Played":
        return self

    def __exit__(self, *exception: object) -> None:
        self.ended.append(exception[0])


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Played]]:
    """Every backend is installed, but for JAX; the package is empty."""
    Played.script, Played.started, Played.ended = {}, [], []
    folders = contextlib.nullcontext((tmp_path, tmp_path))
    monkeypatch.setattr(revisions, "copies", lambda revision: folders)
    monkeypatch.setattr(pairs, "Asked", Played)
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: name != "jax" or None)
    yield Played


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit status of a check against the last commit, and what it printed."""
    return check.main(["--against", "HEAD", *arguments]), capsys.readouterr().out


def test_nothing_got_slower(played: type[Played], capsys: pytest.CaptureFixture[str]) -> None:
    status, printed = told(capsys)
    rows = sum(("torch" in w.backends) + ("tensorflow" in w.backends) for w in WORKLOADS)
    assert status == 0
    assert f"{rows} rows are not slower" in printed
    assert "jax: not installed" in printed
    assert "the package is the same" in printed
    assert "nothing got slower" in printed
    # One process for each side and backend, and none once more.
    assert played.started == [
        f"{b}, {s}" for b in ("torch", "tensorflow") for s in ("before", "now")
    ]


def test_what_got_slower_is_measured_again_and_named(
    played: type[Played], capsys: pytest.CaptureFixture[str]
) -> None:
    played.script = {("now", "step_cost: sam"): 0.22}
    status, printed = told(capsys, "--only", "step_cost", "--backends", "torch")
    assert status == 1
    assert "SLOWER: torch, step_cost: sam" in printed
    assert "1 rows are not slower" in printed
    assert "1.100 (1.100 to 1.100), 1.100 (1.100 to 1.100) by the clock, 13 rounds" in printed
    assert played.started == ["torch, before", "torch, now"] * 2


def test_a_tolerance_of_its_own(played: type[Played], capsys: pytest.CaptureFixture[str]) -> None:
    played.script = {("now", "step_cost: sam"): 0.22}
    asked = ("--only", "step_cost", "--backends", "torch")
    assert told(capsys, *asked, "--tolerance", "0.5")[0] == 0


def test_a_row_that_was_not_there_before_is_new(
    played: type[Played], capsys: pytest.CaptureFixture[str]
) -> None:
    played.script = {("before", "step_cost: sam"): "TypeError: no such option\nthe rest"}
    status, printed = told(capsys, "--only", "step_cost", "--backends", "torch")
    assert status == 0
    assert "not there before (TypeError: no such option), 0 s" in printed
    assert "NEW: torch, step_cost: sam" in printed


def test_a_row_that_fails_now_is_not_passed_over(
    played: type[Played], capsys: pytest.CaptureFixture[str]
) -> None:
    sides = ("before", "now")
    played.script = {(side, "step_cost: sam"): "ValueError: wrong" for side in sides}
    status, printed = told(capsys, "--only", "step_cost", "--backends", "torch")
    assert status == 1
    assert "FAILED: torch, step_cost: sam" in printed


def test_outcomes_are_kept_below_those_of_earlier_checks(
    played: type[Played], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "new" / "outcomes.json"
    asked = ("--only", "step_cost", "--backends", "torch", "--record", str(path))
    played.script = {("now", "step_cost: sam"): 0.22, ("before", "step_cost: ccsam"): "no"}
    told(capsys, *asked, "--plant", "0.1")
    found = record.load(path)["rows"]
    assert [(r["row"], r["measurement"], r["verdict"]) for r in found] == [
        ("step_cost: ccsam", 1, "new"),
        ("step_cost: sam", 1, "slower"),
        ("step_cost: sam", 2, "slower"),
    ]
    assert [found[1][name] for name in ("cpu_ratio", "ratio_high", "rounds")] == [1.1, 1.1, 13]
    assert [found[1][name] for name in ("backend", "same", "plant")] == ["torch", True, 0.1]
    assert "ratio" not in found[0]
    assert len(list(path.parent.iterdir())) == 1
    path.write_text(path.read_text().replace(found[0]["began"], "earlier"))
    told(capsys, *asked)
    assert len(record.load(path)["rows"]) == 3 + 3


def test_what_was_measured_before_an_interrupt_is_kept(
    played: type[Played], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "outcomes.json"
    played.script = {("before", "step_cost: sam"): KeyboardInterrupt}
    asked = ("--only", "step_cost", "--backends", "torch", "--record", str(path))
    assert check.main(["--against", "HEAD", *asked]) == 130
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [row["row"] for row in record.load(path)["rows"]] == ["step_cost: ccsam"]
    assert played.ended == [KeyboardInterrupt] * 2  # they are not waited for


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"key": ["batch"]}', None])
def test_a_file_of_something_else_is_not_written_to(
    played: type[Played],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    content: str | None,
) -> None:
    path = tmp_path / "other.json"
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(SystemExit):
        told(capsys, "--record", str(path))
    assert f"--record: {path} holds no outcomes" in capsys.readouterr().err
    assert content is None or path.read_text() == content


def test_unknown_rows_and_revisions_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        check.main(["--only", "no_such"])
    assert "there are pipeline, decoding" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        check.main(["--tolerance", "0"])
    assert "--tolerance must be above 0" in capsys.readouterr().err
    for revision in ("no-such-revision", "HEAD:README.md"):
        with pytest.raises(SystemExit):
            check.main(["--against", revision])
        assert "--against: " in capsys.readouterr().err


def test_rows_are_named_once_and_know_their_backends() -> None:
    names = [workload.name for workload in WORKLOADS]
    assert len(names) == len(set(names))
    assert all(set(workload.backends) <= set(BACKENDS) for workload in WORKLOADS)


def test_copies_hold_the_package_of_each_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / revisions.PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("before = True\n")
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", "-C", str(tmp_path)]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "First"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    monkeypatch.setattr(revisions, "ROOT", tmp_path)
    revision = revisions.forked_from()
    assert revisions.named(revision).endswith(", First")
    with revisions.copies(revision) as (before, now):
        assert revisions.equal(before, now)
        (package / "__init__.py").write_text("before = False\n")  # comes too late for the copy
        assert "True" in (now / revisions.PACKAGE / "__init__.py").read_text()
    with revisions.copies(revision) as (before, now):
        assert not revisions.equal(before, now)
        assert "True" in (before / revisions.PACKAGE / "__init__.py").read_text()
        assert len(str(before)) == len(str(now))
    assert not before.exists()
    (package / "new.py").write_text("")
    with revisions.copies(revision) as (before, now):
        assert not revisions.equal(before, now)


@pytest.mark.slow
def test_a_worker_does_the_work_of_its_folder(tmp_path: Path) -> None:
    """A package that only knows how to wait, beside the benchmarks of this one."""
    package = tmp_path / revisions.PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("")
    command = [sys.executable, str(pairs.WORKER), str(tmp_path)]
    values = environment(f"keras-{keras.backend.backend()}", 1)
    with Asked("now", [*command, "0.5"], values) as own:
        assert own.hear() == {"device": record.device()}
        assert "error" in own.ask(make="landscape: small_cnn")  # no such module here
        assert "error" in own.ask(turn=1, core=None)
        assert "error" in own.ask(make="no such row")
    with (
        Asked("no package", [*command[:-1], str(tmp_path / "none")], values) as other,
        pytest.raises(RuntimeError, match="is wanted"),
    ):
        other.hear()


def test_a_planted_share_is_in_both_times() -> None:
    def work(units: int) -> None:
        until = time.process_time() + 0.01 * units
        while time.process_time() < until:
            pass

    took = worker.turn(work, 3, None, 0.5)
    assert took["processor_seconds"] >= 0.045
    assert took["seconds"] >= 0.044
    assert worker.turn(work, 3, None, 0.0)["processor_seconds"] < 0.045
