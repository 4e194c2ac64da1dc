"""Keras' class weights from counts."""

import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam.losses import class_weights
from keras_ccsam.losses.balanced_class_weight import check_class_weight

pytestmark = pytest.mark.any_backend

COUNTS = (100, 25, 4)


def test_the_default_is_scikit_learns_balanced():
    utils = pytest.importorskip("sklearn.utils")
    y = np.repeat(np.arange(3), COUNTS)
    expected = utils.compute_class_weight("balanced", classes=np.arange(3), y=y)
    found = cc.balanced_class_weight(COUNTS)
    assert list(found) == [0, 1, 2]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-12)


@pytest.mark.parametrize("power", [0, 0.25, 0.5, 1])
@pytest.mark.parametrize("beta", [None, 0.0, 0.9, 0.9999])
def test_powers_effective_numbers_and_means(power, beta):
    n = np.array(COUNTS, float)
    effective = n if beta is None else np.array([sum(beta**k for k in range(c)) for c in COUNTS])
    for mean in ("samples", "classes"):
        weights = cc.balanced_class_weight(COUNTS, power=power, beta=beta, mean=mean)
        w = np.array(list(weights.values()))
        np.testing.assert_allclose(w / w[0], (effective / effective[0]) ** -power, rtol=1e-9)
        over = (n * w).sum() / n.sum() if mean == "samples" else w.mean()
        assert over == pytest.approx(1)
        assert all(type(k) is int and type(v) is float for k, v in weights.items())


def test_a_class_without_images_counts_for_nothing():
    with_gap = cc.balanced_class_weight([100, 0, 25, 4], power=0.5)
    without = cc.balanced_class_weight([100, 25, 4], power=0.5)
    assert with_gap[1] == 1.0
    assert [with_gap[c] for c in (0, 2, 3)] == pytest.approx(list(without.values()))


def test_auto_among_the_losses_weights():
    assert class_weights(COUNTS, "auto") == class_weights(COUNTS, "inverse")
    assert class_weights(COUNTS, "auto", power=0.5) == class_weights(COUNTS, "inverse_square_root")
    assert class_weights(COUNTS, "auto", power=0) == (1.0, 1.0, 1.0)
    found = cc.balanced_class_weight(COUNTS, power=0.3, mean="classes")
    assert class_weights(COUNTS, "auto", power=0.3) == pytest.approx(tuple(found.values()))
    loss = cc.losses.ClassBalanced(COUNTS, weights="auto", power=0.3)
    assert loss.class_weights == class_weights(COUNTS, "auto", power=0.3)
    assert cc.losses.ClassBalanced.from_config(loss.get_config()).class_weights == (
        loss.class_weights
    )
    drw = cc.callbacks.DeferredReweighting(COUNTS, weights="auto", power=0.3)
    assert drw.weights == loss.class_weights


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: cc.balanced_class_weight(COUNTS, power=1.5), "between 0 and 1.*power=1.5"),
        (lambda: cc.balanced_class_weight(COUNTS, power=-0.1), "power=-0.1"),
        (lambda: cc.balanced_class_weight(COUNTS, beta=1.0), "beta=1.0"),
        (lambda: cc.balanced_class_weight(COUNTS, mean="images"), "mean='images'"),
        (lambda: cc.balanced_class_weight([0, 0]), r"class_counts=\[0, 0\]"),
        (lambda: cc.balanced_class_weight([3, -1]), "class 1 has -1"),
        (lambda: class_weights(COUNTS, "auto", power=2.0), "power=2.0"),
        (lambda: cc.losses.ClassBalanced(COUNTS, weights="auto", power=2.0), "power=2.0"),
        (lambda: cc.losses.ClassBalanced(COUNTS, weights="even"), "weights='even'"),
    ],
)
def test_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_checked_weights_cover_the_classes():
    assert check_class_weight({2: 5}, 3) == {0: 1.0, 1: 1.0, 2: 5.0}
    assert check_class_weight(np.array([1, 2, 0.5]), 3) == {0: 1.0, 1: 2.0, 2: 0.5}
    for wrong, match in (
        ({3: 1.0}, r"class_weight\[3\]=1.0"),
        ({"cat": 1.0}, r"class_weight\['cat'\]=1.0"),
        ({0: -1.0}, r"class_weight\[0\]=-1.0"),
        ({0: float("nan")}, r"class_weight\[0\]=nan"),
        ([1.0, 2.0], "of length 2"),
        ("even", "class_weight='even'"),
    ):
        with pytest.raises(ValueError, match=match):
            check_class_weight(wrong, 3)
