"""The path of a training, and the plane that it lies in."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam.analysis import landscape
from keras_ccsam.analysis.landscapes import trajectory_directions
from keras_ccsam.analysis.landscapes.trajectory import principal_directions, read_trajectory


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.arange(30) % 3
    return (rng.normal(size=(30, 6)) + y[:, None]).astype("float32"), y


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A model, the file of its path, and its weights before and after each epoch."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, activation="tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.3), loss)
    path = tmp_path_factory.mktemp("runs") / "analysis" / "trajectory.npz"
    kept = [flat(model)]
    model.fit(
        *data,
        epochs=5,
        batch_size=10,
        verbose=0,
        callbacks=[
            cc.callbacks.WeightTrajectory(path),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: kept.append(flat(model))),
        ],
    )
    return model, path, np.stack(kept)


def flat(model):
    return np.concatenate(
        [keras.ops.convert_to_numpy(v).ravel() for v in model.trainable_variables]
    )


def test_every_epoch_is_kept(trained):
    model, path, kept = trained
    weights, shapes = read_trajectory(path)
    np.testing.assert_array_equal(weights, kept)
    assert shapes == [tuple(v.shape) for v in model.trainable_variables]


def test_every_other_epoch_and_the_last(data, tmp_path):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    kept = cc.callbacks.WeightTrajectory(tmp_path / "path.npz", every=2)
    model.fit(*data, epochs=3, verbose=0, callbacks=[kept])
    assert len(read_trajectory(tmp_path / "path.npz")[0]) == 3
    np.testing.assert_array_equal(read_trajectory(tmp_path / "path.npz")[0][-1], flat(model))
    with pytest.raises(ValueError, match="Received: every=0"):
        cc.callbacks.WeightTrajectory(tmp_path / "path.npz", every=0)


def test_the_plane_is_that_of_the_principal_components(trained):
    model, path, kept = trained
    found = trajectory_directions(path, model)
    from sklearn.decomposition import PCA

    right = PCA(n_components=2).fit(kept.astype("float64"))
    np.testing.assert_allclose(found.explained_variance, right.explained_variance_ratio_, rtol=1e-5)
    norm = np.linalg.norm(kept[-1])
    for parts, axis in zip(found.values, right.components_, strict=True):
        own = np.concatenate([part.ravel() for part in parts])
        assert np.linalg.norm(own) == pytest.approx(norm, rel=1e-5)
        assert abs(own @ axis) == pytest.approx(norm, rel=1e-5)
    np.testing.assert_allclose(found.gram, np.eye(2), atol=1e-5)
    # The model is the origin, and the path starts on the right.
    np.testing.assert_allclose(found.path[-1], 0.0, atol=1e-6)
    assert (found.path[0] > 0).all()


def test_the_landscape_holds_the_path(trained, data):
    model, path, _kept = trained
    found = landscape(model, data, points=3, directions=trajectory_directions(path, model))
    assert found.path.shape == (6, 2)
    for axis in (0, 1):
        widest = np.abs(found.path[:, axis]).max()
        assert found.steps[axis][-1] == pytest.approx(1.1 * widest)
    assert found.about["directions"] == "pca" and found.about["seed"] is None
    assert found.about["explained_variance"][0] > 0.5
    assert landscape(model, data, points=3).path is None


def test_coordinates_lead_to_where_training_was():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(2, 7))
    points = rng.normal(size=(6, 2)) @ plane + rng.normal(size=7)  # a path in a plane
    weights = [points[-1][:4].reshape(2, 2), points[-1][4:]]
    found = principal_directions(points, weights)
    assert sum(found.explained_variance) == pytest.approx(1.0)
    for there, (a, b) in zip(points, found.path, strict=True):
        again = [w + a * p + b * q for w, p, q in zip(weights, *found.values, strict=True)]
        np.testing.assert_allclose(np.concatenate([v.ravel() for v in again]), there, atol=1e-9)


def test_what_is_no_path_is_refused(trained, tmp_path):
    _model, path, kept = trained
    with pytest.raises(ValueError, match="--record trajectory"):
        read_trajectory(tmp_path / "none.npz")
    other = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="with 6 weights, model with 2"):
        trajectory_directions(path, other)
    weights = [kept[-1]]
    with pytest.raises(ValueError, match="trajectory with 2"):
        principal_directions(kept[:2], weights)
    with pytest.raises(ValueError, match="must not lie on a line"):
        principal_directions(np.arange(5.0)[:, None] * np.ones((1, len(kept[-1]))), weights)
