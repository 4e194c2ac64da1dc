"""Runs that are killed in each phase and gone on with: is what they leave what it would be?

For each method a run of the digits is trained without an interruption. Then runs of the same recipe
are trained in processes that get a SIGKILL at a random moment of a phase that is chosen: before the
first step, in M2m's helper, in a step, while a state or the network is written, between the stages,
in the second stage, in the evaluation, after the results. Each is gone on with, and killed again,
until it is complete, and so on until so many kills are survived. What the runs leave is compared
with the first one's; the largest difference is written down, and it is 0.0 (kills.py).

    KERAS_BACKEND=torch python benchmarks/faults.py [--methods ccsam gcl ...] [--kills 20]
    python benchmarks/faults.py --kills 0  # print what was found so far

Writes kills-<backend>.json after each run, and goes on where that stops. Then the files of a
finished run and its states are damaged, one at a time, and read (injected.py, damage.json). Prints
these figures of all backends, the inputs that were fuzzed (tests/fuzz writes fuzz.json) and what
saving costs (saving.py); exit status 1 where anything differs or goes unnoticed.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import injected, kills, record


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


def figures(folder: Path) -> list[str]:
    """What was found so far, on each backend: kills survived, inputs fuzzed, anything lost, costs.

    Args:
        folder: of the files of results.
    """
    lines, lost = [], 0
    for path in sorted(folder.glob("kills-*.json")):
        found = record.load(path)
        lines.append(f"{found['backend']}: runs that got a SIGKILL and were gone on with")
        for row in found["rows"]:
            lost += row["difference"] != 0.0
            phases = ", ".join(f"{count} {name}" for name, count in sorted(row["phases"].items()))
            said = f"{row['kills']:3} kills, difference {row['difference']}"
            lines.append(f"  {row['method']:14} {said}: {phases}")
    damaged = record.load(folder / "damage.json")["rows"]
    for row in damaged:
        lost += row["faults"] - row["noticed"]
        lines.append(f"{row['faults']:6} x {row['fault']}: {row['noticed']} noticed")
    fuzzed = record.load(folder / "fuzz.json")
    inputs = sum(row["inputs"] for row in fuzzed["rows"])
    lines.append(f"{inputs:6} inputs fuzzed; tests of readers that failed: {fuzzed.get('failed')}")
    lines.append(f"lost or unnoticed: {lost or 'nothing'}")
    for path in sorted(folder.glob("saving-*.json")):
        found = record.load(path)
        costs = (f"{row['network']} {100 * row['share']:.3f} %" for row in found["rows"])
        lines.append(f"saving every 5 min costs, {found['backend']}: {', '.join(costs)}")
    return lines


def main() -> None:
    """Measure, write, and say whether anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=kills.METHODS)
    parser.add_argument("--kills", type=int, default=20, help="of each method; 0: print alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=record.RESULTS)
    options = parser.parse_args()
    out = Path(options.out)
    if options.kills:
        backend = os.environ["KERAS_BACKEND"]
        path = record.results_file(f"kills-{backend}", folder=out)
        killed(backend, options.methods, options.kills, options.seed, path)
        record.save(out / "damage.json", injected.measured(), ("fault",), backend)
    print("\n".join(figures(out)))
    rows = [row for path in out.glob("kills-*.json") for row in record.load(path)["rows"]]
    damage = record.load(out / "damage.json")["rows"]
    whole = all(row["difference"] == 0.0 for row in rows)
    sys.exit(not whole or any(row["noticed"] < row["faults"] for row in damage))


if __name__ == "__main__":
    main()
