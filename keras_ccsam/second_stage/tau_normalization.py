"""tau-normalisation: the classifier's norms are evened out, without training.

    v_c <- v_c / ||v_c||^tau,    b <- 0

The norm of a class's weight vector grows with its number of images, so that a long-tailed head
favours the frequent classes. tau = 0 keeps the norms, tau = 1 makes them all 1, and more reverses
their order (Kang et al. 2020, "Decoupling representation and classifier for long-tailed
recognition", section 4.1). tau is chosen on validation images, from 0 to 2.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import keras
import numpy as np
from keras import ops
from pydantic import Field

from keras_ccsam.checks import require
from keras_ccsam.declare import part
from keras_ccsam.options import checked
from keras_ccsam.second_stage.features import LabelledImages, labelled_features
from keras_ccsam.second_stage.fitting_checks import check_plain_dense, check_split
from keras_ccsam.training.model import SharpnessAwareModel

TAUS = tuple(step / 10 for step in range(21))


Power: TypeAlias = Annotated[float, Field(ge=0, description="of the norms")]


@part("posthoc", "tau_normalization", needs=("linear",))
def tau_normalize(
    model: SharpnessAwareModel,
    tau: Annotated[
        Power | Literal["validation"],
        Field(description='power; "validation": chosen on the split cut from train (paper)'),
    ] = 1.0,
    validation: LabelledImages | None = None,
) -> float:
    """Normalises the head of `model` in place, and drops its bias.

    Normalising again goes on from what is there: the norms left by tau are those to the power of
    1 - tau. A class whose vector is 0 keeps it.

    Args:
        model: trained, with a `keras.layers.Dense` head.
        tau: at least 0. `"validation"` takes that of `choose_tau`.
        validation: what `choose_tau` takes; for `"validation"` only.

    Returns:
        tau.

    Raises:
        ValueError: for a `tau` outside its range, another head (in a `heads.Cosine` the norms
            have no effect), or `tau="validation"` without images.
    """
    checked(tau_normalize, {"tau": tau})
    head = check_dense_head(model)
    if tau == "validation":
        if validation is None:
            raise ValueError(
                "tau='validation' is chosen on validation images. Received: validation=None"
            )
        tau = choose_tau(model, validation)
    kernel = ops.convert_to_numpy(head.kernel).astype("float64")
    head.kernel.assign(_normalized(kernel, tau))
    if head.use_bias:
        head.bias.assign(np.zeros(head.units))
    return tau


def choose_tau(
    model: SharpnessAwareModel, data: LabelledImages, taus: Sequence[float] = TAUS
) -> float:
    """The tau with the best balanced accuracy (mean of the classes' recalls) on `data`.

    The model is not changed; `tau_normalize(model, choose_tau(model, data))` does that. Of taus
    that are equally good the smallest is taken.

    Args:
        model: trained, with a `keras.layers.Dense` head.
        data: validation images, a `data.BatchSequence` or a tuple of images and labels. Classes
            that it does not hold do not count.
        taus: the candidates; 0, 0.1, ..., 2 by default.

    Raises:
        ValueError: for the test part of a data set, no candidate or one outside the range, or a
            head that cannot be normalised.
    """
    require(len(taus) > 0, "taus", taus, "at least one number")
    for tau in taus:
        check_tau(tau)
    check_not_test(data)
    head = check_dense_head(model)
    features, labels = labelled_features(model, data)
    kernel = ops.convert_to_numpy(head.kernel).astype("float64")
    best, chosen = -1.0, 0.0
    for tau in sorted(taus):
        correct = np.argmax(features @ _normalized(kernel, tau), axis=1) == labels
        accuracy = float(np.mean([correct[labels == c].mean() for c in np.unique(labels)]))
        if accuracy > best:
            best, chosen = accuracy, float(tau)
    return chosen


def check_tau(tau: Power) -> None:
    """Raises ValueError for a tau that is no number, negative, or not finite."""
    checked(check_tau, {"tau": tau})


def check_not_test(data: object) -> None:
    """Raises ValueError for the test part of a `BatchSequence`."""
    check_split(
        data,
        "train",
        "validation",
        reason="tau must be chosen on validation images, not on those that the result is reported "
        "for.",
    )


def check_dense_head(model: object) -> keras.layers.Dense:
    """The plain `keras.layers.Dense` to normalise; ValueError for a model without one."""
    return check_plain_dense(
        model,
        "tau-normalisation needs a plain keras.layers.Dense head; in a heads.Cosine the norms "
        "have no effect.",
    )


def _normalized(kernel: np.ndarray, tau: float) -> np.ndarray:
    norms = np.linalg.norm(kernel, axis=0)
    columns: np.ndarray = kernel / np.where(norms > 0, norms, 1.0) ** tau
    return columns
