"""What a network must be to help M2m: built, on the model's images, with its classes, to logits."""

from typing import Any

import keras

Shape = tuple[int | None, ...]


def check_helper(helper: Any) -> None:
    """Raises ValueError unless `helper` is a built Keras classifier that puts out logits."""
    if not (isinstance(helper, keras.Layer) and helper.built):
        raise ValueError(
            "`helper` must be a built Keras classifier, trained on the same data. "
            f"Received: helper={helper!r}"
        )
    activation = _final_activation(helper)
    if activation in ("softmax", "sigmoid"):
        raise ValueError(
            "`helper` must put out logits, without an activation on its last layer. "
            f"Received: helper that ends in a {activation}"
        )


def check_helper_fits(helper: Any, input_shape: Shape, num_classes: int) -> None:
    """Raises ValueError unless `helper` maps inputs of that shape to (B, num_classes)."""
    takes = _input_shape(helper)
    if takes is not None and not _compatible(takes, input_shape):
        raise ValueError(
            f"`helper` must take the model's inputs, of shape {input_shape}. "
            f"Received: helper for inputs of shape {takes}"
        )
    outputs = helper.compute_output_spec(keras.KerasTensor(input_shape))
    shape = getattr(outputs, "shape", None)
    if shape is None or tuple(shape)[1:] != (num_classes,):
        raise ValueError(
            f"`helper` must put out one logit for each of the {num_classes} classes. "
            f"Received: helper with outputs of shape {shape or outputs}"
        )


def _final_activation(helper: Any) -> str | None:
    """The name of the activation that a classifier ends in, None where none is to be seen."""
    last = helper
    while not hasattr(last, "activation") and getattr(last, "layers", None):
        last = last.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(last, "activation", None), "__name__", None)


def _input_shape(helper: Any) -> Shape | None:
    """The shape that a classifier is known to take."""
    shape = getattr(getattr(helper, "backbone", helper), "input_shape", None)
    return tuple(shape) if isinstance(shape, tuple | list) else None


def _compatible(one: Shape, other: Shape) -> bool:
    return len(one) == len(other) and all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )
