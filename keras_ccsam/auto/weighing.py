"""Few validation images tell recipes apart badly, and something is known of the recipes already.

    s_i = w (b_i - mean b) + (1 - w) (m_i - mean m),      w = t^2 / (t^2 + v)

b_i    balanced accuracy on the validation images
m_i    what papers report of the recipe: points over cross-entropy (`kinds.Kind.expected`)
t      how far that is from set to set (`SPREAD`)
v      the variance that b_i would have if all recipes were as good, by the images on which they
       disagree: sum_c sum_i var_i / n_c^2 / K^2, var_i the variance over the recipes of whether
       they have image i right

It is the mean of what is true, given both, if what is reported of a recipe is off by t on average
and all recipes' noise is alike (an empirical Bayes estimate). With thousands of validation images w
is 1, and the images alone decide.
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.auto.uncertainty import Right

SPREAD = 0.02
"""Standard deviation of a recipe's published gain from one set to another, see `kinds`."""


@dataclasses.dataclass(frozen=True)
class Weighed:
    """Recipes of a rung in the light of both.

    Attributes:
        scores: by recipe, balanced accuracies moved towards what is known of it.
        images: w, the share that the validation images have in it; 1 where nothing is known that
            tells the recipes apart.
    """

    scores: dict[str, float]
    images: float


def weighed(
    rights: Mapping[str, Sequence[Right]],
    labels: NDArray[np.int32],
    expected: Mapping[str, float | None],
) -> Weighed:
    """Weigh what validation images say against what is known.

    Args:
        rights: by recipe, which images are right, one (N,) per seed.
        labels: of the images (N,).
        expected: by recipe, its gain over cross-entropy as a fraction; None of one of which nothing
            is known, which is taken for the mean of the others.
    """
    names = list(rights)
    right = np.stack([np.mean(rights[name], axis=0) for name in names])
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    found = np.mean([right[:, rows].mean(axis=1) for rows in classes], axis=0)
    known = [value for name in names if (value := expected.get(name)) is not None]
    middle = statistics.fmean(known) if known else 0.0
    prior = np.array([middle if (e := expected.get(name)) is None else e for name in names])
    share = 1.0
    if np.ptp(prior) and len(names) > 1:
        disagreement = right.var(axis=0, ddof=1)
        noise = sum(float(disagreement[rows].sum()) / len(rows) ** 2 for rows in classes)
        # Where they agree on every image these say nothing.
        share = SPREAD**2 / (SPREAD**2 + noise / len(classes) ** 2) if noise else 0.0
    scores = found.mean() + share * (found - found.mean()) + (1 - share) * (prior - prior.mean())
    return Weighed({name: float(s) for name, s in zip(names, scores, strict=True)}, float(share))
