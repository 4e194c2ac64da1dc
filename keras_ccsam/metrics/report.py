"""What an evaluation found, as plain numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ccsam.checks import check_class_counts
from keras_ccsam.metrics.confusion import written
from keras_ccsam.metrics.groups import RULE, Groups, Thresholds, group_classes
from keras_ccsam.metrics.predictions import BINS, calibration_error, checked, log_probabilities
from keras_ccsam.text_table import text_table

PER_CLASS_ROWS = 20


@dataclass(frozen=True, eq=False)
class Report:
    """Accuracy overall, by group and by class, calibration, and the confusion matrix.

    Made by `Report.from_predictions`. Accuracies are fractions in 0..1. A class without test
    samples has accuracy None and enters no mean; a group without such a class is absent.

    Attributes:
        num_samples: Test samples.
        overall: Share of samples that are right.
        groups: Group name to the mean accuracy of its classes, in the order many, medium, few.
        group_classes: Group name to its classes.
        per_class: Accuracy of each class.
        balanced: Mean of the classes' accuracies.
        worst_class: Class of the lowest accuracy, the first of several.
        ece: Expected calibration error over right-closed bins.
        nll: Mean negative log-likelihood of the label, in nats.
        confusion: (C, C) samples, row = label, column = prediction.
        class_counts: Training images of each class, None where they were not given.
        predicted: (N,) the class predicted of each sample; not in `to_dict`.
    """

    num_samples: int
    overall: float
    groups: dict[str, float]
    group_classes: dict[str, tuple[int, ...]]
    per_class: tuple[float | None, ...]
    balanced: float
    worst_class: int
    ece: float
    nll: float
    confusion: np.ndarray
    class_counts: tuple[int, ...] | None
    predicted: np.ndarray

    @classmethod
    def from_predictions(
        cls,
        labels: Any,
        predictions: Any,
        class_counts: Sequence[int] | None = None,
        *,
        from_logits: bool = True,
        groups: Groups = RULE,
        many: int = Thresholds.many,
        few: int = Thresholds.few,
        inclusive: bool | tuple[bool, bool] = Thresholds.inclusive,
        bins: int = BINS,
    ) -> "Report":
        """Compares predictions with labels.

        Args:
            labels: Integers (N,) or one-hot (N, C).
            predictions: Logits or probabilities (N, C); those of class 1, (N,) or (N, 1), where
                there are two classes.
            class_counts: *Training* images of each class, which the groups are made of. None
                leaves the groups out.
            from_logits: Whether `predictions` are logits or probabilities.
            groups, many, few, inclusive: See `group_classes`.
            bins: Bins of the calibration error.

        Raises:
            ValueError: Shapes that do not fit each other, no sample, labels outside 0..C-1, NaN,
                or probabilities that are none.
        """
        outputs, classes = checked(labels, predictions, from_logits)
        num_classes = outputs.shape[1]
        log_p = log_probabilities(outputs, from_logits)
        predicted = outputs.argmax(axis=1)
        confusion = np.zeros((num_classes, num_classes), dtype="int64")
        np.add.at(confusion, (classes, predicted), 1)
        totals = confusion.sum(axis=1)
        seen = totals > 0
        accuracy = np.divide(
            confusion.diagonal(), totals, where=seen, out=np.full(num_classes, 2.0)
        )
        members = {}
        if class_counts is not None:
            class_counts = check_class_counts(class_counts, num_classes, at_least=0)
            members = group_classes(class_counts, groups, many=many, few=few, inclusive=inclusive)
        tested = {name: [c for c in group if seen[c]] for name, group in members.items()}
        return cls(
            num_samples=len(classes),
            overall=float(confusion.trace() / len(classes)),
            groups={name: float(accuracy[group].mean()) for name, group in tested.items() if group},
            group_classes={name: group for name, group in members.items() if tested[name]},
            per_class=tuple(float(a) if s else None for a, s in zip(accuracy, seen, strict=True)),
            balanced=float(accuracy[seen].mean()),
            worst_class=int(accuracy.argmin()),
            ece=calibration_error(np.exp(log_p.max(axis=1)), predicted == classes, bins),
            nll=float(-log_p[np.arange(len(classes)), classes].mean()),
            confusion=confusion,
            class_counts=None if class_counts is None else tuple(int(n) for n in class_counts),
            predicted=predicted,
        )

    @property
    def worst(self) -> float:
        """The lowest accuracy of a class."""
        lowest = self.per_class[self.worst_class]
        return 0.0 if lowest is None else lowest

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows; a class without test samples is null."""
        return {
            "num_samples": self.num_samples,
            "overall": self.overall,
            "groups": dict(self.groups),
            "group_classes": {name: list(group) for name, group in self.group_classes.items()},
            "balanced": self.balanced,
            "worst": self.worst,
            "worst_class": self.worst_class,
            "ece": self.ece,
            "nll": self.nll,
            "per_class": list(self.per_class),
            "class_counts": None if self.class_counts is None else list(self.class_counts),
            "confusion": written(self.confusion),
        }

    def table(self, class_names: Sequence[str] | None = None, per_class: bool | None = None) -> str:
        """The report as aligned plain text, accuracies in percent.

        Args:
            class_names: Names for the rows of the classes, their numbers by default.
            per_class: Whether to list every class; by default up to 20 of them.

        Raises:
            ValueError: A number of names that is not the number of classes.
        """
        names = [str(c) for c in range(len(self.per_class))]
        if class_names is not None:
            if len(class_names) != len(names):
                raise ValueError(
                    f"`class_names` must have {len(names)} entries. "
                    f"Received: class_names with {len(class_names)} entries"
                )
            names = [str(name) for name in class_names]
        rows = [
            *(
                (name, str(len(self.group_classes[name])), _percent(accuracy))
                for name, accuracy in self.groups.items()
            ),
            ("balanced", str(sum(a is not None for a in self.per_class)), _percent(self.balanced)),
            ("overall", "", _percent(self.overall)),
            (f"worst: {names[self.worst_class]}", "1", _percent(self.worst)),
        ]
        text = text_table(("accuracy", "classes", "%"), rows)
        text += (
            f"\n\n{self.num_samples} samples, calibration error {_percent(self.ece)} %, "
            f"log loss {self.nll:.4f}"
        )
        if per_class if per_class is not None else len(names) <= PER_CLASS_ROWS:
            text += "\n\n" + self._class_table(names)
        return text

    def _class_table(self, names: Sequence[str]) -> str:
        columns = {
            "class": names,
            "train": [] if self.class_counts is None else [str(n) for n in self.class_counts],
            "test": [str(n) for n in self.confusion.sum(axis=1)],
            "%": [_percent(accuracy) for accuracy in self.per_class],
        }
        shown = {header: column for header, column in columns.items() if column}
        return text_table(tuple(shown), list(zip(*shown.values(), strict=True)))


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f}"
