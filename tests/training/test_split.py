"""A classifier is split at the call that makes its outputs, whatever else its layers do."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ccsam as cc
from keras_ccsam.analysis import representation
from keras_ccsam.deployment.logits import before_activation

COUNTS = [9, 5, 3, 2]


def chain(*parts):
    x = inputs = keras.Input((4,), name="images")
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


def loaded():
    """A Sequential made anew from its config calls its layers once more with each one added."""
    made = [layers.Dense(6, "relu"), layers.Dense(4, name="top"), layers.Softmax()]
    model = keras.Sequential([keras.Input((4,)), *made])
    return keras.Sequential.from_config(model.get_config())


def of_two_networks():
    top = layers.Dense(4, activation="softmax", name="top")
    chain(layers.Dense(6), top)
    return chain(layers.Dense(6, "relu"), top)


def on_the_same_input():
    inputs, top = keras.Input((4,)), layers.Dense(4, activation="softmax", name="top")
    keras.Model(inputs, top(layers.Dense(6)(inputs)))
    return keras.Model(inputs, top(layers.Dense(6, "relu")(inputs)))


def of_a_part():
    """Of a network whose first layer is left out; Keras copies the calls of the others."""
    first, top = layers.Dense(6, name="first"), layers.Dense(4, "softmax", name="top")
    whole = chain(first, layers.Dense(5, "relu"), top)
    return keras.Model(first.output, whole.output)


def twice():
    top = layers.Dense(4, activation="softmax", name="top")
    return chain(top, layers.ReLU(), top)


def twice_and_softmax():
    top = layers.Dense(4, name="top")
    return chain(top, layers.ReLU(), top, layers.Softmax())


def inside_as_well():
    top = layers.Dense(4, activation="softmax", name="top")
    return chain(keras.Sequential([keras.Input((4,)), top], name="inner"), top)


def outputs(model, x):
    return ops.convert_to_numpy(model(x))


def some(model):
    return np.random.default_rng(0).normal(size=(5, *model.inputs[0].shape[1:])).astype("float32")


WELL_DEFINED = [loaded, of_two_networks, on_the_same_input, of_a_part]


@pytest.mark.parametrize("make", WELL_DEFINED)
def test_both_parts_together_are_the_model(make):
    model = make()
    ours = cc.CCSAM.from_model(model, class_counts=COUNTS)
    assert ours.head.name == "top"
    np.testing.assert_allclose(outputs(ours, some(model)), outputs(model, some(model)), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (twice, "layer 'top', which is called 2 times$"),
        (twice_and_softmax, "layer 'top', which is called 2 times$"),
        (inside_as_well, "layer 'top', which is called 2 times, also in 'inner'$"),
    ],
)
def test_a_classifier_that_is_called_before_the_end_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        cc.CCSAM.from_model(make(), class_counts=COUNTS)


@pytest.mark.parametrize("make", [*WELL_DEFINED, twice, twice_and_softmax, inside_as_well])
def test_logits_and_features_are_those_of_the_last_call(make):
    model = make()
    x = some(model)
    wanted = outputs(model, x)
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.softmax(before_activation(model)(x))), wanted, atol=1e-6
    )
    seen = representation.forward(model, x)
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.softmax(seen.features @ seen.weights)), wanted, atol=1e-6
    )


def test_a_compiled_model_is_split_as_it_is():
    """Looking at its calls compiles nothing anew, which a loss without a config would not bear."""

    class Loss(keras.losses.Loss):
        def __init__(self, needed):
            super().__init__()

        def call(self, y_true, y_pred):
            return ops.sum(y_pred, axis=-1)

    model = chain(layers.Dense(6), layers.Dense(4, name="top"))
    model.compile("sgd", Loss(1))
    assert cc.CCSAM.from_model(model, class_counts=COUNTS).head is model.layers[-1]


class Doubled(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return super().call(2 * inputs, training=training)


class DoubledFunctional(keras.Model):
    def __init__(self):
        inputs = keras.Input((4,))
        super().__init__(inputs, layers.Dense(4, "softmax")(layers.Dense(6)(inputs)))

    def call(self, inputs, training=None, mask=None):
        return super().call(2 * inputs, training=training)


def doubled():
    return Doubled([keras.Input((4,)), layers.Dense(6), layers.Dense(4, "softmax")])


@pytest.mark.parametrize("make", [doubled, DoubledFunctional])
def test_a_model_that_computes_more_than_its_layers_is_refused(make):
    """Split, it was trained as another function than the user's, without a word."""
    model = make()
    with pytest.raises(ValueError, match=r"a `call` of its own\. Pass `backbone=`"):
        cc.CCSAM.from_model(model, class_counts=COUNTS)
    with pytest.raises(ValueError, match=r"class has a `call` of its own\. Give a"):
        before_activation(model)
    assert representation.forward(model, some(model)).features is None


def around_a_model():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "softmax")])
    return keras.Sequential([keras.Input((4,)), layers.Rescaling(2.0), inner])


def with_an_operation():
    inputs = keras.Input((4,))
    return keras.Model(inputs, ops.softmax(layers.Dense(4)(inputs)))


@pytest.mark.parametrize("make", [around_a_model, with_an_operation])
def test_logits_are_had_of_a_model_inside_and_of_an_operation(make):
    """Their probabilities were taken for logits, and a second softmax came on top."""
    model = make()
    x = some(model)
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.softmax(before_activation(model)(x))), outputs(model, x), atol=1e-6
    )
