"""CutMix, the choice between it and mixup, and weights of mixed samples."""

import numpy as np
import pytest

import keras_ccsam.data as ccdata
from keras_ccsam.data.batches.cutmix import CutMix
from keras_ccsam.data.batches.mixing import mixed_targets

pytestmark = pytest.mark.any_backend


def cut_batch(x, y, alpha, rng):
    way = CutMix.draw(alpha, len(x), x.shape[1:], rng)
    return way.pixels(x, x, way.order), mixed_targets(way, y, None)[0]


def batch(size=64, height=10, width=14):
    y = np.arange(size, dtype=np.int32)
    # Image i holds i everywhere.
    return np.ones((size, height, width, 3), np.uint8) * y[:, None, None, None].astype(np.uint8), y


def test_one_box_comes_from_the_second_image():
    x, y = batch()
    before = x.copy()
    for seed in range(30):
        mixed, targets = cut_batch(x, y, 1.0, np.random.default_rng(seed))
        foreign = (mixed != x).any(axis=-1)
        second = targets["second_labels"]
        assert sorted(second) == y.tolist()
        assert (
            mixed[foreign] == np.broadcast_to(second[:, None, None, None], mixed.shape)[foreign]
        ).all()
        moved = np.flatnonzero(second != y)
        boxes = {foreign[row].tobytes() for row in moved}
        assert len(boxes) == 1  # the same for all
        box = foreign[moved[0]]
        assert box.sum() == box.any(axis=0).sum() * box.any(axis=1).sum()
        assert targets["mix"] == pytest.approx(1 - box.mean())
        assert mixed.dtype == np.uint8
    assert np.array_equal(x, before)


def test_the_share_follows_the_beta_distribution():
    x, y = batch(2, 64, 64)
    drawn = np.array(
        [1 - cut_batch(x, y, 1.0, np.random.default_rng(s))[1]["mix"][0] for s in range(3000)]
    )
    # A box of area 1 - l, l uniform, whose centre is uniform and which is cut off at the edges:
    # the mean of s^2 (1 - s/4)^2 over s = sqrt(1 - l).
    s = np.sqrt(np.linspace(0, 1, 100_001))
    assert abs(drawn.mean() - (s**2 * (1 - s / 4) ** 2).mean()) < 0.02
    few = [cut_batch(x, y, 0.2, np.random.default_rng(s))[1]["mix"][0] for s in range(500)]
    assert np.std(few) > drawn.std()


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, size=(600, 8, 8, 1), dtype=np.uint8)
    return ccdata.from_arrays(x, np.repeat([0, 1, 2], [400, 150, 50]))


def test_cutmix_of_a_sequence(data):
    train = data.batches(batch_size=32, cutmix=1.0, seed=3)
    x, y = train[0]
    assert x.dtype == np.uint8
    assert set(y) == {"labels", "second_labels", "mix"}
    assert np.array_equal(y["labels"], data.y_train[train.rows(0)])
    again = data.batches(batch_size=32, cutmix=1.0, seed=3, workers=3)
    assert all(np.array_equal(train[i][0], again[i][0]) for i in range(len(train)))
    other = data.batches(batch_size=32, cutmix=1.0, seed=4)
    assert not np.array_equal(other[0][0], x)


def test_the_choice_between_mixup_and_cutmix(data):
    ways = {"cut": 0, "mixed": 0, "neither": 0}
    train = data.batches(
        batch_size=4, mixup=1.0, cutmix=1.0, cutmix_share=0.25, mix_probability=0.6
    )
    for epoch in range(10):
        train.set_epoch(epoch)
        for step in range(len(train)):
            x, y = train[step]
            assert x.dtype == np.float32  # the same type whichever way
            whole = data.x_train[train.rows(step)]
            if (y["mix"] == 1).all() and np.array_equal(y["labels"], y["second_labels"]):
                ways["neither"] += 1
                assert np.array_equal(x, whole)
            else:
                ways["cut" if (x == np.rint(x)).all() else "mixed"] += 1
    total = sum(ways.values())
    assert total == 1500
    assert abs(ways["neither"] / total - 0.4) < 0.05
    assert abs(ways["cut"] / total - 0.6 * 0.25) < 0.04


