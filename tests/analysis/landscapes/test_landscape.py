"""Landscapes: every point is the model with other weights, and the model stays as it is."""

import dataclasses
import json
import random

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam.analysis import Landscape, landscape, plan_landscape
from keras_ccsam.analysis.landscapes import computing
from keras_ccsam.analysis.landscapes.grid import some_of_each_class, steps_of
from keras_ccsam.training.batch_statistics import recompute_batch_statistics

COUNTS = (50, 20, 4)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dropout(0.5, seed=3)(x)))
    rng = np.random.default_rng(0)
    # Nothing is 0 or 1 by chance: what is left out would be noticed.
    model.set_weights(
        [
            w if w.dtype.kind == "u" else (w + 0.3 * rng.uniform(0.1, 1, w.shape)).astype(w.dtype)
            for w in model.get_weights()
        ]
    )
    return model


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(23, 6, 6, 1)).astype("float32"), np.arange(23) % 3


@pytest.fixture(scope="module")
def found(network, data):
    return landscape(network, data, points=5, class_counts=COUNTS, batch_size=10, seed=2)


def moved(network, values):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    for variable, value in zip(copy.trainable_variables, values, strict=True):
        variable.assign(value)
    return copy


def by_hand(model, x, y):
    z = keras.ops.convert_to_numpy(model(x, training=False)).astype("float64")
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
    return np.bincount(y, losses, 3), np.bincount(y, z.argmax(axis=1) == y, 3)


def test_the_middle_is_what_evaluate_says(network, data, found):
    report = cc.evaluate(network, data, COUNTS, from_logits=True)
    loss, accuracy = found.at_model()
    assert loss == pytest.approx(report.nll, rel=1e-5)
    assert accuracy == pytest.approx(report.overall)
    assert found.steps[0][2] == 0.0
    assert found.loss("tail")[2, 2] == pytest.approx(
        cc.evaluate(network, tuple(v[data[1] == 2] for v in data), COUNTS, from_logits=True).nll,
        rel=1e-5,
    )


@pytest.mark.parametrize("index", [(0, 0), (0, 3), (3, 0), (1, 4), (4, 4)])
def test_a_point_is_the_model_with_these_weights(network, data, found, index):
    plan = plan_landscape(network, data, points=5, seed=2)
    a, b = (found.steps[axis][index[axis]] for axis in (0, 1))
    first, second = plan.directions.values
    start = [keras.ops.convert_to_numpy(v) for v in network.trainable_variables]
    other = moved(
        network, [w + a * p + b * q for w, p, q in zip(start, first, second, strict=True)]
    )
    loss, correct = by_hand(other, *data)
    np.testing.assert_allclose(found.loss_sum[index], loss, rtol=1e-5)
    np.testing.assert_array_equal(found.correct[index], correct)


def test_nothing_of_the_user_changes(network, data):
    before = network.get_weights()
    x, y = (values.copy() for values in data)
    types = [type(layer) for layer in network.layers]
    random.seed(11)
    state = random.getstate()
    landscape(network, (x, y), points=3, batch_norm="reestimated", batch_norm_samples=12)
    assert random.getstate() == state
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(x, data[0])
    assert [type(layer) for layer in network.layers] == types


def test_groups_are_sums_over_samples(found):
    loss, count = found.loss_sum, found.count
    np.testing.assert_allclose(found.loss(), loss.sum(-1) / 23)
    np.testing.assert_allclose(found.loss([0, 2]), loss[..., [0, 2]].sum(-1) / count[[0, 2]].sum())
    assert found.head == 0 and found.tail == 2
    alike = dataclasses.replace(found, class_counts=(5, 5, 5))
    assert alike.head == 0 and alike.tail == 2
    np.testing.assert_array_equal(found.loss("head"), found.loss(0))
    np.testing.assert_array_equal(found.accuracy("tail"), found.correct[..., 2] / count[2])
    assert found.groups == {"medium": (0, 1), "few": (2,)}
    np.testing.assert_array_equal(found.loss("few"), found.loss(2))
    assert list(found.shown_groups()) == ["overall", "head", "tail", "medium", "few"]
    assert [found.shown_groups()[name] for name in ("medium", "few")] == ["2 classes", "1 class"]
    with pytest.raises(ValueError, match="did you mean 'tail'"):
        found.loss("tial")
    with pytest.raises(ValueError, match="classes from 0 to 2"):
        found.loss(3)


