"""Several recipes in one table, and shared first stages."""

import dataclasses
import json
import shutil
import warnings

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_ccsam import runs
from keras_ccsam import text_table as table
from keras_ccsam.comparison import compare
from keras_ccsam.comparison.compare import train
from keras_ccsam.comparison.comparison import Comparison, Row
from keras_ccsam.comparison.plan import plan_comparison
from keras_ccsam.comparison.time_left import TimeLeft
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.run_directory import RunDirectory, write_json


def weights(path):
    return keras.models.load_model(path / "model.keras", compile=False).get_weights()


@pytest.fixture(scope="module")
def compared(small, tmp_path_factory):
    """ce and two second stages on it, with one seed."""
    out = tmp_path_factory.mktemp("compare") / "out"
    chosen = [small("ce"), small("crt"), small("ccsam-stage2", "stage2.batch_norm=update")]
    return chosen, compare(chosen, seeds=[3], out=out, progress="none")


@pytest.mark.any_backend
def test_each_first_stage_is_trained_once(compared):
    _, comparison = compared
    taken = [row.results[0]["stage1_from"] for row in comparison.rows]
    assert [x and x.replace("\\", "/") for x in taken] == [None, "../ce-seed3", "../ce-seed3"]
    first, *others = (
        RunDirectory(comparison.path / f"{row.recipe}-seed3") for row in comparison.rows
    )
    for other in others:
        assert other.metrics(stage=1) == first.metrics(stage=1)
        assert other.results()["stage1"] == first.results()["test"]


@pytest.mark.any_backend
@pytest.mark.parametrize("index", [1, 2])
def test_a_shared_first_stage_changes_no_bit(compared, index, tmp_path):
    chosen, comparison = compared
    recipe = chosen[index].model_copy(update={"seed": 3})
    alone = runs.run(recipe, tmp_path / "alone", progress="none")
    shared = RunDirectory(comparison.path / f"{recipe.name}-seed3")
    for a, b in zip(weights(alone.path), weights(shared.path), strict=True):
        np.testing.assert_array_equal(a, b)
    assert alone.results["test"] == shared.results()["test"]
    losses = [[r["loss"] for r in d.metrics()] for d in (RunDirectory(alone.path), shared)]
    assert losses[0] == losses[1]


@pytest.mark.any_backend
def test_another_first_stage_is_refused(compared, small, tmp_path):
    _, comparison = compared
    with pytest.raises(ValueError, match="first stage differs"):
        runs.run(small("crt"), tmp_path / "x", stage1_from=comparison.path / "ce-seed3")
    assert not (tmp_path / "x").exists()


@pytest.mark.any_backend
def test_the_files_of_a_comparison(compared):
    chosen, comparison = compared
    content = json.loads((comparison.path / "comparison.json").read_text())
    assert content == comparison.to_dict()
    assert [row["readings"] for row in content["rows"]] == [list(r.readings) for r in chosen]
    assert [row["recipe"] for row in content["rows"]] == ["ce", "crt", "ccsam-stage2"]
    text = (comparison.path / "comparison.md").read_text(encoding="utf-8")
    assert text.startswith("| recipe | overall | many | medium | few | ECE | after stage 1 |")
    assert "from 1 seed (3)" in text
    assert "±" not in text
    assert (comparison.path / "comparison.png").stat().st_size > 0


@pytest.mark.any_backend
def test_a_comparison_resumes(compared, small, tmp_path):
    chosen, comparison = compared
    out = tmp_path / "out"
    shutil.copytree(comparison.path, out)
    kept = (out / "ce-seed3" / "results.json").stat().st_mtime_ns
    broken = RunDirectory(out / "crt-seed3")
    write_json(broken.state_file, {"kind": "run", "status": "running"})
    # On another machine: what was written to its end is complete, what was not is gone on with.
    assert broken.status() == "complete"
    broken.manifest.reopen(*broken.logs, broken.results_file)
    assert broken.status() == "running"
    broken.results_file.unlink()
    again = compare(chosen[:2], seeds=[3], out=out, progress="none")
    assert (out / "ce-seed3" / "results.json").stat().st_mtime_ns == kept
    assert not (out / "crt-seed3.incomplete-1").exists()
    assert broken.status() == "complete"
    before = comparison.rows[1].results[0]["test"]
    assert again.rows[1].results[0]["test"] == before
    with pytest.raises(ValueError, match="a run of another recipe named 'ce'"):
        compare([small("ce", "stage1.lr=0.3")], seeds=[3], out=out, progress="none")


