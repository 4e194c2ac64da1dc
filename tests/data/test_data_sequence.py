"""`BatchSequence`: pure batches, options, epochs and threads."""

import threading

import numpy as np
import pytest

import keras_ccsam.data as ccdata
from keras_ccsam.data.batches.samplers import epoch_plan
from keras_ccsam.second_stage import Retraining

pytestmark = pytest.mark.any_backend


@pytest.fixture(scope="module")
def data():
    """Colour images of CIFAR's shape; pixel (16, 16) names the row."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, size=(250, 32, 32, 3), dtype=np.uint8)
    y = np.repeat(np.arange(4), [160, 60, 20, 10])
    return ccdata.from_arrays(x, y, x_test=x[::5], y_test=y[::5], validation_fraction=0.1)


def flat(batch):
    x, y = batch
    labels = [y[key] for key in sorted(y)] if isinstance(y, dict) else [y]
    return [x, *labels]


def same(first, second):
    pairs = zip(flat(first), flat(second), strict=True)
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


OPTIONS = {"batch_size": 32, "augment": ("crop", "flip", "cutout"), "mixup": 1.0, "seed": 4}


def test_batch_is_a_pure_function_of_seed_epoch_step(data):
    first, second = data.batches(**OPTIONS), data.batches(**OPTIONS)
    second.set_epoch(1)
    for step in (5, 0, 3):
        second[step]
    second.set_epoch(0)
    for step in (3, 0, 6):
        assert same(first[step], second[step])
    assert not same(first[0], first[1])
    before = first[2]
    first.set_epoch(1)
    assert not same(before, first[2])
    assert not same(before, data.batches(**(OPTIONS | {"seed": 5}))[2])


@pytest.mark.parametrize("augment", ["crop", "flip", "cutout"])
def test_augmentation_is_drawn_anew_at_each_step_and_epoch(augment):
    # One image throughout and no shuffling: only the augmentation can tell batches apart.
    image = np.random.default_rng(0).integers(1, 256, size=(1, 32, 32, 3), dtype=np.uint8)
    data = ccdata.from_arrays(np.repeat(image, 96, axis=0), np.arange(96) // 48)
    train = data.batches(batch_size=32, sampler="sequential", augment=(augment,))
    first, second = train[0], train[1]
    train.set_epoch(1)
    assert not same(first, second)
    assert not same(first, train[0])


def test_images_belong_to_their_labels(data):
    train = data.batches(batch_size=32, augment=(), sampler="class_balanced")
    x_all, y_all = train.arrays()
    rows = epoch_plan("class_balanced", y_all, seed=0, epoch=0)
    for step in range(len(train)):
        x, y = train[step]
        chosen = rows[step * 32 : (step + 1) * 32]
        assert np.array_equal(x, x_all[chosen])
        assert np.array_equal(y, y_all[chosen])


def test_shapes_and_types(data):
    x, y = data.batches(batch_size=32)[0]
    assert (x.shape, x.dtype) == ((32, 32, 32, 3), np.uint8)
    assert (y.shape, y.dtype) == ((32,), np.int32)
    x, y = data.batches(batch_size=32, mixup=0.2)[0]
    assert x.dtype == np.float32
    assert sorted(y) == ["labels", "mix", "second_labels"]


def test_last_batch(data):
    count = len(data.y_train)
    train = data.batches(batch_size=32)
    assert len(train) == -(-count // 32)
    assert len(train[len(train) - 1][1]) == count % 32
    assert np.array_equal(train[-1][1], train[len(train) - 1][1])
    dropped = data.batches(batch_size=32, drop_remainder=True)
    assert len(dropped) == count // 32
    assert all(len(y) == 32 for _, y in dropped)
    with pytest.raises(IndexError):
        train[len(train)]
    with pytest.raises(ValueError, match="No batch is left"):
        data.batches(batch_size=512, drop_remainder=True)


def test_defaults(data):
    x, _ = data.train.arrays()
    rows = epoch_plan("instance", data.y_train, seed=0, epoch=0)[:128]
    assert not np.array_equal(data.train[0][0], x[rows])  # crop and flip
    assert np.array_equal(data.batches(augment=())[0][0], x[rows])
    # Evaluation: in order, untouched.
    for part, images in ((data.test, data.x_test), (data.validation, data.x_validation)):
        assert np.array_equal(np.concatenate([x for x, _ in part]), images)
    digits = ccdata.load("digits-lt")
    rows = epoch_plan("instance", digits.y_train, seed=0, epoch=0)[:128]
    assert np.array_equal(digits.train[0][0], digits.x_train[rows])


def test_with_options(data):
    train = data.batches(batch_size=32, seed=4)
    other = train.with_options(sampler="class_balanced", augment=["flip"], mixup=1.0)
    assert (other.batch_size, other.options.seed, other.split) == (32, 4, "train")
    assert same(
        other[1],
        data.batches(batch_size=32, seed=4, sampler="class_balanced", augment=("flip",), mixup=1.0)[
            1
        ],
    )
    assert train.options.mixup == 0
    with pytest.raises(ValueError, match="Received: smapler="):
        train.with_options(smapler="instance")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"workers": 0}, "workers=0"),
        ({"mixup": -1}, "mixup=-1"),
        ({"mixup": float("nan")}, "mixup=nan"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"sampler": "none"}, "sampler='none'"),
        ({"sampler": "progressively_balanced"}, "epochs=None"),
        ({"augment": ("blur",)}, "augment='blur'"),
        ({"images_per_class": 0}, "images_per_class=0"),
        ({"process": (2, 2)}, r"process=\(2, 2\)"),
        ({"process": 1}, "process=1"),
        ({"deferred_sampler": "none"}, "sampler='none'"),
        ({"deferred_sampler": "progressively_balanced"}, "epochs=None"),
        ({"deferred_sampler": "square_root", "deferred_from": -1}, "deferred_from=-1"),
        ({"deferred_sampler": "square_root", "deferred_from": 0.8}, "deferred_from=0.8"),
        ({"deferred_from": 3}, "deferred_from=3 without deferred_sampler"),
    ],
)
def test_bad_options(data, options, message):
    with pytest.raises(ValueError, match=message):
        data.batches(**options)


def test_negative_epoch(data):
    with pytest.raises(ValueError, match="epoch=-1"):
        data.train.set_epoch(-1)


def test_progressively_balanced_over_epochs(data):
    train = data.batches(batch_size=32, sampler="progressively_balanced", epochs=4, augment=())
    train.set_epoch(4)
    counts = np.bincount(np.concatenate([y for _, y in train]))
    assert counts.max() < 2 * counts.min()


def test_a_deferred_sampler_takes_over_at_its_epoch(data):
    deferred = {"deferred_sampler": "inverse_frequency", "deferred_from": 2}
    train = data.batches(**OPTIONS, **deferred)
    before = data.batches(**OPTIONS)
    after = data.batches(**OPTIONS, sampler="inverse_frequency")
    # In any order: an epoch's batches do not depend on those before.
    for epoch in (3, 1, 2, 0):
        expected, other = (before, after) if epoch < 2 else (after, before)
        for each in (train, expected, other):
            each.set_epoch(epoch)
        assert all(same(train[step], expected[step]) for step in range(len(train)))
        assert not same(train[0], other[0])
        assert ("inverse_frequency" in repr(train)) == (epoch >= 2)
    train.set_epoch(5)
    rare = np.mean(np.concatenate([y["labels"] for _, y in train]) == 3)
    assert 0.17 < rare < 0.33  # 1 of 4 classes, against 4 % of the images
    always = data.batches(**OPTIONS, deferred_sampler="inverse_frequency")
    after.set_epoch(0)
    assert same(always[0], after[0])


def test_a_second_stage_does_not_inherit_the_deferred_sampler(data):
    train = data.batches(deferred_sampler="inverse_frequency", deferred_from=1)
    stage2 = Retraining(sampler="class_balanced").batches(train)
    stage2.set_epoch(1)
    assert "class_balanced" in repr(stage2)


# --- epochs, in the order in which Keras calls: B begin, E end, digits steps, "." every step


@pytest.mark.parametrize(
    ("calls", "epoch"),
    [
        ("B0E", 0),  # JAX and PyTorch learn the shapes
        ("01E", 0),  # TensorFlow does
        ("B0EB.E", 1),
        ("01EB.EB.E", 2),
        ("B.EEB.E", 2),  # a later fit begins with an extra end
        ("B01EB2E", 0),  # steps_per_epoch below the length: no epoch is over yet
        ("S5.EB.E", 6),
        ("B.ES0B.E", 1),
    ],
)
def test_epoch_advances_when_it_was_read_to_its_end(data, calls, epoch):
    train = data.batches(batch_size=32)
    calls = iter(calls)
    for call in calls:
        if call == "B":
            train.on_epoch_begin()
        elif call == "E":
            train.on_epoch_end()
        elif call == "S":
            train.set_epoch(int(next(calls)))
        elif call == ".":
            for step in range(len(train)):
                train[step]
        else:
            train[int(call)]
    assert train.epoch == epoch


def test_threads_give_the_same_batches_in_any_order(data):
    plain, threaded = data.batches(**OPTIONS), data.batches(**OPTIONS, workers=3)
    for epoch in (0, 1, 0):
        plain.set_epoch(epoch)
        threaded.set_epoch(epoch)
        for step in (0, 1, 2, 6, 3, 4, 5):
            assert same(plain[step], threaded[step])


def test_one_sequence_read_from_many_threads(data):
    train, reference = data.batches(**OPTIONS), data.batches(**OPTIONS)
    expected = [reference[step] for step in range(len(reference))]
    wrong = []

    def read(offset):
        for step in range(40):
            step = (step + offset) % len(train)
            if not same(train[step], expected[step]):
                wrong.append(step)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_error_in_a_thread_is_raised(data):
    def fails(x, rng):
        raise RuntimeError("the augmentation failed")

    train = data.batches(batch_size=32, augment=(fails,), workers=2)
    with pytest.raises(RuntimeError, match="the augmentation failed"):
        train[0]


def test_repr(data):
    assert "batch_size=32" in repr(data.batches(batch_size=32))


@pytest.mark.parametrize("options", [{"augment": ("crop", "flip")}, {"augment": (), "mixup": 1.0}])
def test_crops_and_shares_follow_from_the_seed(options):
    """Of images that are all alike, so that the order of the rows, which does too, is not seen."""
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    alike = ccdata.from_arrays(np.stack([image] * 64), np.arange(64) % 2)

    def drawn(seed):
        x, y = alike.batches(batch_size=32, seed=seed, **options)[0]
        return y["mix"] if options["augment"] == () else x

    np.testing.assert_array_equal(drawn(0), drawn(0))
    assert (drawn(0) != drawn(1)).any()
