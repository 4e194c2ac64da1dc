"""What is known of a data set before it is read is what reading it gives."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_ccsam import data
from keras_ccsam.auto.pace import made_up
from keras_ccsam.data.sources import digits
from keras_ccsam.data.tails.profiles import ratio_note
from keras_ccsam.runs.unread import unread

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("profile", ["exponential", "step"])
@pytest.mark.parametrize("ratio", [None, 1, 2, 10, 50, 100])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5])
def test_the_outline_of_the_digits_is_theirs(ratio, profile, fraction):
    options = {
        "imbalance_ratio": ratio, "profile": profile, "validation_fraction": fraction,
    }  # fmt: skip
    images, outline = data.load("digits-lt", **options), data.outline("digits-lt", **options)
    known, read = outline.describe(), images.describe()
    assert read.pop("index_sha256") == images.index_sha256
    # Only where they come from is said in other words.
    assert known | {"source": read["source"]} == read
    assert outline.ratio_note == images.outline.ratio_note


def test_other_images_in_place_of_an_outlines_own():
    outline = data.outline("digits-lt", imbalance_ratio=10, validation_fraction=0.1)
    outline = dataclasses.replace(outline, notes=("a note",))
    assert unread(outline).outline == outline
    few = made_up(outline, batch_size=8)
    assert few.about == outline.about
    assert few.image_shape == outline.image_shape
    assert all(n <= known for n, known in zip(few.class_counts, outline.class_counts, strict=True))


def test_what_is_there_of_the_digits():
    assert tuple(digits.load_digits().available) == digits.AVAILABLE


def test_a_download_is_not_made_for_its_outline(monkeypatch):
    def refuse():
        raise AssertionError("it was fetched")

    for package in (keras.datasets.cifar10, keras.datasets.cifar100):
        monkeypatch.setattr(package, "load_data", refuse)
    ten = data.outline("cifar10-lt", imbalance_ratio=100)
    assert ten.class_counts[0] == 5000 and ten.class_counts[-1] == 50
    assert ten.class_names[0] == "airplane"
    hundred = data.outline("cifar100-lt", imbalance_ratio=50, validation_fraction=0.1)
    assert hundred.validation_counts[0] == 50 and hundred.class_counts[0] == 450
    assert (hundred.num_classes, sum(hundred.test_counts)) == (100, 10_000)
    assert ten.ratio_note is None and hundred.ratio_note is None


def test_the_outline_of_a_file_is_that_of_the_whole_set(tmp_path):
    images = np.zeros((20, 32, 32, 3), "uint8")
    labels = np.arange(20) % 10
    file = tmp_path / "cifar.npz"
    np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert data.outline("cifar10-lt", path=file).class_counts[0] == 5000


@pytest.mark.parametrize(
    "options",
    [
        {"name": "cifar"},
        {"name": "digits-lt", "imbalance_ratio": 0.5},
        {"name": "digits-lt", "imbalance_ratio": 500},
        {"name": "digits-lt", "profile": "linear"},
        {"name": "digits-lt", "path": "x"},
        {"name": "cifar10-lt", "path": "absent"},
        {"name": "cifar10-lt", "protocol": "random"},
        {"name": "cifar10-lt", "validation_fraction": 1.0},
        {"name": "cifar10-lt", "seed": -1},
    ],
)
def test_what_loading_refuses_the_outline_refuses_in_the_same_words(options):
    with pytest.raises(ValueError) as loading:
        data.load(**options)
    with pytest.raises(ValueError) as outlining:
        data.outline(**options)
    assert str(loading.value) == str(outlining.value)


@pytest.mark.parametrize(
    ("counts", "requested", "note"),
    [
        ((128, 16, 2), 50, "the imbalance ratio is 128 / 2 = 64 in place of 50: a class has a "
         "whole number of images"),
        ((5000, 500, 50), 100, None),
        ((5000, 166), 30, None),  # 30.12, within a percent
        ((128, 12), 10, "the imbalance ratio is 128 / 12 = 10.67 in place of 10: a class has a "
         "whole number of images"),
        ((128, 2), None, None),
    ],
)  # fmt: skip
def test_a_ratio_that_the_data_cannot_have_is_said(counts, requested, note):
    assert ratio_note(counts, requested) == note