@pytest.mark.any_backend
def test_refusals(small, tmp_path):
    ce = small("ce")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="not empty"):
        compare([ce], out=tmp_path)
    with pytest.raises(ValueError, match="a name of its own"):
        compare([ce, ce], out=tmp_path / "x")
    with pytest.raises(ValueError, match="same data and groups only"):
        compare([ce, small("crt", "data.imbalance_ratio=20")], out=tmp_path / "x")
    assert not (tmp_path / "x").exists()
    for seeds in (0, [1, 1], [-1]):
        with pytest.raises(ValueError, match="`seeds` must be"):
            compare([ce], seeds=seeds, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def row(name, *accuracies):
    results = tuple(
        {
            "test": {
                "overall": a,
                "balanced": a,
                "ece": 0.1,
                "groups": {"many": a, "few": a / 2},
                "group_classes": {"many": [0], "few": [1]},
            },
            "stage1": {"overall": a - 0.1},
            "ms_per_step": None if a > 0.8 else 2.0,
        }
        for a in accuracies
    )
    return Row(name, "", "digest", results)


@pytest.mark.any_backend
def test_the_table_shows_mean_and_deviation(tmp_path):
    rows = (row("a", 0.5, 0.7), row("b", 0.9, 0.5))
    comparison = Comparison(tmp_path, "toy", (9, 1), (0, 1), rows)
    header, cells = comparison.cells()
    assert header == ["recipe", "overall", "many", "few", "ECE", "after stage 1", "ms/step"]
    assert cells[0] == [
        "a", "60.00 ± 14.14", "60.00 ± 14.14", "30.00 ± 7.07", "10.00 ± 0.00", "50.00 ± 14.14",
        "2.00 ± 0.00",
    ]  # fmt: skip
    assert cells[1][-1] == "-"
    assert "mean ± standard deviation over 2 seeds (0, 1)" in comparison.table()
    assert comparison.to_dict()["rows"][0]["overall"] == {
        "values": [0.5, 0.7],
        "mean": pytest.approx(0.6),
        "std": pytest.approx(0.02**0.5),
    }
    single = Comparison(tmp_path, "toy", (9, 1), (0,), (row("a", 0.5),))
    assert single.cells()[1][0][1] == "50.00"
    assert single.to_dict()["rows"][0]["overall"]["std"] is None


@pytest.mark.any_backend
def test_rows_with_readings_of_our_own_are_named(tmp_path):
    read = dataclasses.replace(row("a", 0.5), readings=("Images are mixed.",))
    both = Comparison(tmp_path, "toy", (9, 1), (0,), (read, row("b", 0.5)))
    line = "With readings of our own (`ccsam recipes show NAME` has them): a\n"
    assert line in both.table() + "\n" and line in both.markdown()
    assert [each["readings"] for each in both.to_dict()["rows"]] == [["Images are mixed."], []]
    plain = Comparison(tmp_path, "toy", (9, 1), (0,), (row("b", 0.5),))
    assert "readings" not in plain.table()


@pytest.mark.any_backend
def test_networks_of_other_sizes_are_labelled(tmp_path):
    def sized(name, weights):
        plain = row(name, 0.5)
        return dataclasses.replace(plain, results=({**plain.results[0], "parameters": weights},))

    def compared(*sizes):
        rows = tuple(sized(str(size), size) for size in sizes)
        return Comparison(tmp_path, "toy", (9, 1), (0,), rows)

    wide = compared(463_504, 464_154, 7_383_616)
    header, cells = wide.cells()
    assert header[-2] == "weights" and [line[-2] for line in cells] == [
        "0.46 M",
        "0.46 M",
        "7.38 M",
    ]
    assert "within one network" in wide.caption()
    assert [each["parameters"] for each in wide.to_dict()["rows"]] == [463504, 464154, 7383616]
    alike = compared(463_504, 464_154)  # heads differ
    assert "weights" not in alike.cells()[0] and "within one network" not in alike.caption()


@pytest.mark.any_backend
def test_a_validation_split_has_its_columns(tmp_path):
    def with_split(name, *accuracies):
        plain = row(name, *accuracies)
        split = [{"overall": a - 0.05, "balanced": a - 0.1, "num_samples": 7} for a in accuracies]
        results = (r | {"validation": v} for r, v in zip(plain.results, split, strict=True))
        return dataclasses.replace(plain, results=tuple(results))

    rows = (with_split("a", 0.5, 0.7), with_split("b", 0.4, 0.6))
    comparison = Comparison(tmp_path, "toy", (9, 1), (0, 1), rows)
    header, cells = comparison.cells()
    assert header[-4:] == ["after stage 1", "validation", "val. balanced", "ms/step"]
    assert cells[0][-3:-1] == ["55.00 ± 14.14", "50.00 ± 14.14"]
    assert "| validation | val. balanced |" in comparison.markdown()
    assert "on the 7 images cut from the training set" in comparison.caption()
    summary = comparison.to_dict()["rows"][1]
    assert summary["validation"]["mean"] == pytest.approx(0.45)
    assert summary["validation_balanced"]["values"] == pytest.approx([0.3, 0.5])
    without = Comparison(tmp_path, "toy", (9, 1), (0, 1), (row("a", 0.5, 0.7), row("b", 0.4, 0.6)))
    assert "validation" not in without.to_dict()["rows"][0]
    assert "validation" not in without.table()


@pytest.mark.any_backend
@pytest.mark.filterwarnings("ignore:(ce|crt)-seed0 diverged:UserWarning")
def test_runs_that_diverge_cost_the_others_nothing(small, tmp_path):
    """Those that would take their first stage over are not trained; the command ends with 1."""
    from keras_ccsam_cli.main import cli

    far = ("stage1.lr=1e30", "stage1.warmup_epochs=0", "stage1.epochs=1")
    for recipe in (small("ce", *far), small("crt", *far), small("focal", "stage1.epochs=1")):
        (tmp_path / f"{recipe.name}.toml").write_text(recipe.to_toml())
    names = [str(tmp_path / f"{name}.toml") for name in ("ce", "crt", "focal")]
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["compare", *names, "--out", str(out), "--quiet"])
    assert done.exit_code == 1, done.stderr
    assert "2 runs have no results; the reason is below the table" in done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines()[2:4]] == [
        ["ce", "diverged", "-"],
        ["crt", "diverged", "-"],
    ]
    for said in (
        "ce, seed 0, diverged: ce, stage 1, epoch 1, step ",
        "crt, seed 0, diverged: its first stage is that of ce-seed0: ce, stage 1, epoch 1",
    ):
        assert said in done.stdout and said in (out / "comparison.md").read_text()
    content = json.loads((out / "comparison.json").read_text())
    assert [run["recipe"] for run in content["missing"]] == ["ce", "crt"]
    assert [row["overall"]["mean"] is None for row in content["rows"]] == [True, True, False]
    assert json.loads((out / "state.json").read_text())["status"] == "incomplete"
    assert not (out / "crt-seed0").exists()
    with pytest.raises(FloatingPointError, match="its first stage is that of ce-seed0"):
        compare([small("ce", *far), small("crt", *far)], out=tmp_path / "all", progress="none")


