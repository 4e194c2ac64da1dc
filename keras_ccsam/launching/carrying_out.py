"""Runs carried out by a launcher: who waits for whom, who is tried again, and what is said."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from keras_ccsam import stopping
from keras_ccsam.duration import duration
from keras_ccsam.launching.job import Job, Outcome
from keras_ccsam.launching.launcher import Launcher, Task
from keras_ccsam.runs.run_directory import RunDirectory

Say = Callable[[str], None]


@dataclasses.dataclass
class _Entry:
    """A run that is not done."""

    job: Job
    number: int
    tries: int = 0
    task: Task | None = None


def carry_out(
    jobs: Sequence[Job],
    launcher: Launcher,
    folder: Path,
    say: Say,
    ended: Callable[[Job, Outcome], str] = lambda job, outcome: "",
    meanwhile: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Execute runs, those that take over another one's first stage after that one.

    A run that fails ends no other one. Where it was to lend its first stage, the first of those
    that wait for it trains its own, and lends that; no number changes. Where it diverged in that
    stage, so would they: none of them is begun.

    Args:
        jobs: in the order in which they are begun.
        launcher: that executes them.
        folder: for the launcher's own files.
        say: prints a line.
        ended: told of each run that has ended for good; returns what to say of one that is
            complete.
        meanwhile: called again and again while runs go on.

    Returns:
        Why runs are missing, by their names.

    Raises:
        stopping.Stopped: that was asked for. What ran has saved, or runs on where its launcher
            outlives this process.
        ValueError: as `Launcher.open`.
    """
    if not jobs:
        return {}
    work = _Work(jobs, launcher, say, ended)
    say(f"{len(jobs)} run{'s' * (len(jobs) != 1)}: {launcher.open(len(jobs), folder)}")
    try:
        while work.waiting or work.running:
            if (signal := stopping.requested()) is not None:
                raise work.stopped(signal)
            work.look()
            work.begin()
            meanwhile()
            if work.running:
                time.sleep(launcher.pause)
    finally:
        launcher.close()
    return work.missing


class _Work:
    """What waits, what runs and what is missing."""

    def __init__(
        self,
        jobs: Sequence[Job],
        launcher: Launcher,
        say: Say,
        ended: Callable[[Job, Outcome], str],
    ) -> None:
        self.waiting = [_Entry(job, number) for number, job in enumerate(jobs, start=1)]
        self.running: list[_Entry] = []
        self.missing: dict[str, str] = {}
        self.count = len(jobs)
        self._launcher = launcher
        self._say = say
        self._ended = ended

    def begin(self) -> None:
        """Begin what can be begun: nobody waits for a run that is not there yet."""
        for entry in list(self.waiting):
            unfinished = {other.job.path for other in (*self.waiting, *self.running)}
            if entry.job.stage1_from in unfinished:
                continue
            if not self._launcher.room(len(self.running)):
                return
            entry.task = self._launcher.submit(entry.job)
            self.waiting.remove(entry)
            self.running.append(entry)
            where = entry.task.where()
            again = ", once more" if entry.tries else ""
            self._tell(entry, f"begun{again}" + (f", {where}" if where else ""))

    def look(self) -> None:
        """See what has ended, and how."""
        for entry in list(self.running):
            if entry.task is not None and entry.task.done():
                self.running.remove(entry)
                self._end(entry, entry.task.outcome())

    def stopped(self, signal: str) -> stopping.Stopped:
        """Let what runs save; return what is raised."""
        names = ", ".join(entry.task.where() for entry in self.running if entry.task)
        where = ""
        if self._launcher.outlives:
            where = f"what was submitted goes on: {names}" if names else ""
        elif self.running:
            self._say(f"{signal}: {len(self.running)} runs end their step and save")
            for entry in self.running:
                if entry.task is not None:
                    entry.task.stop()
            while not all(entry.task is None or entry.task.done() for entry in self.running):
                time.sleep(self._launcher.pause)
            where = f"{len(self.running)} runs have saved"
        found = stopping.Stopped(signal, where)
        some = [*self.running, *self.waiting]
        found.run = some[0].job.path if some else ""
        return found

    def _end(self, entry: _Entry, outcome: Outcome) -> None:
        if outcome.status == "complete":
            words = self._ended(entry.job, outcome)
            took = f"done in {duration(outcome.seconds)}"
            self._tell(entry, f"{took}{': ' if words else ''}{words}")
            return
        if outcome.worth_another_try and entry.tries < self._launcher.retries:
            self._tell(entry, f"{outcome.status}, {outcome.reason}")
            entry.tries += 1
            self.waiting.insert(0, entry)
            return
        self.missing[entry.job.name] = outcome.reason
        self._tell(entry, f"{outcome.status}: {outcome.reason} (see {entry.job.log})")
        self._ended(entry.job, outcome)
        self._let_another_lend(entry.job, outcome)

    def _let_another_lend(self, lost: Job, outcome: Outcome) -> None:
        """See to those that wait for the first stage of a run that has come to no end."""
        others = [entry for entry in self.waiting if entry.job.stage1_from == lost.path]
        if outcome.diverged and not RunDirectory(lost.path).stage1_file.is_file():
            words = f"{FloatingPointError.__name__}: its first stage is that of {lost.name}, "
            for entry in others:  # it would be the same, to the last bit
                self.waiting.remove(entry)
                self._end(entry, Outcome("failed", words + f"which diverged: {outcome.reason}"))
            return
        for place, entry in enumerate(others):
            lender = None if place == 0 else others[0].job.path
            entry.job = dataclasses.replace(entry.job, stage1_from=lender)

    def _tell(self, entry: _Entry, words: str) -> None:
        self._say(f"run {entry.number}/{self.count} {entry.job.name}: {words}")
