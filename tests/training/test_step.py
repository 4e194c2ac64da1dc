"""One step of `fit`: what it must leave alone, and what must change it."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.sharpness import (
    ERM,
    SAM,
    ClassConditional,
    FocalSAM,
    GradientNorm,
)
from tests.declared import trials
from tests.support import COUNTS, ONE_STEP, batch_norm_model, toy_batches

# Statistics of the clean pass are constants only without dropout and activity regularisers.
DECLARED = {
    label: trial
    for label, trial in trials("sharpness").items()
    if trial.options.get("batch_norm") != "clean"
}
METHODS = {
    "ccsam": lambda: ClassConditional(COUNTS, 0.5),
    "ccsam-block": lambda: ClassConditional(COUNTS, 0.5, perturb="hidden|classifier"),
    "ccsam-all": lambda: ClassConditional(COUNTS, 0.5, perturb="all"),
    "sam": lambda: SAM(0.05),
    "focal-sam": lambda: FocalSAM(COUNTS, 0.5),
}
EVERY = {
    **{label: trial.make for label, trial in DECLARED.items()},
    "ccsam-block": METHODS["ccsam-block"],
}
ZERO = {
    "ccsam": lambda: ClassConditional(COUNTS, 0.0),
    "ccsam-all": lambda: ClassConditional(COUNTS, 0.0, perturb="all"),
    "no-flat-ratio": lambda: ClassConditional(COUNTS, 0.5, flat_ratio=0.0),
    "no-share": lambda: GradientNorm(0.1, share=0.0),
    "no-strength": lambda: FocalSAM(COUNTS, strength=0.0),
}
# A part whose limit is the plain step to the default tolerance is that step bit for bit.
EXACT = {
    label: trial.at_limit
    for label, trial in DECLARED.items()
    if trial.part.limit is not None
    and trial.part.limit.other == "erm"
    and trial.part.limit.tolerance <= 1e-6
} | {"erm": ERM, **ZERO}


FEW = {"epochs": 1, "samples": 24, "compile": ONE_STEP}
"""Two steps of `fitted`."""


def fitted(model, optimizer=None, epochs=2, batch_size=12, samples=60, **fit):
    x, y = toy_batches(samples)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = optimizer or keras.optimizers.SGD(0.1, momentum=0.9)
    compile_options = fit.pop("compile", {})
    model.compile(optimizer, loss, metrics=["accuracy"], **compile_options)
    history = model.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False, verbose=0, **fit)
    return history.history


def plain(dropout=0.0):
    """The same network as `batch_norm_model`, as a user would write it."""
    model = batch_norm_model(dropout=dropout)
    return keras.Model(model.backbone.input, model.head(model.backbone.output))


@functools.cache
def keras_own_step(dropout, full):
    """History and weights of Keras' own trainer on that network, compiled in full or not."""
    model = plain(dropout)
    return fitted(model), weights(model)


