"""A network switched to the fast layers: the same object, weights and numbers."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ccsam as cc
from keras_ccsam.layers.fast import FAST, STOCK
from keras_ccsam.layers.walk import all_layers


def numpy_of(value):
    return np.array(ops.convert_to_numpy(value))


def functional():
    images = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, padding="same", name="first")(images)
    x = layers.BatchNormalization(name="norm")(x)
    block = keras.Sequential([keras.Input((8, 8, 4)), layers.DepthwiseConv2D(3), layers.ReLU()])
    x = layers.MaxPooling2D(2)(block(x))
    return keras.Model(images, layers.Dense(3)(layers.Flatten()(x)))


class Subclassed(keras.Model):
    """Layers in an attribute, a list and a dictionary."""

    def __init__(self):
        super().__init__()
        self.first = layers.Conv2D(4, 3, padding="same")
        self.rest = [layers.BatchNormalization(), layers.AveragePooling2D(2)]
        self.ends = {"flat": layers.Flatten(), "dense": layers.Dense(3)}

    def call(self, inputs, training=None):
        x = self.first(inputs)
        x = self.rest[1](self.rest[0](x, training=training))
        return self.ends["dense"](self.ends["flat"](x))


def data(count=24):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 8, 8, 2)).astype("float32")
    return x, rng.integers(0, 3, count)


def compiled(network):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss)
    return network


@pytest.mark.parametrize("make", [functional, Subclassed])
def test_training_goes_on_as_it_would_have(make):
    x, y = data()
    networks = [compiled(make()) for _ in range(2)]
    for network in networks:
        network(x[:1])
    networks[1].set_weights(networks[0].get_weights())
    for network in networks:
        network.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    before = networks[1].get_weights()
    assert cc.models.accelerate(networks[1]) is networks[1]
    for old, kept in zip(before, networks[1].get_weights(), strict=True):
        np.testing.assert_array_equal(old, kept)
    for network in networks:  # the momenta go on, too
        network.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    for plain, own in zip(networks[0].get_weights(), networks[1].get_weights(), strict=True):
        np.testing.assert_allclose(own, plain, atol=2e-5)
    kinds = {type(layer) for layer in all_layers(networks[1])}
    # A classifier stays what it is.
    assert kinds & set(STOCK) and not kinds & (set(FAST) - {layers.Dense})
    assert not {type(layer) for layer in all_layers(networks[0])} & set(STOCK)


def test_a_subclass_of_a_layer_is_left_alone():
    class Twice(layers.Conv2D):
        def call(self, inputs):
            return 2.0 * super().call(inputs)

    network = keras.Sequential([keras.Input((8, 8, 2)), Twice(3, 3)])
    cc.models.accelerate(network)
    assert type(network.layers[0]) is Twice


@pytest.mark.parametrize(
    "name", ["resnet8", "small_cnn", pytest.param("MobileNetV2", marks=pytest.mark.any_backend)]
)
def test_networks_come_switched_and_go_back_to_stock_layers(name):
    x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("float32")
    network = cc.models.build(name, (32, 32, 3))
    assert not {type(layer) for layer in all_layers(network)} & set(FAST)
    plain = cc.models.plain_backbone(network)
    assert not {type(layer) for layer in all_layers(plain)} & set(STOCK)
    found, expected = (numpy_of(each(x, training=False)) for each in (network, plain))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_layer_inside_a_wrapper_goes_both_ways():
    frames = keras.Input((3, 8, 8, 2))
    wrapped = layers.TimeDistributed(layers.Conv2D(4, 3, name="inner"))
    network = cc.models.accelerate(keras.Model(frames, layers.Flatten()(wrapped(frames))))
    assert type(wrapped.layer) is FAST[layers.Conv2D]
    plain = cc.models.plain_backbone(network)
    assert not {type(layer) for layer in all_layers(plain)} & set(STOCK)
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8, 2)).astype("float32")
    found, expected = (numpy_of(each(x, training=False)) for each in (network, plain))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_network_of_the_users_own_is_switched_only_when_asked():
    network = functional()
    cc.models.build(keras.Model(network.inputs, network.layers[2].output))
    cc.CCSAM.from_model(network, class_counts=[9, 4, 2])
    assert not {type(layer) for layer in all_layers(network)} & set(STOCK)


def test_a_spectrally_normalised_one_goes_back_too():
    normalised = cc.models.spectrally_normalize(cc.models.build("resnet8", (8, 8, 3)))
    plain = cc.models.plain_backbone(normalised)
    kinds = {type(layer) for layer in all_layers(plain)}
    assert not kinds & {*STOCK, cc.layers.SpectralNormalization}
