"""Class counts that cannot be right are said; those of a part or of a draw are not."""

import re
import warnings

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam.training.count_check import impossible_counts

pytestmark = pytest.mark.any_backend

LONG = tuple(round(500 * 0.01 ** (c / 9)) for c in range(10))  # 500 ... 5


@pytest.mark.parametrize(
    ("given", "found", "wrong"),
    [
        (LONG, LONG[::-1], list(range(10))),  # the order reversed
        ((9900, 100), (100, 9900), [0, 1]),
        ((900, 100), (100, 900), [0, 1]),
        ((500,) * 10, LONG, [8, 9]),  # those of a balanced test set
        ((50, 20, 5), (5000, 2000, 500), [0, 1, 2]),  # those of a file a hundred times smaller
        ((100, 1, 100), (100, 90, 100), [1]),
    ],
)
def test_what_cannot_be(given, found, wrong):
    assert impossible_counts(given, found) == wrong


@pytest.mark.parametrize("share", ["proportional", "balanced", "square root"])
@pytest.mark.parametrize("size", [20, 60, 500, 1500])
def test_a_part_or_a_balanced_draw_is_no_reason(share, size):
    counts = np.array(LONG)
    p = {"proportional": counts, "balanced": np.ones(10), "square root": counts**0.5}[share]
    for seed in range(200):
        drawn = np.random.default_rng(seed).multinomial(size, p / p.sum())
        drawn = np.minimum(drawn, 9 * counts)  # a few images are not repeated endlessly
        assert impossible_counts(LONG, drawn) == []


@pytest.mark.parametrize("found", [LONG, (0, 0, 0, 120, 90, 0, 0, 0, 0, 0), (0,) * 9 + (5,)])
def test_nor_are_files_with_some_of_the_classes(found):
    assert impossible_counts(LONG, found) == []


def arrays(counts):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    return np.random.default_rng(0).random((len(y), 2, 2, 1), "float32"), y.astype("int32")


def model(loss="sparse_categorical_crossentropy", **kwargs):
    inputs = keras.Input((2, 2, 1))
    backbone = keras.Model(inputs, keras.layers.Flatten()(inputs))
    made = cc.SharpnessAwareModel(backbone, keras.layers.Dense(3), **kwargs)
    made.compile("sgd", loss)
    return made


def said(fit):
    """What training warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        fit()
    found = [str(each.message) for each in caught if "class_counts" in str(each.message)]
    assert all(each.category is UserWarning for each in caught if str(each.message) in found)
    return " ".join(found)


def test_fit_names_the_classes_and_both_counts():
    x, y = arrays((60, 20, 3))
    method = cc.sharpness.ClassConditional((3, 20, 60))
    swapped = model(sharpness=method)
    words = "class 0 has 60 in the data and 3 in class_counts; .*class 2 has 3 .* and 60 in"
    assert re.search(words, said(lambda: swapped.fit(x, y, batch_size=83, verbose=0)))
    one_hot = model("categorical_crossentropy", sharpness=method)
    rows = np.eye(3)[y]
    assert re.search(words, said(lambda: one_hot.fit(x, rows, batch_size=83, verbose=0)))


def test_a_loss_is_asked_too_and_a_sequence_by_its_training_part():
    x, y = arrays((60, 20, 3))
    data = cc.data.from_arrays(x, y, class_names=["cat", "dog", "yak"])
    batches = data.train.with_options(sampler="class_balanced", batch_size=83)
    swapped = model(cc.losses.LogitAdjustment((3, 20, 60)))
    words = "class yak has 3 in the data and 60 in class_counts"
    assert words in said(lambda: swapped.fit(batches, verbose=0))
    right = model(cc.losses.LogitAdjustment((60, 20, 3)))
    assert not said(lambda: right.fit(batches, verbose=0))
    assert not said(lambda: right.fit(x[:20], y[:20], verbose=0))
    # Labels that are not known as a whole are no reason.
    assert not said(lambda: swapped.fit(((x[:9], y[:9]) for _ in range(1)), verbose=0))


def test_the_second_stage_hears_of_it():
    x, y = arrays((60, 20, 3))
    data = cc.data.from_arrays(x, y)
    trained = model()
    stage = cc.second_stage.Retraining(epochs=1, class_counts=(3, 20, 60))
    words = "class 2 has 3 in the data and 60 in class_counts"
    assert words in said(lambda: stage.run(trained, data.train))


def test_one_output_counts_negatives_and_positives():
    x, y = arrays((95, 5))
    inputs = keras.Input((2, 2, 1))
    network = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(keras.layers.Flatten()(inputs)))
    swapped = cc.CCSAM.from_model(network, class_counts=[5, 95])
    swapped.compile("sgd", "binary_crossentropy")
    words = "class 0 has 95 in the data and 5 in class_counts"
    assert words in said(lambda: swapped.fit(x, y, batch_size=100, verbose=0))


def test_counts_of_another_order_of_magnitude():
    assert impossible_counts([20000, 18000, 20000], [20, 18, 20]) == [0, 1, 2]
    assert impossible_counts([2000, 1800, 2000], [20, 18, 0]) == [0, 1]
    assert impossible_counts([200, 180, 200], [20, 18, 20]) == []  # a tenth of the data
