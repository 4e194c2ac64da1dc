"""What every method in the registry keeps, whatever it does to a step."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam import declare
from tests.contract.network import build, outputs
from tests.contract.registry import METHODS, Method
from tests.declared import ROOTS, trials
from tests.support import ONE_STEP, toy_batches


def weights(model):
    parts = [*model.backbone.weights, *model.head.weights]
    return np.concatenate([ops.convert_to_numpy(w).astype("float64").ravel() for w in parts])


def fit(model, sample_weight=None):
    x, y = toy_batches(24)
    options = {"batch_size": 12, "epochs": 1, "shuffle": False, "verbose": 0}
    model.fit(x, y, sample_weight=sample_weight, **options)
    return model


def fit_once(model, sample_weight=None):
    """`fit`, of a model that is not fitted again."""
    model.run_eagerly = ONE_STEP["run_eagerly"]
    return fit(model, sample_weight)


def variables(model):
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


@functools.cache
def start(name):
    """The method's model, compiled once, and every variable's value at its start."""
    model = build(METHODS[name])
    return model, [ops.convert_to_numpy(v) for v in variables(model)]


def fresh(name):
    """The same model as new: a step is compiled once for all tests."""
    model, values = start(name)
    for variable, value in zip(variables(model), values, strict=True):
        variable.assign(value)
    return model


@functools.cache
def reference(name):
    return weights(fit(fresh(name)))


@functools.cache
def trained(method):
    """The weights of a method that need not be in the registry."""
    same = next((name for name, entry in METHODS.items() if parts(entry) == parts(method)), None)
    return weights(fit_once(build(method))) if same is None else reference(same)


def parts(method):
    return method.sharpness, method.loss, method.head


@functools.cache
def plain_without_samples(loss, head, activity):
    """The plain step on samples of weight 0: what regularisers and added losses do alone."""
    model = build(Method(loss=loss, head=head, activity=activity), regularised=True)
    return weights(fit_once(model, np.zeros(24, "float32")))


def marked(names):
    """What a loss alone does on each backend is tested in tests/losses, and in tests/parity."""
    return [
        pytest.param(name, marks=pytest.mark.any_backend if of_a_loss_alone(name) else ())
        for name in names
    ]


def of_a_loss_alone(name):
    return name != "erm" and METHODS[name].sharpness == METHODS["erm"].sharpness


EACH = marked(METHODS)

# Of two trials of one part, and of two losses on cosines, one is saved and narrowed everywhere.
AS_ANOTHER = (
    "class_conditional norm_scope=per_tensor perturbed_labels=unmixed",
    "gradient_norm variant=published",
    "asam eta=0.0 weights_only=False",
    "ldam and sam",
    "ldam and class_conditional",
)
EACH_PART = [
    pytest.param(*each.values, marks=pytest.mark.any_backend)
    if each.values[0] in AS_ANOTHER
    else each
    for each in EACH
]
assert len([each for each in EACH if each.values[0] in AS_ANOTHER]) == len(AS_ANOTHER)


def test_nothing_that_the_package_exports_is_missing():
    bases = {"sharpness": cc.sharpness.SharpnessMethod, "loss": keras.losses.Loss}
    for kind, folder in (("sharpness", cc.sharpness), ("loss", cc.losses)):
        exported = {
            item
            for item in vars(folder).values()
            if isinstance(item, type) and issubclass(item, bases[kind]) and item is not bases[kind]
        }
        assert exported, "nothing is compared"
        assert exported <= {part.make for part in declare.parts(kind).values()}
        assert {trial.part.name for trial in trials(kind).values()} == set(declare.parts(kind))


@pytest.mark.parametrize("kind", ROOTS)
def test_a_part_that_does_not_say_its_limit_is_told(kind, monkeypatch):
    monkeypatch.setitem(declare._PARTS, kind, dict(declare.parts(kind)))

    @declare.part(kind, "lonely")
    def lonely():
        """Says nothing."""

    with pytest.raises(AssertionError, match=f"'lonely' does not say at which limit .* {kind}"):
        trials(kind)


@pytest.mark.parametrize("name", marked(name for name in METHODS if METHODS[name].limit))
def test_at_its_limit_it_is_another_method(name):
    limit, other = METHODS[name].limit
    tolerance = METHODS[name].tolerance
    np.testing.assert_allclose(weights(fit_once(build(limit))), trained(other), atol=tolerance)
    if not METHODS[name].always:
        assert np.abs(reference(name) - trained(other)).max() > 10 * tolerance


@pytest.mark.parametrize("name", EACH_PART)
def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been(name, tmp_path):
    model = fit(fresh(name))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.sharpness.get_config() == model.sharpness.get_config()
    assert loaded.sample_loss.loss.get_config() == model.sample_loss.loss.get_config()
    x, y = toy_batches(12)
    x = x.astype("float32")
    np.testing.assert_array_equal(outputs(model, x), outputs(loaded, x))
    loaded.run_eagerly = ONE_STEP["run_eagerly"]
    for one in (model, loaded):
        # Keras does not save the state of a random generator.
        for variable in one.variables:
            if variable.path.endswith("seed_generator_state"):
                variable.assign(np.array([5, 0]))
        one.fit(x, y, batch_size=12, shuffle=False, verbose=0)
    np.testing.assert_allclose(weights(model), weights(loaded), atol=1e-7)


@pytest.mark.parametrize("name", EACH)
def test_weights_and_added_losses_count(name):
    """Samples of weight 0 leave the gradient of the added losses alone, the plain step's."""
    method = METHODS[name]
    model = build(method, regularised=True)
    values = [ops.convert_to_numpy(v) for v in variables(model)]
    untouched = weights(model)
    ours = weights(fit_once(model, np.zeros(24, "float32")))
    theirs = plain_without_samples(method.loss, method.head, method.activity)
    assert np.isfinite(ours).all()
    if METHODS[name].along_regularisers is not None:
        np.testing.assert_allclose(ours, theirs, atol=METHODS[name].along_regularisers)
    assert np.abs(ours - untouched).max() > 1e-4
    for variable, value in zip(variables(model), values, strict=True):
        variable.assign(value)
    weighted = weights(fit_once(model, np.linspace(0.0, 2.0, 24).astype("float32")))
    assert np.abs(weighted - ours).max() > 1e-4


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="the others compile their steps")
@pytest.mark.parametrize("name", METHODS)
def test_as_a_flat_program_it_is_the_same(name):
    """From the third step on; a loop over the classes present is none, and runs as it is."""
    x, y = toy_batches(12)
    x = x.astype("float32")
    trained = []
    for flat in (True, False):
        model = build(METHODS[name])
        model.flat_step = flat
        logs = [model.train_on_batch(x, y) for _ in range(5)]
        trained.append((np.array(logs), [ops.convert_to_numpy(v) for v in variables(model)]))
        if flat and "perturb=all" not in name:
            assert model.flat_functions.state == {"gradients": "flat", "update": "flat"}
    (logs, ours), (their_logs, theirs) = trained
    assert np.array_equal(logs, their_logs)
    assert all(map(np.array_equal, ours, theirs))


# float16, which scales the loss, is the hard one; bfloat16 takes the same way.
MIXED_MORE = ("sam", "focal_sam", "gcl and class_conditional")
MIXED = [pytest.param(*each.values, "mixed_float16", marks=each.marks) for each in EACH_PART]
MIXED += [
    pytest.param(
        name, "mixed_bfloat16", marks=() if name == MIXED_MORE[-1] else pytest.mark.any_backend
    )
    for name in MIXED_MORE
]


@pytest.mark.parametrize(("name", "policy"), MIXED)
def test_it_runs_in_mixed_precision(name, policy):
    full = reference(name)
    keras.config.set_dtype_policy(policy)
    model = build(METHODS[name])
    before = weights(model)
    mixed = weights(fit_once(model))
    assert np.isfinite(mixed).all()
    moved = np.linalg.norm(full - before)
    # The same way to the precision of the type: a radius of scaled gradients would be far off.
    assert np.linalg.norm(mixed - full) < 0.2 * moved
