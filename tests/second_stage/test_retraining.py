"""Stage 2: what it moves, what it must not, and that its parts do something."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import ClassifierRetraining
from keras_ccsam.second_stage import Retraining
from tests.support import batch_norm_model, toy_batches


@pytest.fixture(scope="module")
def data():
    x, y = toy_batches(80)
    return cc.data.from_arrays(x, y)


def untrained():
    model = batch_norm_model()
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


@pytest.fixture(scope="module")
def first(data):
    """The weights after stage 1, trained once."""
    model = untrained()
    model.fit(data.batches(batch_size=16), epochs=3, verbose=0)
    return model.get_weights()


def stage1(first):
    model = untrained()
    model.set_weights(first)
    return model


def arrays(layer):
    return [ops.convert_to_numpy(v) for v in layer.variables]


@pytest.mark.any_backend
def test_weights_of_images_count_in_both_ways_of_the_second_stage(data, first):
    weights = np.linspace(0.5, 2.0, len(data.y_train)).astype("float32")
    heads = {}
    for batch_norm in ("update", "frozen"):  # images in every epoch, or features once
        for name, given in (("none", None), ("ones", weights * 0 + 1), ("own", weights)):
            weighed = dataclasses.replace(data, weights=given)
            model = stage1(first)
            Retraining(epochs=1, adversarial=False, batch_norm=batch_norm).run(
                model, weighed.batches(batch_size=16)
            )
            heads[batch_norm, name] = np.concatenate([v.ravel() for v in arrays(model.head)])
        np.testing.assert_allclose(
            heads[batch_norm, "ones"], heads[batch_norm, "none"], rtol=1e-5, atol=1e-6
        )
        assert np.abs(heads[batch_norm, "own"] - heads[batch_norm, "none"]).max() > 1e-3


def retrained(data, first, **options):
    model = stage1(first)
    Retraining(**{"epochs": 2, **options}).run(model, data.batches(batch_size=16))
    return arrays(model.head)


@pytest.fixture(scope="module")
def plainly(data, first):
    """The head after a stage 2 with every option at its default."""
    return retrained(data, first)


def differ(a, b, at_least=1e-5):
    return max(np.abs(x - y).max() for x, y in zip(a, b, strict=True)) > at_least


def test_from_fit_only_the_head_moves(data, first):
    model = stage1(first)
    frozen = model.backbone.layers[1]
    frozen.trainable = False
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(data.batches(batch_size=16), epochs=1, verbose=0)
    before = arrays(model.backbone), arrays(model.head), arrays(model.optimizer)
    flags = [layer.trainable for layer in model.backbone.layers]
    count = len(model.trainable_variables)
    optimizer = model.optimizer

    class Snapshot(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.backbone = arrays(self.model.backbone)
            self.head = arrays(self.model.head)
            self.optimizer = arrays(self.model.optimizer)

    snapshot, stage2 = Snapshot(), ClassifierRetraining(data.batches(batch_size=16), epochs=2)
    history = model.fit(
        data.batches(batch_size=16), epochs=2, verbose=0, callbacks=[snapshot, stage2]
    )
    assert differ(before[0], snapshot.backbone)
    for a, b in zip(snapshot.backbone, arrays(model.backbone), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(snapshot.optimizer, arrays(model.optimizer), strict=True):
        np.testing.assert_array_equal(a, b)
    assert differ(snapshot.head, arrays(model.head))
    assert model.optimizer is optimizer
    assert model.history is history and len(history.history["loss"]) == 2
    assert len(stage2.history.history["loss"]) == 2
    assert [layer.trainable for layer in model.backbone.layers] == flags
    assert len(model.trainable_variables) == count
    model.fit(data.batches(batch_size=16), epochs=1, verbose=0)


def test_cached_features_give_what_the_whole_network_gives(data, first, plainly):
    """An augmentation that changes nothing forces the images through the backbone each time."""

    class Nothing(cc.data.Flip):
        def __call__(self, images, rng):
            return images

    whole = retrained(data, first, augment=(Nothing(),))
    for a, b in zip(plainly, whole, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "options",
    [
        {"adversarial": False},
        {"strength": 3.0},
        {"strength_unit": "class_gap"},
        {"radius_weights": False},
        {"loss_weights": True},
        {"alpha_max": 0.2},
        {"weight_divisor": 0.5},
        {"reinitialize_head": True},
        {"sampler": "instance"},
        {"batch_norm": "update"},
        {"weight_decay": 0.1},
        {"batch_size": 8},
    ],
    ids=lambda o: next(iter(o)),
)
def test_every_option_has_an_effect(data, first, plainly, options):
    assert differ(plainly, retrained(data, first, **options))


def test_batch_norm_update_moves_statistics_and_nothing_else(data, first):
    model = stage1(first)
    before = {v.path: ops.convert_to_numpy(v) for v in model.backbone.variables}
    Retraining(epochs=1, batch_norm="update").run(model, data.batches(batch_size=16))
    moved = {
        v.path.rsplit("/", 1)[-1]
        for v in model.backbone.variables
        if (ops.convert_to_numpy(v) != before[v.path]).any()
    }
    assert moved == {"moving_mean", "moving_variance"}


def test_alpha_follows_its_ramp(data, first):
    seen = []
    model = stage1(first)

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(float(self.model.hyper_parameters.alpha))

    stage2 = Retraining(epochs=4, alpha_max=0.6)
    stage2.run(model, data.batches(batch_size=16), callbacks=[Watch()])
    np.testing.assert_allclose(seen, [0.25, 0.5, 0.6, 0.6], rtol=1e-6)


def test_class_weights_are_the_published_ones():
    counts = [int(5000 * 200 ** (-c / 9)) for c in range(10)]
    np.testing.assert_allclose(
        cc.sharpness.adversarial_class_weights(counts),
        [0.004975, 0.297161, 0.590365, 0.884484, 1.178467,
         1.472783, 1.766939, 2.061453, 2.355310, 2.649184],
        atol=1e-6,
    )  # fmt: skip


def test_mistakes_show_before_stage_1_is_trained(data):
    for options, words in [
        ({"epohcs": 3}, "did you mean 'epochs'"),
        ({"sampler": "balanced"}, "balanced"),
        ({"batch_norm": "drift"}, "batch_norm"),
        ({"alpha_max": 2.0}, "alpha_max"),
    ]:
        with pytest.raises(ValueError, match=words):
            ClassifierRetraining(data.train, **options)
    with pytest.raises(ValueError, match="BatchSequence"):
        ClassifierRetraining(data.train.arrays()[0])
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), keras.layers.Flatten(), keras.layers.Dense(5)]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True))
    before = arrays(model)
    with pytest.raises(ValueError, match="from_model"):
        model.fit(data.train, verbose=0, callbacks=[ClassifierRetraining(data.train)])
    assert not differ(before, arrays(model), 0.0)


@pytest.mark.any_backend
def test_the_test_set_is_not_trained_on():
    x, y = toy_batches(80)
    held_out = cc.data.from_arrays(x, y, x_test=x[:20], y_test=y[:20])
    with pytest.raises(ValueError, match="split='test'"):
        Retraining().run(untrained(), held_out.test)


def test_bad_options():
    model = untrained()
    with pytest.raises(ValueError, match="BatchSequence"):
        Retraining().run(model, [1, 2])
    for name, value in [("epochs", 0), ("alpha_max", 1.5), ("batch_norm", "drift"),
                        ("strength", -1.0), ("weight_divisor", 0.0), ("augment", "flip"),
                        ("sampler", "sequential"), ("batch_size", -1)]:  # fmt: skip
        with pytest.raises(ValueError, match=f"Received: {name}="):
            Retraining(**{name: value})
