"""What can be wrong with the run and the files of a command line, known before Keras is imported.

As in `early`, of which this is the part that begins with a run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from . import light


def is_complete(run: str) -> bool:
    """Whether a run has come to its end."""
    try:
        told = json.loads((Path(run) / "state.json").read_text(encoding="utf-8"))
        return isinstance(told, dict) and told.get("status") == "complete"
    except (OSError, ValueError):
        return False


def begun_with(run: str, requested: str | None) -> tuple[str | None, bool]:
    """The backend that an interrupted run goes on with, and whether it is deterministic.

    Args:
        run: its folder.
        requested: the value of `--backend`, which goes first.

    Raises:
        ValueError: the folder is no run directory.
    """
    check_run(run)
    try:
        told = json.loads((Path(run) / "environment.json").read_text(encoding="utf-8"))
        found = told.get("backend")
    except (OSError, ValueError, AttributeError):
        return requested, False
    return requested or (found if isinstance(found, str) else None), bool(told.get("deterministic"))


def check_resumed(run: str) -> None:
    """Refuse a run that another process trains, or that nothing may be written into.

    The processes of one training pass: the first of them takes the folder when all are there.

    Raises:
        ValueError: the first that holds.
    """
    if not light.imported():
        folders = light.library("runs.folders")
        folders.require_idle(Path(run))
        folders.require_open(Path(run))


def check_run(run: str) -> None:
    """Refuse a folder that no run was written into.

    Raises:
        ValueError: it is no run directory.
    """
    if not light.imported():
        folders = light.library("runs.folders")
        folders.require_run(folders.named(run, "run"))


def check_moved(data: str | None) -> None:
    """Refuse a place of a run's images that has nothing.

    Raises:
        ValueError: nothing is there.
    """
    if data is not None:
        light.library("runs.folders").require_there(data)


def check_export(run: str, format_name: str, out: str | None, force: bool) -> None:
    """Refuse what is no run, an unknown format or one that nothing writes here, and a taken file.

    Raises:
        ValueError: the first that is wrong.
    """
    check_run(run)
    if light.imported():
        return
    chosen = light.library("deployment.formats").find(format_name)
    chosen.route()
    target = Path(run) / "export" / chosen.default_name if out is None else Path(out)
    if target.exists() and not force:
        raise ValueError(
            "this exists already and is not overwritten; name another file, or say --force. "
            f"Received: --out={target}"
        )


def check_predict(run: str, file: str | None, force: bool) -> None:
    """Refuse what is neither a run nor a file, and an output that cannot be written.

    Raises:
        ValueError: the first that is wrong.
    """
    if not Path(run).is_file():
        check_run(run)
    if file is None:
        return
    path = Path(file)
    if path.suffix not in (".csv", ".jsonl"):
        raise ValueError(f"--output is a .csv or a .jsonl file. Received: --output={file}")
    if path.exists() and not force:
        raise ValueError(
            "this exists already and is not overwritten; name another file, or say --force. "
            f"Received: --output={file}"
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(f"there is no such folder to write into. Received: --output={file}")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise ValueError(
            "nothing may be written into this folder; name a file elsewhere. "
            f"Received: --output={file}"
        )


def check_evaluate(file: str | None, data: str | None, kind: str | None) -> None:
    """Refuse a path of which there is nothing, a kind of none, and two kinds of images at once.

    Raises:
        ValueError: the first that is wrong.
    """
    if data is None:
        if kind is not None:
            raise ValueError(f"--kind says what --data holds. Received: --kind={kind} without it")
        return
    if file is not None:
        raise ValueError(
            "of --data and --arrays only one may be given. "
            f"Received: --data={data} and --arrays={file}"
        )
    if light.imported():
        return
    sources = light.library("data.sources.recognise")
    if kind is None:
        sources.recognise(data)
    elif kind not in sources.KINDS:
        hint = light.library("hints").did_you_mean(kind, sources.KINDS) or "."
        raise ValueError(
            f"what a path holds is one of {', '.join(sources.KINDS)}{hint} Received: --kind={kind}"
        )


def check_report(runs: Iterable[str], out: str | None, surface: bool) -> None:
    """Refuse runs that do not exist, a folder as the file, and what is not installed.

    Raises:
        ValueError: the first that is wrong.
    """
    for run in runs:
        if not Path(run).is_dir():
            raise ValueError(
                "a report is made of runs, or of folders of runs; there is no such folder. "
                f"Received: run={run!r}"
            )
    if out is not None and Path(out).is_dir():
        raise ValueError(f"a report is a file, and this is a folder. Received: --out={out}")
    if not light.imported():
        light.library("reporting.extra").require_packages(surface)
