"""When M2m's translation begins."""

from typing import Annotated, Any

import keras
from pydantic import Field

from keras_ccsam.declare import part
from keras_ccsam.m2m.translation import MajorToMinor
from keras_ccsam.options import checked
from keras_ccsam.schedules.start import FIRST_DROP, Start, first_epoch


@part("callback", "start_translation")
class StartTranslation(keras.callbacks.Callback):
    """Switches the model's translation on at an epoch, and off before it.

    The epoch's number alone decides, so a resumed `fit` (`initial_epoch`) goes on as it was. The
    batches are to be drawn with weight 1/n from the same epoch on: `deferred_sampler` and
    `deferred_from` of `LongTailedData.batches`.

    Args:
        start: the first epoch that translates: a whole number counted from 0, or a share of all
            epochs in (0, 1), rounded down.

    Raises:
        ValueError: for another `start`; when `fit` begins, for a model without a translation, or a
            `start` beyond the last epoch.

    Example:
        >>> model = SharpnessAwareModel(backbone, head, step_parts=[MajorToMinor(helper, counts)])
        >>> model.compile("sgd", "sparse_categorical_crossentropy")
        >>> model.fit(batches, epochs=200, callbacks=[StartTranslation(160)])
    """

    def __init__(
        self,
        start: Annotated[
            Start, Field(description="share of the epochs, or an epoch (paper: 160 of 200)")
        ] = FIRST_DROP,
    ) -> None:
        super().__init__()
        checked(StartTranslation, {"start": start})
        self.start = start

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuses a model that has nothing to start."""
        parts = getattr(self.model, "step_parts", None)
        found = None if parts is None else parts.find(MajorToMinor)
        if found is None:
            raise ValueError(
                "StartTranslation needs a model with a translation: "
                "SharpnessAwareModel(..., step_parts=[MajorToMinor(...)]). "
                f"Received: model={self.model!r}"
            )
        self._translation = found
        self._first = first_epoch(self.start, self.params["epochs"])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Sets the switch."""
        self._translation.active.assign(float(epoch >= self._first))
