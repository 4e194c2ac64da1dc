"""Has anything got slower than at a revision? Both do the same work, side by side, on this machine.

    python benchmarks/check.py [--against REVISION] [--only step_cost] [--backends torch jax]
        [--tolerance 0.10] [--rounds 100] [--plant 0.10] [--record FILE]

The package as it was at the revision (by default where this branch left `main`) and as it is in the
working tree each have a process per backend. These take turns of some hundredths of a second until
it is clear of each row of `side_by_side/workloads.py` whether it has got slower. No recorded result
is asked: the ratio of two different works depends on the processor's caches and on the libraries,
that of one work to itself does not. `side_by_side/judgement.py` says how it is judged and how often
that errs. `--plant 0.10` makes all work of now longer by a tenth, to see that this is found.
`--record FILE` keeps each measurement, as JSON, below those of earlier checks.

Exit status: 1 if something got slower or failed, 130 after Ctrl-C, else 0. Rows that could not be
decided, that the revision cannot do, and backends that are not installed are named.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.side_by_side import judgement, revisions
from benchmarks.side_by_side.judgement import FAILED, NEW, NOT_SLOWER, SLOWER, UNDECIDED
from benchmarks.side_by_side.outcomes import Outcomes
from benchmarks.side_by_side.pair import Measured, NewRow, Pair, RowFailed
from benchmarks.side_by_side.workloads import BACKENDS, WORKLOADS


class Check:
    """What was found so far.

    Args:
        folders: the package before and now.
        tolerance: the growth that is to be found.
        rounds: of one measurement of a row, at most.
        plant: see `Pair`.
        outcomes: where each measurement is kept.

    Attributes:
        found: what each kind of answer was given for.
    """

    def __init__(
        self,
        folders: tuple[Path, Path],
        tolerance: float,
        rounds: int,
        plant: float,
        outcomes: Outcomes,
    ) -> None:
        self._folders, self._rounds, self._plant = folders, rounds, plant
        self._outcomes = outcomes
        self._lines = judgement.lines(tolerance)
        self.found: dict[str, list[str]] = {kind: [] for kind in judgement.KINDS}

    def backend(self, backend: str, names: Sequence[str]) -> None:
        """Compares rows, and in new processes again those that are slower."""
        print(backend, flush=True)
        verdicts: dict[str, list[str]] = {name: [] for name in names}
        while verdicts:
            if any(verdicts.values()):
                print("  once more, in new processes:", flush=True)
            with Pair(*self._folders, backend, self._plant) as pair:
                for name, own in verdicts.items():
                    began = time.monotonic()
                    kind, measured = self._measured(pair, name)
                    seconds = time.monotonic() - began
                    print(f", {seconds:.0f} s", flush=True)
                    own.append(kind)
                    self._outcomes.add(backend, name, len(own), kind, measured, seconds)
            for name, own in list(verdicts.items()):
                if kind := judgement.settled(own):
                    self.found[kind].append(f"{backend}, {name}")
                    del verdicts[name]

    def _measured(self, pair: Pair, name: str) -> tuple[str, Measured | None]:
        """What one measurement says; prints it."""
        measured = None
        try:
            measured = pair.compare(name, self._lines, self._rounds)
            said, kind = f"{measured.verdict}: {measured}", measured.verdict
        except NewRow as error:
            said, kind = f"not there before ({_first(error)})", NEW
        except RowFailed as error:
            said, kind = f"FAILED: {error}", FAILED
        print(f"  {name:44} {said}", end="")
        return kind, measured

    def summary(self) -> str:
        """How many rows are what, and which."""
        lines = [f"{len(self.found[NOT_SLOWER])} rows are not slower"]
        for kind in (NEW, UNDECIDED, FAILED, SLOWER):
            lines += [f"{kind.upper()}: {row}" for row in self.found[kind]]
        return "\n".join(lines)

    @property
    def bad(self) -> bool:
        """Whether something got slower or failed."""
        return bool(self.found[SLOWER] or self.found[FAILED])


def _first(error: Exception) -> str:
    return str(error).splitlines()[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares what is asked for; 1 if something got slower or failed, 130 after Ctrl-C."""
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        print("interrupted: the rows above were measured, the others were not", file=sys.stderr)
        return 130


def _main(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", help="a revision; by default where this branch left main")
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of rows' names")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--tolerance", type=float, default=0.10, help="growth that is found")
    parser.add_argument("--rounds", type=int, default=100, help="of a row, at most")
    parser.add_argument("--plant", type=float, default=0.0, help="growth that is put in")
    parser.add_argument("--record", metavar="FILE", help="keeps the outcomes, as JSON")
    options = parser.parse_args(arguments)
    asked = [w for w in WORKLOADS if w.name.startswith(tuple(options.only))]
    if not asked:
        known = ", ".join(dict.fromkeys(w.name.split(":")[0] for w in WORKLOADS))
        parser.error(f"--only: no row begins so; there are {known}")
    if not options.tolerance > 0:
        parser.error(f"--tolerance must be above 0. Received: {options.tolerance}")
    began = time.monotonic()
    try:
        revision = options.against or revisions.forked_from()
        named = revisions.named(revision)
        print(f"against {named}", flush=True)
    except revisions.UnknownRevision as error:
        parser.error(f"--against: {error}")
    with revisions.copies(revision) as folders:
        same = revisions.equal(*folders)
        if same:
            print("the package is the same: what is found slower is noise or was planted")
        try:
            outcomes = Outcomes(
                options.record,
                revision=named.split()[0],
                same=same,
                plant=options.plant,
                tolerance=options.tolerance,
            )
        except ValueError as error:
            parser.error(f"--record: {error}")
        check = Check(folders, options.tolerance, options.rounds, options.plant, outcomes)
        for backend in options.backends:
            names = [workload.name for workload in asked if backend in workload.backends]
            if importlib.util.find_spec(backend) is None:
                print(f"{backend}: not installed")
            elif names:
                check.backend(backend, names)
    print(check.summary())
    print(f"{'slower or failed' if check.bad else 'nothing got slower'}, ", end="")
    print(f"{time.monotonic() - began:.0f} s in all")
    return 1 if check.bad else 0


if __name__ == "__main__":
    sys.exit(main())
