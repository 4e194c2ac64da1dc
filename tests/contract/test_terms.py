"""What every term of the loss keeps, whatever it adds."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.declare import find, parts
from tests.contract.test_views import data, made
from tests.support import COUNTS, ONE_STEP

TERMS = sorted(parts("term"))


def views_of(part):
    named = [need.partition(": ")[2] for need in part.needs if need.startswith("views")]
    return made(named[0]) if named else None


def batches(part, **options):
    index = "sample_index" in part.needs
    options = {"batch_size": 12, "seed": 1, "drop_remainder": True, "sample_index": index} | options
    return data().batches(views=views_of(part), **options)


def built(part=None, sharpness=None, compiled=False, **options):
    """A model; TensorFlow traces its step only where that is asked for."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    head = keras.layers.Dense(5, name="classifier")
    views = None if part is None else views_of(part)
    trial = part.trials[0] if part is not None and part.trials else {}
    rows = 1 if views is None else views.count
    terms = (
        [] if part is None else [part.build({**trial, **options}, class_counts=COUNTS, rows=rows)]
    )
    model = cc.SharpnessAwareModel(keras.Model(inputs, x), head, sharpness, terms=terms)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    if keras.config.dtype_policy().name == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=256.0)
    model.compile(optimizer, loss, metrics=["accuracy"], **({} if compiled else ONE_STEP))
    return model


def network(model):
    weights = [*model.backbone.weights, *model.head.weights]
    return np.concatenate([ops.convert_to_numpy(v).ravel() for v in weights])


def everything(model):
    found = [*model.trainable_variables, *model.non_trainable_variables]
    return np.concatenate([ops.convert_to_numpy(v).astype("float64").ravel() for v in found])


@pytest.mark.parametrize("name", TERMS)
def test_at_its_limit_the_step_is_the_one_without_it(name):
    part = find("term", name)
    plain, limit, own = built(), built(part, **part.limit.options), built(part, compiled=True)
    for model in (plain, limit, own):
        model.fit(batches(part), epochs=2, verbose=0)
    np.testing.assert_array_equal(network(limit), network(plain))
    assert np.abs(network(own) - network(plain)).max() > 1e-4


@pytest.mark.parametrize("name", TERMS)
def test_saved_and_loaded_it_goes_on_with_what_it_remembers(name, tmp_path):
    part = find("term", name)
    model = built(part)
    model.fit(batches(part), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = model.run_eagerly
    np.testing.assert_array_equal(everything(loaded), everything(model))
    assert loaded.terms[0].get_config() == model.terms[0].get_config()
    for one in (model, loaded):
        later = batches(part)
        later.set_epoch(2)
        one.fit(later, initial_epoch=2, epochs=3, verbose=0)
    np.testing.assert_allclose(everything(loaded), everything(model), atol=1e-7)
    plain = model.export_plain()
    x = data().x_train[:5]
    np.testing.assert_allclose(plain.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


class _Enough(Exception):
    """The training ends here, as by a kill."""


@pytest.mark.parametrize("name", TERMS)
def test_resumed_within_an_epoch_it_ends_with_the_same_bits(name, tmp_path):
    part = find("term", name)
    whole = built(part)
    whole.fit(batches(part), epochs=2, verbose=0)
    steps = len(batches(part))

    def stop(batch, logs=None):
        seen.append(batch)
        state._saver.wait()  # it writes beside the training, and leaves out what it is too busy for
        if len(seen) == steps + 3:
            raise _Enough

    seen = []
    state = cc.callbacks.RunState(tmp_path, every=1)
    ending = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(_Enough):
        built(part).fit(batches(part), epochs=2, verbose=0, callbacks=[state, ending])
    resumed = built(part)
    state = cc.callbacks.RunState(tmp_path)
    resumed.fit(batches(part), epochs=2, verbose=0, callbacks=[state, ending])
    assert "after step" in state.resumed
    np.testing.assert_array_equal(everything(resumed), everything(whole))


@pytest.mark.parametrize("name", TERMS)
def test_under_sam_its_state_moves_once_a_step(name):
    """What it remembers after a first step is that of the clean pass, so of the plain step."""
    part = find("term", name)
    states = []
    for sharpness in (None, cc.sharpness.SAM(0.5)):
        # One of them as a traced step, which no recipe with a term is trained with on TensorFlow.
        model = built(part, sharpness, compiled=sharpness is not None and name == TERMS[0])
        x, y, *weight = batches(part)[0]
        model.train_on_batch(x, y, sample_weight=weight[0] if weight else None)
        term = model.terms[0]
        states.append([ops.convert_to_numpy(v) for v in term.non_trainable_variables])
    for one, other in zip(*states, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("name", TERMS)
def test_it_runs_in_mixed_precision(name):
    part = find("term", name)
    full = built(part)
    start = network(full)
    full.fit(batches(part), epochs=1, verbose=0)
    keras.config.set_dtype_policy("mixed_float16")
    mixed = built(part)
    mixed.fit(batches(part), epochs=1, verbose=0)
    moved = np.linalg.norm(network(full) - start)
    assert np.linalg.norm(network(mixed) - network(full)) < 0.3 * moved


def test_on_several_replicas_it_is_refused(monkeypatch):
    from keras_ccsam import backend
    from keras_ccsam.training.together import check_shared

    model = built(find("term", TERMS[0]))
    monkeypatch.setattr(backend, "sharded_devices", lambda: 1)
    with pytest.raises(ValueError, match="see the rows of one"):
        check_shared(model)


def test_something_else_is_no_term():
    with pytest.raises(ValueError, match="a list of terms"):
        cc.SharpnessAwareModel(
            keras.layers.Identity(), keras.layers.Dense(5), terms=[keras.layers.Dense(1)]
        )
