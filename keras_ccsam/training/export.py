"""A trained model in stock Keras layers."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ccsam.heads import Activated, Cosine
from keras_ccsam.layers.calls import input_structure
from keras_ccsam.layers.cloning import has_own_layers, plain_backbone
from keras_ccsam.layers.fast import stock_type
from keras_ccsam.layers.lora import adapted, merged


def plain_model(backbone: keras.Layer, head: keras.Layer, logit_scale: float) -> keras.Model:
    """The functional form of a `SharpnessAwareModel` of these. See its `export_plain`."""
    if not getattr(backbone, "inputs", None):
        raise ValueError(
            "Only a functional or sequential backbone can be exported as a plain model. "
            f"Received: backbone of {type(backbone).__name__}"
        )
    if adapted(backbone):
        backbone = merged(backbone)
    if has_own_layers(backbone):
        backbone = plain_backbone(backbone)
    inputs = keras.tree.map_structure(
        lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name),
        input_structure(backbone),
    )
    features = backbone(inputs)
    if isinstance(head, Cosine):
        features = keras.layers.UnitNormalization(axis=-1, name="directions")(features)
        dense = keras.layers.Dense(head.units, use_bias=False, name=head.name)
        kernel = ops.convert_to_numpy(head.kernel)
        norms = np.maximum(np.linalg.norm(kernel, axis=0, keepdims=True), 1e-12)
        weights = [logit_scale * head.scale * kernel / norms]
    else:
        own = head.dense if isinstance(head, Activated) else head
        kind: Any = stock_type(own)
        dense = kind.from_config(own.get_config())
        weights = own.get_weights()
    outputs = dense(features)
    dense.set_weights(weights)
    if isinstance(head, Activated):
        last = head.activation_layer
        outputs = type(last).from_config(last.get_config())(outputs)
    return keras.Model(inputs, outputs, name="classifier_model")
