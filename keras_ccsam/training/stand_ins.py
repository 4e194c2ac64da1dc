"""Calls that stand in for layers' own while a pass is traced.

A functional model calls its layers itself, and a layer that it shares with the user's model cannot
be exchanged without leaving traces in both graphs. So the layer's own `call` is stood in for while
the pass is traced. The stand-in acts only in the context that opened it: another thread that calls
the same layer meanwhile gets the layer's own computation. The last to leave takes it away, also
when a pass raises.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import keras

from keras_ccsam.typing import Tensor

Call = Callable[[Tensor], Tensor]

_NOTHING: Mapping[int, Call] = {}
# By the layers' identity, which holds as long as the context does: it keeps the layers.
_HERE: ContextVar[Mapping[int, Call]] = ContextVar("calls that stand in", default=_NOTHING)
_LOCK = threading.Lock()


@contextlib.contextmanager
def stood_in(layers: Sequence[keras.Layer], calls: Sequence[Call]) -> Iterator[None]:
    """In this block `calls` compute the layers' outputs of their inputs.

    Args:
        layers: each once.
        calls: one for each.
    """
    here = {id(layer): call for layer, call in zip(layers, calls, strict=True)}
    token = _HERE.set({**_HERE.get(), **here})
    entered: list[keras.Layer] = []
    try:
        for layer in layers:
            _enter(layer)
            entered.append(layer)
        yield
    finally:
        for layer in entered:
            _leave(layer)
        _HERE.reset(token)


def _enter(layer: keras.Layer) -> None:
    """Puts the stand-in before the layer's `call`; the first to enter does."""
    with _LOCK:
        standing = vars(layer).get("call")
        if isinstance(standing, _StandIn):
            standing.users += 1
        else:
            # An instance's attribute stands before its class's method.
            vars(layer)["call"] = _StandIn(layer, standing)


def _leave(layer: keras.Layer) -> None:
    """Takes it away again; the last to leave does."""
    with _LOCK:
        standing = vars(layer)["call"]
        standing.users -= 1
        if standing.users:
            return
        if standing.before is None:
            del vars(layer)["call"]
        else:
            vars(layer)["call"] = standing.before


class _StandIn:
    """A layer's `call` that asks the context what to do."""

    def __init__(self, layer: keras.Layer, before: Callable[..., Tensor] | None) -> None:
        self.layer, self.before, self.users = layer, before, 1

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        call = _HERE.get().get(id(self.layer))
        if call is not None:
            return call(inputs)
        own = self.before or type(self.layer).call.__get__(self.layer)
        return own(inputs, *args, **kwargs)
