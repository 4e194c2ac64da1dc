"""M2m: the translation against loops in numpy, its rules, and its place in a step."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import StartTranslation
from keras_ccsam.m2m import MajorToMinor
from keras_ccsam.sharpness import ERM, SAM, ClassConditional
from tests.support import batch_norm_model, toy_batches

COUNTS = (1200, 700, 300, 40)
PIXELS = 6


def linear_network(features, seed, outputs=None):
    """Pixels 0..255 to a linear map of them, with BatchNorm's statistics and dropout on the way."""
    rng = np.random.default_rng(seed)
    inputs = keras.Input((PIXELS,))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    norm = keras.layers.BatchNormalization()
    x = keras.layers.Dropout(0.5, seed=1)(norm(x))
    dense = keras.layers.Dense(features)
    model = keras.Model(inputs, dense(x))
    norm.moving_mean.assign(rng.uniform(0, 1, PIXELS))
    norm.moving_variance.assign(rng.uniform(0.05, 0.2, PIXELS))
    dense.kernel.assign(rng.normal(size=(PIXELS, features)))
    dense.bias.assign(rng.normal(size=features))
    return model


def linear_map(network):
    """(matrix, offset) of such a network in inference mode, in float64 and units of [0, 1]."""
    norm, dense = network.layers[2], network.layers[-1]
    mean, variance = (
        ops.convert_to_numpy(v).astype("float64") for v in (norm.moving_mean, norm.moving_variance)
    )
    kernel, bias = (ops.convert_to_numpy(v).astype("float64") for v in (dense.kernel, dense.bias))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    return scale[:, None] * kernel, bias - (mean * scale) @ kernel


def linear_model(activation=None, **options):
    """f, of a linear backbone and head, with a translation whose helper g is linear too."""
    helper = linear_network(len(COUNTS), seed=1)
    translation = MajorToMinor(helper, COUNTS, **{"seed": 3, **options})
    backbone = linear_network(5, seed=2)
    head = keras.layers.Dense(len(COUNTS), activation=activation, name="classifier")
    model = cc.SharpnessAwareModel(backbone, head, step_parts=[translation])
    return model, bound(model)


def images(size=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (size, PIXELS)).astype("uint8")
    return x, rng.integers(0, len(COUNTS), size).astype("int32")


def bound(model):
    """The model's own translation."""
    return model.step_parts.find(MajorToMinor)


def translated(model, x, y):
    """The translated batch, with the seed moved on."""
    seed = bound(model).draws.state

    def batch_and_seed(before, x, y):
        with keras.StatelessScope([(seed, before)]) as scope:
            made = bound(model).inputs(model, x, y)
        return made, scope.get_current_value(seed)

    if keras.backend.backend() == "jax":  # one program compiles quicker than many operations
        import jax

        batch_and_seed = jax.jit(batch_and_seed)
    made, after = batch_and_seed(seed.value, ops.convert_to_tensor(x), ops.convert_to_tensor(y))
    seed.assign(after)
    return ops.convert_to_numpy(made)


def fixed_draws(monkeypatch, size, marks=1.0, coins=0.0):
    """Puts known numbers in the place of the four draws; returns the seeds' and the noise."""
    rng = np.random.default_rng(5)
    choices = rng.uniform(0.01, 0.99, (size, size)).astype("float32")
    noise = rng.normal(size=(size, PIXELS)).astype("float32")
    vectors = iter([np.full(size, marks - 1e-6, "float32"), np.full(size, coins, "float32")] * 2)

    def uniform(shape, **_):
        return ops.convert_to_tensor(choices if len(shape) == 2 else next(vectors))

    monkeypatch.setattr(keras.random, "uniform", uniform)
    monkeypatch.setattr(keras.random, "normal", lambda shape, **_: ops.convert_to_tensor(noise))
    return choices.astype("float64"), noise.astype("float64")


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def by_loops(model, x, y, choices, noise):
    """Images in units of [0, 1], one after the other, every one marked and every coin won."""
    t = bound(model)
    g, g0 = linear_map(t.helper)
    features, _ = linear_map(model.backbone)
    f = features @ ops.convert_to_numpy(model.head.kernel).astype("float64")
    x = x / 255
    made, replaced = x.copy(), np.zeros(len(x), bool)
    for i, k in enumerate(y):
        odds = np.array([1 - t.beta ** max(COUNTS[c] - COUNTS[k], 0) for c in y])
        if not odds.any():
            continue
        with np.errstate(divide="ignore"):
            j = np.argmax(np.log(odds) - np.log(-np.log(choices[i])))
        z = np.clip(x[j] + t.noise * noise[i] / np.linalg.norm(noise[i]), 0, 1)
        for _ in range(t.steps):
            gradient = g @ (softmax(z @ g + g0) - np.eye(len(COUNTS))[k]) + t.strength * f[:, y[j]]
            z = np.clip(z - t.step_size * gradient / np.linalg.norm(gradient), 0, 1)
        if softmax(z @ g + g0)[k] >= t.gamma:
            made[i], replaced[i] = z, True
    return made, replaced


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_it_is_what_loops_in_numpy_make(monkeypatch, activation):
    model, _ = linear_model(activation, gamma=0.6, strength=0.8, noise=0.3)
    x, y = images()
    choices, noise = fixed_draws(monkeypatch, len(x))
    expected, replaced = by_loops(model, x, y, choices, noise)
    minor = y != 0
    assert 5 < replaced.sum() < minor.sum()
    made = translated(model, x, y)
    np.testing.assert_allclose(made / 255, expected, atol=1e-4)
    np.testing.assert_array_equal(made[~replaced], x[~replaced])
    # One-hot rows mean the same.
    one_hot = np.eye(len(COUNTS), dtype="float32")[y]
    np.testing.assert_allclose(translated(model, x, one_hot), made, atol=1e-3)


