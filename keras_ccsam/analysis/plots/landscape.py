"""Landscapes: planes as filled contours, lines as curves; several models on one scale."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_ccsam.analysis.landscapes.result import Landscape, so_many_classes
from keras_ccsam.analysis.plots import canvas
from keras_ccsam.analysis.plots.canvas import COLOURS, DARK, GREY, PathLike, bare, figure, literal

GROUPS = ("overall", "head", "tail")
STAR = "#E8112D"
_LEVELS = 28
_LEAST = 1e-3
"""Losses below are drawn alike: a network that is sure of every sample has almost none."""

Quantity = Literal["loss", "accuracy"]


def landscape(
    found: Landscape | Mapping[str, Landscape],
    path: PathLike,
    *,
    groups: Sequence[str | int] = GROUPS,
    quantity: Quantity = "loss",
    scale_of: Sequence[Landscape] = (),
) -> Path:
    """A row of panels for each model, a column for each group of classes; a star is the model.

    All panels have one scale: of a plane the colours, logarithmic for the loss; of lines the
    vertical axis. Of lines the mean over the directions is drawn, with a band from the least to the
    most. What the samples, the directions and BatchNorm were stands below.

    Args:
        found: a landscape, or several by name; all planes or all lines.
        path: the PNG to write.
        groups: what the columns show; those without samples are left out.
        quantity: `"loss"` (default) or `"accuracy"`.
        scale_of: more landscapes that the scale must hold, for pictures that belong together.

    Raises:
        ValueError: nothing to draw, an unknown quantity, or planes beside lines.
    """
    rows = {"": found} if isinstance(found, Landscape) else dict(found)
    if quantity not in ("loss", "accuracy"):
        raise ValueError(
            f"`quantity` must be 'loss' or 'accuracy'. Received: quantity={quantity!r}"
        )
    kinds = {each.dimensions for each in (*rows.values(), *scale_of)}
    if not rows or len(kinds) != 1:
        raise ValueError(
            "`found` must hold landscapes of one kind, planes or lines. "
            f"Received: found with dimensions {sorted(kinds)}"
        )
    shown = [g for g in groups if any(_has(each, g) for each in rows.values())]
    if not shown:
        raise ValueError(f"No group has a sample. Received: groups={tuple(groups)}")
    low, high = _range([*rows.values(), *scale_of], shown, quantity)
    plane = kinds == {2}
    drawing = figure(3.5 * len(shown) + (1.1 if plane else 0.4), 3.3 * len(rows) + 0.9)
    grid = np.asarray(drawing.subplots(len(rows), len(shown), squeeze=False))
    last = None
    for row, (name, each) in enumerate(rows.items()):
        for column, group in enumerate(shown):
            axes = grid[row, column]
            if not _has(each, group):
                axes.set_axis_off()
                continue
            if plane:
                last = _plane(axes, each, group, quantity, low, high)
            else:
                _lines(axes, each, group, quantity, low, high)
            axes.set_title(_title(each, group), fontsize=9)
            if row < len(rows) - 1:
                axes.set_xlabel("")
            if column:
                axes.set_ylabel("")
            elif name:
                axes.annotate(
                    literal(name),
                    (0, 0.5),
                    xytext=(-52, 0),
                    xycoords="axes fraction",
                    textcoords="offset points",
                    rotation=90,
                    ha="center",
                    va="center",
                    fontsize=11,
                    fontweight="bold",
                )
    if last is not None:
        label = "cross-entropy" if quantity == "loss" else "accuracy (%)"
        bar = drawing.colorbar(last, ax=list(grid.flat), shrink=min(1.0, 0.9), label=label)
        bar.ax.minorticks_off()
        if quantity == "loss":
            ticks = _ticks(low, high)
            bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    drawing.supxlabel(_below(list(rows.values())), fontsize=7.5, color=GREY)
    return canvas.save(drawing, path)


def _has(each: Landscape, group: str | int) -> bool:
    if isinstance(group, str) and group not in ("overall", "head", "tail", *each.groups):
        return False
    return bool(each.count[list(each.classes(group))].sum())


def _values(each: Landscape, group: str | int, quantity: Quantity) -> np.ndarray:
    if quantity == "accuracy":
        return 100 * each.accuracy(group)
    return np.maximum(each.loss(group), _LEAST)


def _range(
    found: Sequence[Landscape], groups: Sequence[str | int], quantity: Quantity
) -> tuple[float, float]:
    """The least and the largest value of all panels."""
    if quantity == "accuracy":
        return 0.0, 100.0
    parts = [_values(each, g, quantity).ravel() for each in found for g in groups if _has(each, g)]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    if not len(values):
        return _LEAST, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > 1.01 * low else (low / 1.1, 1.1 * high)


def _plane(
    axes: Any, each: Landscape, group: str | int, quantity: Quantity, low: float, high: float
) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    loss = quantity == "loss"
    levels = np.geomspace(low, high, _LEVELS) if loss else np.linspace(low, high, 21)
    # Rounding must not leave the extremes out.
    values = np.ma.masked_invalid(_values(each, group, quantity)).clip(levels[0], levels[-1])
    norm = LogNorm(low, high) if loss else Normalize(low, high)
    first, second = each.steps
    axes.set_facecolor("#D9D9D9")  # where the network overflows
    drawn = axes.contourf(first, second, values.T, levels=levels, norm=norm, cmap="viridis")
    axes.contour(
        first, second, values.T, levels=levels[::3], colors="white", linewidths=0.4, alpha=0.6
    )
    if each.path is not None:
        axes.plot(*each.path[:, :2].T, color="white", linewidth=1.2, marker="o", markersize=2)
    axes.plot(0, 0, marker="*", markersize=13, color=STAR, markeredgecolor="white", linewidth=0)
    names = _axis_names(each)
    axes.set_xlabel(names[0], fontsize=8)
    axes.set_ylabel(names[1], fontsize=8)
    axes.set_aspect("equal" if each.path is None else "auto")
    axes.tick_params(labelsize=7)
    return drawn


def _lines(
    axes: Any, each: Landscape, group: str | int, quantity: Quantity, low: float, high: float
) -> None:
    values = _values(each, group, quantity)
    values = np.where(np.isfinite(values), values, np.nan)
    steps, middle = each.steps[0], len(each.steps[0]) // 2
    known = np.isfinite(values).all(axis=0)
    mean = np.where(known, values.sum(axis=0) / len(values), np.nan)
    axes.fill_between(
        steps, values.min(axis=0), values.max(axis=0), color=COLOURS[0], alpha=0.25, linewidth=0
    )
    axes.plot(steps, mean, color=COLOURS[0])
    axes.plot(0, mean[middle], marker="*", markersize=11, color=STAR, markeredgecolor="white")
    axes.set(ylim=(low, high))
    axes.set_xlabel("step, in norms of the weights", fontsize=8)
    axes.set_ylabel("cross-entropy" if quantity == "loss" else "accuracy (%)", fontsize=8)
    if quantity == "loss":
        axes.set_yscale("log")
    bare(axes)
    axes.tick_params(labelsize=7, colors=DARK)


def _title(each: Landscape, group: str | int) -> str:
    if isinstance(group, str) and group in ("overall", *each.groups):
        return f"{group}: {so_many_classes(len(each.classes(group)))}"
    label = each.classes(group)[0]
    which = f"{group}: " if isinstance(group, str) else ""
    return f"{which}class {literal(each.class_names[label])} (n = {each.class_counts[label]})"


def _axis_names(each: Landscape) -> tuple[str, str]:
    shares = each.about.get("explained_variance")
    if shares:
        return tuple(  # type: ignore[return-value]
            f"principal direction {i + 1} ({100 * s:.0f} % of the variance)"
            for i, s in enumerate(shares[:2])
        )
    return "step along direction 1, in norms of the weights", "step along direction 2"


def _below(found: Sequence[Landscape]) -> str:
    """What the picture is of; what differs between models is left out."""
    parts = []
    for make in (_samples, _directions, lambda each: str(each.about.get("batch_norm", ""))):
        texts = list(dict.fromkeys(make(each) for each in found))
        parts.append(texts[0] if len(texts) == 1 else " / ".join(texts))
    return "; ".join(part for part in parts if part)


def _samples(each: Landscape) -> str:
    number, of = each.about.get("samples"), each.about.get("samples_of")
    split = each.about.get("split")
    which = f"{'training' if split == 'train' else split} " if split else ""
    return f"{number} {which}samples" + (f" of {of}" if of != number else "")


def _directions(each: Landscape) -> str:
    kind, seed = each.about.get("directions"), each.about.get("seed")
    if kind == "pca":
        return "the plane of the training's path"
    words = {"none": "unscaled", "uniform": "uniform, filter-normalised"}
    text = words.get(str(kind), f"{kind}-normalised")
    return f"{text} directions" + ("" if seed is None else f", seed {seed}")


def _ticks(low: float, high: float) -> list[float]:
    """Ones, twos and fives that lie within; the ends where there are too few."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    found = [d * 10.0**p for p in powers for d in (1, 2, 5) if low <= d * 10.0**p <= high]
    if len(found) > 9:
        found = [10.0**p for p in powers if low <= 10.0**p <= high]
    return found if len(found) >= 2 else [float(f"{low:.2g}"), float(f"{high:.2g}")]
