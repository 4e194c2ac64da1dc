"""The attention layer beside Keras' own: values, gradients, second derivatives, precision."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ccsam as cc
from keras_ccsam import backend
from keras_ccsam.layers.fast import FAST

JAX, TORCH = (keras.backend.backend() == name for name in ("jax", "torch"))
KERNEL_IS_USED = backend.attention(*(ops.ones((1, 2, 1, 2)),) * 3, 1.0) is not None


def numpy_of(value):
    return np.array(ops.convert_to_numpy(value))


def tokens(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pair(shape=(3, 5, 6), values=(3, 7, 4), **options):
    """Keras' layer and its twin with the same weights, none of them at its initial value."""
    arguments = {"num_heads": 2, "key_dim": 3, **options}
    both = [kind(**arguments) for kind in (layers.MultiHeadAttention, cc.layers.MultiHeadAttention)]
    rng = np.random.default_rng(1)
    for layer in both:
        layer.build((None, *shape[1:]), (None, *values[1:]))
    for variables in zip(both[0].trainable_variables, both[1].trainable_variables, strict=True):
        value = rng.normal(size=variables[0].shape)
        for variable in variables:
            variable.assign(value)
    return both, tokens(*shape), tokens(*values, seed=2)


def loss_of(layer, query, value, call):
    """Of the tokens and weights."""
    variables = layer.trainable_variables
    weigh = ops.convert_to_tensor(tokens(*query.shape, seed=3))

    def loss(given):
        with keras.StatelessScope(zip(variables, given[2:], strict=True)):
            outputs = layer(given[0], given[1], **call)
        outputs = outputs[0] if isinstance(outputs, tuple) else outputs
        return ops.sum(ops.cast(outputs, "float32") * weigh), (outputs,)

    inputs = [ops.convert_to_tensor(each, layer.compute_dtype) for each in (query, value)]
    return loss, [*inputs, *(v.value for v in variables)]


def found(layer, query, value, **call):
    loss, given = loss_of(layer, query, value, call)
    (_, outputs), gradients = backend.value_and_grad(loss, given)
    return [numpy_of(each).astype("float64") for each in (*outputs, *gradients)]


def assert_same(both, query, value, tolerance=2e-5, **call):
    results = (found(layer, query, value, **call) for layer in both)
    for stock, own in zip(*results, strict=True):
        assert np.abs(stock - own).max() <= tolerance * max(1.0, np.abs(stock).max())


@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"output_shape": 6}])
def test_values_and_gradients_are_those_of_keras(options):
    assert_same(*pair(**options))


@pytest.mark.parametrize(
    "call",
    [
        {"attention_mask": np.tri(5, 7, 2, dtype=bool)[None]},
        {"use_causal_mask": True},
        {"return_attention_scores": True},
    ],
)
def test_so_are_they_where_the_layer_is_keras_own(call):
    assert_same(*pair(), **call)


def test_with_dropout_the_layer_is_keras_own():
    both, query, value = pair(dropout=0.4, seed=5)
    stock, own = (numpy_of(layer(query, value, training=True)) for layer in both)
    np.testing.assert_allclose(own, stock, atol=1e-5)
    assert np.abs(own - numpy_of(both[1](query, value, training=False))).max() > 0.01


def test_several_axes_of_tokens():
    both, query, value = pair((2, 3, 2, 6), (2, 3, 4, 4), attention_axes=(1, 2))
    assert_same(both, query, value)


def test_in_mixed_precision():
    both, query, value = pair(dtype="mixed_bfloat16")
    assert_same(both, query, value, tolerance=0.03)
    assert ops.dtype(both[1](query, value)) == "bfloat16"


def test_large_scores_are_no_nan():
    both, query, value = pair()
    assert_same(both, 1000 * query, value)


@pytest.mark.skipif(TORCH, reason="the kernel for CPUs that Keras calls has no second derivative")
def test_second_derivatives_are_those_of_keras():
    """Which are a derivative forwards of one backwards on JAX."""
    products = []
    for layer in (both := pair())[0]:
        loss, given = loss_of(layer, *both[1:], {})
        vectors = [ops.ones(each.shape) for each in given]
        products.append(
            backend.hessian_vector_product(lambda v, loss=loss: loss(v)[0], given, vectors)
        )
    for stock, own in zip(*products, strict=True):
        scale = max(1.0, float(np.abs(numpy_of(stock)).max()))
        np.testing.assert_allclose(numpy_of(own) / scale, numpy_of(stock) / scale, atol=1e-4)


@pytest.mark.skipif(not JAX, reason="JAX has a kernel of its own")
def test_the_kernel_is_that_of_cpus_and_is_used(monkeypatch):
    import jax

    assert (jax.default_backend() == "cpu") == KERNEL_IS_USED
    (_, own), query, value = pair()
    used = []
    real = backend.attention
    monkeypatch.setattr(backend, "attention", lambda *given: used.append(1) or real(*given))
    own(query, value)
    assert used
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert real(*(ops.ones((1, 2, 1, 2)),) * 3, 1.0) is None


def test_networks_are_switched_and_go_back(tmp_path):
    inputs = keras.Input((5, 6))
    plain = keras.Model(inputs, layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs))
    x = tokens(2, 5, 6)
    before = numpy_of(plain(x))
    network = cc.models.accelerate(plain)
    assert type(network.get_layer("attention")) is FAST[layers.MultiHeadAttention]
    np.testing.assert_allclose(numpy_of(network(x)), before, atol=1e-5)
    network.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_allclose(numpy_of(loaded(x)), before, atol=1e-5)
    again = cc.models.plain_backbone(loaded)
    assert type(again.get_layer("attention")) is layers.MultiHeadAttention
    np.testing.assert_allclose(numpy_of(again(x)), before, atol=1e-5)
