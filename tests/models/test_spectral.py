"""A whole network normalised, and made of stock layers again."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ccsam as cc
from keras_ccsam.layers import SpectralNormalization
from keras_ccsam.models import plain_backbone, spectrally_normalize


def numpy_of(value):
    return np.array(ops.convert_to_numpy(value))


def network():
    """Convolutions, an operation, BatchNorm, a nested model and an activity regulariser."""
    images = keras.Input((8, 8, 3), name="images")
    x = layers.Conv2D(4, 3, name="first", activity_regularizer="l2")(images)
    x = layers.BatchNormalization(name="norm")(x)
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    inner_input = keras.Input((8, 8, 4))
    inner = layers.DepthwiseConv2D(3, name="depthwise")(inner_input)
    x = keras.Model(inner_input, inner, name="nested")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(images, layers.Dense(6, name="features")(x), name="net")
    # Far from a largest singular value of 1, whatever is drawn.
    features = model.get_layer("features")
    features.kernel.assign(10.0 * features.kernel.value)
    norm = model.get_layer("norm")
    norm.moving_variance.assign(np.array([1.0, 2.0, 3.0, 4.0], "float32"))
    return model


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")


def test_layers_keep_their_names_and_weights(images):
    plain = network()
    before = plain.get_weights()
    normalized = spectrally_normalize(plain, power_iterations=3)
    inner = normalized.get_layer("nested").get_layer("depthwise")
    for wrapper in (normalized.get_layer("first"), inner, normalized.get_layer("features")):
        assert isinstance(wrapper, SpectralNormalization) and wrapper.power_iterations == 3
    assert normalized.get_layer("first").activity_regularizer is not None
    assert [layer.name for layer in normalized.layers] == [layer.name for layer in plain.layers]
    weights = [numpy_of(v.value) for v in normalized.weights if v.name != "u"]
    for old, new, kept in zip(before, weights, plain.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
        np.testing.assert_array_equal(old, kept)
    difference = numpy_of(normalized(images)) - numpy_of(plain(images))
    assert np.abs(difference).max() > 1e-3


def test_a_trained_model_is_exported_in_stock_layers(images, tmp_path):
    model = cc.SharpnessAwareModel(
        spectrally_normalize(network()), layers.Dense(3), cc.sharpness.SAM(0.05)
    )
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    model.fit(images, np.arange(4) % 3, epochs=2, verbose=0)
    expected = model.predict(images, verbose=0)
    exported = model.export_plain()
    assert "keras_ccsam" not in exported.to_json()
    exported.save(tmp_path / "plain.keras")
    loaded = keras.models.load_model(tmp_path / "plain.keras")
    for stock in (exported, loaded):
        np.testing.assert_allclose(stock.predict(images, verbose=0), expected, atol=1e-5)
    # Folding copies: the model that goes on training is not changed.
    assert isinstance(model.backbone.get_layer("first"), SpectralNormalization)
    np.testing.assert_array_equal(model.predict(images, verbose=0), expected)


def test_a_network_that_has_both_kinds_of_layers(images):
    once = spectrally_normalize(network())
    twice = spectrally_normalize(keras.Sequential([keras.Input((8, 8, 3)), once, layers.Dense(2)]))
    again = twice.get_layer("net").get_layer("first")
    assert not isinstance(again.layer, SpectralNormalization)
    np.testing.assert_allclose(
        numpy_of(plain_backbone(twice)(images)), numpy_of(twice(images)), atol=1e-5
    )


def test_networks_that_cannot_be_normalised():
    images = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match=r"two kernels.*layer='both' of SeparableConv2D"):
        spectrally_normalize(keras.Model(images, layers.SeparableConv2D(4, 3, name="both")(images)))
    with pytest.raises(ValueError, match="backbone='empty'"):
        spectrally_normalize(keras.Model(images, layers.Flatten()(images), name="empty"))
    with pytest.raises(ValueError, match="model of Dense"):
        spectrally_normalize(layers.Dense(3))