def first_step(model):
    """The weights after it."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, **ONE_STEP)
    x, y = toy_batches(12)
    model.train_on_batch(x.astype("float32"), y)
    return weights(model)


@functools.cache
def keras_own_first_step():
    return first_step(plain())


def weights(model):
    """The network's weights, without the method's hyper-parameters."""
    own = {id(v) for v in getattr(model, "_non_trainable_variables", [])}
    return [ops.convert_to_numpy(v) for v in model.weights if id(v) not in own]


def layer(model, kind):
    return next(layer for layer in model.backbone.layers if isinstance(layer, kind))


# As users' steps are compiled on JAX, which takes longest: these three.
IN_FULL = (("erm", 0.4), ("ccsam-all", 0.4), ("ccsam", 0.0))


# A way of its own each; the others are one of these with an option.
OF_EACH_WAY = ("erm", "ccsam", "ccsam-all", "sam", "asam", "gaussian", "adversarial_features")


@pytest.mark.parametrize(
    ("name", "dropout"),
    [
        *(
            pytest.param(name, 0.4, marks=() if name in OF_EACH_WAY else pytest.mark.any_backend)
            for name in EXACT
        ),
        ("ccsam", 0.0),
    ],
)
def test_no_radius_is_keras_own_step_bit_for_bit(name, dropout, request):
    full = (name, dropout) in IN_FULL
    if full:
        request.getfixturevalue("compiled_in_full")
    expected, reference = keras_own_step(dropout, full)
    model = batch_norm_model(EXACT[name](), dropout=dropout)
    history = fitted(model)
    assert history["loss"] == expected["loss"]
    assert history["accuracy"] == expected["accuracy"]
    for ours, theirs in zip(weights(model), reference, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "erm"])
def test_a_radius_moves_the_step(name):
    """The mutation of the test above: with the perturbation on, it would fail."""
    ours, plain_step = first_step(batch_norm_model(EVERY[name]())), keras_own_first_step()
    change = max(np.abs(a - b).max() for a, b in zip(ours, plain_step, strict=True))
    assert 1e-5 < change < 1.0


@pytest.mark.parametrize("name", EVERY)
def test_batch_norm_and_seeds_advance_once_a_step(name):
    x, y = toy_batches(12)
    model = batch_norm_model(EVERY[name](), dropout=0.4)
    model.compile("sgd", "sparse_categorical_crossentropy", **ONE_STEP)
    batch_norm = layer(model, keras.layers.BatchNormalization)
    dropout = layer(model, keras.layers.Dropout)
    before = ops.convert_to_numpy(dropout.seed_generator.state)
    conv = layer(model, keras.layers.Conv2D)
    mean = ops.convert_to_numpy(conv(x)).mean(axis=(0, 1, 2))
    model.train_on_batch(x, y)
    np.testing.assert_allclose(
        ops.convert_to_numpy(batch_norm.moving_mean), 0.01 * mean, rtol=1e-4, atol=1e-7
    )
    after = ops.convert_to_numpy(dropout.seed_generator.state)
    assert after[1] - before[1] == 1


# Methods whose second pass runs, and moves nothing.
STANDING = {
    "sam": lambda: SAM(0.0),
    "ccsam-all": lambda: ClassConditional(COUNTS, 1e-12, perturb="all"),
    "gnp": lambda: GradientNorm(0.0),
    "focal-sam": lambda: FocalSAM(COUNTS, 0.0),
}


@pytest.mark.parametrize("name", STANDING)
def test_both_passes_draw_the_same_mask(name):
    """At radius 0 only a different mask could make the steps differ; unseeded is the hard case."""

    def model(method):
        keras.utils.set_random_seed(3)
        inputs = keras.Input((6, 6, 2))
        x = keras.layers.Flatten()(inputs)
        x = keras.layers.Dropout(0.5)(x)
        backbone = keras.Model(inputs, keras.layers.Dense(8)(x))
        return cc.SharpnessAwareModel(backbone, keras.layers.Dense(5), method)

    reference = model(ERM())
    fitted(reference, **FEW)
    ours = model(STANDING[name]())
    fitted(ours, **FEW)
    for a, b in zip(weights(ours), weights(reference), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_a_callback_may_change_the_radius():
    x, y = toy_batches(24)

    def run(assign):
        model = batch_norm_model(ClassConditional(COUNTS, 0.0))
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        hook = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: model.hyper_parameters.radius_scale.assign(
                assign[epoch]
            )
        )
        model.fit(x, y, epochs=2, batch_size=12, shuffle=False, verbose=0, callbacks=[hook])
        return weights(model)

    assert any((a != b).any() for a, b in zip(run([0.0, 0.0]), run([0.0, 1.0]), strict=True))


@pytest.mark.parametrize("name", ["ccsam", "ccsam-all", "focal-sam"])
def test_regularisers_count_once_and_unperturbed(name):
    """Where every sample weighs 0 the step is the regularisers' own: the plain one."""
    x, y = toy_batches(12)

    def step(method):
        model = batch_norm_model(method)
        model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy", **ONE_STEP)
        before = weights(model)
        model.train_on_batch(x, y, sample_weight=np.zeros(12, "float32"))
        return before, weights(model)

    before, expected = step(ERM())
    assert max(np.abs(a - b).max() for a, b in zip(before, expected, strict=True)) > 1e-4
    for a, b in zip(step(METHODS[name]())[1], expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", ["ccsam", "ccsam-all"])
def test_sample_weights_are_part_of_the_class_gradient(name):
    """Weight 2 on every sample must equal a doubled loss; weight 0 removes samples."""
    x, y = toy_batches(12)

    def step(sample_weight, loss_weight=1.0):
        model = batch_norm_model(METHODS[name]())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, **ONE_STEP)
        model.train_on_batch(x, y, sample_weight=sample_weight)
        return weights(model)

    ones, none = step(np.ones(12, "float32")), step(None)
    for a, b in zip(ones, none, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    uneven = step(np.linspace(0.1, 3.0, 12).astype("float32"))
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(uneven, none, strict=True))


