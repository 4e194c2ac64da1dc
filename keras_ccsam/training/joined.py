"""Callbacks that `fit` tells of what it is called with.

One may save and restore the training: it comes first. Others may refuse what they cannot work with.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import keras


@runtime_checkable
class JoinsFit(Protocol):
    """A callback that `fit` tells of what it is called with, as `callbacks.RunState` is."""

    def joins_fit(self, callbacks: Sequence[Any], arguments: Mapping[str, Any]) -> int | None:
        """Takes the other callbacks and the arguments of `fit`.

        Returns:
            the epoch to begin with; None leaves it as it is.
        """
        ...

    def leaves_fit(self) -> None:
        """Called when `fit` ends, also by an error."""
        ...


@runtime_checkable
class ChecksFit(Protocol):
    """A callback that refuses a `fit` in which it would do nothing, or harm."""

    def check_fit(self, callbacks: Sequence[Any], arguments: Mapping[str, Any]) -> None:
        """Looks at all callbacks of `fit` and at its arguments, with a `ValueError`."""
        ...


def check_fit(callbacks: Sequence[Any], arguments: Mapping[str, Any]) -> None:
    """Lets each callback that has a `check_fit` refuse what `fit` is called with.

    Args:
        callbacks: of `fit`.
        arguments: of `fit`, by name.

    Raises:
        ValueError: by the callback.
    """
    for callback in callbacks:
        if isinstance(callback, ChecksFit):
            callback.check_fit(callbacks, arguments)


@contextmanager
def joined(arguments: dict[str, Any], check: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """The arguments of `fit` with the callback that joins it first, if there is one.

    Args:
        arguments: of `keras.Model.fit`.
        check: looks at the weights: at once; or, where a callback has a state to put back, when
            that is done.

    Raises:
        ValueError: there are several, or a callback refuses what it is called with.
    """
    given: Any = arguments.get("callbacks")
    is_list = isinstance(given, keras.callbacks.CallbackList)
    listed = given.callbacks if is_list else keras.tree.flatten(given or [])
    check_fit(listed, arguments)
    joining = [callback for callback in listed if isinstance(callback, JoinsFit)]
    if not joining:
        check()
        yield arguments
        return
    if len(joining) > 1:
        names = ", ".join(type(callback).__name__ for callback in joining)
        raise ValueError(
            f"one callback saves the state of a training, not several. Received: {names}"
        )
    others = [callback for callback in listed if callback is not joining[0]]
    epoch = joining[0].joins_fit(others, arguments)
    try:
        begin, checked = {}, []
        if epoch is None:
            check()
        else:
            begin, checked = {"initial_epoch": epoch}, [_at_first_epoch(check)]
        callbacks: Any = [joining[0], *checked, *others]
        if is_list:
            whole = copy.copy(given)
            whole.callbacks = callbacks
            callbacks = whole
        yield {**arguments, "callbacks": callbacks, **begin}
    finally:
        joining[0].leaves_fit()


def _at_first_epoch(check: Callable[[], None]) -> keras.callbacks.Callback:
    """Calls it once, as the first epoch begins."""
    left = [check]
    return keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: left.pop()() if left else None
    )
