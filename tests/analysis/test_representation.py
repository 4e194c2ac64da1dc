"""Features, norms and the projection, beside what numpy says of the same network."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam.analysis import representation

COUNTS = [80, 40, 20, 10, 5]


def network(head: keras.layers.Layer) -> cc.SharpnessAwareModel:
    backbone = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, activation="tanh")])
    model = cc.SharpnessAwareModel(backbone, head)
    model.build((None, 6))
    return model


@pytest.mark.parametrize("head", [keras.layers.Dense(5), cc.heads.Cosine(5)], ids=["dense", "cos"])
def test_features_are_what_the_backbone_puts_out(head: keras.layers.Layer) -> None:
    model = network(head)
    x = np.random.default_rng(0).normal(size=(30, 6)).astype("float32")
    plain = model.export_plain()
    seen = representation.forward(plain, x, batch_size=7)
    wanted = keras.ops.convert_to_numpy(model.backbone(x))
    # Those of a cosine classifier before they are brought to length 1.
    assert seen.features == pytest.approx(wanted, abs=1e-5)
    assert seen.outputs == pytest.approx(plain.predict(x, verbose=0), abs=1e-5)
    assert seen.weights is not None and seen.weights.shape == (4, 5)


def test_a_model_without_a_linear_classifier_has_outputs_alone() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Softmax()])
    seen = representation.forward(model, np.zeros((3, 6), "float32"))
    assert seen.features is None
    assert seen.weights is None
    assert seen.outputs.shape == (3, 6)


def test_norms_by_hand() -> None:
    assert representation.weight_norms(np.array([[3.0, 0.0], [4.0, 2.0]])) == pytest.approx([5, 2])
    features = np.array([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0]])
    found = representation.feature_norms(features, np.array([0, 1, 0]), 3)
    assert found[:2] == pytest.approx([7.5, 1.0])
    assert np.isnan(found[2])


def test_correlation_with_the_counts() -> None:
    logs = np.log(COUNTS)
    assert representation.count_correlation((2 * logs + 1).tolist(), COUNTS) == pytest.approx(1.0)
    assert representation.count_correlation((-logs).tolist(), COUNTS) == pytest.approx(-1.0)
    assert representation.count_correlation([1.0] * 5, COUNTS) is None
    assert representation.count_correlation([1.0], COUNTS) is None
    with_nan = [*(3 * logs[:4]).tolist(), float("nan")]
    assert representation.count_correlation(with_nan, COUNTS) == pytest.approx(1.0)


def clusters() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [200, 30, 10])
    return rng.normal(size=(240, 8)) * 0.1 + np.eye(3, 8)[labels] * 5, labels


def test_a_projection_takes_as_many_of_each_class_and_keeps_them_apart() -> None:
    features, labels = clusters()
    plane = representation.project(features, labels, samples=60)
    assert plane.points.shape == (60, 2)
    chosen = labels[plane.samples]
    # Ten of the rarest, which has no more, and the rest in equal parts.
    assert np.bincount(chosen).tolist() == [25, 25, 10]
    assert (np.diff(plane.samples) > 0).all()
    centres = [plane.points[chosen == c].mean(axis=0) for c in range(3)]
    assert min(np.linalg.norm(centres[i] - centres[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 3
    assert plane.explained is not None and sum(plane.explained) > 0.95
    again = representation.project(features, labels, samples=60)
    assert np.array_equal(plane.points, again.points)
    other = representation.project(features, labels, samples=60, seed=1)
    assert not np.array_equal(plane.samples, other.samples)


def test_tsne_has_no_axes() -> None:
    features, labels = clusters()
    plane = representation.project(features, labels, "tsne", samples=40)
    assert plane.points.shape == (40, 2)
    assert plane.explained is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="method='umap'"):
        representation.project(np.zeros((4, 4)), np.zeros(4), "umap")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(4, 1\)"):
        representation.project(np.zeros((4, 1)), np.zeros(4))
