"""The study's tables: pairs by draw, Student's interval, and nothing of too few draws."""

import json

import pytest

from studies import analyse, question

pytestmark = pytest.mark.any_backend


def scores(balanced):
    values = dict.fromkeys(("many", "medium", "few", "ece"), 0.5)
    return {"balanced": balanced, **values, "stage1": {}, "recorded": None}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """`stages` on the digits at ratio 50: stage 2 gains 1, 2 and 6 points, in other orders."""
    monkeypatch.setattr(analyse, "RESULTS", tmp_path)

    def write(draws):
        gains = dict(zip(draws, (0.01, 0.02, 0.06, 0.0), strict=False))
        rows = [
            {"place": "digits", "setting": "", "ratio": 50, "draw": draw, "row": row, **scores(x)}
            for draw in draws
            for row, x in (("crt-continued", 0.8), ("ccsam-stage2", 0.8 + gains[draw]))
        ]
        (tmp_path / "stages-here.json").write_text(json.dumps({"rows": rows[::-1]}))

    return write


def test_differences_are_paired_and_the_interval_is_student_s(results):
    results([100, 101, 102])
    row = next(
        e for e in analyse.compared(question.load("stages")) if e.row.label == "ccsam-stage2"
    )
    assert row.differences() == pytest.approx([1.0, 2.0, 6.0])
    # mean 3, standard deviation sqrt(7), t(2 degrees, 97.5 %) = 4.3027
    spread = 4.3027 * (7 / 3) ** 0.5
    assert row.interval() == pytest.approx((3 - spread, 3 + spread), abs=1e-3)
    assert "| digits, ratio 50 | `ccsam-stage2` | 3 | +3.00 | -3.57 to +9.57 | 83.0 |" in (
        analyse.question("stages")
    )


def test_the_answer_is_given_for_all_comparisons_together(results):
    results([100, 101, 102])
    assert "99.2%" in analyse.answer()
    assert "| `ccsam-stage2` | **undecided** | 3 | +3.00 |" in analyse.answer()


def test_too_few_draws_and_nothing_are_said_to_be_so(results):
    results([100, 101])
    assert (
        analyse.question("stages") == analyse.answer() == analyse.mechanism("digits") == "Not run."
    )
    assert "| `schedule` | digits, epochs=160 | 50 | **not run** |" in analyse.coverage()


def test_what_is_recorded_is_shown_from_epoch_to_epoch(tmp_path, monkeypatch):
    """Means over the draws, of the rows at the recipe's own share of the loss."""
    monkeypatch.setattr(analyse, "RESULTS", tmp_path)
    columns, groups = ("step_norm", "gradient_norm", "loss", "margin"), analyse.GROUPS

    def row(draw, label):
        recorded = {"epochs": [1, 40]} | {
            column: {group: [draw / 100 + i + 10 * j, draw] for i, group in enumerate(groups)}
            for j, column in enumerate(columns)
        }
        after = dict.fromkeys(groups, 0.5)
        where = {"place": "digits", "setting": "", "ratio": 50, "draw": draw, "row": label}
        return {**where, **scores(0.8), "stage1": after, "recorded": recorded}

    labels = ("crt-continued", "ccsam-stage1", "ccsam-stage1 radius_scale=1")
    rows = [row(draw, label) for draw in (100, 101, 102) for label in labels]
    (tmp_path / "radius-here.json").write_text(json.dumps({"rows": rows}))
    table = analyse.course("digits").splitlines()
    assert table[0] == "| stage 1 of | what | classes | epoch 1 | epoch 40 |"
    assert "| `ccsam-stage1` | step | few | 3.01 | 101 |" in table
    assert "| `crt-continued` | margin | many | 31 | 101 |" in table
    # Cross-entropy takes no step; r = 1 is not among those that are shown.
    assert len(table) == 2 + 4 + 6
    assert "| `ccsam-stage1` | few | 101 | 101 | 101 | 101 | 50.0 |" in analyse.mechanism("digits")
    assert analyse.course("cifar-fifth") == "Not run."
