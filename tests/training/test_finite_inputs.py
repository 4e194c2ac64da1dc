"""NaN and infinity in inputs and weights are refused, not blamed on the learning rate."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.finite import check_finite, check_finite_weights, first_bad_row, first_bad_variable
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


# What XLA computes of NaN is the reason to look; whoever sees that sees infinity.
@pytest.mark.parametrize("value", [np.nan, pytest.param(np.inf, marks=pytest.mark.any_backend)])
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


def test_a_step_and_a_prediction_do_not_look_at_weights_and_the_check_can_be_called():
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype("float32")
    model = with_weight(np.nan)
    assert model.predict(x, verbose=0).shape == (8, len(COUNTS))
    for call in (model.test_on_batch, model.train_on_batch, model.evaluate):
        call(x, Y)
    with pytest.raises(ValueError, match="such values of"):
        check_finite_weights(model)


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


class Masked(keras.Layer):
    """A mask of the images that is no parameter."""

    def build(self, shape):
        self.mask = self.add_weight(shape=shape[1:], initializer="zeros", trainable=False)

    def call(self, inputs):
        return inputs * ops.softmax(self.mask, axis=0)


def with_mask(value):
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(Masked(name="masked")(inputs))
    made = cc.CCSAM(keras.Model(inputs, x), class_counts=COUNTS)
    made.compile("sgd", "sparse_categorical_crossentropy")
    mask = np.zeros((4, 4, 1), "float32")
    mask[2, 1:] = value
    made.backbone.get_layer("masked").mask.assign(mask)
    return made


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(way, marks=() if way in ("fit", "features") else pytest.mark.any_backend)
        for way in WAYS
    ],
)
def test_a_mask_of_infinity_is_no_parameter(way):
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype("float32")
    WAYS[way](with_mask(-np.inf), x)
    with pytest.raises(ValueError, match=r"masked/.* with 3 such values of 16"):
        WAYS[way](with_mask(np.nan), x)


def test_a_mask_of_infinity_ends_no_training():
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype("float32")
    for action in ("raise", "skip", "rollback"):
        guard = cc.callbacks.OnNonfinite(action)
        history = with_mask(-np.inf).fit(x, Y, verbose=0, callbacks=[guard]).history
        assert np.isfinite(history["loss"]).all() and not guard.skipped + guard.rollbacks


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="its numbers have 32 bits")
def test_a_weight_beyond_the_range_of_float32_is_finite():
    weight = keras.Variable(np.zeros(3), dtype="float64")
    for value in (np.finfo("float64").min, np.finfo("float64").max):
        weight.assign(np.array([0.0, value, 0.0]))
        assert first_bad_variable([weight]) is None
    weight.assign(np.array([0.0, np.inf, 0.0]))
    assert first_bad_variable([weight]) is weight


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_weights_are_looked_at(dtype):
    weight = keras.Variable(np.zeros(3), dtype=dtype)
    assert first_bad_variable([weight]) is None
    weight.assign(ops.cast(np.array([0.0, np.inf, 0.0], "float32"), dtype))
    assert first_bad_variable([weight]) is weight


class Cut(Exception):
    """In place of a kill."""


class Cuts(keras.callbacks.Callback):
    """Ends a training after its first epoch, whose weights it may spoil."""

    def __init__(self, cuts=True, spoils=False):
        super().__init__()
        self.cuts, self.spoils = cuts, spoils

    def on_epoch_begin(self, epoch, logs=None):
        if self.cuts and epoch == 1:
            raise Cut

    def on_epoch_end(self, epoch, logs=None):
        if self.spoils:
            self.model.backbone.get_layer("conv").bias.assign(np.full(16, np.nan))


def resumed(model, folder, cuts, as_list=False):
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype("float32")
    callbacks = [cuts, cc.callbacks.RunState(folder, "epoch")]
    if as_list:
        told = {"model": model, "add_history": True, "epochs": 2, "steps": 1}
        callbacks = keras.callbacks.CallbackList(callbacks, **told)
    return model.fit(x, Y, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize("as_list", [False, True])
def test_a_state_mends_weights_that_are_not_finite(tmp_path, as_list):
    with pytest.raises(Cut):
        resumed(with_weight(0.5), tmp_path / "s", Cuts(), as_list)
    model = with_weight(np.nan)
    with pytest.raises(ValueError, match="conv/kernel with 1 such"):
        resumed(model, tmp_path / "none", Cuts(False), as_list)
    assert resumed(model, tmp_path / "s", Cuts(False), as_list).epoch == [0, 1]
    assert all(np.isfinite(ops.convert_to_numpy(v)).all() for v in model.backbone.weights)


def test_a_state_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(Cut):
        resumed(with_weight(0.5), tmp_path / "s", Cuts(spoils=True))
    with pytest.raises(ValueError, match="conv/bias with 16 such values of 16"):
        resumed(with_weight(0.5), tmp_path / "s", Cuts(False))
