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
# A minimum this near to one of them, as a share of it, is theirs and not the images'.
_NEAR = 0.01


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

    @property
    def unused_because(self) -> str:
        """Why the network is better off without it, in words; empty where it is of use."""
        images = "1 validation image" if self.images == 1 else f"{self.images} validation images"
        fitted = f"T = {self.value:.3g}, fitted on {images},"
        if not LOWEST * (1 + _NEAR) < self.value < HIGHEST * (1 - _NEAR):
            return f"{fitted} lies at an end of the range searched, {LOWEST:g} to {HIGHEST:g}"
        if not self.nll < self.nll_before:
            return f"{fitted} does not lower their log loss ({self.nll_before:.3g} nats)"
        if not self.ece <= self.ece_before:
            return (
                f"{fitted} makes their calibration error larger "
                f"({100 * self.ece_before:.1f} % before, {100 * self.ece:.1f} % after)"
            )
        return ""

    @property
    def applied(self) -> float:
        """What the logits are divided by: T, or 1 where T is of no use."""
        return 1.0 if self.unused_because else self.value

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name, `used`, and where that is false, `unused_because`."""
        known = {name: getattr(self, name) for name in self.__dataclass_fields__}
        why = {"unused_because": self.unused_because} if self.unused_because else {}
        return known | {"used": not why} | why

    @classmethod
    def from_dict(cls, known: dict[str, Any]) -> "Temperature":
        """What `to_dict` gave; of an older run, without `used`."""
        return cls(**{name: known[name] for name in cls.__dataclass_fields__ if name in known})


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
        return calibration_error(p.max(axis=1), p.argmax(axis=1) == classes, BINS, weights)

    return Temperature(
        value=value,
        images=len(classes),
        nll=loss(float(np.log(value))),
        nll_before=loss(0.0),
        ece=error(value),
        ece_before=error(1.0),
        balanced=balanced,
    )
