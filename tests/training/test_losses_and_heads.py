"""CC-SAM on LDAM and GCL: cosine heads in closed form, with mixup, class weights and noise."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.labels import is_mixed
from keras_ccsam.sharpness import SAM, ClassConditional
from tests.support import FixedFeatures, float_type, step_gradients, vector
from tests.training.test_vectors import PRECISIONS, close, targets

COUNTS = (120, 64, 31, 15, 7, 2)
LOSSES = {
    "ldam": lambda: cc.losses.LDAM(COUNTS, max_margin=0.5, scale=30.0, dtype=keras.config.floatx()),
    "gcl": lambda: cc.losses.GCL(
        COUNTS, amplitude=0.5, margin=0.1, scale=20.0, dtype=keras.config.floatx()
    ),
}
NAMES = ["stage1_ldam", "stage1_ldam_mixup_weights", "stage1_gcl_mixup", "stage1_gcl_weights"]


class NoFormCosine(keras.layers.Layer):
    """A cosine head without a closed form: the class loop's own case."""

    units, scale = 6, 1.0

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 6))
        self.built = True

    def call(self, inputs):
        inputs = inputs / ops.norm(inputs, axis=1, keepdims=True)
        kernel = ops.convert_to_tensor(self.kernel)
        return ops.matmul(inputs, kernel / ops.norm(kernel, axis=0, keepdims=True))


def gradients(name, head, method=None, noise=None):
    """Gradients and loss at the vector's weights, with its noise in place of a drawn one."""
    v = vector(name)
    if method is None:
        method = ClassConditional(COUNTS, float(v["radius_scale"]), float(v["flat_ratio"]))
    model = cc.SharpnessAwareModel(FixedFeatures(v["features"]), head, method)
    model.head.set_weights([v["kernel"]])
    model.compile("sgd", LOSSES[name.split("_")[1]]())
    fixed = ops.convert_to_tensor(v["noise"] if noise is None else noise, keras.config.floatx())
    if "gcl" in name:
        model.sample_loss.draw = lambda outputs, y, batch: (fixed,) * (1 + is_mixed(y))
    if "class_weights" in v:
        part = model.add_step_part(cc.training.ClassWeighting())
        part.class_weights.assign(v["class_weights"])
    y, weights = model.step_parts.targets(targets(v), None)
    return step_gradients(model, np.zeros((len(v["labels"]), 1)), y, weights), v


def check(name, head, tolerance, **options):
    (named, loss), v = gradients(name, head, **options)
    close(loss, v["loss"], tolerance)
    for path, gradient in named.items():
        close(gradient, v["grad_" + path.rsplit("/", 1)[-1]], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", NAMES)
def test_the_closed_form_meets_the_explicit_loop(name, dtype, tolerance):
    with float_type(dtype):
        check(name, cc.heads.Cosine(6, scale=1.0), tolerance)


@pytest.mark.parametrize("name", ["stage1_ldam_mixup_weights", "stage1_gcl_weights"])
def test_the_class_loop_meets_it_too(name):
    check(name, NoFormCosine(), 1e-5)


@pytest.mark.parametrize(
    ("name", "mutation"),
    [
        ("stage1_ldam", {"method": ClassConditional(COUNTS, 0.0, 0.4)}),
        ("stage1_gcl_mixup", {"noise": np.zeros((24, 6))}),
    ],
)
def test_the_vectors_notice_a_missing_step_and_missing_noise(name, mutation):
    with pytest.raises(AssertionError):
        check(name, cc.heads.Cosine(6, scale=1.0), 1e-5, **mutation)


def toy(seed=0):
    rng = np.random.default_rng(seed)
    y = rng.choice(6, 48, p=np.array(COUNTS) / sum(COUNTS)).astype("int32")
    return rng.normal(size=(48, 5)).astype("float32"), y


def fitted(sharpness, loss, epochs=1, seed=3, **fit):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((5,))
    backbone = keras.Model(inputs, keras.layers.Dense(8, activation="tanh")(inputs))
    model = cc.SharpnessAwareModel(backbone, cc.heads.Cosine(6, scale=1.0), sharpness)
    model.compile(keras.optimizers.SGD(0.1), loss)
    x, y = toy()
    model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **fit)
    return model


