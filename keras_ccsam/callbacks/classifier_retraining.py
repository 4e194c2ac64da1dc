"""A second stage from within `fit`: when stage 1 ends, the classifier is trained again."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_ccsam.second_stage import Retraining
from keras_ccsam.second_stage.features import LabelledImages


class ClassifierRetraining(keras.callbacks.Callback):
    """Retrains the model's head on class-balanced batches when `fit` ends.

    The stage-1 model keeps its optimizer, history and trainable flags; its backbone is not
    changed (with `batch_norm="frozen"`), its head is.

    Args:
        train: the training data, a `data.BatchSequence`; or a tuple of inputs and labels, as
            `Retraining.run` takes it.
        retraining: the stage; or leave it out and give its options.
        verbose: of the stage, as in `fit`; that of `fit` by default.
        callbacks: of the stage, as in `fit`.
        **options: of `second_stage.Retraining`: epochs, adversarial, reinitialize_head, ...

    Raises:
        ValueError: at construction, for an unknown option, one outside its range, or data that
            cannot be resampled; when `fit` begins, for a model that is not a
            `SharpnessAwareModel`, or a head or a loss that does not suit. Not after hours of
            stage 1.

    Attributes:
        history: the stage's `keras.callbacks.History`, None before it has run.

    Example:
        >>> stage2 = ClassifierRetraining(data.train, epochs=30)
        >>> model.fit(data.train, epochs=200, callbacks=[stage2])
        >>> stage2.history.history["accuracy"]
    """

    def __init__(
        self,
        train: LabelledImages,
        retraining: Retraining | None = None,
        *,
        verbose: int | str | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        **options: Any,
    ) -> None:
        super().__init__()
        if retraining is None:
            retraining = Retraining.of(options)
        elif options:
            raise ValueError(
                "Give either the second stage or its options. "
                f"Received: retraining={retraining!r}, {', '.join(options)}"
            )
        retraining.check_data(train)
        self.train = train
        self.retraining = retraining
        self.verbose = verbose
        self.callbacks = tuple(callbacks)
        self.history: keras.callbacks.History | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Refuses a model whose head cannot be retrained before it is trained."""
        self.retraining.check(self.model)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Runs the stage."""
        # Keras gives every callback of `fit` its `verbose`, and none outside of it.
        verbose = (self.params or {}).get("verbose", 0) if self.verbose is None else self.verbose
        self.history = self.retraining.run(
            self.model, self.train, verbose=verbose, callbacks=self.callbacks
        )
