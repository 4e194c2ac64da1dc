"""The embedded digits."""

import numpy as np
import pytest
from sklearn import datasets

import keras_ccsam.data as ccdata

pytestmark = pytest.mark.any_backend


def test_shapes_range_and_balance():
    data = ccdata.load("digits-lt", imbalance_ratio=20)
    assert data.image_shape == (8, 8, 1)
    assert data.x_train.dtype == np.uint8
    assert data.y_train.dtype == np.int32
    assert data.x_train.max() == 255
    assert data.x_train.min() == 0
    assert np.bincount(data.y_test).tolist() == [50] * 10
    assert data.class_counts == ccdata.profile_counts(128, 10, 20)


def test_every_other_image_is_there_for_training():
    data = ccdata.load("digits-lt", imbalance_ratio=None)
    original = datasets.load_digits()
    assert len(data.x_train) + len(data.x_test) == len(original.target) == 1797
    assert np.array_equal(data.y_train, original.target[data.train_indices])
    scaled = np.rint(original.images[data.train_indices] * 255 / 16)
    assert np.array_equal(data.x_train[..., 0], scaled)


def test_no_test_image_is_trained_on():
    every = ccdata.load("digits-lt", imbalance_ratio=None)
    tail = ccdata.load("digits-lt", imbalance_ratio=50, protocol="seeded", seed=3)
    assert set(tail.train_indices.tolist()) <= set(every.train_indices.tolist())
    assert np.array_equal(every.x_test, tail.x_test)


def test_ratio_one_is_balanced():
    assert len(set(ccdata.load("digits-lt", imbalance_ratio=1).class_counts)) == 1


def test_ratio_that_empties_a_class():
    assert ccdata.load("digits-lt", imbalance_ratio=128).class_counts[-1] == 1
    with pytest.raises(ValueError, match="largest ratio that works is 128"):
        ccdata.load("digits-lt", imbalance_ratio=129)


def test_catalogue_tells_the_truth():
    info = ccdata.DATASETS["digits-lt"]
    data = ccdata.load("digits-lt")
    assert info.num_classes == data.num_classes
    assert info.image_shape == data.image_shape
    assert info.largest_class == max(data.class_counts)
    assert info.test_images == len(data.x_test)
    assert info.licence == data.licence


def test_bad_names_and_options():
    with pytest.raises(ValueError, match=r"did you mean 'cifar10-lt'.*Received: name='cifar10lt'"):
        ccdata.load("cifar10lt")
    with pytest.raises(ValueError, match="takes no path"):
        ccdata.load("digits-lt", path="somewhere")
    with pytest.raises(ValueError, match="validation_fraction=1"):
        ccdata.load("digits-lt", validation_fraction=1)
    with pytest.raises(ValueError, match="seed=-1"):
        ccdata.load("digits-lt", seed=-1)
    # Named before anything is downloaded.
    with pytest.raises(ValueError, match="imbalance_ratio=-5"):
        ccdata.load("cifar10-lt", imbalance_ratio=-5)
