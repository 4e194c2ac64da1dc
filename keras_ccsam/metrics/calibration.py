"""Expected calibration error."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ccsam.labels import class_indices
from keras_ccsam.metrics.counting import indicator, sample_weights
from keras_ccsam.metrics.predictions import BINS, two_columns
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class ExpectedCalibrationError(keras.Metric):
    """How far confidence is from accuracy (Guo et al., arXiv:1706.04599, equation 3).

        ECE = sum over bins b of  samples_b / samples * |accuracy_b - confidence_b|

    The confidence of a sample is the probability of its predicted class. Bins are equally wide
    and closed on the right: (0, 1/15], (1/15, 2/15], ...

    Args:
        bins: Number of bins.
        from_logits: Whether predictions are logits or probabilities.
        name: Name of the metric.
        dtype: Type of the result.

    Raises:
        ValueError: Fewer than one bin.
    """

    def __init__(
        self, bins: int = BINS, from_logits: bool = True, name: str = "ece", dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if bins < 1:
            raise ValueError(f"`bins` must be at least 1. Received: bins={bins}")
        self.bins = bins
        self.from_logits = from_logits
        self.samples = self.add_variable((bins,), initializer="zeros", name="samples")
        # accuracy - confidence, summed over the samples of a bin
        self.gap = self.add_variable((bins,), initializer="zeros", name="gap")

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds a batch.

        Args:
            y_true: Labels (B,), (B, 1) or one-hot (B, C).
            y_pred: Logits or probabilities (B, C); (B, 1) of class 1 where there is one output.
            sample_weight: Honoured: a sample of weight w counts w times.
        """
        y_pred = ops.cast(y_pred, "float32")
        y_pred = two_columns(y_pred, self.from_logits)
        labels = class_indices(y_true)
        weights = sample_weights(sample_weight, labels)
        probabilities = ops.softmax(y_pred, axis=-1) if self.from_logits else y_pred
        confidence = ops.max(probabilities, axis=-1)
        predicted = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        right = ops.cast(ops.equal(predicted, labels), "float32")
        inner_edges = np.linspace(0.0, 1.0, self.bins + 1, dtype="float32")[1:-1]
        # A confidence equal to an edge stays in the bin that ends there.
        above = ops.expand_dims(confidence, -1) > ops.convert_to_tensor(inner_edges)
        in_bin = indicator(ops.sum(ops.cast(above, "int32"), axis=-1), self.bins)
        self.samples.assign_add(ops.cast(ops.matmul(weights, in_bin), self.dtype))
        gap = weights * (right - confidence)
        self.gap.assign_add(ops.cast(ops.matmul(gap, in_bin), self.dtype))

    def result(self) -> Tensor:
        return ops.divide_no_nan(ops.sum(ops.abs(self.gap)), ops.sum(self.samples))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins, "from_logits": self.from_logits}