def test_mixup_alone_is_what_it_was(data):
    """The choice draws nothing where there is none: recorded runs stay."""
    x, y = data.batches(batch_size=16, mixup=0.5, seed=5)[2]
    train = data.batches(batch_size=16, augment=(), seed=5)
    rng = np.random.default_rng(np.random.SeedSequence((5, 0, 2)))
    weight, order = np.float32(rng.beta(0.5, 0.5)), rng.permutation(16)
    plain, labels = train[2]
    assert (y["mix"] == weight).all()
    assert np.array_equal(y["second_labels"], labels[order])
    np.testing.assert_allclose(x, weight * plain + (1 - weight) * plain[order], rtol=1e-5)


def test_class_weights_of_a_sequence(data):
    train = data.batches(batch_size=32, class_weight="auto")
    x, y, weights = train[1]
    expected = 600 / (3 * np.array([400, 150, 50]))
    np.testing.assert_allclose(weights, expected[y], rtol=1e-6)
    assert weights.dtype == np.float32
    assert np.array_equal(x, data.batches(batch_size=32)[1][0])
    own = data.batches(batch_size=32, class_weight={2: 7.0})[1]
    np.testing.assert_allclose(own[2], np.where(own[1] == 2, 7.0, 1.0))
    assert len(train.with_options(class_weight=None)[1]) == 2


@pytest.mark.parametrize("ways", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_each_label_of_a_mixed_sample_has_its_own_weight(data, ways):
    """sum_i (m w_i l(y_i) + (1 - m) w_p(i) l(y_p(i))), from shares and weights of the batch."""
    plain_x, plain = data.batches(batch_size=50, seed=2, **ways)[0]
    x, y, weights = data.batches(batch_size=50, seed=2, class_weight="auto", **ways)[0]
    w = 600 / (3 * np.array([400, 150, 50]))
    assert np.array_equal(x, plain_x)
    assert np.array_equal(y["second_labels"], plain["second_labels"])
    np.testing.assert_allclose(weights * y["mix"], plain["mix"] * w[y["labels"]], rtol=1e-5)
    np.testing.assert_allclose(
        weights * (1 - y["mix"]), (1 - plain["mix"]) * w[y["second_labels"]], rtol=1e-4, atol=1e-6
    )


def test_weights_of_the_images_themselves(data):
    """A data set that weighs its images: times the class's weight."""

    class Weighed:
        name, class_counts = "weighed", data.class_counts
        num_classes, class_names = data.num_classes, data.class_names
        split_arrays = data.split_arrays
        weights = np.arange(600, dtype=np.float32)

    options = data.batches(batch_size=32, class_weight={0: 2.0}).options
    train = ccdata.BatchSequence(Weighed(), "train", options)
    _, y, weights = train[0]
    np.testing.assert_allclose(weights, train.rows(0) * np.where(y == 0, 2.0, 1.0))
    plain = train.with_options(class_weight=None)
    np.testing.assert_allclose(plain[0][2], plain.rows(0))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"cutmix": -1}, "cutmix=-1"),
        ({"cutmix_share": 1.5}, "cutmix_share=1.5"),
        ({"mix_probability": -0.1}, "mix_probability=-0.1"),
        ({"mix_probability": True}, "mix_probability=True"),
        ({"class_weight": "balanced"}, "class_weight='balanced'"),
        ({"class_weight": {5: 1.0}}, r"class_weight\[5\]"),
        ({"class_weight": [1.0]}, "of length 1"),
        ({"augment": ["rand_augmnt"]}, "did you mean 'rand_augment'"),
    ],
)
def test_bad_options(data, options, match):
    with pytest.raises(ValueError, match=match):
        data.batches(**options)


def test_an_augmentation_refuses_images_before_the_first_batch(data):
    floats = ccdata.from_arrays(
        np.random.default_rng(0).random((20, 8, 8, 3), np.float32), np.arange(20) % 2
    )
    with pytest.raises(ValueError, match="'rand_augment' takes uint8"):
        floats.batches(augment=["crop", "rand_augment"])
