"""Accuracy over the one number that the methods differ in, such as r."""

from collections.abc import Sequence

from keras_ccsam.analysis.report.blocks import Figure, Key, Section
from keras_ccsam.analysis.report.line_chart import Line, line_chart
from keras_ccsam.analysis.report.svg import series_class
from keras_ccsam.reporting.found_runs import Method, Runs, flattened
from keras_ccsam.reporting.sections.recipes import NOT_COMPARED
from keras_ccsam.reporting.wording import known, mean

FEWEST = 3
_PANELS = {
    "overall": (("test", "overall"), ("validation", "overall")),
    "mean of the classes": (("test", "balanced"), ("validation", "balanced")),
    "few": (("test", "groups", "few"), ("validation", "groups", "few")),
}


def section(runs: Runs) -> Section | None:
    """Nothing, unless three methods or more differ in one number alone."""
    key = swept(runs)
    if key is None:
        return None
    values = [float(flattened(method.first.recipe)[key]) for method in runs.methods]
    order = sorted(range(len(values)), key=values.__getitem__)
    methods = [runs.methods[index] for index in order]
    places = [values[index] for index in order]
    log = min(places) > 0 and max(places) > 20 * min(places)
    panels = []
    for title, kinds in _PANELS.items():
        lines = [
            line
            for series, (name, keys) in enumerate(zip(("test", "validation"), kinds, strict=True))
            if (line := _line(name, methods, places, keys, series)) is not None
        ]
        if lines:
            panels.append(line_chart(title, lines, key, "accuracy (%)", log_x=log))
    words = [
        k for k in ("test", "validation") if any(known(m.values(k, "overall")) for m in methods)
    ]
    keys = [Key(word, series_class(("test", "validation").index(word))) for word in words]
    several = any(len(method.runs) > 1 for method in methods)
    band = " The band is from the lowest to the highest seed." if several else " One seed each."
    return Section(
        f"sweep{runs.id}",
        f"Over {key.rpartition('.')[2]}",
        f"The methods differ in {key} alone. {_preferred(methods, places)}",
        [Figure(panels, f"Accuracy in percent, mean over seeds.{band}", keys, runs.command)],
    )


def swept(runs: Runs) -> str | None:
    """The one setting that the methods differ in, where it is a number; None otherwise."""
    flat = [flattened(method.first.recipe) for method in runs.methods]
    names = {key for values in flat for key in values} - set(NOT_COMPARED)
    apart = [key for key in names if len({repr(values.get(key)) for values in flat}) > 1]
    if len(flat) < FEWEST or len(apart) != 1:
        return None
    values = [each.get(apart[0]) for each in flat]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return apart[0] if numbers and len(set(values)) == len(values) else None


def _line(
    name: str, methods: Sequence[Method], places: Sequence[float], keys: Sequence[str], series: int
) -> Line | None:
    found = [
        (place, [100 * v for v in known(method.values(*keys))])
        for place, method in zip(places, methods, strict=True)
    ]
    found = [(place, values) for place, values in found if values]
    if not found:
        return None
    return Line(
        name,
        [place for place, _ in found],
        [sum(values) / len(values) for _, values in found],
        [min(values) for _, values in found],
        [max(values) for _, values in found],
        series,
        dashed=series > 0,
    )


def _preferred(methods: Sequence[Method], places: Sequence[float]) -> str:
    """Which value the validation split prefers; the test set is not asked."""
    means = [mean(method.values("validation", "balanced")) for method in methods]
    numbers = [
        (value, place) for value, place in zip(means, places, strict=True) if value is not None
    ]
    if len(numbers) < len(places):
        return "There is no validation split, and the test set is none to choose by."
    best = max(value for value, _ in numbers)
    chosen = ", ".join(f"{place:g}" for value, place in numbers if value == best)
    return (
        f"By the mean accuracy of the classes on the validation split the best is {chosen}; the "
        "test set took no part in that."
    )
