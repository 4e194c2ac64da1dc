"""Values of Python as JSON and arrays, and back: what a state on disk is made of. No pickle.

JSON tells neither a tuple from a list nor a NumPy number from one of Python's. What it has no form
for is written as `{"$tuple": [...]}`, and an array as `{"$array": NAME}`, with the array beside.
"""

import hashlib
import json
from collections.abc import Mapping, MutableMapping
from typing import Any

import keras
import numpy as np

_PLAIN = (type(None), bool, int, float, str)
_SEQUENCES: dict[Any, str] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}
_MAKERS = {name: kind for kind, name in _SEQUENCES.items()}


class NotKept(TypeError):
    """A value that is neither JSON nor an array, nor made of these."""


def encoded(value: Any, name: str, arrays: MutableMapping[str, np.ndarray]) -> Any:
    """A value as JSON types.

    Args:
        value: None, text, numbers, arrays, tensors; lists, tuples, sets and mappings of these.
        name: of the value, from which those of its arrays are made.
        arrays: gets a copy of each array in it.

    Raises:
        NotKept: for anything else.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        arrays[name] = np.array(value)
        return {"$array" if isinstance(value, np.ndarray) else "$number": name}
    # A variable is one of the model's, which are kept apart: what refers to it goes on doing so.
    if keras.ops.is_tensor(value) and not isinstance(value, keras.Variable):
        arrays[name] = np.array(keras.ops.convert_to_numpy(value))
        return {"$tensor": name}
    if type(value) is list:
        return [encoded(item, f"{name}.{i}", arrays) for i, item in enumerate(value)]
    if type(value) in _SEQUENCES:
        # A set has no order of its own, and two processes may have two.
        items = value if type(value) is tuple else sorted(value, key=repr)
        return {_SEQUENCES[type(value)]: encoded(list(items), name, arrays)}
    if type(value) is dict:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: encoded(item, f"{name}.{key}", arrays) for key, item in value.items()}
        return {"$dict": encoded([list(pair) for pair in value.items()], name, arrays)}
    raise NotKept(f"{type(value).__module__}.{type(value).__qualname__}")


def decoded(content: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value that `encoded` made JSON types of.

    Raises:
        ValueError: for content that it does not make.
    """
    if isinstance(content, list):
        return [decoded(item, arrays) for item in content]
    if not isinstance(content, dict):
        return content
    if len(content) != 1 or not next(iter(content)).startswith("$"):
        return {key: decoded(item, arrays) for key, item in content.items()}
    ((kind, inner),) = content.items()
    if kind in ("$array", "$number", "$tensor"):
        array = np.array(arrays[inner])
        if kind == "$tensor":
            return keras.ops.convert_to_tensor(array)
        return array if kind == "$array" else array[()]
    if kind == "$dict":
        return dict(decoded(inner, arrays))
    if kind in _MAKERS:
        return _MAKERS[kind](decoded(inner, arrays))
    raise ValueError(f"the state holds a value of an unknown kind. Received: {kind!r}")


def fingerprint(value: Any) -> str | None:
    """A digest of a value, by which a change shows; None where it is not kept."""
    arrays: dict[str, np.ndarray] = {}
    try:
        content = encoded(value, "", arrays)
    except NotKept:
        return None
    found = hashlib.blake2b(json.dumps(content).encode(), digest_size=16)
    for array in arrays.values():
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).view("uint8").data if array.nbytes else b"")
    return found.hexdigest()
