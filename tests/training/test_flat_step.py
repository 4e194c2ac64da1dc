"""Flat programs on PyTorch: the numbers of the step that runs layer by layer, whatever happens."""

import functools
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ccsam as cc
from keras_ccsam import sharpness as s
from keras_ccsam.training.step_parts import WeightDecay

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="the other backends compile their steps"
)
FLAT = {"gradients": "flat", "update": "flat"}
ROWS = 36  # with batches of 8, the last one of each epoch has another shape


def images():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 6, 6, 2)).astype("float32"), rng.integers(0, 3, ROWS)


def network(*more):
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, kernel_regularizer="l2")(inputs)
    x = layers.BatchNormalization()(x)
    for layer in more:
        x = layer(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.ReLU()(x)))


def sgd(**options):
    return keras.optimizers.SGD(0.05, 0.9, **options)


def model_of(flat, make=network, optimizer=sgd, method=lambda: s.SAM(0.1), head=None, **options):
    keras.utils.set_random_seed(1)
    compiled = {"loss": "sparse_categorical_crossentropy", **options.pop("compile", {})}
    head = layers.Dense(3) if head is None else head()
    model = cc.SharpnessAwareModel(make(), head, method(), flat_step=flat, **options)
    loss = compiled.pop("loss")
    loss = loss if isinstance(loss, str) else loss()
    model.compile(optimizer(), loss, metrics=["accuracy"], **compiled)
    return model


def state(model):
    """All that a step may change."""
    import torch

    kept = [*model.variables, *model.optimizer.variables]
    return [ops.convert_to_numpy(v).astype("float64") for v in kept] + [torch.get_rng_state()]


def trained(flat, fit=None, **options):
    model = model_of(flat, **options)
    history = model.fit(*images(), 8, epochs=4, verbose=0, shuffle=True, **(fit or {}))
    return model, [*state(model), np.array([*history.history.values()])]


def same(ours, theirs):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(ours, theirs, strict=True))


def once(layer, **options):
    return lambda: network(layer(**options))


CASES = {
    "dropout of torch's generator": {"make": once(layers.Dropout, rate=0.5)},
    "dropout with a seed": {"make": once(layers.Dropout, rate=0.5, seed=3)},
    "noise": {"make": once(layers.GaussianNoise, stddev=0.5)},
    "flips": {"make": once(layers.RandomFlip)},
    "a radius per class": {"method": lambda: s.ClassConditional([20, 10, 5], 0.1)},
    "all weights, sample by sample": {
        "method": lambda: s.ClassConditional([20, 10, 5], 0.1, perturb="all", batch_norm="clean"),
    },
    "noise of a loss": {
        "compile": {"loss": lambda: cc.losses.GCL([20, 10, 5])},
        "head": lambda: cc.heads.Cosine(3, scale=1.0),
    },
    "weights of classes": {"fit": {"class_weight": {0: 1.0, 1: 2.0, 2: 3.0}}},
    "weights of samples": {"fit": {"sample_weight": np.linspace(0, 2, ROWS).astype("float32")}},
    "weight decay": {"weight_decay": 0.01},
    "averages, clipping": {"optimizer": lambda: sgd(use_ema=True, global_clipnorm=0.1)},
    "adam": {"optimizer": lambda: keras.optimizers.AdamW(0.01)},
}
IN_PART = {
    "accumulation": {"optimizer": lambda: sgd(gradient_accumulation_steps=3)},
    "averages written back": {"optimizer": lambda: sgd(use_ema=True, ema_overwrite_frequency=3)},
}


@pytest.mark.parametrize("name", [*CASES, *IN_PART])
def test_the_numbers_are_those_of_the_layers(name):
    options = {**CASES, **IN_PART}[name]
    flat, ours = trained(True, **options)
    layered, theirs = trained(False, **options)
    assert flat.flat_functions.state["gradients"] == "flat"
    assert (flat.flat_functions.state == FLAT) == (name in CASES)
    assert layered.flat_functions.state == {}
    assert same(ours, theirs)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    def optimizer():
        if policy == "mixed_bfloat16":
            return sgd()
        # Overflows, and grows again: the scale of a program must be the step's own.
        return keras.optimizers.LossScaleOptimizer(
            sgd(), initial_scale=2.0**18, dynamic_growth_steps=3
        )

    keras.config.set_dtype_policy(policy)
    flat, ours = trained(True, optimizer=optimizer)
    assert flat.flat_functions.state["gradients"] == "flat"
    assert same(ours, trained(False, optimizer=optimizer)[1])


