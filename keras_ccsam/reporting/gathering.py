"""Finding runs in folders, and putting them together by their data and by their method."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_ccsam.analysis.landscapes import Landscape
from keras_ccsam.manifest import Damaged
from keras_ccsam.recipes import toml
from keras_ccsam.reporting.found_runs import FoundRun, Method, Runs, flattened
from keras_ccsam.runs.folders import PathLike, is_set_aside, kind_of
from keras_ccsam.runs.run_directory import RunDirectory, read_json

DEPTH = 4
"""So many folders deep runs are looked for; a reproduction's are two deep."""


def find(paths: Sequence[PathLike]) -> tuple[list[FoundRun], list[str]]:
    """Read the runs below some folders.

    Args:
        paths: runs, or folders of runs: a comparison's or a reproduction's.

    Returns:
        The finished runs, in the order of their comparison, and a line for each other one.

    Raises:
        ValueError: a path without any run.
    """
    folders: dict[Path, None] = {}
    for path in map(Path, paths):
        below = list(_below(path))
        if not below:
            lack = "there is no run in it" if path.is_dir() else "there is no such folder"
            raise ValueError(
                f"a report is made of runs, or of folders of runs; {lack}. "
                f"Received: run={str(path)!r}"
            )
        folders |= dict.fromkeys(folder.absolute() for folder in below)
    found, others, harmed = [], [], False
    for folder in folders:
        directory = RunDirectory(folder)
        status = _status(directory)
        if status != "complete":
            state = {"running": "interrupted", "killed": "interrupted"}.get(status, status)
            others.append(f"{folder.name} ({state})")
            harmed = harmed or directory.status() == "damaged"
            continue
        try:
            found.append(_read(directory))
        except (ValueError, OSError) as error:
            harmed = harmed or isinstance(error, Damaged)
            # One of a hundred runs that is damaged must not cost the report on the others.
            others.append(f"{folder.name} ({' '.join(str(error).split())})")
    if not found:
        raise (Damaged if harmed else ValueError)(
            "no run is complete and whole, and a report is made of finished ones: "
            f"{', '.join(others)}. "
            f"Received: run={[str(path) for path in paths]}"
        )
    return found, others


def _status(directory: RunDirectory) -> str:
    status = directory.status()
    return "state.json cannot be read" if status == "damaged" else status


def _read(directory: RunDirectory) -> FoundRun:
    """A finished run.

    Raises:
        ValueError: a file of it is damaged, or of another version.
    """
    recipe = toml.parse(directory.recipe_text(), str(directory.recipe_file))
    results = directory.results()
    if not all(key in results for key in ("test", "class_counts", "class_names")):
        raise ValueError("results of another version")
    run = FoundRun(directory, recipe, results, directory.environment())
    _ = run.records
    return run


def unreadable(found: Sequence[FoundRun]) -> list[str]:
    """The files of the runs' `analysis` that are damaged, so that the page lacks them."""
    broken = []
    for run in found:
        folder = run.directory.analysis
        for path in sorted([*folder.glob("*.json"), *folder.glob("landscape*.npz")]):
            try:
                read_json(path) if path.suffix == ".json" else Landscape.load(path)
            except ValueError:
                broken.append(f"{run.path.name}/{folder.name}/{path.name}")
    return broken


def gather(found: Sequence[FoundRun], surface: bool = False) -> list[Runs]:
    """Put runs together by their data, and by what they differ in besides the seed."""
    by_data: dict[str, list[FoundRun]] = {}
    for run in found:
        by_data.setdefault(_data_key(run), []).append(run)
    several = len(by_data) > 1
    return [
        Runs(f"data-{n}" if several else "", _data_name(runs[0]), _methods(runs), surface)
        for n, runs in enumerate(by_data.values(), 1)
    ]


def _methods(runs: Sequence[FoundRun]) -> tuple[Method, ...]:
    by_recipe: dict[str, list[FoundRun]] = {}
    for run in runs:
        rest = {k: v for k, v in run.recipe.items() if k not in ("seed", "setting")}
        key = [run.environment.get("backend"), rest]
        by_recipe.setdefault(json.dumps(key, sort_keys=True, default=str), []).append(run)
    # The same recipe and seed twice are two runs of their own, not two seeds.
    columns: list[list[FoundRun]] = []
    for same in by_recipe.values():
        rounds: list[list[FoundRun]] = []
        for run in same:
            free = next((r for r in rounds if run.seed not in [o.seed for o in r]), None)
            rounds.append([run]) if free is None else free.append(run)
        columns += rounds
    columns = [sorted(runs, key=lambda run: run.seed) for runs in columns]
    names = _names([runs[0] for runs in columns])
    return tuple(Method(name, tuple(c)) for name, c in zip(names, columns, strict=True))


def _names(firsts: Sequence[FoundRun]) -> list[str]:
    """The recipes' names; of several alike each with what sets it apart."""
    plain = [str(run.recipe.get("name", run.path.name)) for run in firsts]
    named = []
    for name, run in zip(plain, firsts, strict=True):
        alike = [other for n, other in zip(plain, firsts, strict=True) if n == name]
        if len(alike) == 1:
            named.append(name)
            continue
        flat = [flattened(other.recipe) | _outer(other) for other in alike]
        own = flattened(run.recipe) | _outer(run)
        apart = [
            key
            for key in own
            if key != "seed" and len({repr(other.get(key)) for other in flat}) > 1
        ]
        words = ", ".join(f"{key.rpartition('.')[2]}={own[key]}" for key in apart[:3])
        named.append(f"{name} ({words or run.path.name})")
    if len(set(named)) < len(named):
        named = [
            f"{name} ({run.path.name})" if named.count(name) > 1 else name
            for name, run in zip(named, firsts, strict=True)
        ]
    return named


def _outer(run: FoundRun) -> dict[str, Any]:
    return {"backend": run.environment.get("backend")}


def _data_key(run: FoundRun) -> str:
    data = {k: v for k, v in run.recipe.get("data", {}).items() if k != "path"}
    key = [data, run.results["class_counts"], run.results["class_names"], run.test["group_classes"]]
    return json.dumps(key, sort_keys=True, default=str)


def _data_name(run: FoundRun) -> str:
    data = run.recipe.get("data", {})
    name = str(data.get("name", "data"))
    ratio = data.get("imbalance_ratio")
    cut = isinstance(ratio, int | float)
    return f"{name}, imbalance ratio {ratio:g}" if cut else name


def _below(path: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The runs in a folder and its folders; not those within a run, and not through links."""
    if (path / "recipe.toml").is_file():
        yield path
        return
    if not depth or not path.is_dir():
        return
    inner = [p for p in sorted(path.iterdir()) if p.is_dir() and not p.is_symlink()]
    inner = [p for p in inner if not p.name.startswith(".") and not is_set_aside(p)]
    for folder in sorted(inner, key=_order(path)):
        yield from _below(folder, depth - 1)


def _order(folder: Path) -> Any:
    """Sort by the rows of a comparison, where the folder is one."""
    rows: list[str] = []
    if kind_of(folder) == "comparison" and (folder / "comparison.json").is_file():
        try:
            rows = [str(row["recipe"]) for row in read_json(folder / "comparison.json")["rows"]]
        except (ValueError, KeyError, TypeError):
            rows = []
    places = {name: place for place, name in enumerate(rows)}
    return lambda path: (places.get(path.name.rpartition("-seed")[0], len(rows)), path.name)
