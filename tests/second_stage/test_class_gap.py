"""The gap between classes, as a unit of the adversarial features' length."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.second_stage import Retraining, extract_features
from keras_ccsam.second_stage.class_gap import class_gap
from tests.support import batch_norm_model, toy_batches


def test_the_gap_is_that_of_a_drawing():
    """Class means at (0, 0), (3, 4) and (3, 16): the nearest lie 5, 5 and 12 away."""
    features = np.array([[-1, 0], [1, 0], [3, 4], [3, 15], [3, 16], [3, 17]], "float32")
    labels = np.array([0, 0, 4, 2, 2, 2])
    assert class_gap(features, labels) == pytest.approx((5 + 5 + 12) / 3, rel=1e-12)
    # Neither a shift nor the frequency of a class counts, and a scale does.
    again = np.concatenate([features, features[3:]]), np.concatenate([labels, labels[3:]])
    assert class_gap(3 * again[0] + 7, again[1]) == pytest.approx(22, rel=1e-6)
    with pytest.raises(ValueError, match=r"two classes.*Received: labels of 1 class$"):
        class_gap(features[:2], labels[:2])
    with pytest.raises(ValueError, match="all 3 classes must not be equal"):
        class_gap(0 * features, labels)
    features[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"finite, but features\[4\] holds NaN"):
        class_gap(features, labels)


@pytest.mark.any_backend
def test_the_gap_of_many_classes_is_that_of_a_loop():
    means = np.random.default_rng(0).normal(size=(300, 5)) + 100
    expected = np.mean([np.sort(np.linalg.norm(means - mean, axis=1))[1] for mean in means])
    assert class_gap(means, np.arange(300)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"augment": ("flip",)}], ids=["cached", "augmented"])
def test_a_strength_in_gaps_is_the_length_times_the_gap(options):
    data = cc.data.from_arrays(*toy_batches(80))
    train = data.batches(batch_size=16)

    def head(**given):
        keras.utils.set_random_seed(3)
        model = batch_norm_model()
        model.compile("sgd", "sparse_categorical_crossentropy")
        gap = class_gap(extract_features(model, data.x_train), data.y_train)
        lengths = {"strength": given.pop("times_gap") * gap} if "times_gap" in given else given
        Retraining(epochs=2, **options, **lengths).run(model, train)
        return [ops.convert_to_numpy(w) for w in model.head.weights]

    in_gaps = head(strength=0.7, strength_unit="class_gap")
    for a, b in zip(in_gaps, head(times_gap=0.7), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(in_gaps, head(strength=0.7), strict=True))