def test_it_is_saved_whole(found, tmp_path):
    path = found.save(tmp_path / "new" / "landscape.npz")
    again = Landscape.load(path)
    for name in ("loss_sum", "correct", "count", "gram"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.to_dict() == found.to_dict()
    assert again.about["seed"] == 2
    assert len(again.about["draws_sha256"]) == len(again.about["data_sha256"]) == 64
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(str(file["about"]))["format"] == "keras_ccsam landscape 1"
    (tmp_path / "other.npz").write_bytes(b"no npz")
    with pytest.raises(ValueError, match="cannot read the file"):
        Landscape.load(tmp_path / "other.npz")


def test_lines(network, data):
    lines = landscape(network, data, points=5, dimensions=1, lines=3, seed=2)
    plane = landscape(network, data, points=5, seed=2)
    assert lines.loss().shape == (3, 5)
    # The first two directions are those of the plane.
    np.testing.assert_allclose(lines.loss(1)[0], plane.loss(1)[:, 2], rtol=1e-5)
    np.testing.assert_allclose(lines.loss(1)[1], plane.loss(1)[2, :], rtol=1e-5)
    assert len(set(lines.loss()[:, 2])) == 1
    assert lines.doubling().rays == 6
    assert plane.doubling().rays == 8


def test_reestimated_statistics_are_those_of_the_point(network, data):
    plan = plan_landscape(
        network, data, points=3, batch_norm="reestimated", batch_norm_samples=20, batch_size=10
    )
    found = plan.compute()
    (first, second), step = plan.directions.values, found.steps[0][2]
    start = [keras.ops.convert_to_numpy(v) for v in network.trainable_variables]
    values = [w + step * (p - q) for w, p, q in zip(start, first, second, strict=True)]
    other = moved(network, values)
    chosen = np.concatenate(
        [keras.ops.convert_to_numpy(batch.x) for batch in plan.subject.statistics.batches()]
    )
    assert len(chosen) == 20
    # Of a set that is sorted by class the first ones would be of some classes only.
    assert not np.array_equal(chosen, data[0][:20])
    recompute_batch_statistics(other, _Batches(chosen, 10))
    np.testing.assert_allclose(found.loss_sum[2, 0], by_hand(other, *data)[0], rtol=1e-4)
    plain = landscape(network, data, points=3)
    assert not np.allclose(found.loss(), plain.loss(), rtol=1e-2)
    assert found.about["batch_norm"] == "BatchNorm re-estimated at each point on 20 samples"
    assert plain.about["batch_norm"] == "BatchNorm statistics as trained"


class _Batches(keras.utils.PyDataset):
    def __init__(self, x, size):
        super().__init__()
        self.x, self.size = x, size

    def __len__(self):
        return len(self.x) // self.size

    def __getitem__(self, index):
        return (self.x[index * self.size : (index + 1) * self.size],)


class _Killed(BaseException):
    pass


def test_what_was_killed_goes_on(network, data, tmp_path, monkeypatch):
    path = tmp_path / "landscape.npz"
    options = {"points": 5, "seed": 2, "batch_size": 10, "class_counts": COUNTS}
    monkeypatch.setattr(computing, "_AT_ONCE_POINTS", 2)
    asked = []

    def kill(standing):
        asked.append(standing)
        if standing.done > 9:
            raise _Killed

    with pytest.raises(_Killed):
        landscape(network, data, path=path, progress=kill, **options)
    assert asked[0].total == 25 and asked[0].done == 1 and asked[0].seconds_left > 0
    assert [p.name for p in tmp_path.iterdir()] == ["landscape.partial.npz"]

    # Another seed begins anew; the same goes on.
    seen = []
    landscape(network, data, path=tmp_path / "other.npz", **options)
    again = landscape(network, data, path=path, progress=seen.append, **options)
    assert seen[0].done == again.about["points_taken_up"] >= 10
    assert seen[-1].done == 25
    whole = landscape(network, data, **options)
    np.testing.assert_array_equal(again.loss_sum, whole.loss_sum)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["landscape.npz", "other.npz"]
    # What is finished is read.
    monkeypatch.setattr(computing.Points, "totals", None)
    read = landscape(network, data, path=path, **options)
    np.testing.assert_array_equal(read.loss_sum, again.loss_sum)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 3}, "directions"),
        ({"points": 3}, "steps"),
        ({"span": 0.2}, "steps"),
        ({"directions": "layer"}, "directions"),
        ({"batch_norm": "reestimated", "batch_norm_samples": 10}, "statistics, batch_norm"),
        ({"limit": 9}, "data"),
    ],
)
def test_something_else_is_neither_taken_up_nor_written_over(
    network, data, tmp_path, monkeypatch, change, named
):
    path = tmp_path / "landscape.npz"
    options = {"points": 5, "seed": 2}
    monkeypatch.setattr(computing, "_AT_ONCE_POINTS", 4)
    with pytest.raises(_Killed):
        landscape(network, data, path=path, progress=_kill_later, **options)
    taken = []
    monkeypatch.setattr(computing, "_SAVE_SECONDS", 1e9)
    with pytest.raises(_Killed):
        landscape(
            network, data, path=path, progress=lambda s: (taken.append(s.done), _kill(s)),
            **{**options, **change},
        )  # fmt: skip
    assert taken == [1]
    monkeypatch.setattr(computing.LandscapePlan, "_fill", lambda self, partial, tell: None)
    plan_landscape(network, data, **options).compute(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"it differs in {named}"):
        landscape(network, data, path=path, **{**options, **change})
    assert path.read_bytes() == before


