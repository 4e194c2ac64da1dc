"""Builds a backbone of any kind for inputs of any structure."""

from typing import Any

import keras


def feature_shape(backbone: keras.Layer, input_shape: Any) -> tuple[int | None, int]:
    """The shape (B, D) of a backbone's features; it is built on the way.

    Args:
        backbone: a model or a layer, built or not. One without a `build` of its own creates its
            weights where it is called, so it is called on symbolic inputs.
        input_shape: one shape, or a dict or list of them.

    Raises:
        ValueError: if the features do not have such a shape.
    """
    if not backbone.built and type(backbone).build is keras.Layer.build:
        shape = backbone(_symbolic(input_shape)).shape
    else:
        if not backbone.built:
            backbone.build(input_shape)
        shape = backbone.compute_output_shape(input_shape)
    if hasattr(shape, "as_list"):  # TensorFlow's own type, from some layers
        shape = tuple(shape.as_list())
    if not isinstance(shape, (tuple, list)) or len(shape) != 2 or shape[1] is None:
        raise ValueError(
            "The backbone must put out features of shape (batch, features); add a "
            f"GlobalAveragePooling2D or a Flatten. Received: output shape={shape}"
        )
    return shape[0], shape[1]


def _symbolic(shape: Any) -> Any:
    """Symbolic tensors of a structure of shapes."""
    if isinstance(shape, dict):
        return {name: _symbolic(part) for name, part in shape.items()}
    several = isinstance(shape, (list, tuple)) and any(
        part is not None and not isinstance(part, int) for part in shape
    )
    if several:
        return [_symbolic(part) for part in shape]
    return keras.KerasTensor(tuple(shape))
