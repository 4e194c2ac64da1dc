"""What the losses of this folder share: labels, class counts, precision, cross-entropy.

    l_i = f(t_i, z_i),    t_i the one-hot row of label y_i, z_i the model's outputs

Keras averages the l_i, or whatever `reduction` says.
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias

import keras
from keras import ops
from pydantic import Field

from keras_ccsam.checks import at_least_float32, check_class_counts
from keras_ccsam.options import checked, options
from keras_ccsam.typing import Tensor

_NARROW = ("float16", "bfloat16")

# Of several losses.
Scale: TypeAlias = Annotated[float, Field(gt=0, description="s, on the cosines (code: 30)")]


class LogitLoss(keras.losses.Loss):
    """A loss of each sample, on what a head without an activation puts out.

    Labels are class numbers (B,) or (B, 1) of any type, or one-hot rows (B, K). A class number
    outside [0, K) makes its sample's loss NaN.

    Args:
        reduction: of `keras.losses.Loss`: "sum_over_batch_size", "sum", None, ...
        name: of the loss.
        dtype: that it computes in, `keras.config.floatx()` by default. A narrower one than
            float32 becomes float32: bfloat16 holds no class number above 256 exactly.
        **values: of the options that the subclass declares. They are checked against their
            declaration and become attributes; `get_config` has them too.

    Raises:
        ValueError: for an option outside its range.
    """

    from_logits = True
    """The model must have no softmax."""
    takes_cosines = False
    adjusts_prior = False
    """Whether its logits are adjusted for the class counts while training, and need no more."""
    """Whether outputs must be cosines, and the loss multiplies them with its own `scale`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **values: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if self.dtype in _NARROW:
            super().__init__(name=self.name, reduction=reduction, dtype="float32")
        self._own_dtype = None if dtype is None else self.dtype
        for option, value in checked(type(self), values).items():
            setattr(self, option, value)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Losses (B,) of labels (B,), (B, 1) or (B, K) and outputs (B, K).

        Raises:
            ValueError: if the shapes do not fit each other or the class counts.
        """
        outputs = at_least_float32(ops.convert_to_tensor(y_pred))
        self._check_outputs(outputs.shape)
        targets = one_hot_targets(y_true, outputs.shape[1], outputs.dtype)
        return self.sample_losses(targets, outputs)

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Losses (B,) of one-hot rows (B, K) and outputs (B, K), both at least float32."""
        raise NotImplementedError

    def _check_outputs(self, shape: Sequence[int | None]) -> None:
        if len(shape) != 2:
            raise ValueError(
                "The model's outputs must have shape (batch, classes). "
                f"Received: y_pred.shape={tuple(shape)}"
            )
        if shape[1] == 1:
            raise ValueError(
                f"{type(self).__name__} compares the outputs of the classes, so it needs one per "
                "class, also for two: give the model a Dense(2) head, or use "
                f"loss='binary_crossentropy'. Received: y_pred.shape={tuple(shape)}"
            )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = dict(super().get_config())
        if self._own_dtype is not None:
            config["dtype"] = self._own_dtype
        made: Callable[..., Any] = type(self)
        return {**config, **{option: getattr(self, option) for option in options(made)}}


class ClassCountLoss(LogitLoss):
    """A loss that knows how many training images each class has.

    Args:
        class_counts: n_c, one for each of at least two classes, in the order of the labels.
        reduction, name, dtype, **values: See `LogitLoss`.

    Raises:
        ValueError: if a count is not a whole number of at least 1, or an option outside its range.
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **values: Any,
    ) -> None:
        super().__init__(reduction, name, dtype, **values)
        self.class_counts = check_class_counts(class_counts)

    def _check_outputs(self, shape: Sequence[int | None]) -> None:
        super()._check_outputs(shape)
        if shape[1] != len(self.class_counts):
            raise ValueError(
                f"The loss has class counts of {len(self.class_counts)} classes, so the model must "
                f"put out as many columns. Received: y_pred.shape={tuple(shape)}"
            )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "class_counts": list(self.class_counts)}


class CosineLoss(ClassCountLoss):
    """A loss on cosines, which it multiplies with its own `scale`, an option that it declares.

    The head must put out plain cosines, as `heads.Cosine(units, scale=1.0)` does: margins are
    lengths on that scale, and a second scale in the head would shrink them. At inference the
    class probabilities are softmax(scale * cosines).
    """

    takes_cosines = True
    scale: float


def one_hot_targets(labels: Tensor, num_classes: int, dtype: Any) -> Tensor:
    """Rows (B, K) of labels (B,), (B, 1) or (B, K); NaN where a class number is outside [0, K).

    Raises:
        ValueError: if the labels have another shape.
    """
    labels = ops.convert_to_tensor(labels)
    shape = tuple(labels.shape)
    if len(shape) == 2 and shape[1] == num_classes:
        return ops.cast(labels, dtype)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
        raise ValueError(
            f"Labels must be class numbers of shape (batch,) or (batch, 1), or one-hot rows of "
            f"shape (batch, {num_classes}). Received: y_true.shape={shape}"
        )
    classes = ops.cast(ops.reshape(labels, (-1, 1)), "int32")
    rows = ops.cast(ops.equal(classes, ops.arange(num_classes, dtype="int32")), dtype)
    inside = ops.logical_and(classes >= 0, classes < num_classes)
    return ops.where(inside, rows, ops.full_like(rows, math.nan))


def of_label(targets: Tensor, values: Tensor) -> Tensor:
    """(B,): of `values`, (K,) or (B, K), the entry of each sample's label."""
    return ops.sum(targets * values, axis=-1)


def cross_entropy(targets: Tensor, logits: Tensor) -> Tensor:
    """(B,) cross-entropies of rows (B, K) and logits (B, K), without overflow."""
    return -of_label(targets, ops.log_softmax(logits, axis=-1))


def constant(values: Sequence[float], like: Tensor) -> Tensor:
    """One number per class, (K,), in the type of `like`."""
    return ops.convert_to_tensor(values, dtype=like.dtype)
