"""What is measured of the moved features: their place by the reference numbers, their margins."""

import json

import numpy as np
import pytest

from studies import analyse, moved
from tests.support import vector

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("name", ["stage2_cifar10", "stage2_cifar100", "stage2_full"])
def test_features_are_moved_to_where_the_reference_has_them(name):
    v = vector(name)
    y, kernel, bias = v["labels"].astype(int), v["kernel"], v["bias"]
    omega = v["class_weights"]
    new = moved.moved(v["features"], y, kernel, bias, float(v["strength"]) * omega)
    scores = new @ kernel + bias
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(y)), y]
    assert np.mean(omega[y] * losses) == pytest.approx(float(v["adversarial_loss"]), rel=1e-10)
    # The rows of a class together are moved by its radius.
    for c in np.unique(y):
        length = np.linalg.norm((new - v["features"])[y == c])
        assert length == pytest.approx(float(v["strength"]) * abs(omega[c]), rel=1e-6)


def test_a_margin_is_the_distance_to_the_nearest_boundary():
    """Classes by the sign of x - 1, and one that is nowhere near."""
    kernel = np.array([[2.0, -2.0, 0.0], [0.0, 0.0, 0.0]])
    bias = np.array([-2.0, 2.0, -100.0])
    features = np.array([[4.0, 5.0], [0.5, 5.0], [-2.0, 0.0]])
    found = moved.margins(features, np.array([0, 0, 1]), kernel, bias)
    np.testing.assert_allclose(found, [3.0, -0.5, 3.0])


def test_the_table_has_the_means_of_the_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(analyse, "RESULTS", tmp_path)
    assert analyse.moved() == "Not run."
    keys = ("step", "norm", "cosine", "gap", "margin", "margin_moved", "column")
    shares = {"beyond": 0.25, "beyond_moved": 0.5, "learnt": 0.75}
    rows = [
        {"place": "digits", "epochs": epochs, "draw": draw, "row": "crt-continued", "group": group}
        | dict.fromkeys(keys, value)
        | shares
        for epochs, draw, value in ((40, 1, 1.0), (40, 2, 2.0), (80, 1, 4.0))
        for group in analyse.GROUPS
    ]
    (tmp_path / moved.FILE).write_text(json.dumps({"rows": rows}))
    assert "| digits, 40 epochs | `crt-continued` | few | 2 | 1.50 |" in analyse.moved()
    assert "| digits, 80 epochs | `crt-continued` | few | 1 | 4.00 |" in analyse.moved()
    assert "| 25 | 50 | 75 |" in analyse.moved()
