"""Which of two forms averages over the classes of a batch: gram.py or class_means.py.

Both give the same numbers. In multiply-adds of the forward and the backward pass, with what a
pass over memory costs counted as such,

    Gram         B^2 (2 D + 2 K + GRAM_PASSES)
    class means  B (K^2 + MEANS_WIDTH) (3 D + MEANS_PASSES)

and the cheaper one is taken from the static shapes, when the step is traced. Where the size of the
batch is not static, the Gram form is.

The constants are fitted to crossovers measured by benchmarks/head_scaling.py on one CPU core, in
processor time, D from 64 to 2,048. With 10 classes the class means were cheaper from a batch of 161
to 204 (PyTorch) or 209 to 229 (JAX) on, and with 20 from 368 to 571 or 610 to 678 on; the model
says 196 to 198 and 601 to 645. With 100 classes the Gram form was cheaper at every batch measured.
TensorFlow and GPUs were not measured.
"""

from typing import Protocol

import keras

from keras_ccsam.heads.class_means import ClassMeans
from keras_ccsam.heads.gram import Gram, class_averages
from keras_ccsam.typing import Tensor

GRAM_PASSES = 150
MEANS_PASSES = 250
MEANS_WIDTH = 32


class Averaging(Protocol):
    """Class means over a batch."""

    def mean(self, rows: Tensor) -> Tensor:
        """(B, N): each row replaced by the mean of its class's rows."""
        ...

    def along(self, left: Tensor, right: Tensor, delta: Tensor, bias: bool = False) -> Tensor:
        """(B, K): row i of `left` against the mean of (right_j, 1) delta_j^T over i's class."""
        ...


def class_means_are_cheaper(batch: int | None, features: int, classes: int) -> bool:
    """Whether the class means are to be preferred to the Gram form.

    Args:
        batch: B, or None where it is not static.
        features: D.
        classes: K.
    """
    if batch is None:
        return False
    gram = batch * (2 * features + 2 * classes + GRAM_PASSES)
    return (classes**2 + MEANS_WIDTH) * (3 * features + MEANS_PASSES) < gram


def averaging(features: Tensor, logits: Tensor, labels: Tensor, num_classes: int) -> Averaging:
    """Class means over a batch, in the cheaper form.

    Args:
        features: (B, D), of which the type is taken.
        logits: (B, K).
        labels: (B,) integers.
        num_classes: of the labels; K, or 2 where one logit tells two classes apart.
    """
    batch, size = features.shape
    dtype = keras.backend.standardize_dtype(features.dtype)
    if class_means_are_cheaper(batch, size, max(num_classes, logits.shape[-1])):
        return ClassMeans(labels, num_classes, dtype)
    return Gram(class_averages(labels, dtype))
