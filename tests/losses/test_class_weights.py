"""Class weights by name."""

import numpy as np
import pytest

from keras_ccsam.losses import CLASS_WEIGHTS, class_weights, effective_number_weights

COUNTS = (100, 25, 4)


def test_each_name_has_its_power_of_the_count():
    assert class_weights(COUNTS) == effective_number_weights(COUNTS)
    np.testing.assert_allclose(class_weights(COUNTS, "inverse"), np.array([1, 4, 25]) / 10)
    root = np.array([0.1, 0.2, 0.5])
    np.testing.assert_allclose(
        class_weights(COUNTS, "inverse_square_root"), root * 3 / root.sum(), rtol=1e-12
    )
    for name in CLASS_WEIGHTS:
        np.testing.assert_allclose(sum(class_weights(COUNTS, name)), 3.0)


def test_an_unknown_name_is_refused_with_its_neighbour():
    with pytest.raises(ValueError, match=r"did you mean 'inverse'\?.*weights='invers'"):
        class_weights(COUNTS, "invers")
