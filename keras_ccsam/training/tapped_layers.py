"""Dense layers that, while a pass is traced, note their inputs and shift their outputs.

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
from typing import Any, NamedTuple

import keras

from keras_ccsam.heads import DenseClosedForm
from keras_ccsam.typing import Tensor


class _Tapped(NamedTuple):
    """What happens to one layer in this context."""

    shift: Callable[[Tensor], Tensor]
    note: Callable[[Tensor], None]


_NOTHING: Mapping[int, _Tapped] = {}
# By the layers' identity, which holds as long as the context does: it keeps the layers.
_HERE: ContextVar[Mapping[int, _Tapped]] = ContextVar("tapped layers", default=_NOTHING)
_LOCK = threading.Lock()


@contextlib.contextmanager
def tapped(
    layers: Sequence[keras.layers.Dense], shifts: Sequence[Callable[[Tensor], Tensor]]
) -> Iterator[list[Tensor]]:
    """In this block the layers note their inputs, in the list it gives, and shift their outputs.

    Args:
        layers: plain Dense layers, each once.
        shifts: for each, what is added to its output before the activation, of its input.
    """
    seen: list[Any] = [None] * len(layers)

    def note_at(position: int) -> Callable[[Tensor], None]:
        def note(inputs: Tensor) -> None:
            seen[position] = inputs

        return note

    taps = {
        id(layer): _Tapped(shift, note_at(position))
        for position, (layer, shift) in enumerate(zip(layers, shifts, strict=True))
    }
    token = _HERE.set({**_HERE.get(), **taps})
    entered: list[keras.layers.Dense] = []
    try:
        for layer in layers:
            _enter(layer)
            entered.append(layer)
        yield seen
    finally:
        for layer in entered:
            _leave(layer)
        _HERE.reset(token)


def _enter(layer: keras.layers.Dense) -> None:
    """Puts the stand-in before the layer's `call`; the first to enter does."""
    with _LOCK:
        standing = vars(layer).get("call")
        if isinstance(standing, _StandIn):
            standing.users += 1
        else:
            # An instance's attribute stands before its class's method.
            vars(layer)["call"] = _StandIn(layer, standing)


def _leave(layer: keras.layers.Dense) -> None:
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

    def __init__(self, layer: keras.layers.Dense, before: Callable[..., Tensor] | None) -> None:
        self.layer, self.before, self.users = layer, before, 1

    def __call__(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        tap = _HERE.get().get(id(self.layer))
        if tap is None:
            own = self.before or type(self.layer).call.__get__(self.layer)
            return own(inputs, training=training)
        tap.note(inputs)
        outputs = DenseClosedForm(self.layer).logits(inputs) + tap.shift(inputs)
        return self.layer.activation(outputs)
