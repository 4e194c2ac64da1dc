"""Decoupling without training, from within `fit`: the head is set when stage 1 ends."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_ccsam.options import options
from keras_ccsam.second_stage.features import LabelledImages
from keras_ccsam.second_stage.nearest_class_mean import (
    Metric,
    check_metric,
    check_nearest,
    check_train,
    nearest_class_mean,
)
from keras_ccsam.second_stage.tau_normalization import (
    check_dense_head,
    check_not_test,
    check_tau,
    choose_tau,
    tau_normalize,
)

# The defaults stand once, on the function.
_MEANS = options(nearest_class_mean)


class TauNormalization(keras.callbacks.Callback):
    """Normalises the classifier's norms when `fit` ends; see `second_stage.tau_normalize`.

    Args:
        tau: at least 0; or None, to choose it on `validation`.
        validation: validation images, a `data.BatchSequence` or a tuple of images and labels.

    Raises:
        ValueError: at construction, unless exactly one of the two is given and in its range; when
            `fit` begins, for a head that is not a plain `keras.layers.Dense`.

    Attributes:
        tau: the one in use; None before it has been chosen.

    Example:
        >>> model.fit(data.train, epochs=200, callbacks=[TauNormalization(validation=held_out)])
    """

    def __init__(self, tau: float | None = None, validation: LabelledImages | None = None) -> None:
        super().__init__()
        if (tau is None) == (validation is None):
            given = None if validation is None else type(validation).__name__
            raise ValueError(
                "Give either `tau` or the `validation` images to choose it on. "
                f"Received: tau={tau}, validation={given}"
            )
        if tau is not None:
            check_tau(tau)
        check_not_test(validation)
        self.tau = tau
        self.validation = validation

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Refuses a head that cannot be normalised before it is trained."""
        check_dense_head(self.model)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Chooses tau where it is not given, and normalises."""
        if self.validation is not None:
            self.tau = choose_tau(self.model, self.validation)
        if self.tau is not None:
            tau_normalize(self.model, self.tau)


class NearestClassMean(keras.callbacks.Callback):
    """Sets the classifier to the class means when `fit` ends; see
    `second_stage.nearest_class_mean`.

    Args:
        train: the training data, a `data.BatchSequence` or a tuple of images and labels.
        metric: `"cosine"` or `"euclidean"`.
        centred: subtract the mean of all training features first.

    Raises:
        ValueError: at construction, for another `metric` or data that is not for training; when
            `fit` begins, for a head that cannot hold the result.
    """

    def __init__(
        self,
        train: LabelledImages,
        metric: Metric = _MEANS["metric"].default,
        centred: bool = _MEANS["centred"].default,
    ) -> None:
        super().__init__()
        check_metric(metric)
        check_train(train)
        self.train, self.metric, self.centred = train, metric, centred

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Refuses a head that cannot hold the class means before it is trained."""
        check_nearest(self.model, self.metric, self.centred)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Sets the head."""
        nearest_class_mean(self.model, self.train, self.metric, self.centred)
