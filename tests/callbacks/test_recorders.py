"""What is recorded after each epoch: right, whole, and without a trace in the training."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ccsam as cc
from keras_ccsam.analysis import plots
from keras_ccsam.analysis.bound import COLUMNS, BoundEvaluation
from keras_ccsam.analysis.class_radius import characteristic_radius
from tests.support import COUNTS, batch_norm_model, toy_batches


def fitted(callbacks, epochs=2, dropout=0.5, **compiling):
    """A model with BatchNorm and dropout, trained for some steps."""
    method = cc.sharpness.ClassConditional(COUNTS, radius_scale=0.05)
    model = batch_norm_model(method, dropout=dropout)
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        compiling.pop("loss", "sparse_categorical_crossentropy"),
        metrics=["accuracy"],
    )
    x, y = toy_batches()
    history = model.fit(x, y, batch_size=20, epochs=epochs, callbacks=callbacks, verbose=0)
    return model, history.history


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    x, y = toy_batches()
    x_test, y_test = toy_batches(30, seed=1)
    tracker = cc.callbacks.BoundTracker(
        COUNTS, (x, y), (x_test, y_test), classes=(0, 4), path=folder / "bound.json",
        class_names="abcde",
    )  # fmt: skip
    whole = cc.callbacks.BoundTracker(COUNTS, (x, y), weights="all", delta=0.01)
    log = cc.callbacks.RadiusLog(COUNTS, (x, y), path=folder / "radius.json", limit=None)
    model, history = fitted([tracker, whole, log])
    return folder, model, history, tracker, whole, log


def test_a_recorded_training_is_bit_for_bit_the_same(recorded):
    _, model, history, *_ = recorded
    plain, plain_history = fitted([])
    assert history == plain_history
    for ours, other in zip(model.variables, plain.variables, strict=True):
        first, second = (keras.ops.convert_to_numpy(v) for v in (ours, other))
        np.testing.assert_array_equal(first, second, err_msg=ours.path)


def test_the_bound_of_the_last_epoch_is_that_of_the_model_after_it(recorded):
    folder, model, _, tracker, whole, _ = recorded
    again = BoundEvaluation(model, COUNTS, toy_batches(), toy_batches(30, seed=1), (0, 4)).measure()
    assert set(tracker.values) == set(COLUMNS)
    for name, values in again.items():
        np.testing.assert_allclose(tracker.values[name][-1], values, rtol=1e-5, err_msg=name)
        assert len(tracker.values[name]) == 2
    assert tracker.values["train_loss"][0] != tracker.values["train_loss"][1]
    assert (whole.classes, tracker.epochs) == ((0,), [1, 2])
    assert np.isnan(whole.values["test_loss"]).all()
    content = json.loads((folder / "bound.json").read_text())
    assert (content["kind"], content["format"], content["classes"]) == ("bound", 1, [0, 4])
    assert content["settings"]["weights_count"] == 45
    assert content["settings"]["delta"] == 0.05
    assert set(content["units"]) == set(content["values"]) == set(COLUMNS)
    assert content["values"]["bound_15_clipped"] == tracker.values["bound_15_clipped"]


def test_radii_are_those_of_the_formula_with_the_method_s_scale(recorded):
    folder, model, *_ = recorded
    content = json.loads((folder / "radius.json").read_text())
    assert (content["kind"], content["format"]) == ("radius", 1)
    assert content["settings"]["radius_scale"] == pytest.approx([0.05, 0.05])
    assert content["settings"]["weights"] == "head"
    x, y = toy_batches()
    z, h = (
        np.asarray(keras.ops.convert_to_numpy(t), "float64")
        for t in model(x, training=False, return_features=True)
    )
    p = np.exp(z - z.max(1, keepdims=True))
    delta = p / p.sum(1, keepdims=True) - np.eye(5)[y]
    norm = np.sqrt(sum((np.asarray(w) ** 2).sum() for w in model.head.get_weights()))
    others = np.where(np.eye(5)[y] == 1, -np.inf, z).max(1)
    margins = z[np.arange(len(y)), y] - others
    losses = np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]
    a = np.hstack([h, np.ones((len(h), 1))])
    for label, count in enumerate(COUNTS):
        own = y == label
        gradient = np.linalg.norm(a[own].T @ delta[own]) / own.sum()
        rho = characteristic_radius(norm, gradient, count, 45)
        for column, value in {
            "gradient_norm": gradient, "radius": rho, "step_norm": 0.05 * np.sqrt(45) * rho,
            "margin": margins[own].mean(), "loss": losses[own].mean(),
        }.items():  # fmt: skip
            assert content["values"][column][-1][label] == pytest.approx(value, rel=1e-4)


@pytest.mark.any_backend
def test_a_picture_is_drawn_beside_the_file(recorded, tmp_path):
    folder, _, _, tracker, _, log = recorded
    names = {"bound.json", "bound.png", "radius.json", "radius.png"}
    assert {path.name for path in folder.iterdir()} == names
    for name in ("bound.png", "radius.png"):
        with Image.open(folder / name) as image:
            assert min(image.size) > 400
    assert plots.bound(tracker.content(), tmp_path / "tail.png", label=4).stat().st_size
    with pytest.raises(ValueError, match="Received: label=2"):
        plots.bound(tracker.content(), tmp_path / "x.png", label=2)
    log.epochs = []
    with pytest.raises(ValueError, match="0 epochs"):
        plots.radius(log.content(), tmp_path / "x.png")


def test_a_loss_on_cosines_is_recorded_with_its_scale():
    x, y = toy_batches()
    tracker = cc.callbacks.BoundTracker(COUNTS, (x, y))
    model = batch_norm_model(head=cc.heads.Cosine(5, scale=1.0))
    model.compile(keras.optimizers.SGD(0.05), cc.losses.LDAM(COUNTS, scale=20.0))
    model.fit(x, y, epochs=1, callbacks=[tracker], verbose=0)
    z = 20.0 * np.asarray(keras.ops.convert_to_numpy(model(x, training=False)), "float64")
    losses = np.log(np.exp(z - z.max(1, keepdims=True)).sum(1)) + z.max(1)
    losses -= z[np.arange(len(y)), y]
    assert tracker.values["train_loss"][-1][0] == pytest.approx(losses[y == 0].mean(), rel=1e-4)


def test_wrong_options_are_named(tmp_path):
    x, y = toy_batches()
    with pytest.raises(ValueError, match="Received: path="):
        cc.callbacks.BoundTracker(COUNTS, (x, y), path=tmp_path / "absent" / "bound.json")
    with pytest.raises(ValueError, match="Received: delta=0"):
        cc.callbacks.BoundTracker(COUNTS, (x, y), delta=0)
    with pytest.raises(ValueError, match="Received: class_names="):
        cc.callbacks.RadiusLog(COUNTS, (x, y), class_names=["a"])
    with pytest.raises(ValueError, match="Received: radius_scale=-1"):
        cc.callbacks.RadiusLog(COUNTS, (x, y), radius_scale=-1)
    with pytest.raises(ValueError, match="Received: weights='absent'"):
        fitted([cc.callbacks.RadiusLog(COUNTS, (x, y), weights="absent")])