def _kill(standing):
    raise _Killed


def _kill_later(standing):
    """More points are known than the middle, which every landscape begins with."""
    if standing.done > 1:
        raise _Killed


def test_other_weights_statistics_and_images_are_told_apart(network, data):
    def key(model, x, y):
        return plan_landscape(model, (x, y), points=3).key

    first = key(network, *data)
    assert key(network, *data) == first
    weights = network.get_weights()
    other = moved(network, [v + 1 for v in map(np.asarray, weights[:4])] + weights[-2:])
    assert key(other, *data)["weights_sha256"] != first["weights_sha256"]
    same = moved(network, [keras.ops.convert_to_numpy(v) for v in network.trainable_variables])
    assert key(same, *data) == first
    same.get_layer("norm").moving_mean.assign(same.get_layer("norm").moving_mean + 0.1)
    assert key(same, *data)["statistics_sha256"] != first["statistics_sha256"]
    assert key(network, data[0] + 1, data[1])["data_sha256"] != first["data_sha256"]
    assert key(network, data[0], data[1][::-1])["data_sha256"] != first["data_sha256"]


def test_what_does_not_train_is_told_apart_too(network, data):
    frozen = moved(network, [keras.ops.convert_to_numpy(v) for v in network.trainable_variables])
    for name in ("conv", "norm"):
        frozen.get_layer(name).trainable = False
    for choice in ("as_trained", "reestimated"):
        keys = []
        for layer, weight in (("conv", 0), ("norm", 2)):  # a kernel, a moving mean
            keys.append(plan_landscape(frozen, data, points=3, batch_norm=choice).key)
            variable = frozen.get_layer(layer).weights[weight]
            variable.assign(variable + 0.1)
        keys.append(plan_landscape(frozen, data, points=3, batch_norm=choice).key)
        assert len({key["statistics_sha256"] for key in keys}) == 3


