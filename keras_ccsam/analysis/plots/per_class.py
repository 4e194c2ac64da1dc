"""Accuracy of each class as bars, beside its training images."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_ccsam.analysis.plots import canvas
from keras_ccsam.metrics import Report

GROUP_COLOURS = {"many": canvas.COLOURS[0], "medium": canvas.COLOURS[1], "few": canvas.COLOURS[3]}


def per_class(
    accuracies: Report | Sequence[float | None],
    class_counts: Sequence[int],
    path: canvas.PathLike,
    class_names: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
) -> Path:
    """Accuracy of each class as bars, its training images as a line on a logarithmic axis.

    Args:
        accuracies: One per class, None (drawn as a cross) for a class without test samples; or a
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
            "`accuracies` and `class_counts` must have one entry per class. "
            f"Received: {len(accuracies)} accuracies, {size} class counts"
        )
    names = canvas.names_of(class_names, size)
    order = np.argsort([-count for count in class_counts], kind="stable").tolist()
    colours = dict.fromkeys(range(size), canvas.COLOURS[4])
    for name, classes in (groups or {}).items():
        colours.update(dict.fromkeys(classes, GROUP_COLOURS.get(name, canvas.COLOURS[2])))
    few_classes = size <= canvas.NAMED_CLASSES
    drawing = canvas.figure(7.2 if few_classes else 10.0, 4.2)
    axes = drawing.subplots()
    values = 100 * np.array([accuracies[c] for c in order], dtype="float64")
    tested = np.isfinite(values)
    places = np.arange(size)
    bars = axes.bar(places, np.where(tested, values, 0.0), 0.8 if few_classes else 0.9, alpha=0.9)
    for bar, index in zip(bars, order, strict=True):
        bar.set_facecolor(colours[index])
    axes.plot(places[~tested], np.full((~tested).sum(), 1.8), "x", color=canvas.DARK, markersize=5)
    axes.set(ylim=(0, 100), xlim=(-0.7, size - 0.3), ylabel="accuracy (%), bars")
    canvas.class_ticks(axes.xaxis, [names[c] for c in order], "class, most frequent first")
    canvas.bare(axes)
    counts_axes = axes.twinx()
    # A class without images has no place on a logarithmic axis: it is drawn at the bottom.
    counts = np.maximum([class_counts[c] for c in order], 0.5)
    marker = "o" if few_classes else None
    counts_axes.plot(places, counts, color="white", linewidth=3.6)
    counts_axes.plot(places, counts, color=canvas.DARK, linewidth=1.5, marker=marker, markersize=4)
    decades = math.floor(math.log10(counts.min())), math.ceil(math.log10(counts.max() * 1.01))
    counts_axes.set(
        yscale="log", ylim=(10.0 ** decades[0], 10.0 ** decades[1]), ylabel="training images, line"
    )
    counts_axes.yaxis.set_major_formatter("{x:g}")
    counts_axes.spines["top"].set_visible(False)
    if groups:
        shown = [next(bars[order.index(c)] for c in classes) for classes in groups.values()]
        drawing.legend(shown, list(groups), loc="outside upper center", ncols=4, frameon=False)
    return canvas.save(drawing, path)
