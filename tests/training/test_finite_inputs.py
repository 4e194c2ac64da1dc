"""NaN and infinity in inputs and weights are refused, not blamed on the learning rate."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.finite import check_finite, first_bad_row
from keras_ccsam.second_stage import Retraining, nearest_class_mean
from keras_ccsam.second_stage.feature_store import FeatureStore

COUNTS = (4, 4)
Y = np.array([0, 1] * 4)


def images(value=np.nan) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(8, 3, 3, 1)).astype("float32")
    x[5, 1, 2, 0] = value
    return x


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((3, 3, 1))
    made = cc.CCSAM(keras.Model(inputs, keras.layers.Flatten()(inputs)), class_counts=COUNTS)
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "use",
    [
        lambda m, x: m.fit(x, Y, verbose=0),
        lambda m, x: m.fit(ops.convert_to_tensor(x), ops.convert_to_tensor(Y), verbose=0),
        lambda m, x: m.evaluate(x, Y, verbose=0),
        lambda m, x: m.predict(x, verbose=0),
        lambda m, x: cc.evaluate(m, (x, Y), COUNTS),
        lambda m, x: cc.evaluate(m.export_plain(), (x, Y), COUNTS),
        lambda m, x: cc.data.from_arrays(x, Y),
    ],
    ids=["fit", "fit tensors", "evaluate", "predict", "cc.evaluate", "plain", "from_arrays"],
)
def test_inputs_that_are_not_finite(model, use, value):
    with pytest.raises(ValueError, match=r"x\[5\] holds NaN or infinity"):
        use(model, images(value))


def test_sample_weights_that_are_not_finite(model):
    weights = np.where(np.arange(8) == 2, np.nan, 1.0)
    with pytest.raises(ValueError, match=r"sample_weight\[2\] holds NaN"):
        model.fit(images(0.0), Y, sample_weight=weights, verbose=0)


@pytest.mark.any_backend
def test_what_is_looked_at():
    whole, broken = np.ones((3, 2)), np.array([[1.0, 1], [1, np.nan], [1, 1]])
    assert first_bad_row({"a": whole, "b": [whole, broken]}) == 1
    assert first_bad_row([whole, np.ones((3, 2), int), "text", None, [1.0, 2.0]]) is None
    assert first_bad_row(np.empty((0, 3))) is None
    assert first_bad_row(np.full((3, 9), np.finfo("float32").max, "float32")) is None  # its sum is
    assert first_bad_row(np.full((3, 9), 65504, "float16")) is None
    rows = np.zeros((5, 2**22), "float32")  # read in pieces
    rows[[2, 4], 7] = np.inf
    with pytest.raises(ValueError, match=r"x\[2\] .* x with 2 such samples"):
        check_finite(rows)


def with_weight(value, policy="float32"):
    """A ReLU before a mean: compiled by XLA for a CPU, its features of NaN weights are zeros."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(16, 3, name="conv", dtype=policy)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    made = cc.CCSAM(keras.Model(inputs, x), class_counts=COUNTS)
    made.compile("sgd", "sparse_categorical_crossentropy")
    kernel = made.backbone.get_layer("conv").kernel
    spoilt = ops.convert_to_numpy(kernel).copy()
    spoilt[0, 1, 0, 3] = value
    kernel.assign(spoilt)
    return made


WAYS = {
    "fit": lambda m, x: m.fit(x, Y, verbose=0),
    "cRT": lambda m, x: Retraining(adversarial=False, reinitialize_head=True).run(m, (x, Y)),
    "of augmented images": lambda m, x: Retraining(augment=["flip"]).run(
        m, cc.data.from_arrays(x, Y).train
    ),
    "class means": lambda m, x: nearest_class_mean(m, (x, Y)),
    "features": lambda m, x: FeatureStore(m.backbone, None).features(x),
}


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("way", WAYS)
def test_weights_that_are_not_finite(way, value):
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype("float32")
    model = with_weight(value)
    before = [ops.convert_to_numpy(v) for v in model.head.weights]
    with pytest.raises(ValueError, match=r"conv/kernel with 1 such values of 144"):
        WAYS[way](model, x)
    for variable, old in zip(model.head.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), old)
    WAYS[way](with_weight(0.5), x)


@pytest.mark.any_backend
def test_weights_of_half_precision_are_looked_at():
    with pytest.raises(ValueError, match="conv/kernel with 1 such"):
        WAYS["features"](with_weight(np.nan, "bfloat16"), np.zeros((8, 4, 4, 1), "float32"))


def test_a_head_that_is_drawn_anew_may_be_spoilt():
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype("float32")
    model = with_weight(0.5)
    model.head.kernel.assign(np.full(model.head.kernel.shape, np.nan))
    with pytest.raises(ValueError, match="kernel with 32 such values of 32"):
        Retraining(epochs=1).run(model, (x, Y))
    WAYS["cRT"](model, x)
    assert np.isfinite(ops.convert_to_numpy(model.head.kernel)).all()
