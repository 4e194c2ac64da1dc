"""Labels of data that shows them only as it is read."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from tests.support import COUNTS, toy_batches

X, Y = toy_batches(24)
ONE_HOT = np.eye(5, dtype="float32")[Y]
SEVERAL = ONE_HOT.copy()
SEVERAL[3, :3] = 1.0
WORDS = r"one class.*multi-label.*labels\[3\]=\[1, 1, 1, "


def generator(x, y):
    for first in range(0, len(x), 8):
        yield x[first : first + 8], y[first : first + 8]


def tensorflow_data(x, y):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(24, seed=1).batch(8)


def in_order(x, y):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)


def torch_loader(x, y, **options):
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    return torch.utils.data.DataLoader(data, batch_size=8, **options)


WAYS = {"generator": generator, "tf.data": in_order, "torch loader": torch_loader}


def model(loss="categorical_crossentropy"):
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Flatten()])
    made = cc.CCSAM(backbone, class_counts=COUNTS, radius_scale=0.1)
    made.compile(keras.optimizers.SGD(0.1), loss)
    return made


@pytest.mark.parametrize("way", WAYS)
def test_no_batch_is_refused_in_our_own_words(way):
    with pytest.raises(ValueError, match=r"there is nothing to train on.*Received: x without"):
        model().fit(WAYS[way](X[:0], ONE_HOT[:0]), shuffle=False, verbose=0)


@pytest.mark.parametrize("way", WAYS)
def test_several_ones_are_refused_before_a_step(way):
    ours = model()
    before = [keras.ops.convert_to_numpy(v) for v in ours.trainable_variables]
    with pytest.raises(ValueError, match=WORDS):
        ours.fit(WAYS[way](X, SEVERAL), shuffle=False, verbose=0)
    for value, variable in zip(before, ours.trainable_variables, strict=True):
        np.testing.assert_array_equal(value, keras.ops.convert_to_numpy(variable))
    # One label too many is no reason to refuse the rest of the session.
    ours.fit(WAYS[way](X, ONE_HOT), steps_per_epoch=3, shuffle=False, verbose=0)


@pytest.mark.any_backend
@pytest.mark.parametrize("way", WAYS)
def test_labels_out_of_range_are_refused(way):
    wrong = Y.copy()
    wrong[2] = 9
    with pytest.raises(ValueError, match=r"labels\[2\]=9"):
        model("sparse_categorical_crossentropy").fit(WAYS[way](X, wrong), shuffle=False, verbose=0)


@pytest.mark.parametrize("way", WAYS)
def test_no_batch_is_lost_and_none_comes_twice(way):
    """The same numbers as from arrays in the same order, over several epochs."""
    plain, ours = model(), model()
    # Without a number of steps Keras warns that a generator has come to its end.
    epochs, steps = (1, 3) if way == "generator" else (2, None)
    wanted = plain.fit(X, ONE_HOT, batch_size=8, shuffle=False, epochs=epochs, verbose=0)
    found = ours.fit(
        WAYS[way](X, ONE_HOT), epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0
    )
    np.testing.assert_allclose(found.history["loss"], wanted.history["loss"], rtol=1e-6)


def test_a_generator_goes_on_where_a_fit_has_stopped():
    def endless():
        number = 0
        while True:
            seen.append(number)
            number += 1
            yield X[:8], ONE_HOT[:8]

    seen, batches, ours = [], None, model()
    batches = endless()
    ours.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
    after = len(seen)
    ours.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
    assert seen == list(range(len(seen))) and len(seen) > after


@pytest.mark.any_backend
def test_shuffling_is_what_it_was():
    """Reading the first batch ahead would have moved a seeded shuffle on."""
    tf = pytest.importorskip("tensorflow")

    def losses(watched):
        tf.random.set_seed(3)
        ours, data = model(), tensorflow_data(X, ONE_HOT)
        if not watched:
            data = data.map(lambda x, y: (x, y, tf.ones_like(y[:, 0])))  # as good as unwatched
        return ours.fit(data, epochs=3, shuffle=False, verbose=0).history["loss"]

    np.testing.assert_allclose(losses(True), losses(False), rtol=1e-5)


@pytest.mark.any_backend
def test_a_loader_is_not_changed_and_keeps_its_order():
    torch = pytest.importorskip("torch")

    def batches(fitted):
        torch.manual_seed(5)
        loader = torch_loader(X, ONE_HOT, shuffle=True)
        kind, state = type(loader), dict(vars(loader))
        seen = []

        class Seen(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                seen.append(logs["loss"])

        ours = model()
        if fitted:
            torch.manual_seed(5)
            ours.fit(loader, epochs=2, shuffle=False, verbose=0, callbacks=[Seen()])
            assert type(loader) is kind and dict(vars(loader)) == state
        else:
            torch.manual_seed(5)
            keras.Model.fit(ours, loader, epochs=2, shuffle=False, verbose=0, callbacks=[Seen()])
        return seen

    np.testing.assert_allclose(batches(True), batches(False), rtol=1e-6)


@pytest.mark.any_backend
def test_mixed_labels_and_weights_pass():
    tf = pytest.importorskip("tensorflow")
    mixed = {"labels": Y, "second_labels": Y[::-1].copy(), "mix": np.full(24, 0.7, "float32")}
    data = tf.data.Dataset.from_tensor_slices((X, mixed)).batch(8)
    ours = model("sparse_categorical_crossentropy")
    assert np.isfinite(ours.fit(data, shuffle=False, verbose=0).history["loss"]).all()
    weighted = tf.data.Dataset.from_tensor_slices((X, Y, np.ones(24, "float32"))).batch(8)
    assert np.isfinite(ours.fit(weighted, shuffle=False, verbose=0).history["loss"]).all()
    mixed["labels"] = np.full(24, 7)
    with pytest.raises(ValueError, match="=7"):
        ours.fit(tf.data.Dataset.from_tensor_slices((X, mixed)).batch(8), shuffle=False, verbose=0)


def test_train_on_batch_looks_at_its_first_labels():
    ours = model()
    with pytest.raises(ValueError, match=WORDS):
        ours.train_on_batch(X, SEVERAL)
    ours.train_on_batch(X, y=ONE_HOT)
    ours.train_on_batch(keras.ops.convert_to_tensor(X), keras.ops.convert_to_tensor(ONE_HOT))
    ours.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="sparse loss"):
        ours.train_on_batch(X, ONE_HOT)


@pytest.mark.any_backend
def test_another_error_stays_what_it_is():
    def broken():
        yield X[:8], ONE_HOT[:8]
        raise RuntimeError("the disk is gone")

    with pytest.raises(Exception, match="the disk is gone"):
        model().fit(broken(), shuffle=False, verbose=0)
