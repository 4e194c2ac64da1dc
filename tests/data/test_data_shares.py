"""Several processes share each batch: together it is that of one process, to the last bit."""

import numpy as np
import pytest

import keras_ccsam.data as ccdata
from keras_ccsam.data.batches.assembly import share_of
from keras_ccsam.data.images.view import reframed
from keras_ccsam.declare import parts

pytestmark = pytest.mark.any_backend

RUN = np.random.default_rng(0)


@pytest.fixture(scope="module")
def data():
    x = RUN.integers(0, 256, size=(61, 16, 16, 3), dtype=np.uint8)
    return ccdata.from_arrays(x, np.repeat(np.arange(4), [30, 17, 9, 5]))


def put_together(parts_of_batch):
    """What the shares are together, as Keras takes a batch."""
    joined = []
    for each in zip(*parts_of_batch, strict=True):
        if isinstance(each[0], dict):
            joined.append({key: np.concatenate([one[key] for one in each]) for key in each[0]})
        else:
            joined.append(np.concatenate(each))
    return joined


def assert_same(shares, whole):
    for one, other in zip(put_together(shares), whole, strict=True):
        for key in one if isinstance(one, dict) else [None]:
            a, b = (one, other) if key is None else (one[key], other[key])
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def both(data, count, **options):
    options = {"batch_size": 13, "seed": 3} | options
    whole = data.batches(**options, process=(0, 1))
    shares = [data.batches(**options, process=(i, count)) for i in range(count)]
    for epoch in (0, 2):
        for each in (whole, *shares):
            each.set_epoch(epoch)
        assert {len(share) for share in shares} == {len(whole)} == {5}  # the last has 9 images
        for step in range(len(whole)):
            assert_same([share[step] for share in shares], whole[step])
    return whole, shares


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("sampler", ["instance", "class_balanced", "inverse_frequency"])
def test_shares_are_the_batch_of_one_process(data, sampler, count):
    whole, shares = both(data, count, sampler=sampler, augment=(), workers=2)
    rows = np.concatenate([share.rows(1) for share in shares])
    np.testing.assert_array_equal(rows, whole.rows(1))


@pytest.mark.parametrize("name", sorted(parts("augmentation")))
def test_what_an_augmentation_draws_is_the_samples(data, name):
    part = parts("augmentation")[name]
    given = name if not part.trials else part.make(**part.trials[0])
    whole, _ = both(data, 3, augment=(given,))
    plain = data.batches(batch_size=13, seed=3, augment=(), process=(0, 1))
    plain.set_epoch(2)
    assert not np.array_equal(whole[0][0], plain[0][0])


@pytest.mark.parametrize(
    "options",
    [
        {"mixup": 1.0},
        {"cutmix": 1.0},
        {"mixup": 0.5, "cutmix": 1.0, "mix_probability": 0.6, "class_weight": "auto"},
    ],
)
def test_partners_in_mixing_come_from_other_shares(data, options):
    whole, _ = both(data, 2, augment=("crop", "flip", "random_erasing"), **options)
    assert any(not np.array_equal(w["labels"], w["second_labels"]) for _, w, *_ in whole)


def test_augmentations_of_ones_own_see_the_whole_batch(data):
    seen = []

    def noisy(x, rng):
        seen.append(len(x))
        return x + rng.integers(0, 9, size=x.shape, dtype=np.uint8)

    class Half(ccdata.Flip):
        def __call__(self, x, rng):
            return x // np.uint8(2 + rng.integers(2))

    both(data, 2, augment=("crop", noisy, Half(), "flip"), mixup=1.0)
    assert set(seen) == {13, 9}


class Counted(ccdata.ImageStore):
    """Images in memory that are read like files; notes how many, and what is shown of each."""

    def __init__(self, images):
        self.images, self.read_so_far = images, []

    shape = property(lambda self: self.images.shape)
    dtype = property(lambda self: self.images.dtype)

    def read(self, rows, views=None):
        self.read_so_far.append(len(rows))
        return self.images[rows] if views is None else reframed(self.images[rows], views)

    def take(self, rows):
        return Counted(self.images[rows])


def test_only_what_a_share_needs_is_read(data):
    stored = ccdata.from_arrays(Counted(data.x_train), data.y_train)
    options = {"augment": ("random_resized_crop", "flip"), "workers": 1}
    _, shares = both(stored, 2, **options)
    read = shares[0].arrays()[0].read_so_far
    read.clear()
    shares[0][0], shares[1][0]
    assert read == [7, 6]


def test_shares_cover_a_batch_of_any_length():
    for length in (0, 1, 5, 7, 128):
        for count in (1, 2, 3, 8):
            shares = [share_of(length, (i, count)) for i in range(count)]
            np.testing.assert_array_equal(np.concatenate(shares), np.arange(length))
            sizes = [len(share) for share in shares]
            assert max(sizes) - min(sizes) <= 1


def test_without_a_word_it_is_the_process_that_runs(data, monkeypatch):
    from keras_ccsam import backend

    monkeypatch.setattr(backend, "batch_rows", lambda size: np.arange(size)[1::2])
    x, y = data.batches(batch_size=13, mixup=1.0)[0]
    assert len(x) == len(y["labels"]) == 6
    # Of a batch that cannot be divided an engine may ask for copies.
    monkeypatch.setattr(backend, "batch_rows", lambda size: np.tile(np.arange(size), 2))
    twice = data.batches(batch_size=13, mixup=1.0, augment=("crop",))[0]
    whole = data.batches(batch_size=13, mixup=1.0, augment=("crop",), process=(0, 1))[0]
    assert_same([twice], put_together([whole, whole]))