def test_masks_are_new_in_each_step():
    """The program draws: the gradients of the same batch differ from step to step."""
    model = model_of(True, once(layers.Dropout, rate=0.5), lambda: keras.optimizers.SGD(0.0))
    x, y = images()
    losses = [model.train_on_batch(x, y)[0] for _ in range(8)]
    assert model.flat_functions.state == FLAT
    assert len(set(losses)) == 8


class Between(keras.callbacks.Callback):
    """Does something between two steps, once the programs are in use."""

    def __init__(self, change):
        super().__init__()
        self.change, self.count = change, 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        if self.count == 12:
            assert not self.model.flat_step or self.model.flat_functions.state == FLAT
            self.change(self.model)


def weights_of_another(model):
    model.set_weights([weights * 0.5 for weights in model.get_weights()])


def another_schedule(model):
    model.optimizer.learning_rate = keras.optimizers.schedules.ExponentialDecay(0.2, 10, 0.9)


def freeze(model):
    model.backbone.layers[1].trainable = False


CHANGES = {
    "learning rate": lambda m: setattr(m.optimizer, "learning_rate", 0.5),
    "radius": lambda m: m.hyper_parameters.rho.assign(2.0),
    "momentum": lambda m: setattr(m.optimizer, "momentum", 0.1),
    "weights": weights_of_another,
    "state of the optimizer": lambda m: m.optimizer.variables[-1].assign(
        m.optimizer.variables[-1] + 1.0
    ),
    "layer's rate": lambda m: setattr(m.backbone.layers[3], "rate", 0.9),
    "a seed": lambda m: m.backbone.layers[3].seed_generator.state.assign([7, 7]),
    "regulariser": lambda m: setattr(m.backbone.layers[1].kernel_regularizer, "l2", 1.0),
    "weight decay": lambda m: setattr(m.step_parts.find(WeightDecay), "weight_decay", 0.5),
    "frozen": freeze,
}


def changed(flat, change):
    make = once(layers.Dropout, rate=0.1, seed=1)
    return trained(flat, {"callbacks": [Between(change)]}, make=make)[1]


@functools.cache
def unchanged():
    return changed(True, lambda model: None)


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_between_steps_takes_effect(name):
    ours = changed(True, CHANGES[name])
    assert same(ours, changed(False, CHANGES[name]))
    if name != "frozen":  # Keras trains what was compiled
        assert not same(ours, unchanged())


def test_a_new_schedule_is_followed_from_the_next_fit():
    def run(flat):
        model, _ = trained(flat)
        another_schedule(model)
        model.backbone.layers[1].trainable = False
        model.compile(model.optimizer.from_config(model.optimizer.get_config()), model.loss)
        model.fit(*images(), 8, epochs=3, verbose=0)
        return model, state(model)

    flat, ours = run(True)
    assert flat.flat_functions.state["gradients"] == "flat"
    assert same(ours, run(False)[1])


def test_deferred_weights_come_in_time():
    def run(flat):
        drw = cc.callbacks.DeferredReweighting([20, 10, 5], 2)
        return trained(flat, {"callbacks": [drw]})

    flat, ours = run(True)
    assert flat.flat_functions.state == FLAT
    assert same(ours, run(False)[1])
    assert not same(ours, trained(True)[1])


def test_it_is_recorded_once_for_each_shape(monkeypatch):
    """Validation, callbacks and a second fit are no reason to do it again."""
    from keras_ccsam.backend import torch_flat

    recorded = []

    def record(fn, args, original=torch_flat.record):
        recorded.append(fn)
        return original(fn, args)

    monkeypatch.setattr(torch_flat, "record", record)
    model = model_of(True)
    x, y = images()
    for _ in range(2):
        stop = keras.callbacks.EarlyStopping(monitor="loss", patience=0, min_delta=-1.0)
        model.fit(x, y, 8, epochs=3, verbose=0, validation_data=(x, y), callbacks=[stop])
        model.evaluate(x, y, verbose=0)
        model.predict(x, verbose=0)
    assert model.flat_functions.state == FLAT
    assert len(recorded) == 4  # two parts of a step, and the last batch of an epoch


