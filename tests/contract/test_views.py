"""What every way to show a batch several rows of each image keeps, whatever it shows."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.declare import find, parts
from tests.contract.network import build
from tests.contract.registry import Method
from tests.support import COUNTS, ONE_STEP

VIEWS = sorted(parts("views"))  # with the defaults of each


@functools.cache
def data():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(5), COUNTS)
    return cc.data.from_arrays(rng.integers(0, 256, (len(y), 6, 6, 2), np.uint8), y)


def made(name):
    part = find("views", name)
    return part.make(**(part.trials[0] if part.trials else {}))


def batches(views, **options):
    return data().batches(batch_size=12, seed=1, drop_remainder=True, views=views, **options)


def trained(views, method="erm", **options):
    made = find("sharpness", method)
    model = build(Method(lambda: made.build({}, class_counts=COUNTS)))
    model.run_eagerly = ONE_STEP["run_eagerly"]
    model.fit(batches(views, **options), epochs=1, verbose=0)
    weights = [*model.backbone.weights, *model.head.weights]
    return np.concatenate([ops.convert_to_numpy(v).ravel() for v in weights])


@functools.cache
def plainly(name=None):
    """The plain step on a batch's images, or on the rows that `name` makes of them."""
    return trained(None if name is None else made(name))


@pytest.mark.parametrize("name", [name for name in VIEWS if find("views", name).limit])
def test_at_its_limit_the_step_is_the_plain_one(name):
    part = find("views", name)
    np.testing.assert_array_equal(trained(part.make(**part.limit.options)), plainly())
    assert np.abs(trained(part.make()) - plainly()).max() > 1e-4


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("method", ["sam", "class_conditional"])
def test_methods_train_on_the_rows(name, method):
    found = trained(made(name), method)
    assert np.isfinite(found).all()
    assert np.abs(found - plainly(name)).max() > 1e-5


def test_a_step_is_that_of_the_sum_of_the_means():
    """One step of SGD on a linear network, against float64."""
    views = cc.data.views.RegMixup(alpha=10.0, weight=0.4)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    head = keras.layers.Dense(5, kernel_initializer="zeros")
    model = cc.SharpnessAwareModel(keras.Model(inputs, x), head)
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    pixels, y, weights = batches(views)[0]
    model.train_on_batch(pixels, y, sample_weight=weights)
    # At zero weights every class has probability 1/5.
    features = pixels.reshape(len(pixels), -1).astype("float64") / 255
    one_hot = np.eye(5)
    targets = y["mix"][:, None] * one_hot[y["labels"]]
    targets += (1 - y["mix"][:, None]) * one_hot[y["second_labels"]]
    errors = targets - 0.2
    expected = features[0::2].T @ errors[0::2] / 12 + 0.4 * features[1::2].T @ errors[1::2] / 12
    np.testing.assert_allclose(ops.convert_to_numpy(head.kernel), expected, atol=1e-6)
