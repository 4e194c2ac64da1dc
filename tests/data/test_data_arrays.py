"""Data from the user's own arrays."""

import numpy as np
import pytest

import keras_ccsam.data as ccdata

pytestmark = pytest.mark.any_backend

COUNTS = [30, 20, 10]


@pytest.fixture
def xy():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(3), COUNTS))
    x = rng.integers(0, 256, size=(60, 6, 5, 3), dtype=np.uint8)
    x[:, 0, 0, 0] = np.arange(60)  # an image knows its row
    return x, y


def test_kept_as_it_is(xy):
    x, y = xy
    data = ccdata.from_arrays(x, y, class_names=["a", "b", "c"])
    assert data.class_counts == (30, 20, 10)
    assert data.class_names == ("a", "b", "c")
    assert np.array_equal(data.x_train, x)
    assert np.array_equal(data.y_train, y)
    assert data.train_indices.tolist() == list(range(60))
    assert data.validation is None
    assert data.test is None


def test_grey_images_get_a_channel_and_floats_keep_their_values(xy):
    x, y = xy
    grey = ccdata.from_arrays(x[..., 0], y)
    assert grey.image_shape == (6, 5, 1)
    floats = ccdata.from_arrays(x.astype(np.float64) / 255, y)
    assert floats.x_train.dtype == np.float32
    assert floats.x_train.max() <= 1
    wide = ccdata.from_arrays(x.astype(np.int64), y)
    assert wide.x_train.dtype == np.uint8


def test_label_forms_agree(xy):
    x, y = xy
    for form in (y[:, None], np.eye(3)[y], np.eye(3, dtype=bool)[y], y.astype(np.float32)):
        data = ccdata.from_arrays(x, form)
        assert np.array_equal(data.y_train, y)
        assert data.y_train.dtype == np.int32


def test_cut_to_a_profile(xy):
    x, y = xy
    data = ccdata.from_arrays(x, y, imbalance_ratio=10)
    assert data.class_counts == (30, 9, 3)
    assert np.array_equal(data.x_train, x[data.train_indices])
    assert np.array_equal(data.y_train, y[data.train_indices])
    # Every class of the profile fits, though the classes are not balanced to begin with.
    assert ccdata.from_arrays(x, y, imbalance_ratio=1).class_counts == (10, 10, 10)


def test_all_parts_are_disjoint(xy):
    x, y = xy
    data = ccdata.from_arrays(
        x, y, imbalance_ratio=3, test_fraction=0.2, validation_fraction=0.25, seed=1
    )
    rows = [set(part[:, 0, 0, 0].tolist()) for part in (data.x_train, data.x_validation)]
    test = set(data.x_test[:, 0, 0, 0].tolist())
    assert not (rows[0] & rows[1]) and not (rows[0] & test) and not (rows[1] & test)
    assert rows[0] == set(data.train_indices.tolist())
    assert rows[1] == set(data.validation_indices.tolist())
    assert np.bincount(data.y_test).tolist() == [6, 4, 2]
    for part, labels in (("x_train", "y_train"), ("x_validation", "y_validation")):
        images = getattr(data, part)
        assert np.array_equal(y[images[:, 0, 0, 0]], getattr(data, labels))


def test_own_test_set(xy):
    x, y = xy
    data = ccdata.from_arrays(x, y, x[:5], np.eye(3)[y[:5]])
    assert np.array_equal(data.y_test, y[:5])
    assert len(data.test.arrays()[0]) == 5


def with_nan(x):
    x = x.astype(np.float32)
    x[7, 2, 2, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: {"x": x[:, 0, 0]}, r"x.shape=\(60, 3\)"),
        (lambda x, y: {"x": x[:0], "y": y[:0]}, "at least one image"),
        (lambda x, y: {"x": with_nan(x)}, r"x\[7\] holds NaN"),
        (lambda x, y: {"x": x.astype(np.int32) + 1}, "from 1 to 256"),
        (lambda x, y: {"x": x.astype(str)}, "uint8 or floats"),
        (lambda x, y: {"y": y[:-1]}, r"shape \(60,\).*y.shape=\(59,\)"),
        (lambda x, y: {"y": y + 0.5}, "Labels must be integers"),
        (lambda x, y: {"y": y - 1}, r"at least 0. Received: y\[\d+\]=-1"),
        (lambda x, y: {"num_classes": 2}, r"from 0 to 1. Received: y\[\d+\]=2"),
        (lambda x, y: {"num_classes": 4}, "class 3 .* has none"),
        (lambda x, y: {"y": 0 * y}, r"two classes at least, and there is one, '0'.*\[60\]"),
        (lambda x, y: {"class_names": ["a", "b"]}, r"y\[\d+\]=2"),
        (lambda x, y: {"class_names": ["a"], "num_classes": 3}, "3 classes. Received: 1 names"),
        (lambda x, y: {"y": np.eye(3)[y], "num_classes": 5}, "must have 5 columns"),
        (lambda x, y: {"y": np.eye(3)[y] * 0.5}, "one-hot"),
        (lambda x, y: {"class_counts": [30, 20, 9]}, r"class 2 has 10 .*class_counts\[2\]=9"),
        (lambda x, y: {"class_counts": [30, 30]}, "one entry for each of the 3"),
        (lambda x, y: {"imbalance_ratio": 0.5}, "imbalance_ratio=0.5"),
        (lambda x, y: {"imbalance_ratio": 31}, "largest ratio that works is 30"),
        (lambda x, y: {"test_fraction": -0.1}, "test_fraction=-0.1"),
        (lambda x, y: {"x_test": x}, "Received: only x_test"),
        (lambda x, y: {"x_test": x[:, :4], "y_test": y}, "image shape and type"),
        (lambda x, y: {"x_test": x, "y_test": y, "test_fraction": 0.1}, "excludes x_test"),
        (lambda x, y: {"x_test": x, "y_test": y + 1}, r"from 0 to 2. Received: y_test\[\d+\]=3"),
    ],
)
def test_bad_input_says_what_is_wrong(xy, change, message):
    x, y = xy
    with pytest.raises(ValueError, match=message) as error:
        ccdata.from_arrays(**({"x": x, "y": y} | change(x, y)))
    assert "Received: " in str(error.value)


def test_matching_class_counts_pass(xy):
    x, y = xy
    assert ccdata.from_arrays(x, y, class_counts=COUNTS).class_counts == tuple(COUNTS)
