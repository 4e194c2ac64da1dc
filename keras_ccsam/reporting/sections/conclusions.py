"""In words: what the numbers show, and what they cannot show."""

import math

from keras_ccsam.analysis.report.blocks import Cell, Column, Points, Section, Table
from keras_ccsam.reporting.found_runs import Method, Runs
from keras_ccsam.reporting.wording import MINUS, NONE, mean, plural, verdict


def section(runs: Runs) -> Section:
    """Differences that are larger than the spread, and the limits of all of them."""
    blocks: list[Points | Table] = []
    found = _found(runs)
    if found:
        blocks.append(Points(found))
    if len(runs.methods) > 1:
        blocks.append(_differences(runs))
    blocks.append(Points(_limits(runs)))
    return Section(
        f"conclusions{runs.id}",
        "What follows, and what does not",
        "A difference is called larger than the spread where it exceeds what two single runs of "
        "the two methods differ by anyhow: the root of the sum of both variances over seeds. That "
        "is a description of these runs, not a test of significance."
        if len(runs.methods) > 1
        else "",
        blocks,
    )


def _found(runs: Runs) -> list[tuple[str, str]]:
    """For every column of interest the best mean, and how far it is from the others."""
    if len(runs.methods) < 2:
        return []
    columns: dict[str, tuple[str, ...]] = {"Overall.": ("test", "overall")}
    if "few" in runs.group_classes:
        columns["Few images."] = ("test", "groups", "few")
    columns["Calibration."] = ("test", "ece")
    return [(word, text) for word, keys in columns.items() if (text := _ranked(runs, keys))]


def _ranked(runs: Runs, keys: tuple[str, ...]) -> str:
    lowest = keys[-1] == "ece"
    means = [(m, mean(m.values(*keys))) for m in runs.methods]
    known = [(method, value) for method, value in means if value is not None]
    if len(known) < 2:
        return ""
    pick = min if lowest else max
    best, top = pick(known, key=lambda pair: pair[1])
    what = "lowest calibration error (ECE)" if lowest else "highest mean"
    parts: dict[str, list[str]] = {}
    for method, value in known:
        if method is best:
            continue
        judged = verdict(best.values(*keys), method.values(*keys))
        if judged is not None:
            size = f"{method.name} by {abs(100 * (top - value)):.2f}"
            parts.setdefault(judged[1], []).append(size)
    sentence = f"{best.name} has the {what}, {100 * top:.2f} %."
    if parts.get("larger than the spread"):
        sentence += f" Larger than the spread: {_listed(parts['larger than the spread'])}."
    if parts.get("within the spread"):
        names = _listed(parts["within the spread"])
        sentence += f" Within the spread, so undecided here: {names}."
    if parts.get("one seed"):
        names = _listed(parts["one seed"])
        sentence += f" Of one seed, so its spread is not known: {names}."
    if parts.get("none"):
        sentence += f" The same: {_listed([p.rpartition(' by ')[0] for p in parts['none']])}."
    return sentence


def _differences(runs: Runs) -> Table:
    reference = runs.methods[0]
    columns: list[tuple[str, tuple[str, ...]]] = [("overall", ("test", "overall"))]
    columns += [(name, ("test", "groups", name)) for name in runs.group_classes]
    rows = []
    for method in runs.methods[1:]:
        row = [Cell(method.name)]
        for _, keys in columns:
            judged = verdict(method.values(*keys), reference.values(*keys))
            if judged is None:
                row.append(Cell(NONE, value="nan"))
                continue
            size, words = judged
            row.append(
                Cell(
                    f"{100 * size:+.2f}".replace("-", MINUS),
                    100 * size,
                    {"within the spread": " within"}.get(words, ""),
                    best=words == "larger than the spread",
                    note=words,
                )
            )
        rows.append(row)
    return Table(
        [Column(f"less {reference.name}", numeric=False), *(Column(name) for name, _ in columns)],
        rows,
        f"Difference of mean test accuracy to {reference.name}, in points. Bold: larger than the "
        "spread; within: no larger than it.",
    )


def _limits(runs: Runs) -> list[tuple[str, str]]:
    methods = runs.methods
    points = [("Seeds.", _seeds(runs))]
    tests = runs.test_samples
    overall = mean(methods[0].values("test", "overall")) or 0.0
    error = 100 * math.sqrt(overall * (1 - overall) / max(sum(tests), 1))
    text = (
        f"There are {sum(tests)} test images, so one of them is {100 / max(sum(tests), 1):.2g} "
        f"points of the overall accuracy, and drawing another test set would move it by about "
        f"{error:.1f} points (one standard error). Seeds do not show that."
    )
    few = runs.group_classes.get("few")
    if few:
        size = sum(tests[c] for c in few)
        train = sum(runs.class_counts[c] for c in few)
        text += (
            f" The {plural(len(few), 'class', 'classes')} with few images have {size} test images "
            f"and {train} training images between them."
        )
    points.append(("Data.", text))
    points.append(
        (
            "Which epoch.",
            "All numbers are of the last epoch. No epoch was chosen by its test accuracy, as many "
            "papers do; their numbers are higher for it.",
        )
    )
    lengths = _lengths(methods)
    if lengths:
        points.append(("Training.", lengths))
    machines = _machines(runs)
    if machines:
        points.append(("Machines.", machines))
    points.append(
        (
            "Scope.",
            f"The numbers are of {runs.name} with these networks and settings. Other data, other "
            "imbalance or longer training may rank the methods otherwise.",
        )
    )
    return points


def _seeds(runs: Runs) -> str:
    sets = {method.seeds for method in runs.methods}
    single = [method.name for method in runs.methods if len(method.runs) == 1]
    same = "They change the weights, the batches and the augmentation; the training images are the "
    same += "same in all runs, so another draw of the long tail is not in the spread."
    if len(single) == len(runs.methods):
        differ = " Methods do not even share it." if len(sets) > 1 else ""
        return (
            "Each method has one seed. A difference between two methods may be the seed's; nothing "
            f"here shows that it is not.{differ} Train with more: --seeds 3."
        )
    text = same
    if single:
        text += f" One seed only: {', '.join(single)}; their spread is not known."
    if len(sets) > 1:
        text += " Methods have different seeds, so their means are not over the same ones."
    fewest = min(len(m.runs) for m in runs.methods if len(m.runs) > 1)
    if fewest < 5:
        text += f" A standard deviation of {fewest} seeds is itself uncertain."
    return text


def _lengths(methods: tuple[Method, ...]) -> str:
    found: dict[tuple[int, int], list[str]] = {}
    for method in methods:
        epochs = method.first.results.get("epochs", {})
        key = (int(epochs.get("stage1", 0)), int(epochs.get("stage2", 0)))
        found.setdefault(key, []).append(method.name)
    if len(found) < 2:
        return ""
    parts = [
        f"{', '.join(names)}: {first} epochs" + (f" and {second} of stage 2" if second else "")
        for (first, second), names in found.items()
    ]
    return f"The methods do not train equally long. {'; '.join(parts)}."


def _machines(runs: Runs) -> str:
    keys = ("backend", "device", "platform", "cpu_count")
    places = {tuple(str(run.environment.get(k)) for k in keys) for run in runs.all}
    if len(places) < 2:
        return ""
    return (
        "The runs are from different backends, devices or machines: their times cannot be "
        "compared, and their accuracies differ by rounding, too."
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names)
