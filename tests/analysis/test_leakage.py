"""Leakage between groups, on a matrix that can be added up by hand."""

import numpy as np
import pytest

from keras_ccsam.analysis.leakage import leakage

pytestmark = pytest.mark.any_backend

# Rows are labels: 0 and 1 have many images, 2 a medium number, 3 few.
CONFUSION = [[8, 1, 1, 0], [2, 7, 0, 1], [1, 1, 8, 0], [3, 2, 1, 4]]
GROUPS = {"many": (0, 1), "medium": (2,), "few": (3,)}


def test_shares_by_hand() -> None:
    found = leakage(CONFUSION, GROUPS)
    assert found.tail_to_head == pytest.approx(5 / 10)  # 3 + 2 of ten
    assert found.head_to_tail == pytest.approx(1 / 20)  # 0 + 1 of twenty
    # The diagonal counts wrong classes of the same group, too: 8 + 1 + 2 + 7 of twenty.
    assert found.of("many", "many") == pytest.approx(18 / 20)
    assert found.share.sum(axis=1) == pytest.approx(1.0)
    assert found.samples == (20, 10, 10)
    assert found.to_dict()["tail_to_head"] == found.tail_to_head


def test_the_order_of_the_classes_does_not_matter() -> None:
    turned = [3, 1, 0, 2]
    matrix = np.asarray(CONFUSION)[np.ix_(turned, turned)]
    groups = {name: [turned.index(c) for c in classes] for name, classes in GROUPS.items()}
    assert np.allclose(leakage(matrix, groups).share, leakage(CONFUSION, GROUPS).share)


def test_a_group_without_samples_or_absent_has_none() -> None:
    empty = np.array(CONFUSION)
    empty[3] = 0
    assert leakage(empty, GROUPS).tail_to_head is None
    assert leakage(CONFUSION, {"many": (0, 1)}).head_to_tail is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        leakage(np.zeros((2, 3)), {})
    with pytest.raises(ValueError, match="from 0 to 3"):
        leakage(CONFUSION, {"few": (4,)})
