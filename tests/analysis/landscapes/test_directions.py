"""Directions: drawn from a seed, scaled to the weights, shared by models of one shape."""

import keras
import numpy as np
import pytest

from keras_ccsam.analysis.landscapes import check_shared, draw_directions

AXES = [(3,), None, (1,), None]


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(5)
    shapes = (3, 3, 2, 4), (4,), (4, 5), (5,)
    # Layers of unlike sizes.
    return [
        (index + 1) * rng.normal(size=shape).astype("float32") for index, shape in enumerate(shapes)
    ]


def flat(parts):
    return np.concatenate([np.asarray(part, "float64").ravel() for part in parts])


@pytest.mark.parametrize("kind", ["filter", "layer", "none", "uniform"])
def test_a_direction_is_as_long_as_the_weights_that_move(weights, kind):
    found = draw_directions(weights, AXES, kind=kind, orthogonal=True)
    norm = np.sqrt((weights[0] ** 2).sum() + (weights[2] ** 2).sum())
    assert found.norm == pytest.approx(norm)
    for number, parts in enumerate(found.values):
        assert np.linalg.norm(flat(parts)) == pytest.approx(norm, rel=1e-6)
        assert found.gram[number, number] == pytest.approx(1.0, rel=1e-6)
        assert not parts[1].any() and not parts[3].any()  # biases
        assert [part.dtype for part in parts] == ["float32"] * 4
    cosine = flat(found.values[0]) @ flat(found.values[1]) / norm**2
    assert found.gram[0, 1] == found.gram[1, 0] == pytest.approx(cosine, rel=1e-5)


def test_what_each_scaling_keeps(weights):
    kernel = weights[0]
    by_filter, by_layer, whole = (
        draw_directions(weights, AXES, kind=kind).values[0] for kind in ("filter", "layer", "none")
    )
    norms = np.sqrt((kernel**2).sum((0, 1, 2)))
    np.testing.assert_allclose(np.sqrt((by_filter[0] ** 2).sum((0, 1, 2))), norms, rtol=1e-5)
    assert not np.allclose(np.sqrt((by_layer[0] ** 2).sum((0, 1, 2))), norms, rtol=1e-2)
    assert np.linalg.norm(by_layer[0]) == pytest.approx(np.linalg.norm(kernel), rel=1e-5)
    assert np.linalg.norm(whole[0]) != pytest.approx(np.linalg.norm(kernel), rel=1e-3)
    # One draw, scaled in three ways.
    for other in (by_layer, whole):
        np.testing.assert_array_equal(np.sign(by_filter[0]), np.sign(other[0]))


def test_draws_are_gaussian_or_uniform(weights):
    big = [np.ones((400, 50), "float64")]
    gaussian = draw_directions(big, [(1,)], kind="none").values[0][0]
    assert abs(gaussian.mean()) < 0.02
    assert abs((gaussian**4).mean() / (gaussian**2).mean() ** 2 - 3.0) < 0.1
    uniform = draw_directions(big, [(1,)], kind="uniform").values[0][0]
    assert uniform.min() >= 0
    assert abs((uniform**2).mean() / uniform.mean() ** 2 - 4 / 3) < 0.02


def test_only_the_appendix_makes_the_second_direction_orthogonal_before_scaling():
    equal = [np.full((4, 6), 1.0)]
    alone, plane = (
        draw_directions(equal, [(1,)], kind="uniform", orthogonal=o) for o in (False, True)
    )
    assert alone.gram[0, 1] > 0.5  # all-positive: not orthogonal
    assert abs(plane.gram[0, 1]) < 0.3  # scaled afterwards: nearly
    gaussian = [draw_directions(equal, [(1,)], orthogonal=o).sha256 for o in (False, True)]
    assert gaussian[0] == gaussian[1]


def test_a_seed_is_one_draw_for_all_models_of_the_shapes(weights):
    found = draw_directions(weights, AXES, seed=3)
    again = draw_directions(weights, AXES, seed=3)
    assert (found.sha256, found.draws_sha256) == (again.sha256, again.draws_sha256)
    other = draw_directions([2 * w + 0.1 for w in weights], AXES, seed=3)
    assert other.draws_sha256 == found.draws_sha256
    assert other.sha256 != found.sha256  # scaled to its own weights
    # A classifier without a bias takes the same draws.
    without = draw_directions(weights[:3], AXES[:3], seed=3)
    assert without.draws_sha256 == found.draws_sha256
    np.testing.assert_array_equal(without.values[1][2], found.values[1][2])
    assert draw_directions(weights, AXES, seed=4).draws_sha256 != found.draws_sha256
    # More directions begin with the same ones.
    more = draw_directions(weights, AXES, seed=3, count=3)
    np.testing.assert_array_equal(more.values[1][0], found.values[1][0])
    assert not np.allclose(more.values[0][0], more.values[1][0])
    check_shared({"a": found, "b": other, "c": without})


def test_models_of_other_shapes_do_not_share_directions(weights):
    found = draw_directions(weights, AXES)
    wide = draw_directions([*weights[:2], np.ones((4, 6), "float32")], AXES[:3])
    with pytest.raises(ValueError, match=r"'a' with 2 weights \(3, 3, 2, 4\), \(4, 5\), 'b' with"):
        check_shared({"a": found, "b": wide})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "gaussian"}, "Received: directions='gaussian'"),
        ({"count": 0}, "Received: count=0"),
        ({"seed": -1}, "Received: seed=-1"),
    ],
)
def test_wrong_options_are_named(weights, change, words):
    with pytest.raises(ValueError, match=words):
        draw_directions(weights, AXES, **change)


def test_a_network_without_anything_that_moves_is_refused():
    with pytest.raises(ValueError, match="needs a weight that moves"):
        draw_directions([np.ones(3)], [None])
    assert keras.config.floatx() == "float32"