def weights(model):
    return np.concatenate(
        [ops.convert_to_numpy(w).ravel() for w in model.backbone.weights + model.head.weights]
    )


def test_noise_is_drawn_anew_in_each_step_and_not_in_evaluation():
    model = fitted(None, LOSSES["gcl"]())
    before = ops.convert_to_numpy(model.loss_seeds.state)
    x, y = toy()
    plain = model.evaluate(x, y, verbose=0)
    assert plain == model.evaluate(x, y, verbose=0)
    cosines = ops.convert_to_numpy(model.predict(x, verbose=0))
    expected = np.mean(ops.convert_to_numpy(LOSSES["gcl"]().call(y, cosines)))
    np.testing.assert_allclose(plain, expected, rtol=1e-5)
    first = model.train_on_batch(x[:16], y[:16])
    after = ops.convert_to_numpy(model.loss_seeds.state)
    assert (after != before).any()
    assert first > 0


def test_the_noise_follows_the_seed_and_moves_the_step():
    loss = LOSSES["gcl"]
    one, again, other = (weights(fitted(None, loss(), seed=s)) for s in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-4
    still = cc.losses.GCL(COUNTS, amplitude=0.0, margin=0.1, scale=20.0)
    assert np.abs(one - weights(fitted(None, still))).max() > 1e-4


def test_each_label_of_a_mixed_sample_has_a_cloud_of_its_own():
    """As in the authors' code, which calls the loss once for each label."""
    model = fitted(None, LOSSES["gcl"]())
    loss, cosines = model.sample_loss, ops.zeros((16, 6))
    y = np.arange(16, dtype="int32") % 6
    mixed = {"labels": y, "second_labels": y[::-1], "mix": np.full(16, 0.7, "float32")}
    assert len(loss.draw(cosines, y)) == 1
    noise = loss.draw(cosines, mixed)
    first, second = loss.seen(cosines, noise)
    assert np.abs(ops.convert_to_numpy(first - second)).max() > 0.05
    ours = ops.convert_to_numpy(loss.values(mixed, (first, second)))
    of_first = ops.convert_to_numpy(loss.values(y, first))
    of_second = ops.convert_to_numpy(loss.values(y[::-1], second))
    np.testing.assert_allclose(ours, 0.7 * of_first + 0.3 * of_second, rtol=1e-5)


def test_both_passes_of_a_step_draw_the_same_noise():
    """At a radius of almost nothing, only other noise could make SAM's second pass differ."""
    for method in (SAM(1e-9), ClassConditional(COUNTS, 1e-12)):
        np.testing.assert_allclose(
            weights(fitted(method, LOSSES["gcl"]())),
            weights(fitted(None, LOSSES["gcl"]())),
            atol=2e-5,
        )


def test_a_loss_on_cosines_is_refused_over_anything_else():
    inputs = keras.Input((5,))
    backbone = keras.Model(inputs, keras.layers.Dense(8)(inputs))
    for head in (keras.layers.Dense(6), cc.heads.Cosine(6, scale=16.0)):
        model = cc.SharpnessAwareModel(backbone, head)
        with pytest.raises(ValueError, match=r"heads\.Cosine\(units, scale=1\.0\)"):
            model.compile("sgd", LOSSES["ldam"]())


def test_the_loss_s_scale_reaches_the_evaluation_and_the_exported_model():
    model = fitted(None, LOSSES["ldam"]())
    x, y = toy()
    assert model.logit_scale == 30.0
    exported = model.export_plain().predict(x, verbose=0)
    np.testing.assert_allclose(exported, 30.0 * model.predict(x, verbose=0), atol=1e-4)
    ours = cc.evaluate(model, (x, y), COUNTS)
    plain = cc.evaluate(model.export_plain(), (x, y), COUNTS, from_logits=True)
    np.testing.assert_allclose(ours.ece, plain.ece, atol=1e-6)
    np.testing.assert_allclose(ours.nll, plain.nll, rtol=1e-5)
