"""Which weights move, and what a filter of each is, in Keras' layouts."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_ccsam as cc
from keras_ccsam.analysis.landscapes import filter_axes
from keras_ccsam.analysis.landscapes.filters import filter_norms


def axes_of(layer, *shapes, name="kernel"):
    layer.build(*shapes)
    found = dict(
        zip(
            (v.path.rpartition("/")[2] for v in layer.trainable_variables),
            filter_axes(layer, layer.trainable_variables),
            strict=True,
        )
    )
    assert found.get("bias") is None
    return found[name]


@pytest.mark.parametrize(
    ("layer", "shape", "name", "axes"),
    [
        (layers.Dense(3), (None, 4), "kernel", (1,)),
        (layers.Conv1D(3, 2), (None, 5, 4), "kernel", (2,)),
        (layers.Conv2D(3, 2), (None, 5, 5, 4), "kernel", (3,)),
        (cc.layers.Conv2D(3, 2), (None, 5, 5, 4), "kernel", (3,)),
        (layers.Conv3D(3, 2), (None, 5, 5, 5, 4), "kernel", (4,)),
        (layers.Conv2DTranspose(3, 2), (None, 5, 5, 4), "kernel", (2,)),
        (layers.DepthwiseConv2D(2, depth_multiplier=2), (None, 5, 5, 4), "kernel", (2, 3)),
        (layers.SeparableConv2D(3, 2), (None, 5, 5, 4), "depthwise_kernel", (2, 3)),
        (layers.SeparableConv2D(3, 2), (None, 5, 5, 4), "pointwise_kernel", (3,)),
        (layers.Embedding(7, 4), (None, 5), "embeddings", (0,)),
        (layers.EinsumDense("abc,cde->abde", (None, 2, 3)), (None, 5, 4), "kernel", (1, 2)),
        (layers.EinsumDense("abcd,cde->abe", (None, 3)), (None, 5, 2, 4), "kernel", (2,)),
        (layers.LSTM(3), (None, 5, 4), "recurrent_kernel", (1,)),
        (cc.heads.Cosine(3), (None, 4), "kernel", (1,)),
        # A filter of one number could only become plus or minus itself.
        (layers.DepthwiseConv2D(1), (None, 5, 5, 4), "kernel", None),
        (layers.Dense(3), (None, 1), "kernel", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else None,
)
def test_axes_that_number_the_filters(layer, shape, name, axes):
    assert axes_of(layer, shape, name=name) == axes


@pytest.mark.parametrize(
    "layer",
    [
        layers.BatchNormalization(),
        layers.LayerNormalization(axis=(1, 2, 3)),  # scale and offset of three axes
        layers.GroupNormalization(2),
        layers.RMSNormalization(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_normalisations_do_not_move(layer):
    layer.build((None, 4, 4, 2))
    assert layer.trainable_variables
    assert set(filter_axes(layer, layer.trainable_variables)) == {None}


def test_attention_is_made_of_its_projections():
    inputs = keras.Input((5, 8))
    model = keras.Model(inputs, layers.MultiHeadAttention(2, 3)(inputs, inputs))
    found = {
        v.path.partition("/")[2]: own
        for v, own in zip(
            model.trainable_variables, filter_axes(model, model.trainable_variables), strict=True
        )
    }
    assert found["query/kernel"] == found["key/kernel"] == found["value/kernel"] == (1, 2)
    assert found["attention_output/kernel"] == (2,)
    # Biases of attention have two axes.
    assert {own for path, own in found.items() if path.endswith("bias")} == {None}


def test_norms_of_filters():
    kernel = np.arange(24.0).reshape(2, 3, 4)
    norms = filter_norms(kernel, (1,))
    assert norms.shape == (1, 3, 1)
    assert norms[0, 2, 0] == pytest.approx(np.linalg.norm(kernel[:, 2]))
