"""What was measured of a model's sharpness, as a table and as JSON."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from keras_ccsam.analysis.class_sets import ClassSet
from keras_ccsam.analysis.sharpness.spectrum import Spectrum
from keras_ccsam.text_table import text_table

FORMAT = 1
UNITS = {
    "loss": "nats, mean cross-entropy over the set's samples",
    "gradient_norm": "norm of the gradient of that loss with respect to the weights",
    "gap_sam": "nats, loss one ascent step of length rho away, less the loss",
    "characteristic_length": "r sqrt(k) rho*, the length of CC-SAM's step",
    "gap_characteristic": "nats, the same gap at CC-SAM's length",
    "eigenvalues": "of the Hessian of that loss with respect to the weights",
    "error_bounds": "an eigenvalue of the Hessian lies within this distance",
    "trace": "sum of all eigenvalues, with its standard error over random probes",
    "density": "share of eigenvalues per unit; integral 1",
}


@dataclasses.dataclass(frozen=True)
class SetSharpness:
    """The sharpness of the mean loss of some classes.

    Attributes:
        set: which classes.
        samples: how many it was measured on; 0 leaves everything else empty.
        training_images: n.
        loss: L(w).
        gradient_norm: ||g||.
        gap: L(w + eps) - L(w) at SAM's radius.
        characteristic_length: r sqrt(k) rho*.
        characteristic_gap: the gap at that length.
        spectrum: of the Hessian; None where it was not asked for.
    """

    set: ClassSet
    samples: int
    training_images: int
    loss: float = math.nan
    gradient_norm: float = math.nan
    gap: float = math.nan
    characteristic_length: float = math.nan
    characteristic_gap: float = math.nan
    spectrum: Spectrum | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types but NaN."""
        return {
            "name": self.set.name,
            "kind": self.set.kind,
            "classes": list(self.set.classes),
            "samples": self.samples,
            "training_images": self.training_images,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "gap_sam": self.gap,
            "characteristic_length": self.characteristic_length,
            "gap_characteristic": self.characteristic_gap,
            "hessian": None if self.spectrum is None else self.spectrum.to_dict(),
        }


@dataclasses.dataclass(frozen=True)
class Sharpness:
    """How sharp a classifier's loss is.

    Attributes:
        settings: what was asked for, and of which weights.
        class_names: one per class.
        class_counts: training images of each class.
        sets: the whole set, the head and the tail class, the groups, and every class.
    """

    settings: Mapping[str, Any]
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    sets: tuple[SetSharpness, ...]

    def __getitem__(self, name: str) -> SetSharpness:
        """A set by its name; of a class that is called like a group, the group.

        Raises:
            KeyError: there is none.
        """
        for each in self.sets:
            if each.set.name == name:
                return each
        raise KeyError(name)

    def table(self) -> str:
        """One line per set, as plain text."""
        return sharpness_table({"": self})

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types; `metrics_log.finite` makes null of NaN."""
        return {
            "kind": "sharpness",
            "format": FORMAT,
            "about": "One-step sharpness and Hessian of the loss at the trained weights, for the "
            "whole set, groups of classes and single classes.",
            "settings": dict(self.settings),
            "units": UNITS,
            "class_names": list(self.class_names),
            "class_counts": list(self.class_counts),
            "sets": [each.to_dict() for each in self.sets],
        }


def sharpness_table(measured: Mapping[str, Sharpness]) -> str:
    """Several models side by side: for each set of classes one line per model.

    Args:
        measured: a model's name to its sharpness; of the same classes, asked in the same way.
    """
    first = next(iter(measured.values()))
    settings = first.settings
    header = ["set", *(["run"] if len(measured) > 1 else []), "n", "loss", "|gradient|"]
    header += [f"gap rho={settings['rho']:g}", f"gap r={settings['radius_scale']:g}"]
    with_hessian = settings["hessian"] != "none"
    if with_hessian:
        header += ["largest", "smallest", "trace", "curvature"]
    rows = []
    for index, each in enumerate(first.sets):
        for name, one in measured.items():
            row = one.sets[index]
            cells = [each.set.name, *([name] if len(measured) > 1 else [])]
            cells += [str(row.training_images), *map(_number, (row.loss, row.gradient_norm))]
            cells += [_number(row.gap), _number(row.characteristic_gap)]
            rows.append(cells + (_hessian_cells(row.spectrum) if with_hessian else []))
    return text_table(header, rows, left=("run", "curvature"))


def _hessian_cells(found: Spectrum | None) -> list[str]:
    if found is None:
        return ["-", "-", "-", "-"]
    spread = "" if not found.trace_error > 0 else f" ± {found.trace_error:.2g}"
    ends = [values[0] if len(values) else math.nan for values in (found.largest, found.smallest)]
    shape = "saddle" if found.negative_curvature else "none negative"
    return [
        *map(_number, ends),
        _number(found.trace) + spread,
        shape if len(found.smallest) else "",
    ]


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"
