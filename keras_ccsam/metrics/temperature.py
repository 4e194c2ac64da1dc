"""One number that makes confidence honest: the logits of a trained network over T.

    T = argmin over T  -mean_i log softmax(z_i / T)_{y_i}

of images that were not trained on (Guo et al., arXiv:1706.04599, section 4.2). The order of the
classes stays. Where the logits are adjusted for the class prior, classes count alike in the mean:
that is the distribution which the adjusted probabilities speak of.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ccsam.metrics.predictions import BINS, calibration_error, checked, log_probabilities

# Beyond these the logits are all alike, or one class has everything.
LOWEST, HIGHEST = 0.05, 20.0


@dataclass(frozen=True)
class Temperature:
    """What was fitted.

    Attributes:
        value: T.
        images: how many it was fitted on.
        nll, nll_before: mean log loss on them in nats, with T and without.
        ece, ece_before: calibration error on them, with T and without.
        balanced: whether each class counted alike.
    """

    value: float
    images: int
    nll: float
    nll_before: float
    ece: float
    ece_before: float
    balanced: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def fit_temperature(logits: Any, labels: Any, *, balanced: bool = False) -> Temperature:
    """Fit T on labelled logits that were not trained on.

    Args:
        logits: (N, K), or (N, 1) of class 1 of two.
        labels: (N,) integers, or (N, K) one-hot.
        balanced: let each class that is there count alike.

    Raises:
        ValueError: as `metrics.Report.from_predictions`.
    """
    from scipy.optimize import minimize_scalar

    scores, classes = checked(labels, logits, True)
    counts = np.bincount(classes, minlength=scores.shape[1])
    weights = 1.0 / counts[classes] if balanced else np.ones(len(classes))
    weights = weights / weights.sum()
    rows = np.arange(len(classes))

    def loss(log_t: float) -> float:
        log_p = log_probabilities(scores / np.exp(log_t), True)
        return float(-(weights * log_p[rows, classes]).sum())

    bounds = (float(np.log(LOWEST)), float(np.log(HIGHEST)))
    value = float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))

    def error(t: float) -> float:
        p = np.exp(log_probabilities(scores / t, True))
        return calibration_error(p.max(axis=1), p.argmax(axis=1) == classes, BINS)

    return Temperature(
        value=value,
        images=len(classes),
        nll=loss(float(np.log(value))),
        nll_before=loss(0.0),
        ece=error(value),
        ece_before=error(1.0),
        balanced=balanced,
    )
