"""The blocks of a network, told from its layers' names.

Networks name their layers by block: `conv5_block3_2_conv`, `block7a_project_bn`,
`transformer_block_12`, `encoder_block_11`, `layers_11`, `stage3_block5_conv1`. Where the names tell
no blocks, one begins at each convolution and at each dense layer.
"""

import re
from collections.abc import Iterator

import keras

from keras_ccsam.layers.walk import all_layers

# The first pattern that names two blocks or more in a network is the network's.
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:^|.*?[/_])(?:\w*?block)_?\d+[a-z]?(?=_|/|$)",
        r"(?:^|.*?[/_])(?:encoder_layer|layers?|blocks?|stage|stack|mixed)_?\d+(?=_|/|$)",
        r"(?:^|.*?[/_])(?:\w*?conv)_\d+(?=_|/|$)",
    )
)
_BEGINNINGS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.SeparableConv2D,
)


def weighted_layers(network: keras.Layer) -> list[keras.Layer]:
    """The layers that have weights of their own, from the input to the output."""
    return [layer for layer in _in_order(network) if _own_weights(layer)]


def blocks(network: keras.Layer) -> list[list[keras.Layer]]:
    """The layers with weights, block by block from the input on.

    What stands before the first block is one of its own; what follows the last one belongs to it.
    """
    layers = weighted_layers(network)
    marks: list[object] = []
    for pattern in _PATTERNS:
        found = [pattern.match(_path(layer, network)) for layer in layers]
        marks = [match and match[0] for match in found]
        if len({mark for mark in marks if mark}) > 1:
            break
    else:
        count, marks = 0, []
        for layer in layers:
            count += isinstance(layer, _BEGINNINGS)
            marks.append(count)
    cut: list[list[keras.Layer]] = []
    last: object = None
    for layer, mark in zip(layers, marks, strict=True):
        if not cut or (mark and mark != last):
            cut.append([])
        last = mark or last
        cut[-1].append(layer)
    return cut


def _own_weights(layer: keras.Layer) -> bool:
    below = {id(v) for part in _children(layer) for v in part.variables}
    return any(id(variable) not in below for variable in layer.variables)


def _in_order(layer: keras.Layer) -> Iterator[keras.Layer]:
    """A layer and those inside it: of a graph by its order, of a layer as its class lists them."""
    yield layer
    for child in _children(layer):
        yield from _in_order(child)


def _children(layer: keras.Layer) -> list[keras.Layer]:
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
        return [part for part in layer.layers if part is not layer]
    below: list[keras.Layer] = []
    seen: set[int] = {id(layer)}
    for item in vars(layer).values():
        below += _outermost(item, seen)
    return below


def _outermost(item: object, seen: set[int]) -> Iterator[keras.Layer]:
    if id(item) in seen:
        return
    if isinstance(item, keras.Layer):
        seen.update(map(id, all_layers(item)))
        yield item
    elif isinstance(item, dict | list | tuple):
        for part in list(item.values()) if isinstance(item, dict) else list(item):
            yield from _outermost(part, seen)


def _path(layer: keras.Layer, network: keras.Layer) -> str:
    """A layer's place by name, without the network's own."""
    path = str(layer.path or layer.name)
    return path.removeprefix(f"{network.name}/")
