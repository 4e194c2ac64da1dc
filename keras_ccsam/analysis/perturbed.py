"""Which of a model's weights are looked at, and what its outputs are."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_ccsam.data.batches.reading import predicted
from keras_ccsam.data.images.store import taken
from keras_ccsam.heads import puts_out_logits
from keras_ccsam.metrics.evaluation import are_probabilities
from keras_ccsam.sharpness.perturbed_weights import check_pattern, positions
from keras_ccsam.training.model import SharpnessAwareModel
from keras_ccsam.training.split import split_classifier

_LOOKED_AT = 256  # samples that show whether outputs are probabilities


def head_of(model: keras.Model) -> keras.Layer:
    """The classifier's last layer.

    Raises:
        ValueError: it cannot be told.
    """
    if isinstance(model, SharpnessAwareModel):
        return model.head
    return split_classifier(model)[1]


def chosen_positions(
    model: keras.Model, variables: Sequence[keras.Variable], weights: str
) -> list[int]:
    """The positions of the variables that `weights` names.

    Args:
        model: of which they are.
        variables: its trainable ones.
        weights: `"all"`, `"head"`, or a regular expression that is searched in their paths.

    Raises:
        ValueError: there are none, or the pattern is none.
    """
    head = head_of(model) if weights == "head" else None
    try:
        return positions(variables, check_pattern(weights), head)
    except ValueError as error:  # the words are those of the option that a method has
        raise ValueError(
            str(error)
            .replace("`perturb`", "`weights`")
            .replace("Received: perturb=", "Received: weights=")
        ) from None


def outputs_are_logits(model: keras.Model, x: Any) -> bool:
    """Whether the model puts out logits; told by its head, else by some of its outputs.

    Args:
        model: any Keras classifier.
        x: inputs (N, ...).
    """
    if isinstance(model, SharpnessAwareModel):
        return puts_out_logits(model.head)
    some = keras.tree.map_structure(lambda part: taken(part, slice(_LOOKED_AT)), x)
    outputs = predicted(model, some, _LOOKED_AT)
    return not are_probabilities(np.asarray(keras.ops.convert_to_numpy(outputs)))