@pytest.mark.parametrize(
    "option", [{"strength": 0.0}, {"noise": 0.0}, {"steps": 9}, {"step_size": 0.11}, {"gamma": 0.9}]
)
def test_each_number_counts(monkeypatch, option):
    """The mutations of the test above: without one of them it would fail."""
    x, y = images()
    given = {"gamma": 0.6, "strength": 0.8, "noise": 0.3}
    made = []
    for options in (given, given | option):
        with monkeypatch.context() as patch:
            fixed_draws(patch, len(x))
            made.append(translated(linear_model(**options)[0], x, y))
    assert np.abs(made[0] - made[1]).max() > 1.0


def test_what_is_not_accepted_stays(monkeypatch):
    x, y = images()
    for options, draws in (
        ({"gamma": 1.0}, {}),  # the helper is never that sure
        ({"gamma": 0.0}, {"coins": 0.999}),  # the odds are below that
        ({"gamma": 0.0}, {"marks": 0.0}),  # every original is kept
    ):
        with monkeypatch.context() as patch:
            fixed_draws(patch, len(x), **draws)
            np.testing.assert_array_equal(translated(linear_model(**options)[0], x, y), x)


def test_seeds_are_more_frequent_and_drawn_by_the_odds():
    """Without noise or steps a translated image is its seed, whose pixels name its class."""
    y = np.repeat(np.arange(4), [40, 60, 80, 400]).astype("int32")
    x = np.repeat(y[:, None], PIXELS, axis=1).astype("float32") * 50
    model, _ = linear_model(gamma=0.0, noise=0.0, steps=0)
    became = (translated(model, x, y)[:, 0] / 50).round().astype(int)
    assert (became <= y).all()  # class 0 is the largest: COUNTS decrease
    n, present = np.array(COUNTS), np.bincount(y)
    odds = 1 - 0.999 ** np.maximum(n[None, :] - n[:, None], 0)  # target, seed's class
    for k in range(1, 4):
        chosen = odds[k] * present / (odds[k] * present).sum()
        replaced = (1 - n[k] / n[0]) * chosen * odds[k]
        expected = np.where(np.arange(4) == k, 1 - replaced.sum(), replaced)
        share = np.bincount(became[y == k], minlength=4) / present[k]
        deviation = np.sqrt(expected * (1 - expected) / present[k])
        assert (np.abs(share - expected) <= 4 * deviation).all(), (k, share, expected)


def test_a_faint_gradient_is_a_whole_step_in_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    model, translation = linear_model(beta=0.0, gamma=0.0, noise=0.0, steps=1)
    for network in (translation.helper, model.backbone):
        kernel = network.layers[-1].kernel
        kernel.assign(kernel.value * 1e-6)
    x, y = np.full((60, PIXELS), 128, "uint8"), np.repeat([0, 3], 30).astype("int32")
    length = np.linalg.norm(translated(model, x, y) - 128.0, axis=1)
    assert not length[y == 0].any()
    np.testing.assert_allclose(length[length > 0], 25.5, rtol=1e-4)
    assert (length > 0).sum() > 20


def test_odds_at_the_ends_of_beta():
    target = ops.convert_to_tensor(np.array([0, 1, 3], "int32"))
    odds = ops.convert_to_numpy(linear_model(beta=0.0)[1].seed_odds(target))
    np.testing.assert_array_equal(odds, [[0, 0, 0], [1, 0, 0], [1, 1, 0]])
    odds = ops.convert_to_numpy(linear_model(beta=0.9999)[1].seed_odds(target))
    np.testing.assert_allclose(odds[2], [1 - 0.9999**1160, 1 - 0.9999**660, 0], rtol=1e-5)


