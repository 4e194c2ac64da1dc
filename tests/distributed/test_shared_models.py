"""What happens to a model before several devices train it, as far as one device can show it."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam import backend
from keras_ccsam.layers.over_replicas import is_over_replicas, over_replicas
from keras_ccsam.sharpness.class_conditional.method import _check_loop
from keras_ccsam.sharpness.global_batch import synchronised
from keras_ccsam.training.together import check_shared, same_variables, warn_of_small_batches
from keras_ccsam.training.traffic import step_traffic
from tests.support import COUNTS, batch_norm_model


class Halved(cc.SharpnessAwareModel):
    def compute_loss(self, *args, **kwargs):
        return 0.5 * super().compute_loss(*args, **kwargs)


class OwnNorm(keras.layers.BatchNormalization):
    pass


def number(tensor):
    return ops.convert_to_numpy(ops.stop_gradient(ops.convert_to_tensor(tensor)))


def compiled(model, **options):
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    return model


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="a step on JAX sees all rows")
@pytest.mark.parametrize("layer", [keras.layers.BatchNormalization, cc.layers.BatchNormalization])
@pytest.mark.parametrize("shape", [(8, 3), (4, 5, 5, 3)])
def test_batch_norm_over_replicas_is_batch_norm(layer, shape):
    rng = np.random.default_rng(0)
    x, cotangent = (rng.normal(2.0, 3.0, shape).astype("float32") for _ in range(2))
    own, other = layer(momentum=0.9, epsilon=1e-5), layer(momentum=0.9, epsilon=1e-5)
    for one in (own, other):
        one.build(shape)
        one.gamma.assign([0.5, 1.0, 2.0])

    def outputs_and_gradient(layer):
        def loss(values):
            outputs = layer(values[0], training=True)
            return ops.sum(ops.multiply(outputs, cotangent)), outputs

        (_, outputs), gradient = backend.value_and_grad(loss, [ops.convert_to_tensor(x)])
        return [ops.convert_to_numpy(t) for t in (outputs, *gradient)]

    expected = outputs_and_gradient(other)
    with over_replicas(own):
        assert is_over_replicas(own)
        found = outputs_and_gradient(own)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-5)
        for ours, theirs in zip(own.weights, other.weights, strict=True):
            np.testing.assert_allclose(number(ours), number(theirs), rtol=1e-5)
        inference = number(own(x, training=False))
    np.testing.assert_allclose(inference, number(other(x)), atol=1e-5)
    assert not is_over_replicas(own)


@pytest.mark.any_backend
def test_a_model_saved_meanwhile_is_the_same(tmp_path):
    model = batch_norm_model(activity=None)
    with over_replicas(model):
        model.save(tmp_path / "model.keras")
    assert not any(map(is_over_replicas, model.backbone.layers))
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.backbone.get_layer("norm")) is keras.layers.BatchNormalization


@pytest.mark.any_backend
def test_what_would_be_another_method_is_refused():
    with pytest.raises(ValueError, match=r"activity regulariser .* layer 'hidden'"):
        check_shared(compiled(batch_norm_model()))
    check_shared(compiled(batch_norm_model(activity=None)))
    with pytest.raises(ValueError, match="loss_weights"):
        check_shared(compiled(batch_norm_model(activity=None), loss_weights=[2.0]))
    halved = Halved(keras.layers.Identity(), keras.layers.Dense(5))
    with pytest.raises(ValueError, match="Received: model=Halved"):
        check_shared(compiled(halved))
    with pytest.raises(ValueError, match=r"Received: model\.built=False"):
        same_variables(halved)
    with pytest.raises(ValueError, match="of the class OwnNorm"), over_replicas(OwnNorm()):
        pass
    with pytest.raises(ValueError, match="Received: batch_norm_sync='none'"):
        batch_norm_model(batch_norm_sync="none")


@pytest.mark.any_backend
def test_a_step_that_knows_no_replicas_refuses_theirs(monkeypatch):
    monkeypatch.setattr(backend, "sharded_devices", lambda: 2)
    assert synchronised(None, "global") is None
    with pytest.raises(ValueError, match="Received: sync='replica'"):
        synchronised(None, "replica")
    with pytest.raises(ValueError, match="Received: batch_norm_sync='replica'"):
        check_shared(batch_norm_model(batch_norm_sync="replica"))


@pytest.mark.any_backend
def test_a_loop_in_which_replicas_cannot_sum_is_refused(monkeypatch):
    monkeypatch.setattr(backend, "COLLECTIVES_IN_LOOPS", True)
    several = SimpleNamespace(batch=object())
    norm = keras.layers.BatchNormalization()
    _check_loop(several, "global", "they may sum", [])
    monkeypatch.setattr(backend, "COLLECTIVES_IN_LOOPS", False)
    _check_loop(SimpleNamespace(batch=None), "global", "there is one", [])
    _check_loop(several, "replica", "nothing is summed", [norm])
    with pytest.raises(ValueError, match=r"since dropout draws.*sync='global'"):
        _check_loop(several, "global", "dropout draws", [])
    with over_replicas(norm), pytest.raises(ValueError, match="batch_norm_sync='replica'"):
        _check_loop(several, "replica", "BatchNorm couples", [norm])


@pytest.mark.any_backend
def test_statistics_of_a_few_rows_are_warned_of():
    model = compiled(batch_norm_model(batch_norm_sync="replica"))
    with pytest.warns(UserWarning, match="statistics of 4 rows"):
        warn_of_small_batches(model, 4)
    warn_of_small_batches(model, 16)
    warn_of_small_batches(compiled(batch_norm_model()), 4)


@pytest.mark.any_backend
def test_the_option_of_a_model_is_saved(tmp_path):
    assert "batch_norm_sync" not in batch_norm_model().get_config()
    model = batch_norm_model(batch_norm_sync="replica")
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").batch_norm_sync == "replica"
    assert cc.CCSAM(keras.layers.Identity(), 5, COUNTS, sync="replica").get_config()["sync"]


@pytest.mark.any_backend
def test_the_bytes_of_a_step():
    """Counted in real messages by the worker of `test_backend.py`; here how they are made up."""
    model = batch_norm_model(cc.sharpness.ClassConditional(COUNTS))
    weights = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    found = step_traffic(model, rows=10, replicas=2)
    assert found == (4 * weights, 4 * 10 * (8 + 5 + 1), 4 * 2 * (2 * 4 + 1), 4 * 10 * 6)
    for sharpness, numbers in (
        (cc.sharpness.ClassConditional(COUNTS, perturb="all"), 5 * weights),
        (cc.sharpness.ClassConditional(COUNTS, sync="replica"), 0),
        (cc.sharpness.SAM(), weights),
        (cc.sharpness.SAM(sync="replica"), 0),
        (cc.sharpness.AdversarialFeatures(COUNTS), 20),
        (cc.sharpness.ERM(), 0),
    ):
        assert step_traffic(batch_norm_model(sharpness), 10).perturbation == 4 * numbers
    assert step_traffic(batch_norm_model(batch_norm_sync="replica"), 10).batch_norm == 0
