"""What every loss must do: labels of any form, finite gradients, saving, and refusing."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam import backend, losses
from tests.declared import ROOTS, trials
from tests.support import COUNTS


def takes_counts(trial):
    return "class_counts" in inspect.signature(trial.part.make).parameters


LOSSES = {
    trial.part.name: (
        trial.part.make,
        {"class_counts": [*COUNTS], **trial.options} if takes_counts(trial) else {**trial.options},
    )
    for trial in trials("loss").values()
    if trial.part.name != ROOTS["loss"]  # which is Keras' own
}
ALL = pytest.mark.parametrize("name", LOSSES)
RNG = np.random.default_rng(0)
LABELS = np.array([0, 1, 2, 3, 4, 4, 0])
FEATURES = RNG.normal(size=(7, 4)).astype("float32")
OUTPUTS = RNG.uniform(-1, 1, (7, 5)).astype("float32")


def make(which, /, **options):
    kind, settings = LOSSES[which]
    return kind(**settings, **options)


def small_model(loss, sharpness=None):
    """A linear classifier, on cosines where the loss takes them; the same at every call."""
    keras.utils.set_random_seed(0)
    head = cc.heads.Cosine(5, scale=1.0) if loss.takes_cosines else keras.layers.Dense(5)
    backbone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    model = cc.SharpnessAwareModel(backbone, head, sharpness)
    model.compile("sgd", loss)
    return model


def value(loss, labels=LABELS, outputs=OUTPUTS):
    return ops.convert_to_numpy(loss(labels, outputs))


@ALL
def test_labels_of_every_form_and_reductions(name):
    expected = value(make(name, reduction=None))
    assert expected.shape == (7,)
    assert (expected > 0).all()
    one_hot = np.eye(5)[LABELS]
    for labels in (
        LABELS[:, None],
        LABELS.astype("uint8"),
        LABELS.astype("float32"),
        one_hot,
        one_hot.astype("int64"),
    ):
        np.testing.assert_allclose(
            value(make(name, reduction=None), labels), expected, rtol=1e-6, err_msg=str(labels)
        )
    np.testing.assert_allclose(value(make(name)), expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(value(make(name, reduction="sum")), expected.sum(), rtol=1e-5)


@ALL
def test_a_label_that_is_no_class_is_not_ignored(name):
    of_others = value(make(name, reduction=None), np.array([0, 1, 2, 3, 4, 5, -1]))
    assert np.isnan(of_others[5:]).all()


@ALL
def test_gradients_are_finite(name):
    """Right and wrong with certainty, and all alike."""
    loss = make(name)
    labels = np.array([0, 1, 2, 3, 4, 4, 0])
    outputs = 1e4 * np.eye(5)[[0, 1, 2, 0, 0, 0, 1]]
    outputs[2:4] = [[0.0] * 5, [1e-4] * 5]

    def fn(values):
        return loss(labels, values[0]), ()

    (total, _), (gradient,) = backend.value_and_grad(
        fn, [ops.convert_to_tensor(outputs.astype("float32"))]
    )
    gradient = ops.convert_to_numpy(gradient)
    assert np.isfinite(float(ops.convert_to_numpy(total)))
    assert np.isfinite(gradient).all()
    # Those of the last five are wrong or undecided: their labels' outputs must rise.
    assert (gradient[np.arange(2, 7), labels[2:]] < 0).all()


def test_the_factor_of_gcl_has_no_gradient_of_its_own():
    """Central differences of CE, times the factor held fixed."""
    loss, plain = (
        losses.GCL(COUNTS, margin=0.1, scale=4.0, focal=power, reduction="sum")
        for power in (2.0, 0.0)
    )

    def gradient(of):
        found = backend.value_and_grad(
            lambda values: (of(LABELS, values[0]), ()), [ops.convert_to_tensor(OUTPUTS)]
        )
        return ops.convert_to_numpy(found[1][0])

    plain.reduction = None
    factor = (1.0 - np.exp(-value(plain))) ** 2
    plain.reduction = "sum"
    np.testing.assert_allclose(
        gradient(loss), factor[:, None] * gradient(plain), rtol=1e-4, atol=1e-6
    )


@ALL
def test_config_round_trips(name):
    loss = make(name, reduction="sum", name="mine", dtype="float32")
    config = loss.get_config()
    settings = {**LOSSES[name][1], "reduction": "sum", "name": "mine", "dtype": "float32"}
    assert config == settings
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == config
    assert value(again) == value(loss)
    assert make(name).name == name
    assert "dtype" not in make(name).get_config()


@ALL
def test_half_precision_is_widened(name):
    loss = make(name, dtype="float16")
    assert loss.dtype == "float32"
    outputs = OUTPUTS.astype("float16")
    found = loss(LABELS, outputs)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), value(make(name), outputs=outputs.astype("float32"))
    )


@ALL
def test_a_saved_model_has_the_same_loss(name, tmp_path):
    loss = make(name)
    model = small_model(loss)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.loss) is type(loss)
    assert again.loss.get_config() == loss.get_config()
    before, after = (
        ops.convert_to_numpy(each.compute_loss(FEATURES, LABELS, each(FEATURES)))
        for each in (model, again)
    )
    assert before == after == value(loss, outputs=model(FEATURES))


def test_training_by_class_lowers_the_loss():
    loss = make("ldam")
    model = small_model(loss, cc.sharpness.ClassConditional(COUNTS, 0.01))
    history = model.fit(FEATURES, LABELS, epochs=5, batch_size=7, verbose=0).history["loss"]
    clean = value(loss, outputs=small_model(loss)(FEATURES))
    assert clean < history[0] < 1.1 * clean  # the reported loss holds that of perturbed weights
    assert history[-1] < history[0]


def test_which_take_cosines():
    cosine = {name for name in LOSSES if make(name).takes_cosines}
    assert cosine == {"ldam", "gcl"}
    assert all(make(name).scale == 12.0 for name in cosine)
    assert all(make(name).from_logits for name in LOSSES)


@pytest.mark.parametrize(
    ("labels", "outputs", "words"),
    [
        (LABELS, OUTPUTS[:, :4], r"5 classes.*y_pred.shape=\(7, 4\)"),
        (LABELS, OUTPUTS[:, None], r"y_pred.shape=\(7, 1, 5\)"),
        (np.eye(5)[LABELS][:, :3], OUTPUTS, r"y_true.shape=\(7, 3\)"),
        (np.zeros((7, 1, 1)), OUTPUTS, r"y_true.shape=\(7, 1, 1\)"),
    ],
)
def test_shapes_that_do_not_fit(labels, outputs, words):
    with pytest.raises(ValueError, match=words):
        make("balanced_softmax")(labels, outputs)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (losses.LogitAdjustment, {"tau": -0.5}, "tau=-0.5"),
        (losses.LogitAdjustment, {"tau": float("nan")}, "tau=nan"),
        (losses.VectorScaling, {"tau": -1.0}, "tau=-1.0"),
        (losses.VectorScaling, {"gamma": -0.1}, "gamma=-0.1"),
        (losses.ClassBalanced, {"beta": 1.0}, "beta=1.0"),
        (losses.ClassBalanced, {"beta": -0.1}, "beta=-0.1"),
        (losses.ClassBalanced, {"gamma": -1.0}, "gamma=-1.0"),
        (
            losses.ClassBalanced,
            {"gamma": 1.0, "activation": "softmax_binary"},
            "0 with activation='softmax_binary'.*gamma=1.0",
        ),
        (losses.LabelAwareSmoothing, {"head": 1.0}, "head=1.0"),
        (losses.LabelAwareSmoothing, {"head": -0.1}, "head=-0.1"),
        (losses.LabelAwareSmoothing, {"head": 0.1, "tail": 0.2}, "at most `head`.*tail=0.2"),
        (losses.LabelAwareSmoothing, {"tail": -0.1}, "tail=-0.1"),
        (losses.LabelAwareSmoothing, {"shape": "exp"}, "'exponential'.*shape='exp'"),
        (losses.LabelAwareSmoothing, {"power": 0.0}, "power=0.0"),
        (losses.LDAM, {"max_margin": 2.0}, "max_margin=2.0"),
        (losses.LDAM, {"scale": 0.0}, "scale=0.0"),
        (losses.GCL, {"scale": -1.0}, "scale=-1.0"),
        (losses.GCL, {"amplitude": -0.5}, "amplitude=-0.5"),
        (losses.GCL, {"margin": 2.0}, "margin=2.0"),
        (losses.GCL, {"focal": -1.0}, "focal=-1.0"),
        (losses.BalancedSoftmax, {"reduction": "average"}, "reduction=average"),
    ],
)
def test_bad_settings(kind, settings, words):
    with pytest.raises(ValueError, match=rf"(?s){words}"):
        kind(COUNTS, **settings)


def test_bad_settings_without_counts():
    with pytest.raises(ValueError, match=r"gamma=-2\.0"):
        losses.Focal(-2.0)
    with pytest.raises(ValueError, match=r"smoothing=1\.0"):
        losses.LabelSmoothing(1.0)
    with pytest.raises(ValueError, match=r"beta=1\.0"):
        losses.effective_number_weights(COUNTS, 1.0)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"focal", "label_smoothing"}))
@pytest.mark.parametrize(
    ("counts", "words"),
    [([5], "two classes"), ([5, 0, 3], "class 1 has 0"), ([5, 2.5], "class 1 has 2.5")],
)
def test_bad_class_counts(name, counts, words):
    with pytest.raises(ValueError, match=words):
        LOSSES[name][0](counts)
