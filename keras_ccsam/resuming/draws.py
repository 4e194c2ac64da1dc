"""Whether layers draw what they would have drawn, had a training not been interrupted."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_ccsam import backend

DEVICES = "devices"
"""The fact of a state that says on how many it was trained."""


def why_others(model: keras.Model, facts: Mapping[str, Any]) -> str | None:
    """Why Dropout and its like draw other masks from here on; None if they do not.

    On PyTorch each process draws for its rows, and so does each replica on TensorFlow. A step of
    JAX draws for the whole batch, on however many devices.

    Args:
        model: in training.
        facts: of the state that is gone on from.
    """
    now = backend.trained_by(model)
    before = facts.get(DEVICES, now)
    if before == now or backend.STATELESS or backend.process_index() != 0:
        return None
    # A model of this package has seeds of its own, which are the same on all devices.
    parts = [model.backbone, model.head] if hasattr(model, "backbone") else [model]
    paths = (variable.path for part in parts for variable in part.variables)
    if not any(path.endswith("seed_generator_state") for path in paths):
        return None
    return (
        f"the training was on {before} device{'s' * (before > 1)} and goes on with {now}: Dropout "
        "and other layers with a seed draw other masks than they would have. The samples, their "
        "order and their augmentation are the same"
    )
