"""Theorem 1's bound on a class's test loss, and its terms, evaluated on whole sets.

    (15)  (1 - 1/sqrt(n)) max L(w + eps) + 1/sqrt(n)
              + sqrt( ( ||w||^2/(4 rho^2) (1 + sqrt(log n / k))^2 + log(n/delta)/2 ) / (n - 1) )
    (16)  max L(w + eps) + sqrt( ( ||w||^2/(4 rho^2) + log(n/delta) + O(1) ) / (n - 1) )

with ||eps|| <= sqrt(k) rho (CC-SAM, appendix D). O(1) is 0, or 1 + 8 log(6n + 3k) where the prior's
variance is picked from the data (the appendix' remarks).

What the paper leaves open is chosen here, and said in every file: the maximum is taken at the
one-step ascent point, as training takes it; rho is the characteristic radius at r = 1, because at
the r that is trained with the root alone is in the hundreds: the bound describes another radius
than the training's. The theorem wants a loss of at most 1: cross-entropy is clipped at 1, or
replaced by the 0-1 loss.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_ccsam.analysis.class_radius import class_batches, step_of
from keras_ccsam.analysis.loss_surface import SampleScores
from keras_ccsam.analysis.weighted_batches import WeightedBatches
from keras_ccsam.analysis.weights_view import WeightsView
from keras_ccsam.checks import check_class_counts, require
from keras_ccsam.data.images.store import taken
from keras_ccsam.labels import check_labels

LOSSES = ("clipped", "zero_one")
COLUMNS = {
    "train_loss": "nats, mean cross-entropy of the class's training samples",
    "train_clipped": "the same, each sample's clipped at 1",
    "train_zero_one": "share of them that is misclassified",
    "test_loss": "nats, mean cross-entropy of the class's test samples; null without any",
    "test_clipped": "the same, each sample's clipped at 1",
    "test_zero_one": "share of them that is misclassified",
    "weight_norm": "||w||",
    "gradient_norm": "||g_c||, of the class's mean training loss",
    "radius": "rho_c, the characteristic radius at r = 1",
    "step_norm": "sqrt(k) rho_c, the length of the ascent step",
    "worst_clipped": "mean clipped training loss at w + eps",
    "worst_zero_one": "mean 0-1 training loss at w + eps",
    "root_15": "square-root term of (15)",
    "root_16": "square-root term of (16) with O(1) = 0",
    "root_16_with_constant": "square-root term of (16) with O(1) = 1 + 8 log(6n + 3k)",
    "bound_15_clipped": "(15) of the clipped loss",
    "bound_15_zero_one": "(15) of the 0-1 loss",
    "bound_16_clipped": "(16) of the clipped loss with O(1) = 0",
    "bound_16_zero_one": "(16) of the 0-1 loss with O(1) = 0",
}
"""What is known of a class at an epoch, with its unit."""


def root_15(weight_norm: float, radius: float, images: int, size: int, delta: float) -> float:
    """The square-root term of the intermediate form.

    Args:
        weight_norm: ||w||.
        radius: rho; 0 gives infinity.
        images: n; 1 counts as 2 in n - 1.
        size: k.
        delta: the probability with which the bound may fail.
    """
    spread = _complexity(weight_norm, radius) * (1 + math.sqrt(math.log(images) / size)) ** 2
    return math.sqrt((spread + 0.5 * math.log(images / delta)) / max(images - 1, 1))


def root_16(
    weight_norm: float, radius: float, images: int, delta: float, constant: float = 0.0
) -> float:
    """The square-root term of the final form, `constant` being its O(1); else as `root_15`."""
    inside = _complexity(weight_norm, radius) + math.log(images / delta) + constant
    return math.sqrt(inside / max(images - 1, 1))


def prior_constant(images: int, size: int) -> float:
    """1 + 8 log(6n + 3k): the O(1) of a prior whose variance is picked from a set of them."""
    return 1 + 8 * math.log(6 * images + 3 * size)


def bound_15(worst: float, root: float, images: int) -> float:
    """The intermediate form, from the loss at the worst point (at most 1) and its root term."""
    return (1 - 1 / math.sqrt(images)) * worst + 1 / math.sqrt(images) + root


def bound_16(worst: float, root: float) -> float:
    """The final form."""
    return worst + root


class BoundEvaluation:
    """Evaluates the bound of some classes, with a model's weights at the moment.

    Args:
        model: a built Keras classifier. It is left as it is.
        class_counts: the number of training images of each class, n_c.
        train: `(x, y)`, the whole training set, unaugmented.
        test: `(x, y)`, the test set; None without one.
        classes: which ones.
        weights: w: `"head"`, `"all"` or a pattern, as in `WeightsView`.
        delta: with so small a probability the bound may fail.
        from_logits: whether the outputs are logits; found out by default.

    Raises:
        ValueError: labels or classes that do not fit, or a delta outside (0, 1).
    """

    def __init__(
        self,
        model: keras.Model,
        class_counts: Sequence[int],
        train: tuple[Any, Any],
        test: tuple[Any, Any] | None,
        classes: Sequence[int],
        *,
        weights: str = "head",
        delta: float = 0.05,
        from_logits: bool | None = None,
    ) -> None:
        self.counts = check_class_counts(class_counts)
        self.classes = tuple(int(label) for label in classes)
        self.delta = delta
        require(0 < delta < 1, "delta", delta, "a probability between 0 and 1")
        sound = self.classes and all(0 <= label < len(self.counts) for label in self.classes)
        require(bool(sound), "classes", classes, f"classes from 0 to {len(self.counts) - 1}")
        self._train = _of_classes(*train, self.classes, len(self.counts), "y")
        self._test = None
        if test is not None:
            self._test = _of_classes(*test, self.classes, len(self.counts), "y_test")
        require(len(self._train[1]) > 0, "train", "y", "labels of which some are of these classes")
        self._view = WeightsView(model, weights, self._train[0], len(self.counts), from_logits)

    @property
    def size(self) -> int:
        """k, the number of scalars in w."""
        return self._view.surface.size

    def measure(self) -> dict[str, list[float]]:
        """Each of `COLUMNS` with one value per class, NaN where there is none."""
        surface, batch_size = self._view.surface, self._view.batch_size
        x, y = self._view.inputs(self._train[0]), self._train[1]
        rows = {label: dict.fromkeys(COLUMNS, math.nan) for label in self.classes}
        for label, found in self._tested().items():
            rows[label] |= found
        for label, batches in class_batches(x, y, self.classes, batch_size):
            n, k, row = self.counts[label], self.size, rows[label]
            step = step_of(surface, batches, n)
            row |= _means("train", surface.scores(batches))
            worst = _means(
                "worst", surface.scores(batches, surface.weights + step.move(step.length))
            )
            row |= {
                "weight_norm": step.weight_norm,
                "gradient_norm": step.gradient_norm,
                "radius": step.radius,
                "step_norm": step.length,
                "root_15": root_15(step.weight_norm, step.radius, n, k, self.delta),
                "root_16": root_16(step.weight_norm, step.radius, n, self.delta),
                "root_16_with_constant": root_16(
                    step.weight_norm, step.radius, n, self.delta, prior_constant(n, k)
                ),
            }
            for name in LOSSES:
                row[f"worst_{name}"] = worst[f"worst_{name}"]
                row[f"bound_15_{name}"] = bound_15(row[f"worst_{name}"], row["root_15"], n)
                row[f"bound_16_{name}"] = bound_16(row[f"worst_{name}"], row["root_16"])
        return {name: [rows[label][name] for label in self.classes] for name in COLUMNS}

    def _tested(self) -> dict[int, dict[str, float]]:
        """The test losses of each class that has test samples."""
        found: dict[int, dict[str, float]] = {label: {} for label in self.classes}
        if self._test is None or not len(self._test[1]):
            return found
        x, y = self._view.inputs(self._test[0]), self._test[1]
        batches = WeightedBatches(x, y, np.ones(len(y)), self._view.batch_size)
        scores = self._view.surface.scores(batches)
        for label in self.classes:
            own = y == label
            if own.any():
                found[label] = _means("test", SampleScores(*(each[own] for each in scores)))
        return found


def _complexity(weight_norm: float, radius: float) -> float:
    """||w||^2 / (4 rho^2)."""
    return (weight_norm / (2 * radius)) ** 2 if radius else math.inf


def _means(prefix: str, scores: SampleScores) -> dict[str, float]:
    return {
        f"{prefix}_loss": float(scores.loss.mean()),
        f"{prefix}_clipped": float(np.minimum(scores.loss, 1.0).mean()),
        f"{prefix}_zero_one": float(scores.wrong.mean()),
    }


def _of_classes(
    x: Any, y: Any, classes: Sequence[int], num_classes: int, name: str
) -> tuple[Any, np.ndarray]:
    """The samples of some classes."""
    labels = check_labels(y, name, len(keras.tree.flatten(x)[0]), num_classes)
    own = np.isin(labels, classes)
    if own.all():
        return x, labels
    return keras.tree.map_structure(lambda part: taken(part, own), x), labels[own]