def test_two_steps_draw_differently_and_a_seed_repeats_them():
    x, y = images()
    (first, _), (second, _) = linear_model(gamma=0.0), linear_model(gamma=0.0)
    second.set_weights(first.get_weights())
    one, two = translated(first, x, y), translated(first, x, y)
    assert (one != two).any()
    np.testing.assert_array_equal(one, translated(second, x, y))


def test_off_nothing_is_drawn():
    model, translation = linear_model(gamma=0.0)
    x, y = images()
    translation.active.assign(0.0)
    state = bound(model).draws.state
    before = ops.convert_to_numpy(state)
    made = translated(model, x, y)
    np.testing.assert_array_equal(made, x)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(ops.convert_to_numpy(state), before)


# --- in a step


TOY = (24, 18, 9, 6, 3)
METHODS = {
    "sam": lambda: SAM(0.05),
    "ccsam": lambda: ClassConditional(TOY, 0.5),
}


def toy_helper():
    """An untrained classifier of the toy images."""
    keras.utils.set_random_seed(8)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 3)(inputs))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(5)(x))


def toy_model(method=None, on=True, **options):
    parts = []
    if on:
        defaults = {"beta": 0.5, "gamma": 0.0, "steps": 2, "pixel_range": (-5.0, 7.0), "seed": 2}
        parts = [MajorToMinor(toy_helper(), TOY, **(defaults | options))]
    model = batch_norm_model(METHODS[method]() if method else ERM(), dropout=0.3, step_parts=parts)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
    return model


def arrays(variables):
    return [ops.convert_to_numpy(v).copy() for v in variables]


def network(model):
    """Its variables but those of the translation."""
    return arrays([*model.backbone.variables, *model.head.variables])


