"""The tables of the appendix's other figures and of `auto`, as the commands recorded them."""

import statistics
from typing import Any

from benchmarks import record
from benchmarks.tables import markdown

_COLUMNS = {"ours": "overall", "many": "many", "medium": "medium", "few": "few"}


def figure1() -> str:
    """Test accuracy on the digits over the perturbation scale, in percent."""
    content: dict[str, Any] = record.load(record.RESULTS / "figure1-digits.json")
    rows = [
        (row["label"].removeprefix("r = "), *(_mean_std(row[c]["values"]) for c in _COLUMNS))
        for row in content["rows"]
    ]
    return markdown(("r", *_COLUMNS.values()), rows, left=1)


def figure3() -> str:
    """The bound of the head class after the last epoch of stage 1, on the digits."""
    content: dict[str, Any] = record.load(record.RESULTS / "figure3-digits.json")
    (seeds,) = content["figure"]["seeds"].values()
    columns = {
        "training loss": 1.0,
        "test loss": 1.0,
        "bound (16)": 1.0,
        "square-root term": 1.0,
        "below": 100.0,
    }
    cells = [_mean_std([factor * seed[c] for seed in seeds]) for c, factor in columns.items()]
    heads = ("training error", "test error", "bound (16)", "square-root term")
    return markdown((*heads, "% of epochs with the term below 1"), [cells], left=0)


def auto_choice() -> str:
    """Balanced accuracies of what `ccsam auto` chose among, in percent with standard errors."""
    content: dict[str, Any] = record.load(record.RESULTS / "auto_choice.json")
    parts = {name: content[name]["rows"] for name in ("validation", "test")}
    order = sorted(parts["test"], key=lambda name: -parts["test"][name]["balanced"])
    rows = []
    for name in order:
        shown = f"`{name}`, which was chosen" if name == content["chosen"] else f"`{name}`"
        cells = (found[name] for found in parts.values())
        rows.append(
            (shown, *(f"{100 * c['balanced']:.1f} ± {100 * c['error']:.1f}" for c in cells))
        )
    return markdown(("recipe", *parts), rows)


def auto_weighing() -> str:
    """Points by which a choice falls short of the best recipe, by what it was made by."""
    content: dict[str, Any] = record.load(record.RESULTS / "auto_weighing.json")
    rules = {"images": "by the images alone", "papers": "by papers alone", "both": "by both"}
    rows = [
        (f"{row['validation']}", *(f"{100 * row[rule]:.2f}" for rule in rules))
        for row in content["rows"]
    ]
    return markdown(("validation images", *rules.values()), rows)


def _mean_std(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"
