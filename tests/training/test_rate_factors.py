"""Different learning rates for the parts of a model."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.training import RateFactors

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 3


def model(parts=(), optimizer=None, **options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    backbone = keras.Model(inputs, keras.layers.Dense(5, activation="tanh", name="first")(inputs))
    made = cc.SharpnessAwareModel(backbone, keras.layers.Dense(3), step_parts=parts, **options)
    made.compile(optimizer or keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return made


def step(made):
    """How far one step moves backbone and head."""
    parts = (made.backbone, made.head)
    before = [[ops.convert_to_numpy(v) for v in part.weights] for part in parts]
    made.fit(X, Y, batch_size=12, epochs=1, verbose=0)
    return [
        [ops.convert_to_numpy(v) - old for v, old in zip(part.weights, values, strict=True)]
        for part, values in zip(parts, before, strict=True)
    ]


@pytest.mark.parametrize(
    ("factors", "backbone", "head"),
    [
        ({"head": 10.0}, 1, 10),
        ({"backbone": 0.1, "head": 2.0}, 0.1, 2),
        ({"first/": 0.5}, 0.5, 1),
    ],
)
def test_a_step_is_as_many_times_as_long(factors, backbone, head):
    plain = step(model(weight_decay=0.01))
    found = step(model([RateFactors(factors)], weight_decay=0.01))
    for factor, one, other in zip((backbone, head), plain, found, strict=True):
        for before, after in zip(one, other, strict=True):
            np.testing.assert_allclose(after, factor * before, rtol=1e-4, atol=1e-7)


def test_it_is_saved_with_the_model(tmp_path):
    model([RateFactors({"head": 4.0})]).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    plain = step(model())
    for before, after in zip(plain[1], step(loaded)[1], strict=True):
        np.testing.assert_allclose(after, 4.0 * before, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("factors", "message"),
    [({}, "mapping"), ({"head": 0.0}, "positive"), ({"(": 1.0}, "regular expressions")],
)
def test_what_is_no_factor_is_refused(factors, message):
    with pytest.raises(ValueError, match=f"{message}.*Received: factors"):
        RateFactors(factors)


def test_a_factor_that_nothing_has_and_another_optimizer_are_refused():
    with pytest.raises(ValueError, match=r"fits no variable.*'nothing'"):
        step(model([RateFactors({"nothing": 2.0})]))
    with pytest.raises(ValueError, match=r"SGD and of no other.*Received: optimizer=Adam"):
        step(model([RateFactors({"head": 2.0})], keras.optimizers.Adam()))
