"""The report against values by hand."""

import json

import numpy as np
import pytest

from keras_ccsam.metrics import Report, confusion

COUNTS = [500, 200, 30, 8, 5]
# class 4 is never tested; class 2 is right once in four
LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3])
PREDICTED = np.array([0, 0, 0, 1, 1, 1, 2, 0, 0, 1, 3, 3, 0, 0])
LOGITS = np.log(np.where(np.eye(5)[PREDICTED] > 0, 0.6, 0.1))


def report(**options):
    return Report.from_predictions(LABELS, LOGITS, COUNTS, **options)


def test_by_hand():
    found = report()
    assert found.num_samples == 14
    assert found.per_class == (0.75, 1.0, 0.25, 0.5, None)
    assert found.overall == pytest.approx(8 / 14)
    assert found.balanced == pytest.approx(2.5 / 4)
    assert found.groups == {"many": 0.875, "medium": 0.25, "few": 0.5}
    assert found.group_classes == {"many": (0, 1), "medium": (2,), "few": (3, 4)}
    assert (found.worst_class, found.worst) == (2, 0.25)
    assert found.ece == pytest.approx(0.6 - 8 / 14)
    assert found.nll == pytest.approx(-(8 * np.log(0.6) + 6 * np.log(0.1)) / 14)
    assert found.confusion[2].tolist() == [2, 1, 1, 0, 0]
    assert found.confusion.sum() == 14


def test_logits_probabilities_and_one_hot_agree():
    p = np.exp(LOGITS)
    others = (
        Report.from_predictions(LABELS[:, None], p, COUNTS, from_logits=False),
        Report.from_predictions(np.eye(5)[LABELS], LOGITS + 7.0, COUNTS),
    )
    for other in others:
        assert other.nll == pytest.approx(report().nll)
        assert other.ece == pytest.approx(report().ece)
        assert other.groups == report().groups


def test_large_logits_do_not_overflow():
    found = Report.from_predictions([0, 1], [[1e4, -1e4], [1e4, -1e4]])
    assert found.nll == pytest.approx(1e4)
    certain = Report.from_predictions([0, 1], [[1.0, 0.0], [1.0, 0.0]], from_logits=False)
    assert np.isfinite(certain.nll)


def test_empty_groups_are_absent():
    assert set(report(many=1000, few=3).groups) == {"medium"}
    # a group whose only class is never tested
    only = Report.from_predictions(LABELS, LOGITS, [500, 200, 30, 25, 5])
    assert set(only.groups) == set(only.group_classes) == {"many", "medium"}
    assert "few" not in only.table()
    assert Report.from_predictions(LABELS, LOGITS).groups == {}


def test_group_options():
    assert report(groups="thirds").group_classes == {"many": (0, 1), "medium": (2,), "few": (3, 4)}
    assert report(many=200, inclusive=True).groups["many"] == 0.875
    assert report(groups={"head": (0,)}).groups == {"head": 0.75}


def test_dictionary_is_strict_json():
    stored = json.loads(json.dumps(report().to_dict(), allow_nan=False))
    assert stored["per_class"] == [0.75, 1.0, 0.25, 0.5, None]
    assert stored["groups"] == {"many": 0.875, "medium": 0.25, "few": 0.5}
    assert stored["group_classes"]["few"] == [3, 4]
    assert stored["class_counts"] == COUNTS
    assert stored["confusion"][2] == [2, 1, 1, 0, 0]
    assert stored["worst"] == 0.25


def test_a_matrix_of_many_classes_is_written_without_its_zeros():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, confusion.WHOLE + 1, (2, 3000))
    matrix = np.zeros((confusion.WHOLE + 1,) * 2, "int64")
    np.add.at(matrix, (labels, predicted), 1)
    text = json.dumps(confusion.written(matrix))
    assert len(text) < 60_000
    np.testing.assert_array_equal(confusion.read(json.loads(text)), matrix)
    small = matrix[:-1, :-1]
    assert confusion.written(small) == small.tolist()
    np.testing.assert_array_equal(confusion.read(small.tolist()), small)


def test_table_is_aligned():
    text = report().table(["cat", "dog", "hippopotamus", "ox", "yak"])
    summary, samples, classes = text.split("\n\n")
    for block in (summary, classes):
        rows = block.split("\n")
        assert len({len(row) for row in rows}) == 1
    assert summary.split("\n")[2].split() == ["many", "2", "87.50"]
    assert summary.split("\n")[-1].split() == ["worst:", "hippopotamus", "1", "25.00"]
    assert samples.startswith("14 samples, calibration error 2.86 %")
    assert [row.split() for row in classes.split("\n")[4:]] == [
        ["hippopotamus", "30", "4", "25.00"],
        ["ox", "8", "4", "50.00"],
        ["yak", "5", "0", "-"],
    ]


def test_classes_are_listed_where_they_are_few():
    many = Report.from_predictions(np.arange(21), np.eye(21))
    assert "class" not in many.table().split("\n\n")[-1]
    assert len(many.table(per_class=True).split("\n\n")[-1].split("\n")) == 23
    assert "train" not in many.table(per_class=True)
    assert len(report().table(per_class=False).split("\n\n")) == 2


@pytest.mark.parametrize(
    ("labels", "predictions", "options", "named"),
    [
        ([0, 1], np.zeros((2, 1, 2)), {}, r"predictions with shape \(2, 1, 2\)"),
        ([0, 1], [[0.1, 0.9]], {}, r"labels.shape=\(2,\)"),
        ([], np.zeros((0, 2)), {}, "no predictions"),
        ([0, 2], np.eye(2), {}, r"labels\[1\]=2"),
        ([0, -1], np.eye(2), {}, r"labels\[1\]=-1"),
        ([0, 0.5], np.eye(2), {}, "labels.dtype=float64"),
        ([[1, 1], [0, 1]], np.eye(2), {}, r"labels\[0\]=\[1, 1\]"),
        ([0, 1], [0.1, 1.9], {"from_logits": False}, "predictions with rows from"),
        ([0, 1], [[np.nan, 0], [1, 0]], {}, "predictions with NaN"),
        ([0, 1], [[3.0, -1], [1, 0]], {"from_logits": False}, "predictions with rows from -1 to 3"),
        ([0, 1], np.eye(2), {"class_counts": [1, 2, 3]}, r"class_counts=\[1, 2, 3\]"),
        ([0, 1], np.eye(2), {"bins": 0}, "bins=0"),
    ],
)
def test_bad_arguments_are_named(labels, predictions, options, named):
    with pytest.raises(ValueError, match=f"Received: {named}"):
        Report.from_predictions(labels, predictions, **options)
    with pytest.raises(ValueError, match="class_names with 1 entries"):
        report().table(["a"])
