"""Where the runs were made, with what, and by which commands."""

from typing import Any

from keras_ccsam.analysis.report.blocks import Block, Cell, Code, Column, Details, Section, Table
from keras_ccsam.reporting.found_runs import FoundRun, Runs
from keras_ccsam.reporting.wording import NONE


def section(runs: Runs) -> Section:
    """The commands, the versions, and the list of runs."""
    blocks: list[Block] = [
        Code("\n".join(runs.commands), "The commands that made the runs"),
        _table(runs),
        Details("The runs", [_runs(runs)]),
    ]
    return Section(
        f"environment{runs.id}",
        "Commands and environment",
        "The commands that trained these runs, and what they ran on.",
        blocks,
    )


def _table(runs: Runs) -> Table:
    """One column per environment that differs from the others."""
    places: dict[str, tuple[dict[str, str], list[FoundRun]]] = {}
    for run in runs.all:
        facts = _facts(run.environment)
        places.setdefault(repr(facts), (facts, []))[1].append(run)
    found = list(places.values())
    keys = list(dict.fromkeys(key for facts, _ in found for key in facts))
    columns = [Column("", numeric=False)]
    columns += [
        Column(f"{len(members)} of the runs" if len(found) > 1 else "all runs", numeric=False)
        for _, members in found
    ]
    rows = [[Cell(key), *(Cell(facts.get(key, NONE)) for facts, _ in found)] for key in keys]
    return Table(columns, rows, "Versions, machine and revision that the runs recorded.")


def _facts(environment: dict[str, Any]) -> dict[str, str]:
    facts = {
        key.replace("_", " "): str(environment[key])
        for key in ("backend", "device", "python", "platform", "cpu_count")
        if key in environment
    }
    facts |= {name: str(version) for name, version in environment.get("packages", {}).items()}
    git = environment.get("git")
    if git:
        changed = ", with changes that are not in it" if git.get("modified") else ""
        facts["git revision"] = f"{str(git.get('revision', ''))[:12]}{changed}"
    return facts


def _runs(runs: Runs) -> Table:
    columns = [
        Column("run", numeric=False),
        Column("method", numeric=False),
        Column("seed"),
        Column("overall (%)"),
        Column("parameters"),
        Column("epochs", numeric=False),
        Column("seconds"),
        Column("digest", numeric=False),
    ]
    rows = []
    for method in runs.methods:
        for run in method.runs:
            epochs, seconds = run.results.get("epochs", {}), run.results.get("seconds", {})
            took = float(sum(v for v in seconds.values() if v))
            overall = 100 * float(run.test["overall"])
            size = run.results.get("parameters")
            rows.append(
                [
                    Cell(run.path.name, note=str(run.path)),
                    Cell(method.name),
                    Cell(str(run.seed), run.seed),
                    Cell(f"{overall:.2f}", overall),
                    Cell(NONE, "nan") if size is None else Cell(str(size), size),
                    Cell(f"{epochs.get('stage1', 0)} + {epochs.get('stage2', 0)}"),
                    Cell(f"{took:.1f}", took),
                    Cell(str(run.results.get("digest", ""))[:12]),
                ]
            )
    return Table(
        columns,
        rows,
        "Epochs of stage 1 and stage 2; seconds are those of the training steps alone. A first "
        "stage that was taken over from another run counts with its own time.",
        scroll=len(rows) > 16,
    )
