"""Groups of classes, and their accuracy as a metric."""

import json

import keras
import numpy as np
import pytest

from keras_ccsam.metrics import GroupAccuracy, group_classes, group_metrics


def exponential(n_max, classes, ratio):
    return [int(n_max * ratio ** (-c / (classes - 1))) for c in range(classes)]


@pytest.mark.parametrize(
    ("counts", "strict", "inclusive"),
    [
        (exponential(5000, 10, 10), (10, 0, 0), (10, 0, 0)),
        (exponential(5000, 10, 50), (9, 1, 0), (10, 0, 0)),
        (exponential(5000, 10, 100), (8, 2, 0), (8, 2, 0)),
        (exponential(5000, 10, 200), (7, 3, 0), (7, 3, 0)),
        (exponential(500, 100, 10), (69, 31, 0), (70, 30, 0)),
        (exponential(500, 100, 50), (41, 41, 18), (41, 40, 19)),
        (exponential(500, 100, 100), (35, 35, 30), (35, 34, 31)),
        (exponential(500, 100, 200), (30, 31, 39), (31, 29, 40)),
    ],
)
def test_sizes_of_the_published_settings(counts, strict, inclusive):
    for expected, option in ((strict, False), (inclusive, True)):
        found = group_classes(counts, inclusive=option)
        named = dict(zip(("many", "medium", "few"), expected, strict=True))
        assert {k: len(v) for k, v in found.items()} == {k: n for k, n in named.items() if n}


def test_thresholds_one_by_one():
    counts = [101, 100, 20, 19]
    assert group_classes(counts) == {"many": (0,), "medium": (1, 2), "few": (3,)}
    assert group_classes(counts, inclusive=(False, True)) == {
        "many": (0,), "medium": (1,), "few": (2, 3),
    }  # fmt: skip
    assert group_classes(counts, many=1000, few=200) == {"few": (0, 1, 2, 3)}
    assert group_classes(counts, many=20, few=20) == {"many": (0, 1), "medium": (2,), "few": (3,)}


def test_thirds_follow_counts_not_indices():
    assert group_classes([5, 9, 9, 1, 7], "thirds") == {
        "many": (1, 2), "medium": (4,), "few": (0, 3),
    }  # fmt: skip
    sizes = {c: [len(v) for v in group_classes(range(c), "thirds").values()] for c in (2, 10, 100)}
    assert sizes == {2: [1, 1], 10: [3, 4, 3], 100: [33, 34, 33]}


def test_listed_groups():
    assert group_classes([1, 2, 3], {"head": [2, 0], "none": []}) == {"head": (0, 2)}
    with pytest.raises(ValueError, match=r"0 to 2. Received: groups\['head'\]=\(3,\)"):
        group_classes([1, 2, 3], {"head": [3]})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([],), "class_counts="),
        (([[1]],), "class_counts="),
        (([1, -1],), "class_counts="),
        (([1.5],), "class_counts="),
        (([1, 2], "halves"), "groups='halves'"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=f"Received: {named}"):
        group_classes(*arguments)


def test_thresholds_that_overlap_are_refused():
    with pytest.raises(ValueError, match="Received: many=10, few=20"):
        group_classes([1, 2], many=10, few=20)
    with pytest.raises(ValueError, match="inclusive=True"):
        group_classes([1, 2], many=20, few=20, inclusive=True)


COUNTS = [500, 300, 60, 50, 9, 3]
RNG = np.random.default_rng(1)
LABELS = np.repeat(np.arange(6), [9, 8, 7, 6, 5, 0]).astype("int32")  # class 5 has no sample
LOGITS = (RNG.normal(size=(35, 6)) + 1.2 * np.eye(6)[LABELS]).astype("float32")
RIGHT = LOGITS.argmax(1) == LABELS
ACCURACY = np.array([RIGHT[np.equal(LABELS, c)].mean() for c in range(5)])
EXPECTED = {
    "many": ACCURACY[:2].mean(),
    "medium": ACCURACY[2:4].mean(),
    "few": ACCURACY[4],
    "balanced": ACCURACY.mean(),
    "overall": RIGHT.mean(),
}


