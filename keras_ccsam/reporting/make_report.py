"""From runs to one HTML file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_ccsam import atomic
from keras_ccsam.analysis.representation import Method as Projection
from keras_ccsam.reporting.extra import require_packages
from keras_ccsam.runs.folders import PathLike, require_writable

NAME = "report.html"


def report(
    paths: Sequence[PathLike],
    out: PathLike | None = None,
    *,
    title: str | None = None,
    surface: bool = False,
    predictions: bool = True,
    projection: Projection = "pca",
    data: PathLike | None = None,
    trust_code: bool = False,
    command: str = "",
    say: Callable[[str], None] | None = None,
) -> Path:
    """Write a report on finished runs.

    Args:
        paths: runs, or folders of runs: a comparison's or a reproduction's.
        out: the file; `report.html` in the one folder that was named, or in the working folder
            where there are several. An earlier report is replaced, any other file is not.
        title: the heading.
        surface: show 2-D landscapes as surfaces that can be turned, too. The file then holds a copy
            of plotly.js, of several megabytes.
        predictions: predict the test set of each run that has no `analysis/predictions.json` yet;
            calibration and representation are made of it.
        projection: of the features, see `representation.project`.
        data, trust_code: as in `runs.open_run`, for the predictions.
        command: what the page says it was made by.
        say: told of what takes time, and of what is left out.

    Returns:
        The file. Without surfaces it is smaller than 1 MB: of many runs the heaviest figures and
        tables are cut short, and say so.

    Raises:
        ValueError: a path without a finished run, a file that is no report, a folder that nothing
            may be written into, or a package of the extra `report` is not installed.
    """
    require_packages(surface)
    from keras_ccsam.analysis.report import budget
    from keras_ccsam.reporting import gathering, whole_page
    from keras_ccsam.reporting.wording import plural

    target = Path(out) if out is not None else default_file(paths)
    check_file(target)
    require_writable(target.parent, "name a file elsewhere (--out)")
    found, others = gathering.find(paths)
    tell = say or (lambda _: None)
    notes = [f"Left out, because unfinished or damaged: {', '.join(others)}."] if others else []
    if predictions:
        notes += _predict(found, projection, data, trust_code, tell)
    damaged = gathering.unreadable(found)
    notes += [f"Left out, because they cannot be read: {', '.join(damaged)}."] if damaged else []
    for note in notes:
        tell(note)
    page = whole_page.make(gathering.gather(found, surface), notes, title, command)
    if not surface:
        page, short = budget.within(page)
        if short:
            tell(
                f"to keep the page below 1 MB, {plural(short, 'part')} of it had to be cut short; "
                "each says what it lacks, and a report on fewer runs shows everything"
            )
    html = page.html()
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(target, html)
    return target


def default_file(paths: Sequence[PathLike]) -> Path:
    """`report.html` in the only folder, or in the working folder."""
    return (Path(paths[0]) if len(paths) == 1 else Path()) / NAME


def check_file(target: Path) -> None:
    """Refuse to replace a file that is no report.

    Raises:
        ValueError: it is something else.
    """
    if not target.exists():
        return
    from keras_ccsam.analysis.report.page import GENERATOR

    if target.is_file():
        with target.open("rb") as file:
            if f'<meta name="generator" content="{GENERATOR}">'.encode() in file.read(4096):
                return
    raise ValueError(
        "there is something else already, and only an earlier report is replaced; name another "
        f"file. Received: out={str(target)!r}"
    )


def _predict(
    found: Sequence[Any],
    projection: Projection,
    data: PathLike | None,
    trust_code: bool,
    tell: Callable[[str], None],
) -> list[str]:
    """Predict what is not there yet; a run that cannot be predicted is named with its reason."""
    from keras_ccsam.reporting.predictions import predict, predicted
    from keras_ccsam.reporting.wording import plural
    from keras_ccsam.runs.compiled_programs import programs_of

    missing = [run for run in found if predicted(run.directory.analysis) is None]
    failed: dict[str, list[str]] = {}
    if missing:
        once = plural(len(missing), "run")
        tell(f"the test set of {once} is predicted; that is kept in each run's analysis folder")
    for run in missing:
        try:
            with programs_of(run.path):
                predict(run.path, projection=projection, data=data, trust_code=trust_code)
        except (ValueError, OSError) as error:
            reason = " ".join(str(error).split())
            failed.setdefault(reason, []).append(run.path.name)
    return [
        f"Not predicted, so without calibration and representation: {', '.join(names)}: {reason}"
        for reason, names in failed.items()
    ]