def test_numbers_of_the_training_are_left_out(data):
    keys = []
    for radius_scale in (0.01, 0.5):  # r, which no output sees
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6, 6, 1))
        backbone = keras.Model(inputs, keras.layers.Flatten()(inputs))
        model = cc.CCSAM(backbone, 3, COUNTS, radius_scale=radius_scale)
        keys.append(plan_landscape(model, data, points=3).key)
    assert keys[0] == keys[1]
    model.head.kernel.assign(model.head.kernel + 0.1)
    assert plan_landscape(model, data, points=3).key != keys[0]


def test_classes_are_named_and_grouped_as_asked_for_now(network, data, tmp_path):
    path = tmp_path / "landscape.npz"
    landscape(network, data, points=3, path=path, class_counts=COUNTS)
    again = landscape(
        network, data, points=3, path=path, class_counts=COUNTS[::-1], class_names="abc"
    )
    assert (again.head, again.tail) == (2, 0)
    assert again.class_names == ("a", "b", "c")
    assert again.groups == {"medium": (1, 2), "few": (0,)}


def test_a_limit_keeps_every_class():
    labels = np.repeat(np.arange(4), (500, 50, 5, 1))
    kept = some_of_each_class(labels, 60)
    assert np.bincount(labels[kept]).tolist() == [54, 5, 1, 1]
    assert (np.diff(kept) > 0).all()
    assert kept[53] > 53  # drawn, not the first of each class
    assert some_of_each_class(labels, 556) is some_of_each_class(labels, None) is None
    with pytest.raises(ValueError, match="Received: limit=0"):
        some_of_each_class(labels, 0)


def test_steps_are_symmetric_around_the_model():
    steps = steps_of(25, 1 / 3)
    assert steps[12] == 0.0 and steps[-1] == 1 / 3
    np.testing.assert_array_equal(steps, -steps[::-1])
    for points in (24, 1, 2.5):
        with pytest.raises(ValueError, match=f"Received: points={points}"):
            steps_of(points, 1 / 3)
    with pytest.raises(ValueError, match="Received: span=0"):
        steps_of(5, 0)


def test_models_of_ours_and_of_one_output(data):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1))
    backbone = keras.Model(inputs, keras.layers.Flatten()(inputs))
    model = cc.SharpnessAwareModel(backbone, cc.heads.Cosine(3, scale=1.0))
    model.compile("sgd", cc.losses.LDAM(COUNTS))
    found = landscape(model, data, points=3, class_counts=COUNTS)
    # LDAM takes cosines: its scale makes logits of them.
    assert model.logit_scale != 1.0
    assert found.at_model()[0] == pytest.approx(cc.evaluate(model, data, COUNTS).nll, rel=1e-5)

    x, y = data[0], data[1] % 2
    single = keras.Sequential(
        [inputs, keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
    )
    found = landscape(single, (x, y), points=3)
    report = cc.evaluate(single, (x, y), (12, 11))
    assert found.at_model() == pytest.approx((report.nll, report.overall), rel=1e-5)


def test_a_model_that_cannot_be_copied_is_taken_as_it_is(data):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(keras.ops.reshape(x, (-1, 36)))

        def compute_output_shape(self, shape):
            return (shape[0], 3)

    model = Own()
    model(data[0])
    before = model.get_weights()
    found = plan_landscape(model, data, points=3, num_classes=3).compute()
    report = cc.evaluate(model, data, COUNTS, from_logits=True)
    assert found.at_model()[0] == pytest.approx(report.nll, rel=1e-5)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dimensions": 3}, "Received: dimensions=3"),
        ({"batch_norm": "frozen"}, "Received: batch_norm='frozen'"),
        ({"class_names": ["a"]}, "class_names with 1 entries"),
        ({"class_counts": (1, 2)}, "each of the 3 classes"),
        ({"batch_norm_samples": 1}, "Received: batch_norm_samples=1"),
        ({"points": 4}, "Received: points=4"),
        ({"directions": "gauss"}, "Received: directions='gauss'"),
    ],
)
def test_wrong_options_are_named(network, data, change, words):
    with pytest.raises(ValueError, match=words):
        plan_landscape(network, data, **change)
