"""Stage 2 with scales, rates, mixup and another loss, step by step against numpy."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import ClassifierRetraining
from keras_ccsam.second_stage import Retraining, RetrainingModel, extract_features
from tests.support import batch_norm_model, toy_batches

N = 80
WHOLE = {"adversarial": False, "sampler": "instance", "batch_size": N}


@pytest.fixture(scope="module")
def data():
    x, y = toy_batches(N)
    return cc.data.from_arrays(x, y)


def model_with(head=None, **kwargs):
    """Stage 2 asks for a compiled model, and not for how it was trained."""
    model = batch_norm_model(head=head, **kwargs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(1)
    model.head.set_weights([rng.normal(size=w.shape) for w in model.head.weights])
    return model


def weights(model):
    return [w.astype("float64") for w in model.head.get_weights()]


def retrain(model, train, callbacks=(), **options):
    return Retraining(**options).run(model, train, callbacks=callbacks)


class BeforeFolding(keras.callbacks.Callback):
    """The three parts of the stage's head when it ends."""

    def on_train_end(self, logs=None):
        head = self.model.head
        scaled = isinstance(head, cc.heads.Scaled)
        self.scales = ops.convert_to_numpy(head.scales) if scaled else None
        self.dense = (head.dense if scaled else head).get_weights()


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def by_hand(h, targets, start, steps, rates, momentum=0.0, decay=0.0):
    """(v, b, f) after full-batch steps of cross-entropy; targets are rows of shares (N, K)."""
    parts = [*start, np.ones(targets.shape[1])]
    velocities = [np.zeros_like(part) for part in parts]
    for _ in range(steps):
        v, b, f = parts
        z = h @ v + b
        delta = (softmax(f * z) - targets) / len(h)
        gradients = [h.T @ (delta * f), (delta * f).sum(axis=0), (delta * z).sum(axis=0)]
        for i, rate in enumerate(rates):
            step = rate * (gradients[i] + decay * parts[i])
            velocities[i] = momentum * velocities[i] - step
            parts[i] = parts[i] + velocities[i]
    return parts


@pytest.mark.parametrize(
    ("steps", "momentum", "decay"),
    [pytest.param(1, 0.0, 0.0, marks=pytest.mark.any_backend), (2, 0.9, 0.1)],
    ids=["one", "momentum-decay"],
)
def test_both_parts_learn_at_their_own_rates(data, steps, momentum, decay):
    model, seen = model_with(), BeforeFolding()
    x, y = data.train.arrays()
    h = extract_features(model, x).astype("float64")
    rates = [0.25 * 0.4, 0.25 * 0.4, 0.4]
    v, b, f = by_hand(h, np.eye(5)[y], weights(model), steps, rates, momentum, decay)
    retrain(
        model,
        data.train,
        learn="both",
        lr_factor=0.25,
        epochs=steps,
        optimizer=keras.optimizers.SGD(0.4, momentum=momentum),
        weight_decay=decay,
        callbacks=[seen],
        **WHOLE,
    )
    np.testing.assert_allclose(seen.scales, f, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen.dense[0], v, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen.dense[1], b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.head.get_weights()[0], v * f, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.head.get_weights()[1], b * f, rtol=1e-4, atol=1e-5)
    assert np.abs(f - 1).max() > 1e-2


def test_scales_alone_keep_the_directions(data):
    model, seen = model_with(), BeforeFolding()
    dense = model.head
    before = dense.get_weights()
    rates = [0.0, 0.0, 0.5]
    x, y = data.train.arrays()
    h = extract_features(model, x).astype("float64")
    _, _, f = by_hand(h, np.eye(5)[y], weights(model), 3, rates)
    retrain(
        model, data.train, learn="scales", epochs=3, optimizer=keras.optimizers.SGD(0.5),
        callbacks=[seen], **WHOLE,
    )  # fmt: skip
    for old, held in zip(before, seen.dense, strict=True):
        np.testing.assert_array_equal(old, held)
    np.testing.assert_allclose(seen.scales, f, rtol=1e-4)
    assert model.head is dense
    after = dense.get_weights()
    norms = [np.linalg.norm(w, axis=0) for w in (before[0], after[0])]
    np.testing.assert_allclose(after[0] / norms[1], before[0] / norms[0], atol=1e-6)
    np.testing.assert_allclose(norms[1] / norms[0], f, rtol=1e-4)
    np.testing.assert_allclose(after[1], before[1] * f, rtol=1e-4, atol=1e-6)
    assert np.abs(norms[1] / norms[0] - 1).max() > 1e-2


@pytest.mark.any_backend
def test_a_softmax_head_is_scaled_before_its_activation(data):
    head = keras.layers.Dense(5, activation="softmax", name="classifier")
    with_softmax, plain = model_with(head), model_with()
    for model in (with_softmax, plain):
        retrain(
            model, data.train, learn="both", epochs=2, optimizer=keras.optimizers.SGD(0.4), **WHOLE
        )
    for a, b in zip(weights(with_softmax), weights(plain), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_adversarial_features_see_the_scaled_head(data):
    """Scales of 1 change nothing in the first step; other ones do in the second."""
    seen = []
    for learn, steps in [("classifier", 1), ("both", 1), ("classifier", 2), ("both", 2)]:
        model = model_with()
        retrain(
            model, data.train, learn=learn, epochs=steps, strength=5.0,
            optimizer=keras.optimizers.SGD(0.4), callbacks=[last := BeforeFolding()],
            **{**WHOLE, "adversarial": True},
        )  # fmt: skip
        seen.append(last.dense[0])
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-5)
    assert np.abs(seen[2] - seen[3]).max() > 1e-3


