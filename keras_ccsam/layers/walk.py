"""Every layer inside a layer, whatever kind of model holds it."""

from collections.abc import Iterator
from typing import Any

import keras


def all_layers(item: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """A layer and every one inside it: attributes, and lists and dictionaries of them.

    Args:
        item: a layer or model.
        seen: ids of what is left out; filled on the way.
    """
    seen = set() if seen is None else seen
    if id(item) in seen:
        return
    seen.add(id(item))
    children: Any
    if isinstance(item, keras.Layer):
        yield item
        children = list(vars(item).values())
    elif isinstance(item, dict):
        children = list(item.values())
    elif isinstance(item, list | tuple):
        children = item
    else:
        return
    for child in children:
        yield from all_layers(child, seen)


def sees_rows(layer: keras.Layer) -> bool:
    """Whether a layer's first input is of shape (B, D); there may be others.

    It is asked of single layers inside any kind of model, and a wrong answer costs time alone. A
    step's mathematics may not go by it: see `training.called_once`.
    """
    try:
        return len(layer.input.shape) == 2
    except (AttributeError, ValueError):
        return False  # never called, or on several tensors