@pytest.mark.any_backend
def test_a_model_that_cannot_be_built_stops_a_comparison_first(small, tmp_path):
    wrong = small("ccsam", "stage1.method.perturb=foo")
    with pytest.raises(ValueError, match="perturb='foo'"):
        compare([small("ce"), wrong], out=tmp_path / "x", progress="none")
    assert not (tmp_path / "x").exists()


@pytest.mark.any_backend
def test_markdown():
    assert table.markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


@pytest.mark.any_backend
def test_any_finished_run_in_the_folder_lends_its_first_stage(compared, small, tmp_path):
    _, comparison = compared
    out = tmp_path / "out"
    shutil.copytree(comparison.path, out)
    # Not the one that is only there in part, nor the one whose weights are gone.
    write_json(RunDirectory(out / "ce-seed3").state_file, {"kind": "run", "status": "failed"})
    RunDirectory(out / "crt-seed3").stage1_file.unlink()
    again = compare([small("crt-continued")], seeds=[3], out=out, progress="none")
    taken = again.rows[0].results[0]["stage1_from"]
    assert taken.replace("\\", "/") == "../ccsam-stage2-seed3"
    assert again.rows[0].results[0]["stage1"] == comparison.rows[0].results[0]["stage1"]


@pytest.mark.any_backend
def test_a_damaged_run_is_set_aside_and_trained_again(compared, tmp_path):
    chosen, comparison = compared
    out = tmp_path / "out"
    shutil.copytree(comparison.path, out)
    for harmed, name in [
        ("ce-seed3", "checkpoints/stage1.weights.h5"),
        ("ce-seed3", "recipe.toml"),
        ("ce-seed3", "results.json"),
        ("ce-seed3", "environment.json"),
        ("crt-seed3", "results.json"),
        ("crt-seed3", "model.keras"),
    ]:
        file = out / harmed / name
        whole = file.read_bytes()
        for content in (whole[:-9], whole[:99] + bytes([whole[99] ^ 1]) + whole[100:]):
            file.write_bytes(content)
            plan = plan_comparison(chosen, [3], out)
            [again] = plan.waiting
            assert again.path.name == harmed and name in again.damage
            assert f"damaged   {harmed}: {name}" in plan.text()
            # No one lends weights that are not those which were written.
            assert all(run.lender != again.path for run in plan.runs if not run.finished)
        file.write_bytes(whole)
    (out / "state.json").write_bytes(b'{"kind": "compar')
    (out / "crt-seed3" / "results.json").write_bytes(b"{}")
    with pytest.warns(
        UserWarning, match=r"results\.json has 2 bytes.*aside as crt-seed3\.damaged-1"
    ):
        warnings.simplefilter("ignore", DeprecationWarning)  # of Keras itself
        again = compare(chosen, seeds=[3], out=out, progress="none")
    assert (out / "crt-seed3.damaged-1" / "results.json").read_bytes() == b"{}"
    assert again.rows[1].results[0]["test"] == comparison.rows[1].results[0]["test"]
    assert plan_comparison(chosen, [3], out).waiting == ()


@pytest.mark.any_backend
def test_a_run_that_was_finished_meanwhile_is_not_trained_twice(compared, tmp_path):
    chosen, comparison = compared
    out = tmp_path / "out"
    shutil.copytree(comparison.path, out)
    planned = plan_comparison(chosen, [3], out)
    waiting = tuple(dataclasses.replace(run, finished=False) for run in planned.runs)
    clock = TimeLeft(waiting)
    train(dataclasses.replace(planned, runs=waiting), Progress("none"), clock, "off")
    assert not list(out.glob("*.incomplete-*"))
