"""What the tests of terms share: a batch as a term sees it, and its value with gradients."""

from typing import Any

import numpy as np
from keras import ops

from keras_ccsam import backend
from keras_ccsam.terms import Term, TermBatch
from tests.support import one_program


def cross_entropies(labels: Any, outputs: Any) -> Any:
    """The compiled loss of each row, here cross-entropy."""
    one_hot = ops.one_hot(ops.cast(labels, "int32"), outputs.shape[-1], dtype=outputs.dtype)
    return -ops.sum(one_hot * ops.log_softmax(outputs, axis=-1), axis=-1)


def value_and_gradients(
    term: Term,
    features: np.ndarray,
    outputs: np.ndarray,
    y: Any,
    sample_weight: np.ndarray | None = None,
    losses: Any = cross_entropies,
) -> tuple[float, np.ndarray, np.ndarray, list[np.ndarray]]:
    """The term, its gradients by features, outputs and its own weights; state is written."""
    own = term.trainable_variables

    def value(values: list[Any]) -> tuple[Any, Any]:
        import keras

        pairs = list(zip(own, values[2:], strict=True))
        with keras.StatelessScope(pairs) as scope:
            found = term.value(TermBatch(values[0], values[1], y, sample_weight, losses))
        new = [scope.get_current_value(v) for v in term.non_trainable_variables]
        return found, (ops.stop_gradient(found), new)

    starts = [ops.convert_to_tensor(features), ops.convert_to_tensor(outputs)]
    starts += [ops.convert_to_tensor(v) for v in own]
    program = one_program(lambda starts: backend.value_and_grad(value, starts))
    (_, (found, new)), gradients = program(starts)
    for variable, state in zip(term.non_trainable_variables, new, strict=True):
        if state is not None:
            variable.assign(ops.convert_to_numpy(state))
    by = [ops.convert_to_numpy(g) for g in gradients]
    return float(ops.convert_to_numpy(found)), by[0], by[1], by[2:]


def slopes(function: Any, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The gradient of a function of an array, by central differences."""
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        found[place] = (function(up) - function(down)) / (2 * step)
    return found