def value(metric):
    return float(keras.ops.convert_to_numpy(metric.result()))


@pytest.mark.parametrize("group", EXPECTED)
@pytest.mark.parametrize("form", ["integer", "column", "one-hot", "probabilities"])
def test_accuracy_over_batches(group, form):
    metric = GroupAccuracy(COUNTS, group)
    labels = {"column": LABELS[:, None], "one-hot": np.eye(6, dtype="float32")[LABELS]}
    predictions = keras.ops.softmax(LOGITS) if form == "probabilities" else LOGITS
    for part in (slice(0, 20), slice(20, 35)):
        metric.update_state(labels.get(form, LABELS)[part], predictions[part])
    assert len({round(float(v), 4) for v in EXPECTED.values()}) == 5  # each tells itself apart
    assert value(metric) == pytest.approx(EXPECTED[group], abs=1e-6)
    metric.reset_state()
    assert value(metric) == 0.0


def test_sample_weights_count():
    labels, predictions = np.array([0, 0, 1, 1]), np.eye(2, dtype="float32")[[0, 1, 1, 1]]
    metric = GroupAccuracy([200, 200], "many")
    metric.update_state(labels, predictions, sample_weight=[1.0, 3.0, 1.0, 0.0])
    assert value(metric) == pytest.approx((0.25 + 1.0) / 2)
    metric = GroupAccuracy([200, 200], "overall")
    metric.update_state(labels, predictions, sample_weight=[[1.0], [3.0], [1.0], [0.0]])
    assert value(metric) == pytest.approx(2 / 5)


def test_labels_out_of_range_are_not_counted():
    metric = GroupAccuracy([200, 200], "overall")
    metric.update_state(np.array([0, -1, 7]), np.eye(2, dtype="float32")[[0, 0, 1]])
    assert value(metric) == 1.0


@pytest.mark.parametrize("inclusive", [True, (False, True)])
def test_round_trip_through_json(inclusive):
    metric = GroupAccuracy(
        COUNTS, "few", many=60, few=50, inclusive=inclusive, name="rare", dtype="float32"
    )
    stored = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    copy = keras.saving.deserialize_keras_object(stored)
    assert copy.get_config() == metric.get_config()
    assert copy.classes == metric.classes == (3, 4, 5)
    listed = GroupAccuracy(COUNTS, "odd", {"odd": (1, 3)})
    assert GroupAccuracy.from_config(listed.get_config()).classes == (1, 3)


def test_only_groups_that_exist():
    names = [metric.name for metric in group_metrics([500, 50], extra=("balanced", "overall"))]
    assert names == ["many_accuracy", "medium_accuracy", "balanced_accuracy", "overall_accuracy"]
    with pytest.raises(
        ValueError, match=r"many, medium, balanced, overall\. Received: group='few'"
    ):
        GroupAccuracy([500, 50], "few")


def test_in_compile_fit_and_a_saved_model(tmp_path):
    identity = keras.layers.Dense(6, use_bias=False, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((6,)), identity])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), loss, metrics=["accuracy", *group_metrics(COUNTS)])
    history = model.fit(LOGITS, LABELS, batch_size=16, shuffle=False, verbose=0).history
    found = model.evaluate(LOGITS, LABELS, batch_size=16, verbose=0, return_dict=True)
    for group in ("many", "medium", "few", "balanced"):
        assert history[f"{group}_accuracy"] == [pytest.approx(EXPECTED[group], abs=1e-6)]
        assert found[f"{group}_accuracy"] == pytest.approx(EXPECTED[group], abs=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.evaluate(LOGITS, LABELS, batch_size=16, verbose=0, return_dict=True)
    assert again == pytest.approx(found, abs=1e-6)
