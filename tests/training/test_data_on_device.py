"""A training on a set that lies on the device is the training on batches of the host."""

import keras
import numpy as np
import pytest

import keras_ccsam.data as ccdata
from keras_ccsam.second_stage import Retraining
from keras_ccsam.sharpness import SAM
from keras_ccsam.training import SharpnessAwareModel

Y = np.repeat(np.arange(3), [24, 12, 6])


def images(seed):
    x = np.random.default_rng(seed).integers(0, 256, size=(42, 8, 8, 3), dtype=np.uint8)
    return ccdata.from_arrays(x, Y)


def new_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3, strides=2, activation="relu")(x))
    network = keras.Model(inputs, keras.layers.Dense(4)(x))
    model = SharpnessAwareModel(network, keras.layers.Dense(3), SAM(0.05))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(data_on, *fits):
    """A model and its logs after one fit after the other, of (set, options)."""
    model, logs = new_model(), []
    for seed, options in fits:
        batches = images(seed).batches(batch_size=14, data_on=data_on, **options)
        logs.append(model.fit(batches, epochs=2, verbose=0).history)
    return model, logs


FITS = (
    (1, {"augment": ("crop", "flip")}),
    (2, {"augment": ("crop", "flip")}),  # other images of the same shape: no stale step
    (2, {"augment": ("cutout",), "mixup": 1.0}),
)


def test_fit_is_that_of_the_host():
    (host, logs), (device, others) = trained("host", *FITS), trained("device", *FITS)
    for one, other in zip(logs, others, strict=True):
        for name, values in one.items():
            np.testing.assert_allclose(other[name], values, rtol=1e-5, err_msg=name)
    for a, b in zip(host.get_weights(), device.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"augment": ("flip",), "batch_norm": "update"}])
def test_a_second_stage_draws_there_too(options):
    found = []
    for data_on in ("host", "device"):
        model = new_model()
        batches = images(1).batches(batch_size=14, data_on=data_on, augment=("crop",))
        Retraining(epochs=2, **options).run(model, batches)
        found.append(model.head.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-6)
    assert np.abs(found[0][0] - new_model().head.get_weights()[0]).max() > 1e-3


def test_whoever_only_looks_is_given_images():
    batches = images(1).batches(batch_size=14, data_on="device", class_weight="auto")
    model = new_model()
    on_host = model.evaluate(batches.on_host(), verbose=0)
    np.testing.assert_allclose(model.evaluate(batches, verbose=0), on_host, rtol=1e-6)
    assert model.predict(batches, verbose=0).shape == (42, 3)


def test_a_model_that_is_not_built_is():
    x = keras.layers.Flatten()
    model = SharpnessAwareModel(keras.Sequential([x, keras.layers.Dense(4)]), keras.layers.Dense(3))
    model.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy")
    model.fit(images(1).batches(batch_size=14, data_on="device"), verbose=0)
    assert model.backbone.layers[-1].kernel.shape == (192, 4)


def test_a_batch_elsewhere_is_refused():
    batch = images(1).batches(batch_size=14, data_on="device")[0]
    with pytest.raises(ValueError, match="data_on='host'"):
        new_model().train_on_batch(*batch)