def test_metrics_of_groups_are_in_it():
    model = model_of(True)
    groups = [cc.metrics.GroupAccuracy([200, 50, 5], group) for group in ("many", "few")]
    model.compile(sgd(), "sparse_categorical_crossentropy", metrics=groups)
    model.fit(*images(), 8, epochs=3, verbose=0)
    assert model.flat_functions.state == FLAT


def test_steps_that_are_left_out():
    def run(flat):
        x, y = images()
        x[20, 0, 0] = 1e30  # its square is infinite
        model = model_of(flat)
        between = Between(lambda model: None)  # it looks at how the step runs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            finite = cc.callbacks.OnNonfinite("skip")
            model.fit(x, y, 8, epochs=4, verbose=0, callbacks=[finite, between])
        assert between.count == 20
        return state(model)

    assert same(run(True), run(False))


def test_weights_from_a_file(tmp_path):
    model, _ = trained(True)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    kept = model.get_weights()
    model.fit(*images(), 8, verbose=0)
    model.load_weights(tmp_path / "model.weights.h5")
    x, y = images()
    loss = model.train_on_batch(x, y)[0]
    other = keras.models.load_model(tmp_path / "model.keras")
    assert other.flat_functions.state == {}
    assert other.flat_step
    np.testing.assert_allclose(other.train_on_batch(x, y)[0], loss, rtol=1e-6)
    assert any(not np.array_equal(a, b) for a, b in zip(kept, model.get_weights(), strict=True))


def test_two_models_that_share_their_parts():
    def run(flat):
        keras.utils.set_random_seed(1)
        backbone, method = network(), s.SAM(0.1)
        pair = [
            cc.SharpnessAwareModel(backbone, layers.Dense(3), method, flat_step=flat)
            for _ in range(2)
        ]
        for model, rate in zip(pair, (0.01, 0.1), strict=True):
            model.compile(keras.optimizers.SGD(rate, 0.9), "sparse_categorical_crossentropy")
        pair[1].hyper_parameters.rho.assign(1.0)
        x, y = images()
        for _ in range(6):
            for model in pair:
                model.train_on_batch(x, y)
        return pair, [*state(pair[0]), *state(pair[1])]

    pair, ours = run(True)
    assert [model.flat_functions.state for model in pair] == [FLAT, FLAT]
    assert same(ours, run(False)[1])


SWITCH = {"on": False}


class Failing(layers.Layer):
    def call(self, inputs):
        if SWITCH["on"]:
            raise RuntimeError("a user's mistake")
        return inputs


@pytest.mark.parametrize("when", [2, 3])
def test_an_error_in_a_step_changes_nothing_for_the_next_ones(when):
    """While it is recorded (2) and while it is compared (3)."""

    def run(flat):
        model = model_of(flat, lambda: network(Failing()))
        x, y = images()
        for _ in range(when - 1):
            model.train_on_batch(x, y)
        SWITCH["on"] = True
        with pytest.raises(RuntimeError, match="a user's mistake"):
            model.train_on_batch(x, y)
        SWITCH["on"] = False
        for _ in range(6):
            model.train_on_batch(x, y)
        return model, state(model)

    flat, ours = run(True)
    assert flat.flat_functions.state == FLAT
    assert same(ours, run(False)[1])


def test_when_it_is_off():
    x, y = images()
    for options in ({"flat_step": False}, {"compile": {"run_eagerly": True}}):
        flat = options.pop("flat_step", "auto")
        model = model_of(flat, **options)
        for _ in range(4):
            model.train_on_batch(x, y)
        assert model.flat_functions.state == {}
    assert "flat_step" not in model.get_config()
    off = model_of(False)
    assert type(off).from_config(off.get_config()).flat_step is False
