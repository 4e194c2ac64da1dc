"""Sharpness of one or several models: gaps, extreme eigenvalues, spectral density."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.analysis.plots import canvas
from keras_ccsam.analysis.plots.canvas import (
    COLOURS,
    DARK,
    GREY,
    NAMED_CLASSES,
    PathLike,
    bare,
    class_ticks,
    figure,
)


def sharpness(measured: Mapping[str, Mapping[str, Any]], path: PathLike) -> Path:
    """One-step gaps of groups and classes, the ends of the Hessian's spectrum, and its density.

    Args:
        measured: a model's name to what a `Sharpness`' `to_dict()` gives; of the same classes.
        path: The PNG to write.

    Raises:
        ValueError: No model, or models of different classes.
    """
    found = {name: [s for s in each["sets"] if s["samples"]] for name, each in measured.items()}
    classes = {tuple(each["class_names"]) for each in measured.values()}
    if len(classes) != 1:
        raise ValueError(
            "`measured` must hold one or more models of the same classes. "
            f"Received: measured={list(measured)}"
        )
    settings = next(iter(measured.values()))["settings"]
    with_hessian = any(s["hessian"] for sets in found.values() for s in sets)
    with_density = any(
        s["hessian"] and s["hessian"]["density"] for sets in found.values() for s in sets
    )
    panels = 2 + with_hessian + with_density
    rows = 2 if panels == 4 else 1
    drawing = figure(5.2 * panels / rows + 0.4, 4.4 * rows)
    axes = iter(np.ravel(drawing.subplots(rows, panels // rows)))
    _gap_bars(next(axes), found, settings)
    _gaps_by_count(next(axes), found, settings)
    if with_hessian:
        _eigenvalues(next(axes), found)
    if with_density:
        _density(next(axes), found)
    drawing.suptitle(
        f"{settings['weights_count']:,} weights ({settings['weights']}), cross-entropy of "
        f"{settings['samples']:,} samples, BatchNorm with its {settings['batch_norm']}",
        fontsize=8,
        color=DARK,
    )
    return canvas.save(drawing, path)


def _groups(sets: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [s for s in sets if s["kind"] != "class"]


def _gap_bars(axes: Any, found: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    width = 0.84 / len(found)
    names: list[str] = []
    for index, (name, sets) in enumerate(found.items()):
        groups = _groups(sets)
        names = [s["name"] for s in groups]
        places = np.arange(len(groups)) + (index - (len(found) - 1) / 2) * width
        axes.bar(
            places,
            [_number(s["gap_sam"]) for s in groups],
            0.92 * width,
            color=COLOURS[index % len(COLOURS)],
            label=name,
        )
    class_ticks(axes.xaxis, names, "")
    axes.set(title=f"gap within SAM's radius {settings['rho']:g}", ylabel="rise of the loss")
    bare(axes)
    _legend(axes, found)


def _gaps_by_count(axes: Any, found: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    for index, (name, sets) in enumerate(found.items()):
        own = [s for s in sets if s["kind"] == "class"]
        axes.plot(
            [max(s["training_images"], 0.5) for s in own],
            [_number(s["gap_characteristic"]) for s in own],
            "o",
            color=COLOURS[index % len(COLOURS)],
            markersize=4,
            label=name,
        )
    axes.set(
        title=f"gap of each class within CC-SAM's radius, r = {settings['radius_scale']:g}",
        xscale="log",
        xlabel="training images of the class",
        ylabel="rise of the loss",
    )
    axes.invert_xaxis()
    bare(axes)
    _legend(axes, found)


def _eigenvalues(axes: Any, found: Mapping[str, Any]) -> None:
    width = 0.84 / len(found)
    names: list[str] = []
    for index, (name, sets) in enumerate(found.items()):
        asked = [s for s in sets if s["hessian"]]
        # The head and the tail class are there already.
        chosen = asked if 8 < len(asked) <= NAMED_CLASSES else _groups(asked)
        names = [s["name"] for s in chosen]
        for place, each in enumerate(chosen):
            x = place + (index - (len(found) - 1) / 2) * width
            colour = COLOURS[index % len(COLOURS)]
            ends = {"^": "largest_eigenvalues", "v": "smallest_eigenvalues"}
            for marker, key in ends.items():
                values = each["hessian"][key]
                # A saddle's negative end stands out: filled, and in one colour for all models.
                saddle = marker == "v" and each["hessian"]["negative_curvature"]
                axes.plot(
                    [x] * len(values),
                    values,
                    marker,
                    color=COLOURS[3] if saddle else colour,
                    markerfacecolor=COLOURS[3] if saddle else "none",
                    markersize=5,
                    label=name if place == 0 and marker == "^" else None,
                )
    axes.axhline(0.0, color=GREY, linewidth=1)
    axes.set_yscale("symlog", linthresh=_threshold(axes))
    axes.margins(y=0.08)
    axes.autoscale_view()
    class_ticks(axes.xaxis, names, "")
    axes.set(title="Hessian: largest (up) and smallest (down; filled: saddle)", ylabel="eigenvalue")
    bare(axes)
    _legend(axes, found)


def _density(axes: Any, found: Mapping[str, Any]) -> None:
    styles = ("-", "--", ":", "-.")
    for index, (name, sets) in enumerate(found.items()):
        asked = [s for s in _groups(sets) if s["hessian"] and s["hessian"]["density"]]
        for number, each in enumerate(asked[:3]):  # overall, head, tail: more would hide each other
            axes.plot(
                each["hessian"]["density_grid"],
                np.maximum(each["hessian"]["density"], 1e-6),
                styles[number % len(styles)],
                color=COLOURS[index % len(COLOURS)],
                linewidth=1.2,
                label=f"{name} {each['name']}".strip(),
            )
    axes.set(
        title="spectral density of the Hessian", xlabel="eigenvalue", ylabel="density", yscale="log"
    )
    bare(axes)
    axes.legend(fontsize=7, frameon=False)


def _legend(axes: Any, found: Mapping[str, Any]) -> None:
    if len(found) > 1:
        axes.legend(fontsize=8, frameon=False)


def _threshold(axes: Any) -> float:
    """Below a hundredth of the largest, a logarithmic axis goes on evenly."""
    values = np.concatenate([np.asarray(line.get_ydata(), "float64") for line in axes.lines])
    return float(max(np.abs(values[np.isfinite(values)]).max(initial=0.0) / 100, 1e-6))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
