"""A Dense head with scales: its formula, folding, and what it refuses."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.heads import Cosine, Scaled, closed_form


def scaled(activation=None, use_bias=True, **kwargs):
    """A head with weights of its own, features, and float64 logits by the formula."""
    rng = np.random.default_rng(0)
    dense = keras.layers.Dense(3, activation=activation, use_bias=use_bias, **kwargs)
    dense.build((None, 4))
    dense.set_weights([rng.normal(size=w.shape) for w in dense.weights])
    head = Scaled(dense)
    head.build((None, 4))
    f = np.array([0.5, 2.0, -1.5])
    head.scales.assign(f)
    h = rng.normal(size=(6, 4)).astype("float32")
    v, *b = [w.astype("float64") for w in dense.get_weights()]
    return head, h, f * (h @ v + (b[0] if b else 0.0))


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_whole_logit_is_scaled(use_bias):
    head, h, z = scaled(use_bias=use_bias)
    np.testing.assert_allclose(ops.convert_to_numpy(head(h)), z, rtol=1e-5, atol=1e-6)
    assert head.units == 3
    assert head.compute_output_shape((None, 4)) == (None, 3)
    assert closed_form(head) is None


def test_a_softmax_comes_after_the_scales():
    head, h, z = scaled("softmax")
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ops.convert_to_numpy(head(h)), p, rtol=1e-4, atol=1e-6)


def test_it_starts_as_the_dense_it_shares():
    dense = keras.layers.Dense(3, bias_initializer="ones")
    head = Scaled(dense)
    h = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    outputs = ops.convert_to_numpy(head(h))
    np.testing.assert_allclose(outputs, ops.convert_to_numpy(dense(h)), rtol=1e-6)
    assert {id(v) for v in dense.variables} < {id(v) for v in head.variables}
    assert len(head.trainable_variables) == 3


@pytest.mark.parametrize("use_bias", [True, False])
def test_folding_keeps_the_function(use_bias):
    head, h, z = scaled(use_bias=use_bias)
    before = head.dense.get_weights()
    head.fold()
    np.testing.assert_allclose(ops.convert_to_numpy(head.dense(h)), z, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(head(h)), z, rtol=1e-5, atol=1e-6)
    for old, new in zip(before, head.dense.get_weights(), strict=True):
        np.testing.assert_allclose(new, old * [0.5, 2.0, -1.5], rtol=1e-6)


def test_it_computes_in_the_type_of_the_dense():
    head, h, z = scaled(dtype="mixed_float16")
    assert head.scales.dtype == "float32"
    outputs = head(h)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), z, rtol=2e-2, atol=2e-2)


def test_a_model_with_it_is_saved(tmp_path):
    inputs = keras.Input((4,))
    backbone = keras.Model(inputs, keras.layers.Dense(4, activation="tanh")(inputs))
    model = cc.SharpnessAwareModel(backbone, Scaled(keras.layers.Dense(3, name="classifier")))
    model.head.scales.assign([0.5, 2.0, 3.0])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.head, Scaled)
    h = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(again(h)), ops.convert_to_numpy(model(h)), rtol=1e-6
    )


def test_only_a_plain_dense():
    adapted = keras.layers.Dense(3, lora_rank=2)
    adapted.build((None, 4))
    for layer in (Cosine(3), adapted, keras.layers.EinsumDense("bd,dk->bk", 3)):
        with pytest.raises(ValueError, match=r"Received: dense="):
            Scaled(layer)
