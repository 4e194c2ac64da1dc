"""What metrics make of sample weights and of class numbers."""

from keras import ops

from keras_ccsam.typing import Tensor


def sample_weights(weights: Tensor | None, labels: Tensor) -> Tensor:
    """Weights (B,), (B, 1) or one number as float32 (B,); ones where there are none."""
    ones = ops.ones_like(labels, dtype="float32")
    return ones if weights is None else ones * ops.reshape(ops.cast(weights, "float32"), (-1,))


def indicator(indices: Tensor, size: int) -> Tensor:
    """Rows (B, size) of zeros with a one at the index, if there is such a place.

    `ops.one_hot` raises under torch where there is not.
    """
    return ops.cast(ops.equal(ops.expand_dims(indices, -1), ops.arange(size)), "float32")
