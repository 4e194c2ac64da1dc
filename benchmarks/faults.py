"""Runs that are killed in each phase and gone on with: is what they leave what it would be?

For each method a run of the digits is trained without an interruption. Then runs of the same recipe
are trained in processes that get a SIGKILL at a random moment of a phase that is chosen: before the
first step, in M2m's helper, in a step, while a state or the network is written, between the stages,
in the second stage, in the evaluation, after the results. Each is gone on with, and killed again,
until it is complete, and so on until so many kills are survived. What the runs leave is compared
with the first one's; the largest difference is written down, and it is 0.0 (kills.py).

    KERAS_BACKEND=torch python benchmarks/faults.py [--methods ccsam gcl ...] [--kills 20]

Writes benchmarks/results/kills-<backend>.json after each run, and goes on where that stops; exit
status 1 where anything differs.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import kills, record


def killed(backend: str, methods: list[str], wanted: int, seed: int, path: Path) -> None:
    """Kill runs of each method until there are as many kills as wanted, and write them down."""
    for method in methods:
        rows = {row["method"]: row for row in record.load(path)["rows"]}
        row = rows.get(method, {})
        if row.get("kills", 0) < wanted:
            kills.survived(
                method,
                wanted,
                seed,
                {key: value for key, value in row.items() if key not in ("date", "threads")},
                lambda row: record.save(path, [row], ("method",), backend),
            )


def main() -> None:
    """Measure, write, and say whether anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=kills.METHODS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=record.RESULTS)
    options = parser.parse_args()
    backend = os.environ["KERAS_BACKEND"]
    path = record.results_file(f"kills-{backend}", folder=options.out)
    killed(backend, options.methods, options.kills, options.seed, path)
    rows = record.load(path)["rows"]
    for row in rows:
        counted = ", ".join(f"{count} {phase}" for phase, count in sorted(row["phases"].items()))
        print(
            f"{row['method']:14} {row['kills']:3} kills, difference {row['difference']}: {counted}"
        )
    sys.exit(any(row["difference"] != 0.0 for row in rows))


if __name__ == "__main__":
    main()
