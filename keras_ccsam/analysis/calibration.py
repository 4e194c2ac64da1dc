"""How far a model's confidence can be trusted, overall and per group of classes.

The confidence of a sample is the probability of its predicted class. With the samples sorted into
15 bins of equal width, closed on the right, as Guo et al. do (arXiv:1706.04599):

    ECE  = sum over bins of  samples_b / samples * |accuracy_b - confidence_b|
    MCE  = max over the bins with samples of  |accuracy_b - confidence_b|

NLL is the mean of -log p(label) in nats, and Brier's score the mean over samples of
sum_c (p_c - [c = label])^2, from 0 to 2. A group's numbers are those of the samples *of* its
classes, whatever they are predicted as.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ccsam.checks import require
from keras_ccsam.metrics.predictions import checked, log_probabilities

BINS = 15


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of each sample of a set.

    Attributes:
        labels: (N,) int, the true classes.
        predicted: (N,) int, the most probable classes.
        confidence: (N,) probabilities of the predicted classes.
        nll: (N,) -log p(label), in nats.
        brier: (N,) sum over classes of (p_c - [c = label])^2.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    nll: np.ndarray
    brier: np.ndarray

    @classmethod
    def of(cls, labels: Any, outputs: Any, *, from_logits: bool = True) -> "Predictions":
        """From the outputs of a model.

        Args:
            labels: integers (N,) or one-hot (N, C).
            outputs: (N, C) logits or probabilities; (N,) or (N, 1) of class 1 of two.
            from_logits: which of both.

        Raises:
            ValueError: as `metrics.Report.from_predictions`.
        """
        scores, classes = checked(labels, outputs, from_logits)
        log_p = log_probabilities(scores, from_logits)
        rows = np.arange(len(classes))
        p = np.exp(log_p)
        p_label = p[rows, classes]
        return cls(
            labels=classes,
            predicted=scores.argmax(axis=1),
            confidence=p.max(axis=1),
            nll=-log_p[rows, classes],
            brier=(p**2).sum(axis=1) - 2 * p_label + 1,
        )

    def where(self, classes: Sequence[int]) -> "Predictions":
        """Those of the samples of some classes."""
        chosen = np.isin(self.labels, list(classes))
        return Predictions(*(values[chosen] for values in self.arrays().values()))

    def arrays(self) -> dict[str, np.ndarray]:
        """The attributes by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Calibration:
    """Confidence beside accuracy, in bins.

    Attributes:
        samples: how many there are.
        accuracy: share of samples that are right.
        confidence: mean confidence.
        ece, mce, nll, brier: see the top of this file.
        bin_samples: (bins,) samples of each bin.
        bin_accuracy, bin_confidence: (bins,) means over the samples of each bin; None for an empty
            one.
    """

    samples: int
    accuracy: float
    confidence: float
    ece: float
    mce: float
    nll: float
    brier: float
    bin_samples: tuple[int, ...]
    bin_accuracy: tuple[float | None, ...]
    bin_confidence: tuple[float | None, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in ((n, getattr(self, n)) for n in self.__dataclass_fields__)
        }


def calibration(predictions: Predictions, bins: int = BINS) -> Calibration:
    """Compare confidence with accuracy.

    Args:
        predictions: of at least one sample.
        bins: how many, of equal width from 0 to 1.

    Raises:
        ValueError: fewer than one bin, or no sample.
    """
    require(bins >= 1, "bins", bins, "at least 1")
    size = len(predictions.labels)
    require(size > 0, "predictions", size, "of at least one sample")
    right = predictions.predicted == predictions.labels
    # A confidence equal to an edge belongs to the bin that ends there.
    of_bin = np.searchsorted(np.linspace(0.0, 1.0, bins + 1)[1:-1], predictions.confidence)
    samples = np.bincount(of_bin, minlength=bins)
    hits = np.bincount(of_bin, weights=right, minlength=bins)
    trust = np.bincount(of_bin, weights=predictions.confidence, minlength=bins)
    gap = np.abs(hits - trust)
    filled = samples > 0
    return Calibration(
        samples=size,
        accuracy=float(right.mean()),
        confidence=float(predictions.confidence.mean()),
        ece=float(gap.sum() / size),
        mce=float((gap[filled] / samples[filled]).max()),
        nll=float(predictions.nll.mean()),
        brier=float(predictions.brier.mean()),
        bin_samples=tuple(samples.tolist()),
        bin_accuracy=_means(hits, samples),
        bin_confidence=_means(trust, samples),
    )


def group_calibration(
    predictions: Predictions, group_classes: Mapping[str, Sequence[int]], bins: int = BINS
) -> dict[str, Calibration]:
    """Calibration of each group's samples; a group without a sample is absent."""
    parts = {name: predictions.where(classes) for name, classes in group_classes.items()}
    return {name: calibration(part, bins) for name, part in parts.items() if len(part.labels)}


def _means(sums: np.ndarray, samples: np.ndarray) -> tuple[float | None, ...]:
    return tuple(float(s / n) if n else None for s, n in zip(sums, samples, strict=True))
