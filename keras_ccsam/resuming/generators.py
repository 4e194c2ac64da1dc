"""The random generators that no variable of a model holds.

They are Python's, NumPy's, the one that Keras draws from where no seed is given, and those of the
framework. A training that goes on finds them where it left them.
"""

import random
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_ccsam import backend


class _Watching(keras.StatelessScope):
    """Sees which variables are assigned, and keeps them from it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[keras.Variable] = []

    def add_update(self, update: tuple[Any, Any]) -> None:
        self.seen.append(update[0])
        super().add_update(update)


def captured() -> dict[str, np.ndarray]:
    """The states of all of them, as arrays by name. None is moved."""
    _, python, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    found = {
        "python": np.array(python, "uint32"),
        "python_gauss": np.array([] if gauss is None else [gauss]),
        "keras": np.array(keras.ops.convert_to_numpy(_of_keras())),
    }
    if name == "MT19937":
        found["numpy"] = np.array(keys, "uint32")
        found["numpy_position"] = np.array([position, has_gauss], "int64")
        found["numpy_gauss"] = np.array(cached)
    return found | {f"backend_{key}": value for key, value in backend.rng_state().items()}


def put_back(states: Mapping[str, np.ndarray]) -> None:
    """Set all of them to states that were captured."""
    gauss = states["python_gauss"]
    words = tuple(int(word) for word in states["python"])
    random.setstate((3, words, float(gauss[0]) if gauss.size else None))
    if "numpy" in states:
        position, has_gauss = (int(value) for value in states["numpy_position"])
        cached = float(states["numpy_gauss"])
        np.random.set_state(("MT19937", states["numpy"], position, has_gauss, cached))
    _of_keras().assign(np.array(states["keras"]))
    prefix = "backend_"
    own = {key.removeprefix(prefix): a for key, a in states.items() if key.startswith(prefix)}
    backend.set_rng_state(own)


def _of_keras() -> keras.Variable:
    """The state of Keras' own generator, which has no public name.

    Where there is none yet, it is made. Its seed is what it would be if it were used now, and
    Python's generator, which gives that, stays where it is.
    """
    state = random.getstate()
    with _Watching() as scope:
        keras.random.uniform(())
    random.setstate(state)
    return scope.seen[0]
