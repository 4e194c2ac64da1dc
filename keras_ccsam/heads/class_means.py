"""Class means by way of the classes: Y = one-hot labels (B, C), n_c the samples of class c.

    mean(x)             = Y (Y^T x / n)
    R_j,(c,k)           = Y_jc delta_jk / n_c                   (B, C K)
    A                   = h^T R                                 (D, C K): every class's gradient
    along(u, h, delta)  = sum_c Y_ic (u A)_i,(c,k) + bias mean(delta)_ik

The same numbers as gram.py's at a cost of B D C K: linear in the batch, and two dense products, as
a gather or a sum by segments of (D, K) matrices is bound by memory. Right for few classes in a
large batch.
"""

from keras import ops

from keras_ccsam.typing import Tensor


class ClassMeans:
    """Class means over a batch, from the classes.

    Args:
        labels: (B,) integers.
        classes: C, of the labels.
        dtype: of what is averaged.
    """

    def __init__(self, labels: Tensor, classes: int, dtype: str = "float32") -> None:
        self.classes = classes
        self.one_hot = ops.one_hot(labels, classes, dtype=dtype)
        # A class that is absent has no row: what its mean is divided by plays no part.
        self.share = self.one_hot / ops.maximum(ops.sum(self.one_hot, axis=0), 1.0)

    def mean(self, rows: Tensor) -> Tensor:
        """(B, N): each row replaced by the mean of its class's rows."""
        return ops.matmul(self.one_hot, ops.matmul(ops.transpose(self.share), rows))

    def along(self, left: Tensor, right: Tensor, delta: Tensor, bias: bool = False) -> Tensor:
        """(B, K): row i of `left` against the mean of (right_j, 1) delta_j^T over i's class.

        Args:
            left: (B, D).
            right: (B, D).
            delta: (B, K).
            bias: whether the 1 is there.
        """
        c, k = self.classes, delta.shape[1]
        routed = ops.reshape(self.share[:, :, None] * delta[:, None, :], (-1, c * k))
        gradients = ops.matmul(ops.transpose(right), routed)
        against_all = ops.reshape(ops.matmul(left, gradients), (-1, c, k))
        along = ops.sum(self.one_hot[:, :, None] * against_all, axis=1)
        return along + self.mean(delta) if bias else along
