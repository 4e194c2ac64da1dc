"""A term of a batch's loss, beside that of its samples.

    L = reduce_i l_i + sum of the terms + regularisers

A term sees the features, the outputs and the labels of all rows of a batch, and may have weights
and state of its own. It counts as a regulariser does: once, in the gradient of the whole loss
at any weights, and in no loss of a single sample. It is a Keras layer, so that what it learns is
trained, saved and gone on with as the network is; `export_plain` leaves it out. A new term is one
file with one class:

    @part("term", "centre", limit=Limit("cross_entropy", weight=0.0))
    class Centre(Term):
        def __init__(self, weight: Annotated[float, Field(ge=0, ...)] = 1.0, **kwargs):
            super().__init__(kwargs, weight=weight)
        def create(self, features, classes): ...
        def value(self, batch): ...
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_ccsam import options as declared
from keras_ccsam.checks import check_class_counts
from keras_ccsam.labels import is_mixed
from keras_ccsam.typing import Tensor


class TermBatch(NamedTuple):
    """A batch as a term sees it, inside a training pass.

    Attributes:
        features: (R, D) inputs of the head, at least float32.
        outputs: (R, K) of the head, at least float32.
        y: the targets: classes (R,), or a dictionary of `labels`, `second_labels`, `mix`, and
            perhaps `index`, each (R,).
        sample_weight: (R,), or None.
        losses: maps classes (R,) and outputs (R, K) to the compiled loss of each row (R,), without
            weights.
    """

    features: Tensor
    outputs: Tensor
    y: Any
    sample_weight: Tensor | None
    losses: Callable[[Tensor, Tensor], Tensor]

    @property
    def mixed(self) -> tuple[Tensor, Tensor, Tensor]:
        """First and second classes, and the share of the first, (R,) each."""
        if is_mixed(self.y):
            y = self.y
            return y["labels"], y["second_labels"], ops.cast(y["mix"], self.outputs.dtype)
        return self.y, self.y, ops.ones_like(self.outputs[:, 0])


class Term(keras.layers.Layer):
    """A term of a batch's loss. The base of every part of this folder.

    It computes in `keras.config.floatx()`, whatever the network's precision.

    Args:
        layer: arguments of `keras.layers.Layer`: name, trainable.
        **arguments: the constructor's own, checked against what it declares. `class_counts`, the
            number of images of each class in the training set, is checked for every term that
            takes it.

    Attributes:
        rows: of each image, that the batches must have.
        progress: (2,) the epoch, counted from 0, and the epochs of the training. `fit` sets it.

    Raises:
        ValueError: for an argument outside its range.
    """

    rows = 1
    built: bool

    def __init__(self, layer: dict[str, Any], **arguments: Any) -> None:
        super().__init__(**{**layer, "dtype": keras.config.floatx()})
        if "class_counts" in arguments:
            arguments["class_counts"] = list(check_class_counts(arguments["class_counts"]))
        self._arguments = declared.checked(type(self), arguments)
        for name, value in self._arguments.items():
            setattr(self, name, value)

    def make(self, features: int, classes: int) -> None:
        """Makes what it learns and remembers.

        Args:
            features: D.
            classes: K.

        Raises:
            ValueError: if the class counts are of another number of classes.
        """
        if self.built:
            return
        if "class_counts" in self._arguments:
            check_class_counts(self._arguments["class_counts"], classes)
        self.progress = self.state("progress", (2,))
        self.at_epoch(0, 1)
        self.create(features, classes)
        self.built = True

    def create(self, features: int, classes: int) -> None:
        """Makes weights and state, for features (R, D) and outputs (R, K); nothing by default."""

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Nothing: the model makes it, once it knows the features."""

    def state(
        self, name: str, shape: tuple[int, ...], initializer: Any = "zeros"
    ) -> keras.Variable:
        """Creates a variable that is not trained: `value` may assign it, once a training pass."""
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False, autocast=False
        )

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Tells the epoch that begins, counted from 0, of how many."""
        self.progress.assign([float(epoch), float(epochs)])

    def value(self, batch: TermBatch) -> Tensor:
        """The scalar that is added to the loss."""
        raise NotImplementedError

    def by_image(self, rows: Tensor) -> Tensor:
        """Rows (B V, ...) as (B, V, ...), the rows of an image together."""
        count = rows.shape[0]
        if count is not None and count % self.rows:
            raise ValueError(
                f"{type(self).__name__} needs batches with {self.rows} rows for each image, as "
                f"data.views gives them. Received: {count} rows"
            )
        return ops.reshape(rows, (-1, self.rows, *rows.shape[1:]))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = dict(super().get_config())
        config.pop("dtype", None)
        return {**config, **self._arguments}
