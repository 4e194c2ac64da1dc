"""Several rows for each image of a batch, against loops in float64."""

import numpy as np
import pytest

import keras_ccsam.data as ccdata
from keras_ccsam.data.batches.assembly import share_of
from keras_ccsam.declare import parts

pytestmark = pytest.mark.any_backend

RegMixup = ccdata.views.RegMixup
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def data():
    x = RNG.integers(0, 256, size=(61, 8, 8, 3), dtype=np.uint8)
    return ccdata.from_arrays(x, np.repeat(np.arange(4), [30, 17, 9, 5]))


def batch(data, views, **options):
    return data.batches(batch_size=13, seed=3, views=views, **options)


def test_regmixup_has_each_image_and_its_mixture(data):
    batches = batch(data, RegMixup(alpha=10.0, weight=0.5), augment=())
    x, y, weights = batches[1]
    images, labels = data.x_train[batches.rows(1)], data.y_train[batches.rows(1)]
    assert x.shape == (26, 8, 8, 3)
    np.testing.assert_array_equal(x[0::2], images)
    np.testing.assert_array_equal(y["labels"][0::2], labels)
    np.testing.assert_array_equal(y["mix"][0::2], 1.0)
    # The mixed rows: one share for all, each partner once.
    share = float(y["mix"][1])
    assert 0.2 < share < 0.8 and set(y["mix"][1::2]) == {np.float32(share)}
    np.testing.assert_array_equal(y["labels"][1::2], labels)
    partners = [
        next(
            j
            for j in range(13)
            if np.allclose(x[2 * i + 1], share * images[i] + (1 - share) * images[j], atol=1e-3)
        )
        for i in range(13)
    ]
    assert sorted(partners) == list(range(13))
    np.testing.assert_array_equal(y["second_labels"][1::2], labels[partners])
    np.testing.assert_array_equal(weights, np.tile([2.0, 1.0], 13))


def test_the_loss_of_the_rows_is_the_sum_of_the_means(data):
    """Keras divides by all rows; the weights make up for that."""
    _, y, weights = batch(data, RegMixup(weight=0.3))[0]
    logits = np.random.default_rng(1).normal(size=(26, 4))
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    both = [log_p[np.arange(26), y[key]] for key in ("labels", "second_labels")]
    losses = -(y["mix"] * both[0] + (1 - y["mix"]) * both[1])
    expected = losses[0::2].mean() + 0.3 * losses[1::2].mean()
    np.testing.assert_allclose((weights * losses).sum() / 26, expected, rtol=1e-6)


def test_an_images_own_weight_counts_with_its_label(data):
    own = np.array([1.0, 2.0, 3.0, 5.0])
    _, plain, _ = batch(data, RegMixup(weight=0.5))[0]
    _, y, weights = batch(data, RegMixup(weight=0.5), class_weight=dict(enumerate(own)))[0]
    first, second = own[y["labels"]], own[y["second_labels"]]
    share = plain["mix"] * first
    total = share + (1 - plain["mix"]) * second
    np.testing.assert_allclose(weights, np.tile([2.0, 1.0], 13) * total, rtol=1e-6)
    np.testing.assert_allclose(y["mix"], share / total, rtol=1e-6)


def test_without_a_mixed_half_the_batch_is_the_plain_one(data):
    x, y, weights = batch(data, RegMixup(weight=0.0), augment=("crop", "flip"))[2]
    plain_x, plain_y = batch(data, None, augment=("crop", "flip"))[2]
    np.testing.assert_array_equal(x, plain_x)
    np.testing.assert_array_equal(y["labels"], plain_y)
    assert set(y["mix"]) == set(weights) == {1.0}


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", sorted(parts("views")))
def test_processes_have_whole_images_of_one_batch(data, name, count):
    views = parts("views")[name].make()
    options = {"augment": ("flip",), "class_weight": "auto"}
    whole = batch(data, views, process=(0, 1), **options)
    shares = [batch(data, views, process=(i, count), **options) for i in range(count)]
    for step in (0, 4):
        x, y, weights = whole[step]
        found = [share[step] for share in shares]
        places = len(whole.rows(step))
        sizes = [len(share_of(places, (i, count))) * views.count for i in range(count)]
        assert [len(each[0]) for each in found] == sizes
        np.testing.assert_array_equal(np.concatenate([each[0] for each in found]), x)
        np.testing.assert_array_equal(np.concatenate([each[2] for each in found]), weights)
        for key in y:
            np.testing.assert_array_equal(np.concatenate([each[1][key] for each in found]), y[key])


