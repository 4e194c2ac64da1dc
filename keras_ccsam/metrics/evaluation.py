"""A model judged on a labelled set."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ccsam.checks import require
from keras_ccsam.data.batches.reading import predicted
from keras_ccsam.finite import check_finite
from keras_ccsam.heads import puts_out_logits
from keras_ccsam.losses.logit_adjustment import adjust_logits
from keras_ccsam.metrics.predictions import checked, log_probabilities
from keras_ccsam.metrics.report import Report
from keras_ccsam.training.fit_pixels import check_pixels
from keras_ccsam.training.model import SharpnessAwareModel


def evaluate(
    model: keras.Model,
    data: Any,
    class_counts: Any = None,
    *,
    logit_adjustment: float = 0.0,
    **options: Any,
) -> Report:
    """Predicts a whole set and reports accuracy, by groups and by class, and calibration.

    Args:
        model: any Keras classifier. Its outputs are taken for probabilities where each row is
            non-negative and adds up to 1, else for logits; `from_logits` decides it by hand. One
            output (N, 1) speaks of class 1 of two: it is what the model says it is, and for
            another model a probability where all lie in 0..1.
        data: a `data.BatchSequence`, whose images are taken unaugmented and in order, or a pair
            `(x, y)` of arrays; x may be an `ImageStore`.
        class_counts: the number of *training* images of each class, by which the groups are
            formed; those of `data` by default.
        logit_adjustment: tau of post-hoc logit adjustment, at least 0: the report is made of
            z - tau log pi, pi_c the class's share of the training images (Menon et al.,
            arXiv:2007.07314, eq. 9). Meant for models trained with plain cross-entropy. The log
            of probabilities is taken where the model puts those out. 0 is none.
        **options: of `Report.from_predictions`: groups, many, few, inclusive, bins, from_logits.

    Raises:
        ValueError: if `class_counts` is missing, `logit_adjustment` is negative, or data and model
            do not match; or if the pixels cannot be of the kind that the model was trained on, such
            as floats in 0..1 for 0..255 (`pixels.findings`). Merely strange ones are warned of.

    Example:
        >>> print(cc.evaluate(model, data.test).table())
    """
    require(
        0.0 <= logit_adjustment < math.inf,
        "logit_adjustment",
        logit_adjustment,
        "a number of at least 0",
    )
    require(hasattr(model, "predict"), "model", model, "a Keras classifier")
    if hasattr(data, "arrays"):
        x, y = data.arrays()
        class_counts = data.class_counts if class_counts is None else class_counts
    elif isinstance(data, list | tuple) and len(data) == 2:
        x, y = data
    else:
        raise ValueError(
            "`data` must be a data.BatchSequence, or a pair (x, y) of arrays. "
            f"Received: data={type(data).__name__}"
        )
    if class_counts is None:
        raise ValueError(
            "`class_counts` must be the number of training images of each class where `data` is a "
            "pair of arrays. Received: class_counts=None"
        )
    predictions = outputs_of(model, x)
    if predictions.shape[1:] == (1,) and isinstance(model, SharpnessAwareModel):
        options.setdefault("from_logits", puts_out_logits(model.head))
    options.setdefault("from_logits", not are_probabilities(predictions))
    if logit_adjustment:
        outputs, _ = checked(y, predictions, options["from_logits"])
        log_p = log_probabilities(outputs, options["from_logits"])
        predictions = adjust_logits(log_p, class_counts, logit_adjustment)
        options["from_logits"] = True
    return Report.from_predictions(y, predictions, class_counts, **options)


def outputs_of(model: keras.Model, x: Any) -> np.ndarray:
    """What a model puts out for a whole set: logits or probabilities (N, C).

    Args:
        model: any Keras classifier.
        x: images (N, ...), an array or an `ImageStore`.

    Raises:
        ValueError: an input is not finite, or the pixels cannot be of the kind that the model was
            trained on.
    """
    check_finite(x)
    check_pixels(model, x)
    outputs = np.asarray(ops.convert_to_numpy(predicted(model, x, 500)))
    # A model trained on cosines (LDAM, GCL) says what makes logits of them.
    scaled: np.ndarray = outputs * getattr(model, "logit_scale", 1.0)
    return scaled


def are_probabilities(predictions: np.ndarray) -> bool:
    """Whether every row is non-negative and adds up to 1, as no logits do."""
    if predictions.shape[1:] == (1,):
        return bool((predictions >= 0).all() and (predictions <= 1).all())
    sums = predictions.sum(axis=-1)
    return bool((predictions >= 0).all() and np.allclose(sums, 1.0, atol=1e-3))
