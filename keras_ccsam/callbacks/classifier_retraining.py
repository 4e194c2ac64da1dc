"""cRT from within `fit`: when stage 1 ends, the classifier is trained again."""

from typing import Any

import keras

from keras_ccsam.second_stage.retraining import check_options, retrain_classifier
from keras_ccsam.second_stage.retraining_options import check_model


class ClassifierRetraining(keras.callbacks.Callback):
    """Retrains the model's head on class-balanced batches when `fit` ends.

    The stage-1 model keeps its optimizer, history and trainable flags; its backbone is not
    changed (with `batch_norm="frozen"`), its head is.

    Args:
        train: the training data, a `data.BatchSequence`.
        **options: of `second_stage.retrain_classifier`: epochs, learn, lr_factor, adversarial,
            strength, radius_weights, loss_weights, alpha_max, reinitialize_head, batch_norm,
            sampler, images_per_class, augment, mixup, batch_size, optimizer, loss, weight_decay,
            verbose, callbacks, ...

    Raises:
        ValueError: at construction, for a bad option or data that cannot be resampled; when `fit`
            begins, for a model that is not a `SharpnessAwareModel`, or a head or a loss that does
            not suit. Not after hours of stage 1.

    Attributes:
        history: the stage's `keras.callbacks.History`, None before it has run.

    Example:
        >>> stage2 = ClassifierRetraining(data.train, epochs=30)
        >>> model.fit(data.train, epochs=200, callbacks=[stage2])
        >>> stage2.history.history["accuracy"]
    """

    def __init__(self, train: Any, **options: Any) -> None:
        super().__init__()
        check_options(train, **options)
        self.train = train
        self.options = options
        self.history: keras.callbacks.History | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuses a model whose head cannot be retrained before it is trained."""
        check_model(self.model, self.options.get("learn", "classifier"), self.options.get("loss"))

    def on_train_end(self, logs: Any = None) -> None:
        """Runs the stage."""
        self.history = retrain_classifier(self.model, self.train, **self.options)
