"""What can be wrong with a command line and is known before Keras is imported.

An error should not take the seconds of that import. The library checks all of this again, in the
same words: they stand once, in files of the library that need the standard library alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from . import light


def check_recipes(
    names: Iterable[str], data: str | None = None, settings: Iterable[str] = ()
) -> None:
    """Refuse unknown recipes, unreadable recipe files, unknown data and malformed `--set`.

    Args:
        names: recipes or TOML files.
        data: the value of `--data`, or None.
        settings: the values of `--set`.

    Raises:
        ValueError: the first that is wrong.
    """
    if light.imported():
        return
    known, toml = light.library("recipes.known"), light.library("recipes.toml")
    for name in names:
        path = known.user_file(name)
        if path is not None:
            toml.parse(known.read(path), str(path))
    if data is not None and not known.is_own_data(data):
        known.check("data", data, "settings")
    for text in settings:
        toml.assignment(text)


def check_table(name: str | None, scale: str) -> None:
    """Refuse an unknown table of `ccsam reproduce`, or an unknown scale.

    Raises:
        ValueError: with the closest name.
    """
    if name is None or light.imported():
        return
    light.library("recipes.known").check("table", name, "tables")
    light.library("reproduction.scales").check_scale(scale)


def check_trackers(names: Iterable[str]) -> None:
    """Refuse unknown trackers, and those that are not installed.

    Raises:
        ValueError: with the closest name, or with what to install.
    """
    light.library("trackers.known").check(names)


def check_out(out: str | None, kind: str | None = None) -> None:
    """Refuse an output folder that is not free.

    Args:
        out: the value of `--out`, or None.
        kind: what the folder may already be: `"comparison"` or `"reproduction"`.

    Raises:
        ValueError: it holds anything else.
    """
    if out is None or light.imported():
        return
    folders = light.library("runs.folders")
    path = Path(out)
    if kind is None or folders.kind_of(path) != kind:
        folders.require_free(path)


def check_run(run: str) -> None:
    """Refuse a folder that no run was written into.

    Raises:
        ValueError: it is no run directory.
    """
    if not light.imported():
        light.library("runs.folders").require_run(Path(run))


def check_report(runs: Iterable[str], surface: bool) -> None:
    """Refuse folders that do not exist, and a report without the packages that draw it.

    Raises:
        ValueError: the first that is wrong.
    """
    for run in runs:
        if not Path(run).is_dir():
            raise ValueError(
                "a report is made of runs, or of folders of runs; there is no such folder. "
                f"Received: run={run!r}"
            )
    if not light.imported():
        light.library("reporting.extra").require_packages(surface)