def test_what_cannot_be_is_refused(data):
    with pytest.raises(ValueError, match="leave out mixup and cutmix"):
        batch(data, RegMixup(), mixup=1.0)
    with pytest.raises(ValueError, match=r"must be a data\.views\.Views"):
        batch(data, "regmixup")
    with pytest.raises(ValueError, match="above 0"):
        RegMixup(alpha=0.0)


def test_mixtures_are_of_the_same_two_images(data):
    views = ccdata.views.Mixtures(alpha=1.0)
    batches = batch(data, views, augment=())
    x, y, weights = batches[0]
    images = data.x_train[batches.rows(0)].astype("float32")
    share = float(y["mix"][0])
    assert 0.0 < share < 1.0 and set(y["mix"]) == {np.float32(share)}
    assert set(weights) == {2.0}
    for key in ("labels", "second_labels"):
        np.testing.assert_array_equal(y[key][0::2], y[key][1::2])
    others = (x[0::2] - share * images) / (1 - share)
    inside = (x[1::2] != images).any(axis=(0, 3))
    rows, columns = np.where(inside.any(1))[0], np.where(inside.any(0))[0]
    assert inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    np.testing.assert_allclose(x[1::2][:, inside], others[:, inside], atol=0.01 / (1 - share))
    found = [(np.abs(data.x_train - other).max(axis=(1, 2, 3)) < 1).argmax() for other in others]
    np.testing.assert_array_equal(data.y_train[found], y["second_labels"][0::2])


@pytest.mark.parametrize("power", [0.0, 0.2, 1.0])
def test_partners_are_drawn_by_their_class(data, power):
    views = ccdata.views.Mixtures(partner_power=power)
    drawn = views._partners(data.y_train, 40_000, np.random.default_rng(0))
    shares = np.bincount(data.y_train[drawn], minlength=4) / 40_000
    expected = np.array([30, 17, 9, 5.0]) ** (1 - power)
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.01)


def test_each_mixture_has_a_crop_of_its_own(data):
    views = ccdata.views.Mixtures(alpha=1e4)  # a share of a half, so that both images show
    x, *_ = batch(data, views, augment=("flip",))[0]
    plain, *_ = batch(data, views, augment=())[0]
    assert not np.array_equal(x[1::2], plain[1::2])


def test_contrast_has_the_image_and_further_ones_without_a_loss(data):
    views = ccdata.views.Contrast(copies=2, augment=("flip",))
    batches = batch(data, views, augment=())
    x, y, weights = batches[0]
    images = data.x_train[batches.rows(0)]
    np.testing.assert_array_equal(x[0::3], images)
    np.testing.assert_array_equal(weights, np.tile([3.0, 0, 0], 13))
    for v in (1, 2):
        mirrored = (x[v::3] != images).any(axis=(1, 2, 3))
        np.testing.assert_array_equal(x[v::3][mirrored], images[mirrored][:, :, ::-1])
        assert 0 < mirrored.sum() < 13
        np.testing.assert_array_equal(y["labels"][v::3], data.y_train[batches.rows(0)])
    assert not np.array_equal(x[1::3], x[2::3])
    with pytest.raises(ValueError, match="An augmentation is one of"):
        ccdata.views.Contrast(augment=("flop",))


def test_simclr_greys_some_images():
    x = RNG.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)
    out = ccdata.SimCLR()(x, np.random.default_rng(0))
    grey = (out == out[..., :1]).all(axis=(1, 2, 3))
    assert 25 < grey.sum() < 55  # one in five
    same = (out == x).all(axis=(1, 2, 3))
    assert 15 < same.sum() < 55  # one in five without jitter, of which some are grey
    with pytest.raises(ValueError, match="simclr"):
        ccdata.from_arrays(x.astype("float32"), np.repeat(np.arange(4), 50)).batches(
            augment=("simclr",)
        )
