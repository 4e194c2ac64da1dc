"""The study's questions are what its runner trains, and what its page shows."""

import json
import tomllib

import pytest

from studies import question, run

pytestmark = pytest.mark.any_backend


@pytest.fixture(scope="module")
def questions():
    return [question.load(name) for name in question.names()]


def test_every_recipe_of_every_grid_can_be_put_together(questions, tmp_path):
    from studies.cells import Trained

    trained = Trained(tmp_path, "/nowhere/cifar.npz")
    for found in questions:
        for grid in found.grids:
            draw, ratio = next(grid.cells())
            names = [trained.recipe(grid, row, draw, ratio).name for row in grid.rows]
            assert len(set(names)) == len(grid.rows)


def test_a_draw_decides_images_and_seed_and_nothing_else_differs_between_rows(questions, tmp_path):
    from studies.cells import Trained

    trained = Trained(tmp_path, None)
    grid = questions[0].grids[0]
    first, second = (trained.recipe(grid, row, 101, 50.0) for row in grid.rows[:2])
    assert first.data == second.data and first.groups == second.groups
    assert (first.data.protocol, first.data.seed) == ("seeded", 101)


def test_six_comparisons_were_chosen_beforehand(questions):
    primary = [
        (grid.place, row.label, row.against)
        for found in questions
        for grid in found.grids
        for row in grid.rows
        if row.primary
    ]
    assert sorted(primary) == sorted(
        (place, row, "crt-continued")
        for place in ("digits", "cifar-fifth")
        for row in ("ccsam-stage1", "ccsam-stage2", "ccsam")
    )


def test_labels_keep_the_dots_of_values():
    assert question.Row("ccsam", ("stage2.alpha_max=0.3",)).label == "ccsam alpha_max=0.3"


def test_a_row_that_is_compared_with_nothing_is_refused():
    with pytest.raises(ValueError, match="Received: 'cee'"):
        question.Grid("q", "here", "digits", (50,), (1,), (question.Row("ce", (), "cee"),))
    with pytest.raises(ValueError, match="Received: 'there'"):
        question.Grid("q", "there", "digits", (50,), (1,), (question.Row("ce"),))


def test_a_process_may_take_some_of_the_draws(capsys, tmp_path):
    asked = ["here", "--only", "best", "--plan", "--out", str(tmp_path)]
    assert run.main([*asked, "--draws", "402", "401", "7"]) == 0
    cells = [
        line.split(":")[1].rpartition("draw ")[2] for line in capsys.readouterr().out.splitlines()
    ]
    assert cells == ["401", "402", "401", "402"]  # of both places, in the order of the file
    assert run.main(asked) == 0
    assert len(capsys.readouterr().out.splitlines()) == 15


def test_what_is_written_need_not_be_trained_again(capsys, tmp_path):
    """Of a draw that lacks a row, every row is."""
    grid = question.load("best").grids[1]
    where = {"place": grid.place, "setting": grid.setting, "ratio": 100}
    rows = [
        where | {"draw": draw, "row": row.label}
        for draw in (400, 401)
        for row in grid.rows[draw - 400 :]
    ]
    (tmp_path / "best-here.json").write_text(json.dumps({"rows": rows}))
    asked = ["here", "--only", "best", "--places", "cifar-fifth", "--plan"]
    asked += ["--out", str(tmp_path / "runs"), "--results", str(tmp_path)]
    assert run.main(asked) == run.main([*asked, "--unwritten"]) == 0
    told = [line.rpartition("draw ")[2][:3] for line in capsys.readouterr().out.splitlines()]
    assert told == ["400", "401", "402", "401", "402"]


@pytest.mark.slow
def test_the_full_schedule_runs_at_toy_size_and_goes_on(tmp_path, capsys):
    asked = ["full", "--toy", "--only", "features", "--out", str(tmp_path)]
    assert run.main(asked) == 0
    content = json.loads((tmp_path / "results" / "features-full.json").read_text())
    rows = {row["row"]: row for row in content["rows"]}
    assert {"crt-continued", "ccsam augment=stage1 batch_norm=update"} <= set(rows)
    assert rows["ccsam"]["epochs"] == {"stage1": 1, "stage2": 1}
    assert content["settings_digest"] == question.load("features").digest
    assert "6 trained" in capsys.readouterr().out
    assert run.main(asked) == 0
    assert ": 0 trained" in capsys.readouterr().out
    assert json.loads((tmp_path / "results" / "features-full.json").read_text()) == content


def test_the_files_say_nothing_that_is_not_read():
    for name in question.names():
        content = tomllib.loads((question.FOLDER / f"{name}.toml").read_text())
        assert set(content) == {"title", "grids"}


def test_wrong_input_is_one_line(tmp_path, capsys):
    asked = ["here", "--only", "best", "--places", "cifar-fifth", "--out", str(tmp_path / "runs")]
    assert run.main([*asked, "--path", str(tmp_path / "none.npz")]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ") and "none.npz" in told.err
    assert told.err.count("\n") == 1 and not told.out
