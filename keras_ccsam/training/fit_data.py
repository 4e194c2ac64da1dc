"""What `fit` is given, looked at before training starts."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_ccsam import heads
from keras_ccsam.losses.loss import ClassCountLoss
from keras_ccsam.sharpness.method import SharpnessMethod
from keras_ccsam.training.count_check import warn_of_counts
from keras_ccsam.training.label_check import check_fit_labels
from keras_ccsam.training.no_samples import check_samples
from keras_ccsam.training.sample_loss import SampleLoss


def check_first_labels(head: keras.Layer, loss: SampleLoss | None, labels: Any) -> None:
    """Refuses the labels of one batch that cannot be, with the ValueError of `check_fit_labels`."""
    check_fit_labels(None, labels, heads.num_outputs(head), loss)


def check_fit_data(
    x: Any, y: Any, head: keras.Layer, sharpness: SharpnessMethod, loss: SampleLoss | None
) -> tuple[NDArray[np.int32] | None, list[Sequence[int]]]:
    """Refuses data without a sample and labels that cannot be, and warns of such class counts.

    Args:
        x, y: of `keras.Model.fit`.
        head: of the model.
        sharpness: its method, which may have been told class counts.
        loss: the compiled one, which may have been told them too.

    Returns:
        The classes (N,) of arrays, None where the labels do not show; and the class counts that the
        method and the loss were told.

    Raises:
        ValueError: see `check_samples` and `check_fit_labels`.
    """
    check_samples(x)
    classes = check_fit_labels(x, y, heads.num_outputs(head), loss)
    told: list[Sequence[int]] = []
    if hasattr(sharpness, "class_counts"):
        told.append(sharpness.class_counts)
    if loss is not None and isinstance(loss.loss, ClassCountLoss):
        told.append(loss.loss.class_counts)
    for counts in dict.fromkeys(told):
        warn_of_counts(counts, x, classes)
    return classes, told
