"""Tells a sequence the epoch, whatever callbacks the user brings; none of their lists grows."""

import copy
from collections.abc import Callable
from typing import Any

import keras


def with_clock(callbacks: Any, model: keras.Model, set_epoch: Callable[[int], None]) -> Any:
    """The callbacks of a `fit`, with `set_epoch` called at the beginning of each epoch.

    Args:
        callbacks: what the user gave to `fit`: None, a callback, a list of them, or a
            `keras.callbacks.CallbackList`, which stays as it is.
        model: that is fitted.
        set_epoch: takes the epoch's number.
    """
    clock = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: set_epoch(epoch))
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        return [clock, *keras.tree.flatten(callbacks or [])]
    clock.set_model(model)
    told = copy.copy(callbacks)
    told.callbacks = [clock, *callbacks.callbacks]
    return told