def test_class_weight_is_sample_weight():
    x, y = toy_batches(24)
    class_weight = {0: 0.2, 1: 0.5, 2: 1.0, 3: 2.0, 4: 4.0}

    def run(**fit):
        model = batch_norm_model(METHODS["ccsam"]())
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", **ONE_STEP)
        model.fit(x, y, batch_size=12, shuffle=False, verbose=0, **fit)
        return weights(model)

    by_class = run(class_weight=class_weight)
    by_sample = run(sample_weight=np.array([class_weight[c] for c in y], "float32"))
    for a, b in zip(by_class, by_sample, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", ["ccsam", "ccsam-all"])
def test_one_hot_equals_integer_labels(name):
    x, y = toy_batches(12)

    def step(labels, loss):
        model = batch_norm_model(METHODS[name]())
        model.compile(keras.optimizers.SGD(0.1), loss, **ONE_STEP)
        model.train_on_batch(x, labels)
        return weights(model)

    integer = step(y, "sparse_categorical_crossentropy")
    one_hot = step(np.eye(5, dtype="float32")[y], "categorical_crossentropy")
    column = step(y[:, None], "sparse_categorical_crossentropy")
    for a, b, c in zip(integer, one_hot, column, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)
        np.testing.assert_array_equal(a, c)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("ccsam", {"gradient_accumulation_steps": 2}, marks=pytest.mark.any_backend),
        ("ccsam-all", {"gradient_accumulation_steps": 2}),
        ("ccsam", {"use_ema": True, "ema_momentum": 0.9}),
        ("ccsam", {"global_clipnorm": 0.1}),
        pytest.param("ccsam", {"clipnorm": 0.05}, marks=pytest.mark.any_backend),
        ("ccsam-all", {"loss_scale_factor": 8.0}),
    ],
    ids=lambda o: o if isinstance(o, str) else next(iter(o)),
)
def test_optimizer_options(name, options):
    """At radius 0 they do what they do in Keras; with a radius they still train."""

    def optimizer():
        return keras.optimizers.SGD(0.05, momentum=0.9, **options)

    reference = plain()
    fitted(reference, optimizer())
    zero = batch_norm_model(ZERO[name]())
    start = zero.get_weights()
    fitted(zero, optimizer())
    for a, b in zip(weights(zero), weights(reference), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    # The radius is a variable of the step that has been compiled.
    zero.set_weights(start)
    zero.hyper_parameters.radius_scale.assign(0.5)
    x, y = toy_batches()
    losses = zero.fit(x, y, epochs=6, batch_size=12, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["ccsam", "ccsam-all"])
def test_the_radius_does_not_see_the_loss_scale(name):
    def run(scale):
        model = batch_norm_model(METHODS[name]())
        fitted(model, keras.optimizers.SGD(0.1, loss_scale_factor=scale), **FEW)
        return weights(model)

    for a, b in zip(run(1024.0), run(None), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("ccsam", "mixed_bfloat16"),
        ("ccsam-all", "mixed_float16"),
    ],
)
def test_mixed_precision_stays_near_float32(name, policy):
    """With regularisers; the contract suite has every method without."""
    # Keras itself cannot add a float16 activity loss to a float32 loss on TensorFlow.
    activity = None if keras.backend.backend() == "tensorflow" else "l2"
    full = batch_norm_model(METHODS[name](), activity=activity)
    fitted(full, **FEW)
    keras.config.set_dtype_policy(policy)
    half = batch_norm_model(METHODS[name](), activity=activity)
    history = fitted(half, epochs=1, samples=24)  # traced on TensorFlow too
    assert np.isfinite(history["loss"]).all()
    tolerance = 5e-3 if policy == "mixed_float16" else 4e-2
    for a, b in zip(weights(half), weights(full), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


@pytest.mark.parametrize(
    "compile_options",
    [{"run_eagerly": True}, {"steps_per_execution": 2}],
    ids=lambda o: next(iter(o)),
)
def test_execution_modes_agree(compile_options):
    reference = batch_norm_model(METHODS["ccsam"]())
    fitted(reference, epochs=1, samples=48)
    model = batch_norm_model(METHODS["ccsam"]())
    fitted(model, epochs=1, samples=48, compile=compile_options)
    for a, b in zip(weights(model), weights(reference), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_weight_decay_is_torchs():
    """v = m v + (g + wd w); w = w - lr v, with g = 0 by zero sample weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    backbone = keras.Model(inputs, keras.layers.Dense(4)(inputs))
    model = cc.SharpnessAwareModel(backbone, keras.layers.Dense(2), weight_decay=0.1)
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), "sparse_categorical_crossentropy")
    w = ops.convert_to_numpy(model.head.kernel)
    velocity = 0.0
    for _ in range(3):
        model.train_on_batch(np.ones((4, 3)), np.zeros(4), sample_weight=np.zeros(4))
        velocity = 0.9 * velocity + 0.1 * w
        w = w - 0.5 * velocity
    np.testing.assert_allclose(ops.convert_to_numpy(model.head.kernel), w, rtol=1e-5)


def test_mixup_targets_train():
    x, y = toy_batches(24)
    second = y[::-1].copy()

    def run(mix):
        model = batch_norm_model(METHODS["ccsam"]())
        loss = "sparse_categorical_crossentropy"
        model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
        target = {"labels": y, "second_labels": second, "mix": np.full(24, mix, "float32")}
        model.fit(x, target, batch_size=12, shuffle=False, verbose=0)
        return weights(model)

    plain_model = batch_norm_model(METHODS["ccsam"]())
    plain_model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    plain_model.fit(x, y, batch_size=12, shuffle=False, verbose=0)
    for a, b in zip(run(1.0), weights(plain_model), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(run(0.5), run(1.0), strict=True))
