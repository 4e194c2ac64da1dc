"""The page of a report: its heading, and the sections on each data set."""

import datetime
import importlib.metadata
import json
from collections.abc import Sequence
from typing import Any

from keras_ccsam.analysis.report.blocks import Points, Section
from keras_ccsam.analysis.report.page import Page, Part
from keras_ccsam.callbacks.metrics_log import finite
from keras_ccsam.comparison.comparison import summary
from keras_ccsam.reporting import sections
from keras_ccsam.reporting.found_runs import Runs
from keras_ccsam.reporting.wording import plural, seeds_text

FORMAT = 1

_NUMBERS = 250_000
"""Letters of the numbers for programs, at most with those of every class."""


def make(everything: Sequence[Runs], notes: Sequence[str], title: str | None, command: str) -> Page:
    """Put the page together.

    Args:
        everything: the runs on each data set.
        notes: what was left out and why.
        title: the heading; the data by default.
        command: what made the page.
    """
    parts = [_part(runs) for runs in everything]
    if notes:
        left_out = Section("left-out", "Left out", "", [Points([("", note) for note in notes])])
        first = parts[0]
        parts[0] = Part(first.id, first.title, [*first.sections, left_out])
    runs = [run for group in everything for run in group.all]
    names = list(dict.fromkeys(m.name for group in everything for m in group.methods))
    on = " and ".join(dict.fromkeys(group.name for group in everything))
    subtitle = f"{plural(len(names), 'method')} trained on a long tail, and what was found"
    made = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    facts = [
        ("Methods", str(len(names))),
        ("Runs", str(len(runs))),
        ("Seeds", " / ".join(dict.fromkeys(seeds_text(group) for group in everything))),
        ("Backend", ", ".join(sorted({str(r.environment.get("backend", "?")) for r in runs}))),
        ("Written", made),
        ("By", f"keras-ccsam {_version()}"),
    ]
    if command:
        facts.append(("Command", command))
    return Page(
        title or on,
        subtitle,
        facts,
        parts,
        _light(finite(_numbers(everything))),
    )


def _part(runs: Runs) -> Part:
    made = [found for section in sections.SECTIONS if (found := section(runs)) is not None]
    return Part(runs.id, runs.name, made)


def _numbers(everything: Sequence[Runs]) -> dict[str, Any]:
    """The numbers of the tables, for programs."""
    return {
        "kind": "report",
        "format": FORMAT,
        "data": [
            {
                "name": runs.name,
                "class_names": runs.class_names,
                "class_counts": runs.class_counts,
                "group_classes": runs.group_classes,
                "methods": [
                    {
                        "name": method.name,
                        "seeds": list(method.seeds),
                        "overall": summary(method.values("test", "overall")),
                        "balanced": summary(method.values("test", "balanced")),
                        "ece": summary(method.values("test", "ece")),
                        "groups": {
                            name: summary(method.values("test", "groups", name))
                            for name in runs.group_classes
                        },
                        "per_class": [run.test["per_class"] for run in method.runs],
                    }
                    for method in runs.methods
                ],
            }
            for runs in everything
        ],
    }


def _light(numbers: dict[str, Any]) -> dict[str, Any]:
    """Without the accuracies of every class, where there are too many for one page."""
    if len(json.dumps(numbers)) > _NUMBERS:
        for data in numbers["data"]:
            for method in data["methods"]:
                method["per_class"] = None
    return numbers


def _version() -> str:
    try:
        return importlib.metadata.version("keras-ccsam")
    except importlib.metadata.PackageNotFoundError:
        return "from source"
