"""Lets a pass over a whole set be stopped by a signal: nothing of it is kept, so none need wait."""

from typing import Any

import keras

from keras_ccsam import backend, stopping


class Stoppable(keras.callbacks.Callback):
    """For `predict`: ends it between two steps where a signal asks to stop.

    Of several processes the others would wait for ever for one that ended: they agree between the
    parts of a run (`processes.check_stop`).

    Raises:
        stopping.Stopped: in a block of `stopping.stoppable`.
    """

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Stop here, if that was asked for."""
        if backend.process_count() == 1:
            stopping.check()
