"""Whether the order of the data of an interrupted training can be had again."""

from collections.abc import Mapping
from typing import Any

import keras


def why_not_restored(arguments: Mapping[str, Any]) -> str | None:
    """Why a `fit` that goes on sees its data in another order; None if it does not.

    A `BatchSequence` knows the batch of each step, and a `PyDataset` is asked for it. Arrays and a
    `DataLoader` are shuffled by random generators whose states are kept, but on TensorFlow.

    Args:
        arguments: of `fit`.
    """
    x = arguments.get("x")
    if x is None or isinstance(x, keras.utils.PyDataset):
        return None
    if arguments.get("steps_per_epoch") is not None:
        return "with steps_per_epoch the place in the data is not known"
    kind = f"{type(x).__name__}"
    names = {f"{base.__module__}.{base.__name__}" for base in type(x).__mro__}
    if any(name.startswith("torch.utils.data") and name.endswith(".DataLoader") for name in names):
        if getattr(x, "generator", None) is None:
            return None
        return "a DataLoader with a generator of its own cannot be put back to its place"
    arrays = keras.tree.flatten(x)
    if not all(hasattr(array, "shape") and hasattr(array, "__getitem__") for array in arrays):
        return f"the place in a {kind} cannot be had again"
    if keras.backend.backend() == "tensorflow" and arguments.get("shuffle", True):
        return "unless shuffle=False, TensorFlow shuffles arrays in an order that is not had again"
    return None
