"""A second stage on arrays, also for networks with several inputs; and what it refuses."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import ClassifierRetraining
from keras_ccsam.second_stage import Retraining
from tests.support import COUNTS, toy_batches

SAMPLES = 60
X, Y = toy_batches(SAMPLES)
SIDE = np.random.default_rng(1).normal(size=(SAMPLES, 3)).astype("float32")


def several(kind):
    return {"image": X, "side": SIDE} if kind == "dict" else [X, SIDE]


def model(kind="one", **kwargs):
    keras.utils.set_random_seed(0)
    image, side = keras.Input((6, 6, 2), name="image"), keras.Input((3,), name="side")
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    if kind == "one":
        inputs, features = image, pooled
    else:
        inputs = {"image": image, "side": side} if kind == "dict" else [image, side]
        features = keras.layers.Concatenate()([pooled, side])
    made = cc.CCSAM(keras.Model(inputs, features), class_counts=COUNTS, **kwargs)
    made.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def head(made):
    return [ops.convert_to_numpy(w) for w in made.head.get_weights()]


def differ(a, b):
    return max(np.abs(x - y).max() for x, y in zip(a, b, strict=True)) > 1e-4


@pytest.mark.parametrize(
    ("kind", "learn"),
    [
        ("dict", "scales"),
        pytest.param("dict", "classifier", marks=pytest.mark.any_backend),
        pytest.param("list", "scales", marks=pytest.mark.any_backend),
        pytest.param("list", "classifier", marks=pytest.mark.any_backend),
    ],
)
def test_several_inputs_have_a_second_stage(kind, learn):
    ours, x = model(kind), several(kind)
    seen = []

    class Head(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            seen.append(head(self.model))

    stage2 = ClassifierRetraining((x, Y), epochs=3, learn=learn, batch_size=16)
    ours.fit(x, Y, batch_size=16, verbose=0, callbacks=[Head(), stage2])
    assert differ(seen[0], head(ours))
    assert len(stage2.history.history["loss"]) == 3
    report = cc.evaluate(ours, (x, Y), COUNTS)
    assert report.num_samples == SAMPLES


def test_arrays_give_what_their_images_give():
    """The same rows in the same order, and so the same head."""
    images = cc.data.from_arrays(X, Y).batches("train", batch_size=16)
    heads = []
    for train in (images, (X, Y), (X, np.eye(5, dtype="float32")[Y])):
        ours = model()
        Retraining(epochs=2, batch_size=16).run(ours, train)
        heads.append(head(ours))
    for other in heads[1:]:
        for a, b in zip(heads[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.any_backend
def test_arrays_of_any_rank():
    rows = X.reshape(SAMPLES, -1)
    network = keras.Sequential([keras.Input((72,)), keras.layers.Dense(4, activation="relu")])
    ours = cc.CCSAM(network, class_counts=COUNTS)
    ours.compile("sgd", "sparse_categorical_crossentropy")
    before = head(ours)
    Retraining(epochs=1).run(ours, (rows, Y))
    assert differ(before, head(ours))


@pytest.mark.parametrize(
    ("train", "options", "words"),
    [
        ((X, Y[:-1]), {}, r"labels\.shape=\(59,\)"),
        ((several("list"), Y), {"augment": ("flip",)}, "augment="),
        ((several("list"), Y), {"mixup": 1.0}, "mixup=1"),
        ((several("list"), Y), {"batch_norm": "update"}, "batch_norm='update'"),
        (([X, SIDE[:-1]], Y), {}, r"rows"),
        (([], Y), {}, "dict or list of arrays"),
        (("images", Y), {}, "dict or list of arrays"),
        ((X, np.where(Y == 1, 0, Y)), {}, "class 1"),
        ((X, np.full(SAMPLES, 0.5)), {}, "integers"),
        (X, {}, "tuple of inputs and labels"),
    ],
)
def test_what_cannot_be_is_refused_when_the_callback_is_made(train, options, words):
    with pytest.raises(ValueError, match=words):
        ClassifierRetraining(train, **options)


@pytest.mark.parametrize("frozen", ["head", "model"])
@pytest.mark.parametrize("learn", ["classifier", "both"])
def test_a_frozen_head_is_refused_before_stage_1(frozen, learn):
    ours = model()
    (ours.head if frozen == "head" else ours).trainable = False
    stage2 = ClassifierRetraining((X, Y), epochs=1, learn=learn)
    with pytest.raises(ValueError, match=r"frozen.*trainable = True.*trainable=False"):
        ours.fit(X, Y, verbose=0, callbacks=[stage2])
    with pytest.raises(ValueError, match="frozen"):
        stage2.retraining.run(ours, (X, Y))


@pytest.mark.any_backend
def test_scales_train_above_a_frozen_head():
    """They hold its kernel and bias anyway."""
    ours = model()
    ours.head.trainable = False
    before = head(ours)
    Retraining(epochs=2, learn="scales", adversarial=False).run(ours, (X, Y))
    assert differ(before, head(ours))


@pytest.mark.parametrize("x", [{"image": X}, [X, SIDE], (X, SIDE)], ids=["dict", "list", "tuple"])
def test_images_of_several_inputs_are_refused_in_words(x):
    with pytest.raises(ValueError, match=r"one input.*ClassifierRetraining"):
        cc.data.from_arrays(x, Y)


def test_a_list_of_images_is_images():
    assert cc.data.from_arrays(list(X), Y).x_train.shape == X.shape
