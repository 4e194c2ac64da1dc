"""The constants of each class, for the published class counts of CIFAR-10-LT."""

import numpy as np
import pytest

from keras_ccsam import data, losses

COUNTS = data.profile_counts(5000, 10, 100)

MARGINS = "0.158114 0.179697 0.204238 0.232091 0.263829 0.299768 0.340675 0.387221 0.440497 0.5"
SMOOTHING = "0.3 0.241412 0.157844 0.096049 0.056308 0.032021 0.017317 0.008472 0.003142 0"
RARITY = "0 0.111142 0.222332 0.333377 0.444705 0.555630 0.666741 0.777978 0.889946 1"
LOG_PRIOR = (
    "-0.908742 -1.420568 -1.932618 -2.444001 -2.956685 "
    "-3.467511 -3.979198 -4.491462 -5.007095 -5.513913"
)
DIVISORS = "1 1.165964 1.359562 1.584989 1.848515 2.154655 2.512144 2.929453 3.419539 3.981072"
WEIGHTS = {
    50: "0.089030 0.126678 0.185257 0.276057 0.416751 0.634413 0.969534 1.489447 2.292256 3.520576",
    100: "0.050611 0.076900 0.121134 0.195037 0.318805 "
    "0.524590 0.868349 1.442627 2.409223 3.992724",
    200: "0.028171 0.045741 0.077659 0.135412 0.239428 "
    "0.427016 0.764742 1.373959 2.468683 4.439190",
}


def check(found, expected):
    np.testing.assert_allclose(found, [float(x) for x in expected.split()], rtol=0, atol=1e-6)


def test_constants():
    assert COUNTS == (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
    check(losses.LDAM(COUNTS).margins, MARGINS)
    check(losses.LabelAwareSmoothing(COUNTS).smoothing, SMOOTHING)
    check(losses.GCL(COUNTS).rarity, RARITY)
    check(losses.LogitAdjustment(COUNTS).log_prior, LOG_PRIOR)
    check(losses.VectorScaling(COUNTS).divisors, DIVISORS)
    check(losses.VectorScaling(COUNTS).log_prior, LOG_PRIOR)


@pytest.mark.parametrize("ratio", WEIGHTS)
def test_effective_number_weights(ratio):
    counts = data.profile_counts(5000, 10, ratio)
    check(losses.effective_number_weights(counts), WEIGHTS[ratio])
    check(losses.ClassBalanced(counts).class_weights, WEIGHTS[ratio])


def test_effective_number_weights_at_the_ends_of_beta():
    counts = (1000, 100, 10)
    assert losses.effective_number_weights(counts, 0.0) == (1.0, 1.0, 1.0)
    inverse = np.divide(1.0, counts)
    np.testing.assert_allclose(
        losses.effective_number_weights(counts, 1 - 1e-12), 3 * inverse / inverse.sum(), rtol=1e-6
    )


def test_the_shapes_of_smoothing():
    counts = (100, 55, 10)  # the middle one half-way

    def middle(shape, **options):
        first, mid, last = losses.LabelAwareSmoothing(
            counts, head=0.4, tail=0.1, shape=shape, **options
        ).smoothing
        np.testing.assert_allclose((first, last), (0.4, 0.1), atol=1e-15)
        return mid

    assert middle("concave") == pytest.approx(0.1 + 0.3 * np.sqrt(0.5))
    assert middle("linear") == pytest.approx(0.25)
    assert middle("convex") == pytest.approx(0.4 + 0.3 * np.sin(1.5 * np.pi + np.pi / 4))
    assert middle("exponential") == pytest.approx(0.1 + 0.3 * 0.25)
    assert middle("exponential", power=3.0) == pytest.approx(0.1 + 0.3 * 0.125)


def test_balanced_data_divides_by_nothing():
    counts = (7, 7, 7)
    assert losses.LabelAwareSmoothing(counts, 0.3, 0.1).smoothing == (0.3, 0.3, 0.3)
    assert losses.GCL(counts).rarity == (0.0, 0.0, 0.0)
    assert losses.LDAM(counts).margins == (0.5, 0.5, 0.5)
    assert losses.VectorScaling(counts).divisors == (1.0, 1.0, 1.0)
    np.testing.assert_allclose(losses.effective_number_weights(counts), 1.0)
