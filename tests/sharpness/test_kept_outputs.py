"""What the clean pass of `batch_norm="clean"` computes is not computed again."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ccsam as cc
from keras_ccsam.sharpness import ClassConditional
from keras_ccsam.training import kept_outputs, objective
from tests.support import COUNTS, step_gradients, toy_batches


def model(shared=False, chunk=None):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, activation="tanh", padding="same", name="first")(inputs)
    x = layers.BatchNormalization(momentum=0.9)(x)
    second = layers.Conv2D(4, 3, padding="same", use_bias=False, name="second")
    x = layers.BatchNormalization(momentum=0.9)(second(x))
    x = second(x) if shared else x
    backbone = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.ReLU()(x)))
    method = ClassConditional(COUNTS, 0.5, perturb="all", batch_norm="clean", chunk=chunk)
    net = cc.SharpnessAwareModel(backbone, layers.Dense(5), method)
    net.compile("sgd", "sparse_categorical_crossentropy")
    return net


def convolutions(net, monkeypatch):
    """The names of the layers whose own convolution is called."""
    called = []
    for name in ("first", "second"):
        layer = net.backbone.get_layer(name)
        inner = layer.convolution_op
        monkeypatch.setattr(
            layer, "convolution_op", lambda *a, n=name, f=inner: called.append(n) or f(*a)
        )
    return called


def apart(ours, theirs):
    """How far two steps' gradients are from each other."""
    pairs = zip(ours[0].values(), theirs[0].values(), strict=True)
    return max(float(np.abs(mine - its).max()) for mine, its in pairs)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("chunk", [None, 4])
def test_kept_outputs_give_the_same_step(shared, chunk, monkeypatch):
    x, y = toy_batches(13)
    step = step_gradients(model(shared, chunk), x, y)
    with monkeypatch.context() as patch:
        patch.setattr(objective, "moved_convolutions", lambda *a: [])
        assert apart(step, step_gradients(model(shared, chunk), x, y)) < 1e-6
    with monkeypatch.context() as patch:  # what the comparison would not see: nothing is kept
        take = kept_outputs.kept
        patch.setattr(objective, "kept", lambda chosen: doubled(take, chosen))
        assert apart(step, step_gradients(model(shared, chunk), x, y)) > 1e-4


class doubled:
    """The outputs that are kept, times two."""

    def __init__(self, take, chosen):
        self.inner = take(chosen)

    def __enter__(self):
        self.outputs = self.inner.__enter__()
        return self.outputs

    def __exit__(self, *error):
        for each in self.outputs:
            each[:] = [2.0 * out for out in each]
        return self.inner.__exit__(*error)


def test_each_convolution_of_the_clean_weights_runs_once(monkeypatch):
    x, y = toy_batches(13)
    net = model()
    called = convolutions(net, monkeypatch)
    step_gradients(net, x, y)
    assert called == ["first", "second"]


def test_a_layer_keeps_its_plain_outputs():
    layer = layers.Conv2D(3, 2, activation="relu", name="conv")
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32"))
    expected = ops.convert_to_numpy(layer(x))
    layer.bias.assign([0.5, -0.5, 0.0])
    with kept_outputs.kept([layer]) as outputs:
        given = ops.convert_to_numpy(layer(x))
    (found,) = outputs[0]
    assert (ops.convert_to_numpy(ops.relu(found)) == expected).all()
    np.testing.assert_allclose(given, ops.convert_to_numpy(ops.relu(found + layer.bias)))
