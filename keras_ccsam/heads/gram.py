"""Class means by products over the batch: M_ij = [y_i = y_j] / |B_{y_i}|, (B, B).

    mean(x)             = M x
    along(u, h, delta)  = ((u h^T + bias) o M) delta

No class gradient is built: the cost is B^2 (D + K) whatever the number of classes. Right for all
but few classes in a large batch, for which see class_means.py.
"""

from keras import ops

from keras_ccsam.typing import Tensor


def class_averages(
    labels: Tensor, dtype: str = "float32", batch_labels: Tensor | None = None
) -> Tensor:
    """M_ij = [y_i = y_j] / |B_{y_i}|: a product with M gives each row the mean of its class's rows.

    Args:
        labels: (b,) integers.
        dtype: of the result.
        batch_labels: (B,), of the batch over which the means are, `labels` among them; by default
            `labels` themselves.

    Returns:
        (b, B).
    """
    others = labels if batch_labels is None else batch_labels
    same = ops.cast(ops.equal(labels[:, None], others[None, :]), dtype)
    return same / ops.sum(same, axis=1, keepdims=True)


class Gram:
    """Class means over a batch, from M.

    Args:
        averages: (B, B), M.
    """

    def __init__(self, averages: Tensor) -> None:
        self.averages = averages

    def mean(self, rows: Tensor) -> Tensor:
        """(B, N): each row replaced by the mean of its class's rows."""
        return ops.matmul(self.averages, rows)

    def along(self, left: Tensor, right: Tensor, delta: Tensor, bias: bool = False) -> Tensor:
        """(B, K): row i of `left` against the mean of (right_j, 1) delta_j^T over i's class.

        Args:
            left: (B, D).
            right: (B, D).
            delta: (B, K).
            bias: whether the 1 is there.
        """
        gram = ops.matmul(left, ops.transpose(right))
        if bias:
            gram = gram + 1.0
        return ops.matmul(gram * self.averages, delta)