def test_mixup_mixes_the_images(data):
    """One full-batch step on mixed images and both labels in their shares."""
    model = model_with()
    plan = {"sampler": "instance", "augment": (), "batch_size": N, "mixup": 1.0, "epochs": 1}
    x, y = data.train.with_options(**plan)[0]
    share = y["mix"][:, None]
    assert 0.01 < share[0, 0] < 0.99
    targets = share * np.eye(5)[y["labels"]] + (1 - share) * np.eye(5)[y["second_labels"]]
    h = extract_features(model, x).astype("float64")
    v, b, _ = by_hand(h, targets, weights(model), 1, [0.4, 0.4, 0.0])
    retrain(model, data.train, mixup=1.0, epochs=1, optimizer=keras.optimizers.SGD(0.4), **WHOLE)
    for expected, found in zip((v, b), weights(model), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_stage_1_mixup_is_not_taken_over(data):
    assert Retraining().batches(data.batches(mixup=1.0)).options.mixup == 0.0
    assert Retraining(mixup=0.2).batches(data.train).options.mixup == 0.2


def test_images_per_class_reach_the_sampler(data):
    _, y = data.train.arrays()
    visits = y[Retraining(images_per_class=4, batch_size=N).batches(data.train).rows(0)].reshape(
        -1, 4
    )
    assert (visits == visits[:, :1]).all()
    alone = y[Retraining(batch_size=N).batches(data.train).rows(0)]
    assert len(set(alone[:5])) == 5


@pytest.mark.any_backend
def test_all_options_together_are_deterministic(data):
    """Adversarial features on a scaled head, mixed images, moving BatchNorm, a schedule."""

    def run():
        keras.utils.set_random_seed(3)
        model = model_with()
        schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
        retrain(
            model,
            data.batches(batch_size=16, seed=5),
            learn="both",
            lr_factor=0.5,
            epochs=2,
            mixup=1.0,
            batch_norm="update",
            sampler="inverse_frequency",
            images_per_class=4,
            optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        )
        return weights(model)

    for a, b in zip(run(), run(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.any_backend
def test_the_loss_may_be_another_by_name_or_object(data):
    def run(loss):
        model = model_with()
        retrain(
            model, data.train, loss=loss, epochs=1, optimizer=keras.optimizers.SGD(0.4), **WHOLE
        )
        assert model.sample_loss.reduction == "sum_over_batch_size"
        return weights(model)[0]

    of_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    summed = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    start = weights(model_with())[0]
    by_name = run("sparse_categorical_crossentropy")
    np.testing.assert_allclose(run(of_logits), by_name, atol=1e-6)
    np.testing.assert_allclose(run(summed) - start, N * (by_name - start), rtol=1e-3, atol=1e-3)


@pytest.mark.any_backend
def test_a_callback_may_serve_twice(data):
    model = model_with()
    stage2 = ClassifierRetraining(
        data.train, learn="both", epochs=1, optimizer=keras.optimizers.SGD(0.1, momentum=0.9)
    )
    stage2.set_model(model)
    for _ in range(2):
        before = weights(model)[0]
        stage2.on_train_end()
        assert np.abs(weights(model)[0] - before).max() > 1e-4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learn": "norms"}, "learn='norms'"),
        ({"learn": "both", "lr_factor": 0.0}, "lr_factor=0.0"),
        ({"lr_factor": 0.5}, "learn='classifier'"),
        ({"learn": "scales", "lr_factor": 0.5}, "learn='scales'"),
        ({"learn": "both", "lr_factor": 0.5, "optimizer": "adam"}, "optimizer=Adam"),
        (
            {"learn": "both", "lr_factor": 0.5, "optimizer": keras.optimizers.SGD(clipnorm=1.0)},
            "clipnorm=1.0",
        ),
        (
            {
                "learn": "both",
                "lr_factor": 0.5,
                "optimizer": keras.optimizers.SGD(weight_decay=1.0),
            },
            "weight_decay=1.0",
        ),
        ({"learn": "scales", "reinitialize_head": True}, "reinitialize_head=True"),
        ({"mixup": -1.0}, "mixup=-1.0"),
        ({"images_per_class": 0}, "images_per_class=0"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_options_show_at_construction(data, options, words):
    with pytest.raises(ValueError, match=words):
        ClassifierRetraining(data.train, **options)
    with pytest.raises(ValueError, match=words):
        retrain(model_with(), data.train, **options)


@pytest.mark.parametrize(
    ("head", "options", "words"),
    [
        (cc.heads.Cosine(5), {"learn": "scales"}, "Received: head="),
        (cc.heads.Cosine(5), {"learn": "both"}, "Received: head="),
        (None, {"loss": keras.losses.SparseCategoricalCrossentropy()}, "from_logits=False"),
        (None, {"loss": "sparse_crossentropy"}, "sparse_crossentropy"),
    ],
)
def test_what_does_not_suit_the_model_shows_before_stage_1(data, head, options, words):
    model = model_with(head)
    before = weights(model)
    with pytest.raises(ValueError, match=words):
        model.fit(data.train, verbose=0, callbacks=[ClassifierRetraining(data.train, **options)])
    for a, b in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_stage_model_checks_by_itself():
    dense = keras.layers.Dense(3)
    backbone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="Received: head="):
        RetrainingModel(backbone, dense, learn="scales")
    stage = RetrainingModel(backbone, cc.heads.Scaled(dense), learn="both", lr_factor=0.5)
    with pytest.raises(ValueError, match="optimizer=RMSprop"):
        stage.compile(loss="sparse_categorical_crossentropy")
    again = RetrainingModel.from_config(stage.get_config())
    assert (again.learn, again.lr_factor, again.batch_norm) == ("both", 0.5, "frozen")
    assert len(again.trainable_variables) == 3
