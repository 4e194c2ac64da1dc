"""The layers of a network that see one tensor per pass.

`layer.input` does not tell: of a layer that is called several times, or in other networks too, it
gives the first call's. So `layers.walk.sees_rows`, which looks there, will not do: a wrong answer
would be a wrong gradient. Nor does `layers.calls`, which calls the layers: a step that is being
traced may ask.
"""

from typing import Any

import keras


def called_once(part: keras.Layer) -> dict[keras.Layer, tuple[int | None, ...]]:
    """Those layers of a stock functional or sequential model, with the shape of their input.

    Args:
        part: layers inside the models inside it are not looked at; what is no such model has none.
    """
    if not isinstance(part, keras.Model) or not type(part).__module__.startswith("keras."):
        return {}
    try:
        return _of_chain(part) if isinstance(part, keras.Sequential) else _of_graph(part)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return {}  # a layer does not tell its shapes, or lacks get_config


def _of_chain(part: keras.Sequential) -> dict[keras.Layer, tuple[int | None, ...]]:
    found, shape = {}, part.input_shape
    for layer in part.layers:
        found[layer] = shape
        shape = layer.compute_output_shape(shape)
    return found


def _of_graph(part: Any) -> dict[keras.Layer, tuple[int | None, ...]]:
    # Its public form is the only one that names the calls.
    steps = part.get_config()["layers"]
    calls = {step["name"]: step["inbound_nodes"] for step in steps}
    found = {}
    for layer in part.layers:
        own = calls.get(layer.name, [])
        tensor = own[0]["args"][0] if len(own) == 1 and own[0]["args"] else None
        if isinstance(tensor, dict) and tensor.get("class_name") == "__keras_tensor__":
            found[layer] = tuple(tensor["config"]["shape"])
    return found
