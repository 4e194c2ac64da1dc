"""The dense layer beside Keras' own, and where networks are switched to it."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ccsam as cc
from keras_ccsam import backend
from keras_ccsam.heads import is_plain_dense
from keras_ccsam.layers.fast import FAST
from keras_ccsam.layers.walk import all_layers
from tests.layers.test_fast_layers import assert_same, numpy_of, pair

JAX = keras.backend.backend() == "jax"


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "gelu"},
        {"use_bias": False},
        {"shape": (3, 5, 4)},
        {"shape": (5, 4)},  # Keras' own
        {"dtype": "mixed_bfloat16"},
    ],
)
def test_values_and_gradients_are_those_of_keras(options):
    both, x = pair("Dense", units=6, **options)
    assert_same(both, x, tolerance=0.02 if "dtype" in options else 1e-5)


def test_second_derivatives_are_those_of_keras():
    both, x = pair("Dense", units=6, shape=(2, 3, 4), activation="tanh")
    x = ops.convert_to_tensor(x)
    stock, own = (
        backend.hessian_vector_product(
            lambda v, layer=layer: ops.sum(layer(v[0])), [x], [ops.ones_like(x)]
        )[0]
        for layer in both
    )
    np.testing.assert_allclose(numpy_of(own), numpy_of(stock), atol=1e-5)


def test_an_empty_batch_has_empty_outputs():
    (_, own), _ = pair("Dense", units=6, shape=(2, 3, 4))
    assert ops.shape(own(ops.zeros((0, 3, 4)))) == (0, 3, 6)


@pytest.mark.skipif(not JAX, reason="JAX has a product of its own")
def test_tokens_become_rows_on_cpus_alone(monkeypatch):
    import jax

    (_, own), x = pair("Dense", units=6, shape=(2, 3, 4))
    ranks = [
        line.invars[0].aval.ndim
        for line in jax.make_jaxpr(own)(x).eqns
        if line.primitive.name == "dot_general"
    ]
    assert ranks == ([2] if jax.default_backend() == "cpu" else [3])
    assert backend.dense(x[:, 0], own.kernel.value) is None
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert backend.dense(ops.convert_to_tensor(x), own.kernel.value) is None


def test_with_lora_the_layer_is_keras_own(monkeypatch):
    both, x = pair("Dense", units=6, shape=(2, 3, 4))
    for layer in both:
        layer.enable_lora(2)
        layer.lora_kernel_a.assign(np.ones((4, 2)))
        layer.lora_kernel_b.assign(np.ones((2, 6)))
    monkeypatch.setattr(backend, "dense", None)
    stock, own = (numpy_of(layer(x)) for layer in both)
    np.testing.assert_allclose(own, stock, atol=1e-5)


def test_it_is_quantised_as_keras_own_is():
    both, x = pair("Dense", units=6, shape=(2, 3, 4))
    for layer in both:
        layer.quantize("int8")
    stock, own = (numpy_of(layer(x)) for layer in both)
    np.testing.assert_allclose(own, stock, atol=1e-5)

    class Other(cc.layers.Dense):
        pass

    other = Other(6)
    other.build((None, 3, 4))
    with pytest.raises(NotImplementedError):
        other.quantize("int8")


def network():
    tokens = keras.Input((3, 4))
    x = layers.Dense(6, activation="gelu", name="of_tokens")(tokens)
    x = layers.Dense(5, name="of_rows")(layers.GlobalAveragePooling1D()(x))
    return keras.Model(tokens, x)


def test_dense_layers_of_tokens_are_switched_and_classifiers_are_not(tmp_path):
    plain = network()
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    before = numpy_of(plain(x))
    own = cc.models.accelerate(plain)
    assert type(own.get_layer("of_tokens")) is FAST[layers.Dense]
    assert type(own.get_layer("of_rows")) is layers.Dense
    np.testing.assert_allclose(numpy_of(own(x)), before, atol=1e-5)
    own.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_allclose(numpy_of(loaded(x)), before, atol=1e-5)
    again = cc.models.plain_backbone(loaded)
    assert type(again.get_layer("of_tokens")) is layers.Dense
    np.testing.assert_allclose(numpy_of(again(x)), before, atol=1e-5)


def test_as_a_head_it_is_the_plain_dense_that_it_computes():
    class Other(cc.layers.Dense):
        pass

    assert is_plain_dense(cc.layers.Dense(3)) and not is_plain_dense(Other(3))


def trained(switched):
    keras.utils.set_random_seed(0)
    tokens = keras.Input((3, 4))
    x = layers.Flatten()(layers.Dense(6, activation="tanh")(tokens))
    method = cc.sharpness.ClassConditional([30, 20, 10])
    model = cc.SharpnessAwareModel(keras.Model(tokens, x), layers.Dense(3), method)
    model.compile("sgd", "sparse_categorical_crossentropy")
    if switched:
        cc.models.accelerate(model)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3, 4)).astype("float32"), np.arange(12) % 3
    model.fit(x, y, batch_size=6, epochs=1, shuffle=False, verbose=0)
    return model


def test_a_model_switched_with_its_head_trains_as_before():
    stock, own = (trained(switched) for switched in (False, True))
    for expected, value in zip(stock.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)
    kinds = {type(layer) for layer in all_layers(own.export_plain())}
    assert layers.Dense in kinds and FAST[layers.Dense] not in kinds
