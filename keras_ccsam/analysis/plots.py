"""PNG figures of a run: curves, accuracy by class, confusion matrix, comparison of methods.

Each function takes plain numbers or what this package makes of them, writes one file, whole or not
at all, and returns its path. Accuracies are fractions in 0..1 and are drawn in percent.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from keras_ccsam.analysis.figures import (
    COLOURS,
    DARK,
    GREY,
    HATCHES,
    NAMED_CLASSES,
    bare,
    class_ticks,
    figure,
    names_of,
    save,
)
from keras_ccsam.analysis.series import History, epoch_series
from keras_ccsam.metrics import Report

PathLike: TypeAlias = str | os.PathLike[str]

GROUP_COLOURS = {"many": COLOURS[0], "medium": COLOURS[1], "few": COLOURS[3]}


def curves(history: History, path: PathLike) -> Path:
    """Loss, accuracy and learning rate over epochs; validation is dashed.

    Args:
        history: A Keras history (`{"loss": [...], ...}`) or one record an epoch
            (`{"epoch": 1, "stage": 1, "loss": ...}`), in order; a record may lack values or hold
            None. Where the epochs start again, as those of a second stage do, they are counted
            on; a dotted line marks a change of `stage`. Of the names, those with "loss" or
            "accuracy" in them and `learning_rate` are drawn.
        path: The PNG to write.

    Raises:
        ValueError: Nothing to draw.
    """
    epochs, series, stage_starts = epoch_series(history)
    panels = {
        "loss": {k: v for k, v in series.items() if "loss" in k},
        "accuracy (%)": {k: 100 * v for k, v in series.items() if "accuracy" in k},
        "learning rate": {k: v for k, v in series.items() if k == "learning_rate"},
    }
    panels = {title: lines for title, lines in panels.items() if lines}
    if not panels:
        raise ValueError(
            "`history` must hold a loss or an accuracy for at least one epoch. "
            f"Received: history with {sorted(series)}"
        )
    drawing = figure(4.6 * len(panels) + 0.4, 3.9)
    for axes, (title, lines) in zip(
        np.atleast_1d(drawing.subplots(1, len(panels))), panels.items(), strict=True
    ):
        names = list(dict.fromkeys(name.removeprefix("val_") for name in lines))
        for name, values in lines.items():
            known = np.isfinite(values)
            axes.plot(
                epochs[known],
                values[known],
                color=COLOURS[names.index(name.removeprefix("val_")) % len(COLOURS)],
                linestyle="--" if name.startswith("val_") else "-",
                marker="o" if known.sum() <= 12 else None,
                markersize=3.5,
                label=name.replace("val_", "validation ").replace("_", " "),
            )
        for start in stage_starts:
            axes.axvline(start, color=GREY, linewidth=1, linestyle=":")
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        bare(axes)
        if title != "learning rate":
            axes.legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=8, frameon=False
            )
        elif all((values[np.isfinite(values)] > 0).all() for values in lines.values()):
            axes.set_yscale("log")
    return save(drawing, path)


def per_class(
    accuracies: Report | Sequence[float | None],
    class_counts: Sequence[int],
    path: PathLike,
    class_names: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
) -> Path:
    """Accuracy of each class as bars, its training images as a line on a logarithmic axis.

    Args:
        accuracies: One a class, None (drawn as a cross) for a class without test samples; or a
            report, which also brings the groups.
        class_counts: Training images of each class; classes are drawn in descending order of it.
        path: The PNG to write.
        class_names: Names of the classes, shown where there are at most 20.
        groups: Group name to classes, as `metrics.group_classes` returns them: colours the bars.

    Raises:
        ValueError: Lists of different lengths, or of none.
    """
    if isinstance(accuracies, Report):
        groups = accuracies.group_classes if groups is None else groups
        accuracies = accuracies.per_class
    size = len(class_counts)
    if len(accuracies) != size or not size:
        raise ValueError(
            "`accuracies` and `class_counts` must have one entry a class. "
            f"Received: {len(accuracies)} accuracies, {size} class counts"
        )
    names = names_of(class_names, size)
    order = np.argsort([-count for count in class_counts], kind="stable").tolist()
    colours = dict.fromkeys(range(size), COLOURS[4])
    for name, classes in (groups or {}).items():
        colours.update(dict.fromkeys(classes, GROUP_COLOURS.get(name, COLOURS[2])))
    few_classes = size <= NAMED_CLASSES
    drawing = figure(7.2 if few_classes else 10.0, 4.2)
    axes = drawing.subplots()
    values = 100 * np.array([accuracies[c] for c in order], dtype="float64")
    tested = np.isfinite(values)
    places = np.arange(size)
    bars = axes.bar(places, np.where(tested, values, 0.0), 0.8 if few_classes else 0.9, alpha=0.9)
    for bar, index in zip(bars, order, strict=True):
        bar.set_facecolor(colours[index])
    axes.plot(places[~tested], np.full((~tested).sum(), 1.8), "x", color=DARK, markersize=5)
    axes.set(ylim=(0, 100), xlim=(-0.7, size - 0.3), ylabel="accuracy (%), bars")
    class_ticks(axes.xaxis, [names[c] for c in order], "class, most frequent first")
    bare(axes)
    counts_axes = axes.twinx()
    # A class without images has no place on a logarithmic axis: it is drawn at the bottom.
    counts = np.maximum([class_counts[c] for c in order], 0.5)
    marker = "o" if few_classes else None
    counts_axes.plot(places, counts, color="white", linewidth=3.6)
    counts_axes.plot(places, counts, color=DARK, linewidth=1.5, marker=marker, markersize=4)
    decades = math.floor(math.log10(counts.min())), math.ceil(math.log10(counts.max() * 1.01))
    counts_axes.set(
        yscale="log", ylim=(10.0 ** decades[0], 10.0 ** decades[1]), ylabel="training images, line"
    )
    counts_axes.yaxis.set_major_formatter("{x:g}")
    counts_axes.spines["top"].set_visible(False)
    if groups:
        shown = [next(bars[order.index(c)] for c in classes) for classes in groups.values()]
        drawing.legend(shown, list(groups), loc="outside upper center", ncols=4, frameon=False)
    return save(drawing, path)


def confusion(matrix: Any, path: PathLike, class_names: Sequence[str] | None = None) -> Path:
    """Confusion matrix, each row in percent of its class.

    Args:
        matrix: (C, C) samples, row = label, column = prediction; or a report.
        path: The PNG to write.
        class_names: Names of the classes, shown where there are at most 20.

    Raises:
        ValueError: A matrix that is not square.
    """
    counts = np.asarray(matrix.confusion if isinstance(matrix, Report) else matrix, "float64")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"`matrix` must be square. Received: matrix with shape {counts.shape}")
    size = len(counts)
    names = names_of(class_names, size)
    totals = counts.sum(axis=1, keepdims=True)
    share = 100 * np.divide(counts, totals, where=totals > 0, out=np.full_like(counts, np.nan))
    few_classes = size <= NAMED_CLASSES
    side = max(4.2, 1.6 + 0.45 * size) if few_classes else 8.0
    drawing = figure(side + 1.1, side)
    axes = drawing.subplots()
    from matplotlib.colors import PowerNorm

    # Of many classes the single errors are small: the root makes them visible.
    scale = PowerNorm(1.0 if few_classes else 0.5, vmin=0, vmax=100)
    image = axes.imshow(share, cmap="Blues", norm=scale)
    class_ticks(axes.xaxis, names, "predicted class")
    class_ticks(axes.yaxis, names, "true class")
    bare(axes, grid=False)
    bar = drawing.colorbar(image, ax=axes, shrink=0.8, label="% of the true class")
    bar.set_ticks([0, 20, 40, 60, 80, 100] if few_classes else [0, 1, 5, 10, 20, 40, 60, 80, 100])
    if few_classes:
        for row, column in np.argwhere(np.nan_to_num(share) >= 0.5).tolist():
            value = share[row, column]
            colour = "white" if value > 55 else DARK
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour
            )
    return save(drawing, path)


def comparison(
    rows: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    path: PathLike,
    columns: Sequence[str] = ("many", "medium", "few", "overall"),
) -> Path:
    """Accuracy of several methods side by side, in groups of classes, with error bars.

    Args:
        rows: One mapping a method, or a comparison's `to_dict()`. Each has the method's name
            under "recipe" or "method" and, under a column's name, an accuracy, a pair (mean,
            standard deviation) or `{"mean": ..., "std": ...}`. What is missing or None is left
            open.
        path: The PNG to write.
        columns: What to draw, in this order; a column that no method has is left out.

    Raises:
        ValueError: No accuracy to draw.
    """
    rows = rows["rows"] if isinstance(rows, Mapping) else rows
    found = [{c: _mean_std(row.get(c)) for c in columns} for row in rows]
    shown = [c for c in columns if any(pairs[c] is not None for pairs in found)]
    if not shown:
        raise ValueError(
            f"`rows` must hold at least one method with one of {', '.join(columns)}. "
            f"Received: {len(rows)} rows with {sorted({key for row in rows for key in row})}"
        )
    drawing = figure(min(max(6.0, 1.6 + 0.42 * len(rows) * len(shown)), 16.0), 4.2)
    axes = drawing.subplots()
    width = 0.84 / len(rows)
    upright = len(rows) > 6
    top = 0.0
    for index, (row, pairs) in enumerate(zip(rows, found, strict=True)):
        known = [(place, pair) for place, c in enumerate(shown) if (pair := pairs[c]) is not None]
        places = [place + (index - (len(rows) - 1) / 2) * width for place, _ in known]
        means = [100 * mean for _, (mean, _) in known]
        spreads = [100 * std for _, (_, std) in known]
        axes.bar(
            places,
            means,
            0.92 * width,
            yerr=spreads if any(spreads) else None,
            error_kw={"elinewidth": 1.1, "ecolor": DARK, "capsize": 2.5},
            color=COLOURS[index % len(COLOURS)],
            hatch=HATCHES[index // len(COLOURS) % len(HATCHES)],
            edgecolor="white",
            linewidth=0.5,
            label=str(row.get("recipe", row.get("method", index))),
        )
        for place, mean, spread in zip(places, means, spreads, strict=True):
            top = max(top, mean + spread)
            axes.annotate(
                f"{mean:.1f}",
                (place, mean + spread),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7,
                rotation=90 if upright else 0,
            )
    axes.set(xticks=range(len(shown)), xticklabels=shown, ylabel="accuracy (%)")
    axes.set(ylim=(0, (1.14 if upright else 1.08) * top + 1), xlim=(-0.55, len(shown) - 0.45))
    bare(axes)
    drawing.legend(loc="outside lower center", ncols=min(len(rows), 6), fontsize=8, frameon=False)
    return save(drawing, path)


def _mean_std(value: Any) -> tuple[float, float] | None:
    """A number, a pair, or `{"mean", "std"}` as (mean, standard deviation)."""
    if isinstance(value, Mapping):
        value = (value.get("mean"), value.get("std"))
    mean, std = value if isinstance(value, (tuple, list)) else (value, None)
    if mean is None or not math.isfinite(mean):
        return None
    return float(mean), float(std or 0.0)