@pytest.mark.parametrize("method", METHODS)
def test_a_step_is_the_plain_step_on_the_translated_batch(method):
    """Weights, BatchNorm, dropout's seed, loss and metrics; the labels stay."""
    x, y = toy_batches(24)
    model, plain = toy_model(method), toy_model(method, on=False)
    helper = bound(model).helper
    before = arrays(helper.variables)
    made = translated(toy_model(method), x.astype("float32"), y)  # as `fit` hands it on
    changed = (made != x.astype("float32")).any(axis=(1, 2, 3))
    assert 3 < changed.sum() < len(x)
    assert not changed[y == 0].any()
    options = {"batch_size": 24, "shuffle": False, "verbose": 0}
    logs = model.fit(x, y, **options).history
    expected = plain.fit(made, y, **options).history
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(logs[name], expected[name], rtol=1e-5)
    for ours, theirs in zip(network(model), network(plain), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for old, new in zip(before, arrays(helper.variables), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.usefixtures("compiled_in_full")
def test_off_it_is_the_plain_step_bit_for_bit():
    x, y = toy_batches(36)
    model, plain = toy_model(), toy_model(on=False)
    state = arrays([bound(model).draws.state])
    options = {"batch_size": 12, "shuffle": False, "verbose": 0, "epochs": 2}
    bound(model).active.assign(0.0)
    logs = model.fit(x, y, **options).history
    assert logs == plain.fit(x, y, **options).history
    for ours, theirs in zip(network(model), network(plain), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(arrays([bound(model).draws.state]), state)
    # And the same compiled step translates once it is switched on.
    model.fit(x, y, callbacks=[StartTranslation(2)], initial_epoch=2, **(options | {"epochs": 3}))
    plain.fit(x, y, initial_epoch=2, **(options | {"epochs": 3}))
    assert max(np.abs(a - b).max() for a, b in zip(network(model), network(plain), strict=True))
    after = arrays([bound(model).draws.state])[0]
    assert after[1] - state[0][1] == 4 * 3  # four draws per step


def saved(model):
    """As `network`, without dropout's seed, which Keras does not save."""
    return arrays([*model.backbone.weights, *model.head.weights])


def test_it_is_neither_saved_nor_missed(tmp_path):
    model = toy_model("sam")
    assert not {id(v) for v in bound(model).helper.variables} & {id(v) for v in model.variables}
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert bound(loaded) is None
    for ours, theirs in zip(saved(model), saved(loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # The weights of a run without it start one with it.
    loaded.save_weights(tmp_path / "plain.weights.h5")
    bound(model).active.assign(0.0)
    model.load_weights(tmp_path / "plain.weights.h5")
    assert float(bound(model).active.value) == 0.0
    for ours, theirs in zip(saved(model), saved(loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_training_on_from_a_file_says_what_is_missing(tmp_path):
    model = toy_model()
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    x, y = toy_batches(12)

    def said(loaded, step_by_step=False):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            loaded.train_on_batch(x, y) if step_by_step else loaded.fit(x, y, verbose=0)
        return [str(each.message) for each in caught if "MajorToMinor" in str(each.message)]

    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not said(model)
    loaded.save(tmp_path / "again.keras")  # not forgotten by a second file
    (words,) = said(loaded)
    assert "trained with MajorToMinor, which its file does not hold" in words
    assert said(keras.models.load_model(tmp_path / "again.keras"), step_by_step=True)
    given = keras.models.load_model(tmp_path / "again.keras")
    given.add_step_part(MajorToMinor(toy_helper(), TOY, pixel_range=(-5.0, 7.0)))
    assert not said(given)
    assert said(keras.models.load_model(tmp_path / "again.keras"))


def test_one_output_has_no_logit_to_move_away_from():
    helper = linear_network(2, seed=1)
    with pytest.raises(ValueError, match=r"logit per class.*Dense\(2\)"):
        cc.SharpnessAwareModel(
            linear_network(5, seed=2),
            keras.layers.Dense(1),
            step_parts=[MajorToMinor(helper, COUNTS[:2])],
        )


def test_the_callback_goes_by_the_epoch_alone():
    seen = []
    model, translation = linear_model()
    for start, epochs in ((0.8, 5), (0.5, 3), (2, 4), (0, 2)):
        callback = StartTranslation(start)
        callback.set_model(model)
        callback.set_params({"epochs": epochs})
        callback.on_train_begin()
        for epoch in reversed(range(epochs)):
            callback.on_epoch_begin(epoch)
            seen.append(float(translation.active.value))
    assert seen == [1, 0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize("start", [-1, 1.0, 0.0, 2.5, True, "0.8"])
def test_the_callback_refuses_other_starts(start):
    with pytest.raises(ValueError, match="Received: start="):
        StartTranslation(start)


def test_the_callback_refuses_a_model_without_a_translation():
    x, y = toy_batches(12)
    model = toy_model(on=False)
    with pytest.raises(ValueError, match=r"step_parts=\[MajorToMinor"):
        model.fit(x, y, verbose=0, callbacks=[StartTranslation()])


@pytest.mark.parametrize(
    "option",
    [
        {"beta": 1.0},
        {"beta": -0.1},
        {"gamma": 1.1},
        {"strength": -1.0},
        {"step_size": 0.0},
        {"steps": 1.5},
        {"steps": -1},
        {"noise": float("nan")},
        {"pixel_range": (1.0, 1.0)},
        {"class_counts": (5, 0)},
    ],
)
def test_bad_numbers(option):
    options = {"class_counts": COUNTS, **option}
    with pytest.raises(ValueError, match=f"Received: {next(iter(option))}="):
        MajorToMinor(linear_network(4, 1), **options)


def probabilities(layer):
    inputs = keras.Input((PIXELS,))
    return keras.Model(inputs, layer(keras.layers.Dense(4)(inputs)))


def test_bad_helpers():
    unbuilt = keras.Sequential([keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="must be a built Keras classifier"):
        MajorToMinor(unbuilt, COUNTS)
    with pytest.raises(ValueError, match="must be a built Keras classifier"):
        MajorToMinor("model.keras", COUNTS)
    for layer in (keras.layers.Softmax(), keras.layers.Dense(4, activation="softmax")):
        with pytest.raises(ValueError, match="must put out logits"):
            MajorToMinor(probabilities(layer), COUNTS)

    def model_with(helper, counts=COUNTS):
        translation = MajorToMinor(helper, counts)
        head = keras.layers.Dense(4)
        cc.SharpnessAwareModel(linear_network(5, 2), head, step_parts=[translation])

    with pytest.raises(ValueError, match=r"each of the 4 classes.*outputs of shape \(None, 3\)"):
        model_with(linear_network(3, 1))
    with pytest.raises(ValueError, match=r"must take the model's inputs.*\(None, 6, 6, 2\)"):
        model_with(toy_helper())
    with pytest.raises(ValueError, match="4 classes; it has 3"):
        model_with(linear_network(4, 1), COUNTS[:3])
    # A SharpnessAwareModel, as a run saves it, is a helper too.
    model_with(linear_model()[0])


def test_bad_batches():
    model, _ = linear_model()
    x, y = images(4)
    mixed = {"labels": y, "second_labels": y, "mix": np.ones(4, "float32")}
    for labels in (mixed, None):
        with pytest.raises(ValueError, match="M2m takes one class per sample, and no mixup"):
            bound(model).inputs(model, x, labels)
    with pytest.raises(ValueError, match="one input"):
        bound(model).inputs(model, {"images": x}, y)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="no mixup"):
        model.train_on_batch(x.astype("float32"), mixed)
