"""Whether a sample's loss depends on that sample alone, told from the model's parts.

CC-SAM of all weights needs a full pass for every class of a batch as long as samples may see each
other; where they cannot, each one needs only its own class's pass. That cannot be read from
weights and numbers, so it is granted by name: to the stock Keras layers, operations and losses
listed here, asked for the options with which they would mix samples or draw random numbers, and to
a layer or loss of your own whose class says `samples_independent = True`. Whatever is not known
counts as dependent. Activation functions are taken to act on each sample by itself.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from keras_ccsam.heads import Activated, is_plain_dense
from keras_ccsam.layers.fast import stock_type
from keras_ccsam.sharpness.objective import Coupling
from keras_ccsam.training.called_once import called_once
from keras_ccsam.training.independent import ELEMENTWISE, LAYERS, LOSS_FUNCTIONS, LOSSES
from keras_ccsam.training.moved_layers import ruled_parts
from keras_ccsam.training.trainee import Trainee


def model_coupling(model: Trainee, base: type, loss: Any) -> Coupling:
    """That of a model of a backbone and a head, unless its class computes something of its own.

    Args:
        model: the `SharpnessAwareModel`.
        base: the class whose computation is known.
        loss: a `keras.losses.Loss`, a function, or None.
    """
    kind = type(model)
    for name in ("__call__", "call", "compute_loss"):
        if getattr(kind, name) is not getattr(base, name):
            return Coupling(f"{kind.__name__} has a {name} of its own", (), False)
    found = coupling(model.backbone, model.head, loss)
    if found.reason is None and model.terms:
        return dataclasses.replace(
            found, reason=f"the term {model.terms[0].name!r} sees the whole batch"
        )
    return found


def coupling(backbone: keras.Layer, head: keras.Layer, loss: Any) -> Coupling:
    """Walks a backbone, a head and a loss.

    Args:
        backbone: functional and sequential models are walked; another model counts as dependent
            unless its class says `samples_independent = True`.
        head: a layer, or such a model.
        loss: a `keras.losses.Loss`, a function, or None.
    """
    reasons = [_reason_of_loss(loss)]
    norms: list[Any] = []
    ruled: list[Any] = []
    convolutions = False
    for part in (backbone, head):
        for layer in _layers(part):
            reasons.append(_reason(layer))
            convolutions = convolutions or "Conv" in type(layer).__name__
            if _takes_statistics(layer):
                norms.append(layer)
            ruled += ruled_parts(layer)
        if not any(reasons):
            reasons += [_reason_of_graph(graph, bool(norms)) for graph in _graphs(part)]
    found = next((reason for reason in reasons if reason), None)
    unique = (tuple(dict.fromkeys(each)) for each in (norms, ruled))
    return Coupling(found, next(unique), convolutions, next(unique), _row_layers(backbone))


def _row_layers(backbone: keras.Layer) -> tuple[keras.layers.Dense, ...]:
    if not any(is_plain_dense(layer) for layer in getattr(backbone, "layers", ())):
        return ()
    shapes = called_once(backbone)
    return tuple(each for each in shapes if is_plain_dense(each) and len(shapes[each]) == 2)


def _layers(part: keras.Layer) -> Iterator[Any]:
    """The layers that hold the computation: those of a graph, or the part itself."""
    if isinstance(part, Activated):
        yield from (part.dense, part.activation_layer)
    elif not _is_graph(part):
        yield part
    else:
        for layer in part.layers:
            yield from _layers(layer)


def _graphs(part: keras.Layer) -> Iterator[Any]:
    """The functional models in a part, itself included."""
    if not _is_graph(part):
        return
    if not isinstance(part, keras.Sequential):
        yield part
    for layer in part.layers:
        yield from _graphs(layer)


def _is_graph(part: keras.Layer) -> bool:
    """Whether the part is its layers and nothing else: a subclass may compute something more."""
    if not isinstance(part, keras.Model) or not type(part).__module__.startswith("keras."):
        return False
    return isinstance(part, keras.Sequential) or hasattr(part, "operations")


def _reason(layer: keras.Layer) -> str | None:
    """What lets a layer mix samples or draw random numbers; None if nothing does."""
    kind = stock_type(layer)
    # Asked of the class itself: what a subclass computes is its own affair.
    own = vars(kind).get("samples_independent") is True
    told = None
    if not own and kind not in LAYERS:
        told = "is not known to treat each sample by itself"
    elif getattr(layer, "activity_regularizer", None) is not None:
        told = "has an activity regulariser"
    elif getattr(layer, "quantization_mode", None):
        told = "is quantised"
    elif isinstance(getattr(layer, "activation", None), layers.Layer):
        return _reason(layer.activation)
    elif not own:
        told = _reason_of_options(layer)
    return told and f"{kind.__name__} {layer.name!r} {told}"


def _reason_of_options(layer: keras.Layer) -> str | None:
    """The options of a stock layer that would mix samples."""
    if isinstance(layer, layers.InputLayer):
        fixed = layer.batch_shape[0] is not None
        return "fixes the size of the batch" if fixed else None
    if isinstance(layer, layers.BatchNormalization):
        if layer.trainable and layer.renorm:
            return "renormalises batches"
        return "keeps its statistics" if layer.trainable and layer.momentum == 1 else None
    if isinstance(layer, layers.EinsumDense):
        inputs, rest = layer.equation.split(",")
        kernel, outputs = rest.split("->")
        same = inputs[:1] == outputs[:1] and (inputs.startswith("...") or inputs[0] not in kernel)
        return None if same else "does not keep the batch axis first"
    if isinstance(layer, layers.MultiHeadAttention):
        config = layer.get_config()
        if config["dropout"]:
            return "draws dropout masks"
        axes = config["attention_axes"]
        return None if axes is None or _along_samples(axes) else "attends across samples"
    if isinstance(layer, layers.Embedding):
        return "makes a mask" if layer.mask_zero else None
    return None if _along_samples(getattr(layer, "axis", -1)) else "works along the batch axis"


def _along_samples(axes: Any) -> bool:
    """Whether axes lie inside a sample: the last one, or counted from the front."""
    return all(axis is not None and (axis == -1 or axis >= 1) for axis in keras.tree.flatten(axes))


def _reason_of_graph(model: keras.Model, batch_norm: bool) -> str | None:
    """What a functional model does between its layers."""
    loose = any(not isinstance(step, layers.Layer) for step in model.operations)
    if not loose and not batch_norm:
        return None
    try:
        # Its public form is the only one that names the arguments of operations.
        steps = model.get_config()["layers"]
    except (NotImplementedError, TypeError, ValueError):
        return f"the model {model.name!r} cannot be described: a layer lacks get_config"
    by_name = {layer.name: layer for layer in model.layers}
    for step in steps:
        name, calls = step["name"], step["inbound_nodes"]
        layer = by_name.get(name)
        if layer is None:
            if not all(_keeps_samples(step, call) for call in calls):
                return f"the operation {name!r} may mix samples"
        elif any(_takes_statistics(inner) for inner in _layers(layer)):
            if len(calls) > 1:
                return f"{name!r} takes the statistics of several inputs in turn"
            if any(value is False for call in calls for value in _arguments(call)):
                return f"{name!r} is called with training=False; set its `trainable` to False"
    return None


def _takes_statistics(layer: keras.Layer) -> bool:
    return stock_type(layer) is layers.BatchNormalization and bool(layer.trainable)


def _arguments(call: dict[str, Any]) -> list[Any]:
    return [*call["args"], *call["kwargs"].values()]


def _keeps_samples(step: dict[str, Any], call: dict[str, Any]) -> bool:
    """Whether one call of a serialised operation treats each sample by itself."""
    kind, args = step["class_name"], call["args"]
    if not step["module"].startswith("keras."):
        return False
    if kind == "GetItem":
        key = args[1] if len(args) > 1 else call["kwargs"].get("key")
        first = key[0] if isinstance(key, (list, tuple)) and key else key
        whole = {"start": None, "stop": None, "step": None}
        return isinstance(first, dict) and first.get("config") == whole
    if kind == "Pad":
        width = step["config"].get("pad_width")
        return isinstance(width, (list, tuple)) and list(keras.tree.flatten(width[0])) == [0, 0]
    if kind not in ELEMENTWISE:
        return False
    # Of several tensors, only those with the samples along the same axis line up.
    ranks = set()
    for value in _arguments(call):
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            shape = value["config"]["shape"]
            ranks.add(len(shape) if shape and shape[0] is None else 0)
        elif value is not None and not isinstance(value, (bool, int, float, str)):
            return False
    return len(ranks) == 1 and 0 not in ranks


def _reason_of_loss(loss: Any) -> str | None:
    """What lets a loss mix samples; None if nothing does."""
    if loss is None or loss in LOSS_FUNCTIONS:
        return None
    if vars(type(loss)).get("samples_independent") is True:
        return None
    name = getattr(loss, "__name__", None) or type(loss).__name__
    if type(loss) not in LOSSES:
        return f"the loss {name} is not known to treat each sample by itself"
    if not _along_samples(loss.get_config().get("axis", -1)):
        return f"the loss {name} works along the batch axis"
    return None
