"""CUDA's levels: judged as by loops, kept through a cut, and without effect at the limit."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import Curriculum, RunState
from keras_ccsam.data.batches.augmentations.magnitudes import CURRICULUM

RNG = np.random.default_rng(0)
COUNTS = (20, 9, 5, 2)
LABELS = np.repeat(np.arange(4), COUNTS).astype("int32")
SUMS = [0, 3, 14, 33, 56, 90]
"""What l operations of strength l / 30, each of which adds 110 l / 30, add to a black pixel."""
ADDS = tuple(name for name in CURRICULUM if name != "solarize_add")


def readable():
    """Images whose pixels tell class, place in the class and, once they are augmented, level."""
    x = RNG.integers(0, 30, size=(36, 6, 6, 2), dtype=np.uint8)
    place = np.concatenate([np.arange(count) for count in COUNTS])
    x[:, 0, 0, 0], x[:, 0, 0, 1] = 0, LABELS
    x[:, 0, 1, 0], x[:, 0, 1, 1] = 0, place
    grey = np.concatenate([x[..., :1], x[..., 1:], np.zeros((36, 6, 6, 1), np.uint8)], axis=-1)
    return cc.data.from_arrays(grey, LABELS)


class Knowing(keras.layers.Layer):
    """Right up to a level of each class, for the images below a share of their class."""

    def __init__(self, known, below):
        super().__init__()
        self.known, self.below = known, below

    def call(self, x):
        x = ops.cast(x, "int32")
        label, place = x[:, 0, 0, 1] - x[:, 0, 0, 0], x[:, 0, 1, 1] - x[:, 0, 1, 0]
        right = ops.logical_and(
            x[:, 0, 0, 0] <= ops.take(ops.convert_to_tensor(self.known), label),
            place < ops.take(ops.convert_to_tensor(self.below), label),
        )
        said = ops.where(right, label, (label + 1) % 4)
        return ops.one_hot(said, 4, dtype="float32")


def knowing(known, below=(99, 99, 99, 99)):
    inputs = keras.Input((6, 6, 3))
    sums = np.array([SUMS[level] for level in known], "int32")
    backbone = keras.Model(inputs, Knowing(sums, np.array(below, "int32"))(inputs))
    model = cc.SharpnessAwareModel(backbone, keras.layers.Dense(4, "linear", use_bias=False))
    model.head.set_weights([np.eye(4, dtype="float32")])
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    return model


class Watching(Curriculum):
    """Keeps the levels of each epoch and what was judged before it."""

    def __init__(self, train, **options):
        super().__init__(train, **options)
        self.seen, self.judged = [], []

    def _right(self, trials, epoch):
        found = list(super()._right(trials, epoch))
        self.judged.append((trials, np.concatenate(found)[: len(trials.rows)]))
        return iter(found)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self.seen.append(self.levels.tolist())


def batches(data=None, probability=0.5, **options):
    augment = cc.data.Curriculum(probability, **options)
    return (data or readable()).batches(batch_size=12, seed=1, augment=(augment,))


def test_a_class_goes_up_while_it_is_known_at_every_level_and_else_down():
    train = batches(without=ADDS)
    callback = Watching(train, samples=3, most=4)
    known = (0, 1, 3, 5)
    history = knowing(known).fit(train, epochs=8, verbose=0, callbacks=[callback]).history
    levels, expected = [0, 0, 0, 0], []
    for _ in range(8):
        for label in range(4):
            up = all(level <= known[label] for level in range(levels[label] + 1))
            levels[label] = min(max(levels[label] + (1 if up else -1), 0), 4)
        expected.append(list(levels))
    assert callback.seen == expected
    assert history["mean_level"] == [float(np.mean(each)) for each in expected]


@pytest.mark.any_backend
def test_the_images_judged_by_and_the_share_of_right_ones():
    """By loops over the images that were judged, of a network that is right for some of them."""
    train = batches(without=ADDS)
    callback = Watching(train, samples=10)
    below = (12, 6, 3, 1)  # 60, 67, 60 and 50 % of the classes
    knowing((5, 5, 5, 5), below).fit(train, epochs=5, verbose=0, callbacks=[callback])
    x, y = train.arrays()
    before = [0, 0, 0, 0]
    moved = set()
    for (trials, right), after in zip(callback.judged, callback.seen, strict=True):
        for label in range(4):
            up = True
            for level in range(before[label] + 1):
                own = [
                    n
                    for n in range(len(trials.rows))
                    if y[trials.rows[n]] == label and trials.levels[n] == level
                ]
                assert len(own) == 10 * (level + 1)
                places = [int(x[trials.rows[n], 0, 1, 1]) for n in own]
                assert [bool(right[n]) for n in own] == [p < below[label] for p in places]
                up = up and sum(p < below[label] for p in places) / len(places) > 0.6
            after_it = min(max(before[label] + (1 if up else -1), 0), 10)
            moved.add(after_it - before[label])
            assert after[label] == after_it
        assert len(trials.rows) == sum(5 * (b + 1) * (b + 2) for b in before)
        before = after
    assert moved == {-1, 0, 1} or moved == {-1, 1}


def pictures():
    x = np.random.default_rng(2).integers(0, 256, size=(36, 6, 6, 3), dtype=np.uint8)
    return cc.data.from_arrays(x, LABELS)


def trained(train, *callbacks, epochs=3, seed=5):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = cc.SharpnessAwareModel(keras.Model(inputs, x), keras.layers.Dense(4))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return np.concatenate([ops.convert_to_numpy(v).ravel() for v in model.weights])


def test_at_a_probability_of_0_training_is_the_plain_one_bit_for_bit():
    """Though levels rise; where images are augmented, it is another one."""
    plain = trained(pictures().batches(batch_size=12, seed=1, augment=()))
    ours = batches(pictures(), 0.0)
    callback = Watching(ours, accept=0.0, samples=30)
    np.testing.assert_array_equal(trained(ours, callback), plain)
    assert np.max(callback.seen) > 0
    augmented = batches(pictures())
    assert np.abs(trained(augmented, Curriculum(augmented, 0.0, 30)) - plain).max() > 1e-4


@pytest.mark.any_backend
def test_threads_judge_as_one_does():
    found = []
    for workers in (1, 3):
        augment = cc.data.Curriculum(start=4)
        options = {"batch_size": 12, "seed": 1, "augment": ("crop", augment), "workers": workers}
        train = pictures().batches(**options)
        callback = Watching(train, accept=0.2, samples=60)
        found.append((trained(train, callback, epochs=2), [r for _, r in callback.judged]))
    assert len(found[0][1][0]) > 3 * 256  # several pieces
    np.testing.assert_array_equal(found[0][0], found[1][0])
    for one, other in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(one, other)


class Cut(Exception):
    """In place of a kill."""


@pytest.mark.parametrize("at", [(0, 1), (2, 2)])
def test_a_training_that_is_cut_goes_on_with_the_levels_bit_for_bit(at, tmp_path):
    def run(cut, *callbacks, seed=5):
        train = batches(pictures(), start=2)
        levels = Watching(train, accept=0.2)
        epochs = []

        def begin(epoch, logs):
            epochs.append(epoch)

        def end(batch, logs):
            for callback in callbacks:
                callback._saver.wait()
            if (epochs[-1], batch) == cut:
                raise Cut

        watch = keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_train_batch_end=end)
        found = trained(train, levels, watch, *callbacks, epochs=4, seed=seed)
        return found, levels

    whole, levels = run(None)
    assert len({tuple(each) for each in levels.seen}) > 2
    with pytest.raises(Cut):
        run(at, RunState(tmp_path / "state", 1))
    state = RunState(tmp_path / "state", 1)
    again, other = run(None, state, seed=6)
    assert f"epoch {at[0] + 1}" in state.resumed
    np.testing.assert_array_equal(again, whole)
    assert other.seen == levels.seen[at[0] :]
    assert len(other.judged) == 3 - at[0]


@pytest.mark.any_backend
def test_what_cannot_be_is_refused():
    data = pictures()
    plain = data.batches(batch_size=12)
    several = data.batches(batch_size=12, augment=("curriculum", "curriculum"))
    for make, match in (
        (lambda: Curriculum(plain), r"add it to them.*augmentations none"),
        (lambda: Curriculum(several), "augmentations Curriculum, Curriculum"),
        (lambda: Curriculum((data.x_train, LABELS)), "train=tuple"),
        (lambda: Curriculum(batches(data), accept=1.5), "accept=1.5"),
        (lambda: Curriculum(batches(data), samples=0), "samples=0"),
        (lambda: Curriculum(batches(data, start=5), most=3), "start=5"),
        (lambda: Curriculum(data.batches("test", augment=("curriculum",))), "split='test'"),
    ):
        with pytest.raises(ValueError, match=match):
            make()
    inputs = keras.Input((6, 6, 3))
    other = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(inputs)))
    other.compile("sgd", "sparse_categorical_crossentropy")
    train = batches(data)
    with pytest.raises(ValueError, match="with 4 classes"):
        other.fit(train, verbose=0, callbacks=[Curriculum(train)])


class Wrapped(keras.utils.PyDataset):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def __len__(self):
        return len(self.inner)

    def __getitem__(self, step):
        return self.inner[step]


@pytest.mark.any_backend
def test_levels_that_would_do_nothing_or_move_twice_are_refused_as_fit_begins():
    train = batches(pictures())
    once = Curriculum(train)
    for fitted, callbacks, match in (
        (batches(pictures()), [once], "give fit and the callback the same object"),
        (train.arrays(), [once], "fit on"),
        (Wrapped(train), [once], "the batches themselves and no PyDataset .* that wraps them"),
        (train, [once, Curriculum(train)], "2 of them"),
        (train, [once, once], "2 of them"),
        (train, keras.callbacks.CallbackList([once, Curriculum(train)]), "2 of them"),
    ):
        model = knowing((5, 5, 5, 5))
        with pytest.raises(ValueError, match=match):
            model.fit(*(fitted if isinstance(fitted, tuple) else (fitted,)), callbacks=callbacks)
        assert int(model.optimizer.iterations) == 0


@pytest.mark.any_backend
@pytest.mark.parametrize("workers", [1, 3])
def test_batches_that_fit_weighs_by_class_have_the_levels(workers):
    """`class_weight` trains on a copy of the batches, whose threads prepare ahead."""

    def weights(copied):
        data = pictures()
        options = {"batch_size": 12, "seed": 1, "augment": ("curriculum",), "workers": workers}
        weight = cc.balanced_class_weight(data.class_counts)
        train = data.batches(**options, class_weight=None if copied else weight)
        keras.utils.set_random_seed(5)
        inputs = keras.Input((6, 6, 3))
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
        model = cc.SharpnessAwareModel(keras.Model(inputs, x), keras.layers.Dense(4))
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        callback = Watching(train, accept=0.0, samples=30)
        given = {"class_weight": weight} if copied else {}
        model.fit(train, epochs=4, verbose=0, callbacks=[callback], **given)
        assert np.max(callback.seen) > 1
        return np.concatenate([ops.convert_to_numpy(v).ravel() for v in model.weights])

    np.testing.assert_array_equal(weights(True), weights(False))
