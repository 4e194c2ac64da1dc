"""What callbacks remember: kept without their help where it is plain, or in their own words.

A callback that defines `get_state()` and `set_state(state)` says itself what it needs; `state` is
made of numbers, text, None, arrays, and lists and mappings of these. Of any other one the
attributes that have changed since `fit` began are kept, where they are of these kinds. Of one that
says `prints_only` nothing is: how a training is shown may change, and of several processes one
shows it.
"""

import logging
import os
import types
import warnings
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_ccsam.resuming.plain import NotKept, decoded, encoded, fingerprint

_NOT_STATE = frozenset({"_model", "params", "model"})
_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
# What holds no state of the training that could be missed.
_CONFIGURATION = (
    os.PathLike,
    types.ModuleType,
    logging.Logger,
    type,
    keras.Layer,
    keras.optimizers.Optimizer,
    keras.losses.Loss,
    keras.utils.PyDataset,
    keras.callbacks.Callback,
)


class CallbackStates:
    """The state of the callbacks of one `fit`.

    Args:
        callbacks: all but the one that saves.
    """

    def __init__(self, callbacks: Sequence[Any]) -> None:
        self._all = list({id(callback): callback for callback in callbacks}.values())
        self.callbacks = [c for c in self._all if not getattr(c, "prints_only", False)]
        self._first: list[dict[str, str | None]] = []
        self._told: set[tuple[int, str]] = set()

    def begin(self) -> None:
        """Note what the callbacks are like when training begins: later changes are state."""
        self._first = [
            {}
            if tells_its_state(callback)
            else {k: fingerprint(v) for k, v in _attributes(callback)}
            for callback in self.callbacks
        ]

    def captured(self, arrays: MutableMapping[str, np.ndarray]) -> list[dict[str, Any]]:
        """The states as JSON types.

        Args:
            arrays: gets the arrays in them.
        """
        return [
            {"type": _name(callback), "state": self._state(place, callback, arrays)}
            for place, callback in enumerate(self.callbacks)
        ]

    def put_back(
        self, saved: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]
    ) -> None:
        """Give each callback what was captured of it.

        Raises:
            ValueError: there are others now.
        """
        self.check(saved)
        for callback, one in zip(self.callbacks, saved, strict=True):
            state = decoded(one["state"], arrays)
            if tells_its_state(callback):
                callback.set_state(state)
            else:
                vars(callback).update(state)

    def check(self, saved: Sequence[Mapping[str, Any]]) -> None:
        """Refuse states of other callbacks.

        Raises:
            ValueError: with both.
        """
        before, now = [s["type"] for s in saved], [_name(c) for c in self.callbacks]
        if before != now:
            raise ValueError(
                "the training that is gone on with had other callbacks, or in another order: "
                f"{', '.join(before) or 'none'}. Received: callbacks={', '.join(now) or 'none'}"
            )

    def muted(self) -> Callable[[], None]:
        """Keep the callbacks from hearing of batches; returns what lets them hear again."""
        before = [(c, {h: vars(c)[h] for h in _HOOKS if h in vars(c)}) for c in self._all]
        for callback in self._all:
            vars(callback).update(dict.fromkeys(_HOOKS, _nothing))

        def heard() -> None:
            for callback, own in before:
                for hook in _HOOKS:
                    vars(callback).pop(hook, None)
                vars(callback).update(own)

        return heard

    def _state(self, place: int, callback: Any, arrays: MutableMapping[str, np.ndarray]) -> Any:
        name = f"callbacks/{place}"
        if tells_its_state(callback):
            try:
                return encoded(callback.get_state(), name, arrays)
            except NotKept as error:
                raise ValueError(
                    f"get_state() of {_name(callback)} must return numbers, text, None, arrays, "
                    f"and lists and mappings of these. Received: an object of {error}"
                ) from None
        first, found = self._first[place] if self._first else {}, {}
        for key, value in _attributes(callback):
            try:
                if fingerprint(value) != first.get(key, ""):
                    found[key] = encoded(value, f"{name}.{key}", arrays)
                elif first.get(key) is None:
                    raise NotKept(type(value).__qualname__)
            except NotKept as error:
                self._tell(place, callback, key, value, str(error))
        return found

    def _tell(self, place: int, callback: Any, key: str, value: Any, kind: str) -> None:
        """Warn, once, of what may be a state and is not kept. Of Keras' callbacks it is none."""
        known = type(callback).__module__.partition(".")[0] in ("keras", "keras_ccsam")
        if known or callable(value) or isinstance(value, _CONFIGURATION):
            return
        if (place, key) in self._told:
            return
        self._told.add((place, key))
        warnings.warn(
            f"a training that goes on will not have {_name(callback)}.{key} ({kind}) as it was: "
            "give the callback get_state() and set_state(state) if it changes while training",
            stacklevel=2,
        )


def _attributes(callback: Any) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in vars(callback).items() if key not in _NOT_STATE]


def tells_its_state(callback: Any) -> bool:
    """Whether a callback (or data) says itself what its state is."""
    return callable(getattr(callback, "get_state", None)) and hasattr(callback, "set_state")


def _name(callback: Any) -> str:
    return type(callback).__name__


def _nothing(*_: Any, **__: Any) -> None:
    """In place of a hook."""
