"""What a landscape is taken of: the network on its fastest kernels, and what its outputs are."""

import random
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ccsam import backend
from keras_ccsam.heads import puts_out_logits
from keras_ccsam.layers.cloning import clone_network
from keras_ccsam.metrics.evaluation import are_probabilities
from keras_ccsam.models import accelerate
from keras_ccsam.training.model import SharpnessAwareModel


def fast_copy(model: Any) -> Any:
    """A copy of a functional or sequential model on faster kernels; another model as it is.

    The random state stays as it was: the copy's first values, which nobody sees, draw from it.
    """
    if isinstance(model, SharpnessAwareModel) or not getattr(model, "inputs", None):
        return model
    state = random.getstate()
    try:
        copy = clone_network(model, lambda layer: None)
    except (ValueError, TypeError, NotImplementedError):
        return model  # a layer that cannot be rebuilt from its config
    finally:
        random.setstate(state)
    own = [(v.name, tuple(v.shape)) for v in model.trainable_variables]
    if own != [(v.name, tuple(v.shape)) for v in copy.trainable_variables]:
        return model
    if hasattr(model, "logit_scale"):
        copy.logit_scale = model.logit_scale
    return accelerate(copy)


def gives_logits(model: Any, x: Any) -> bool:
    """Whether a model's outputs are logits: as `evaluate` tells it, by some of its inputs."""
    if isinstance(model, SharpnessAwareModel):
        return puts_out_logits(model.head)
    some = keras.tree.map_structure(lambda v: ops.convert_to_tensor(np.asarray(v[:64])), x)
    with backend.no_grad():
        outputs = ops.convert_to_numpy(model(some, training=False))
    return not are_probabilities(np.asarray(outputs, "float64"))


def classes_of(model: Any) -> int:
    """K; 2 for a model with one output.

    Raises:
        ValueError: the model does not say.
    """
    if isinstance(model, SharpnessAwareModel):
        return int(model.num_classes)
    # A model of one's own class, never called on a symbolic input, raises.
    try:
        shape = model.output_shape
    except (AttributeError, ValueError):
        shape = None
    if not isinstance(shape, tuple) or len(shape) != 2 or not shape[1]:
        raise ValueError(
            "The model must have outputs (B, K), one for each class; or give num_classes=K. "
            f"Received: model with output_shape={shape}"
        )
    return max(2, int(shape[1]))
