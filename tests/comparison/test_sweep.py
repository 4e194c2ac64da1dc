"""One recipe at several values: what is trained, what is recommended, and that it goes on."""

import dataclasses
import json
import shutil

import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli
from PIL import Image

from keras_ccsam.analysis import plots
from keras_ccsam.comparison import plan_sweep, sweep
from keras_ccsam.comparison.comparison import Comparison, MissingRun, Row
from keras_ccsam.comparison.sweep import Sweep
from keras_ccsam.recipes import override
from keras_ccsam.reproduction import plan_reproduction
from keras_ccsam.runs.run_directory import RunDirectory, write_json

pytestmark = pytest.mark.any_backend

QUICK = (
    "model.backbone.width=4",
    "model.backbone.features=8",
    "stage1.epochs=1",
    "stage1.warmup_epochs=0",
    "stage1.batch_size=64",
    "stage2.epochs=1",
    "data.imbalance_ratio=10",
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "out"
    options = {"overrides": QUICK, "seeds": [4], "out": out, "progress": "none"}
    return out, options, sweep("radius_scale", ("0.5", "1e-2"), **options)


def made(validation, test, values=("1e-1", "1e-2", "1e-3")):
    """A sweep with these balanced accuracies, one list of seeds per value."""
    plan = plan_sweep("radius_scale", values, seeds=len(validation[0]))
    rows = tuple(
        Row(
            recipe.name, "", recipe.digest(),
            tuple(
                {
                    "test": {"balanced": t, "overall": t, "groups": {}, "ece": 0.0},
                    # The overall accuracy would prefer another value.
                    "validation": {"balanced": v, "overall": 1 - v, "num_samples": 60},
                }
                for v, t in zip(vs, ts, strict=True)
            ),
        )
        for recipe, vs, ts in zip(plan.plan.recipes, validation, test, strict=True)
    )  # fmt: skip
    return Sweep(plan, Comparison(plan.plan.path, "digits-lt", (9, 1), plan.plan.seeds, rows))


def test_the_paper_s_values_are_swept_by_default():
    plan = plan_sweep("radius_scale", data="cifar10-lt-small")
    assert plan.key == "stage1.method.radius_scale"
    assert plan.values == ("1e-1", "1e-2", "1e-3", "1e-4", "1e-5", "1e-6", "1e-7")
    assert [r.stage1.method.radius_scale for r in plan.plan.recipes] == [
        10.0**-power for power in range(1, 8)
    ]
    assert len(plan.plan.runs) == 21
    # Nothing else differs, and the split that the choice needs is cut.
    at_one = (override(r, "stage1.method.radius_scale=1") for r in plan.plan.recipes)
    assert len({recipe.digest() for recipe in at_one}) == 1
    assert {r.data.validation_fraction for r in plan.plan.recipes} == {0.1}
    assert "cuts no validation split" in plan.notes[0]
    own = plan_sweep("radius_scale", overrides=["data.validation_fraction=0.3"])
    assert (own.notes, own.base.data.validation_fraction) == ((), 0.3)


def test_a_value_at_which_the_training_diverges_is_shown_and_not_recommended(tmp_path):
    found = made([[0.5], [0.6], [0.4]], [[0.5], [0.5], [0.5]])
    rows = list(found.comparison.rows)
    rows[0] = dataclasses.replace(rows[0], results=(None,))
    failed = (MissingRun(rows[0].recipe, 0, "too far"),)
    comparison = dataclasses.replace(found.comparison, rows=tuple(rows), missing=failed)
    found = dataclasses.replace(found, comparison=comparison)
    assert found.table().splitlines()[2].split() == ["1e-1", "diverged", "-", "-", "-"]
    assert found.table().endswith(f"{rows[0].recipe}, seed 0, diverged: too far")
    assert found.recommended == "1e-2"
    assert found.to_dict()["rows"][0]["balanced"]["mean"] is None
    assert plots.sweep(found.to_dict(), tmp_path / "sweep.png").stat().st_size > 0


def test_variants_are_named_as_in_a_reproduction():
    swept = plan_sweep("radius_scale", data="cifar10-lt-small")
    figure = plan_reproduction("figure1", "small")
    assert [r.name for r in swept.plan.recipes] == [row.recipe.name for row in figure.rows]


@pytest.mark.parametrize(
    ("key", "full"),
    [
        ("flat_ratio", "stage1.method.flat_ratio"),
        ("lr", "stage1.lr"),
        ("alpha_max", "stage2.alpha_max"),
        ("stage2.lr", "stage2.lr"),
    ],
)
def test_a_key_is_found_in_its_table(key, full):
    assert plan_sweep(key, (0.1, 0.2)).key == full


def test_the_validation_split_alone_recommends():
    found = made([[0.5, 0.52], [0.6, 0.7], [0.62, 0.66]], [[0.9, 0.9], [0.1, 0.1], [0.5, 0.5]])
    assert found.recommended == "1e-2"
    assert found.within_spread == ("1e-3",)
    assert "Recommended: stage1.method.radius_scale = 1e-2" in found.verdict()
    assert "Not told from it by one standard deviation: 1e-3." in found.verdict()
    content = found.to_dict()
    assert (content["kind"], content["format"], content["recommended"]) == ("sweep", 1, "1e-2")
    assert content["rows"][1]["validation_balanced"]["mean"] == pytest.approx(0.65)
    clear = made([[0.5, 0.5], [0.61, 0.6], [0.5, 0.51]], [[0.9] * 2] * 3)
    assert clear.within_spread == ()
    assert "more than one standard deviation below" in clear.verdict()
    assert "One seed says nothing" in made([[0.5], [0.6], [0.5]], [[0.9]] * 3).verdict()


def test_a_picture_with_words_for_values(tmp_path):
    content = made([[0.5], [0.6], [0.5]], [[0.9]] * 3).to_dict()
    for row, value in zip(content["rows"], ("a", "b", "c"), strict=True):
        row["value"] = value
    content["recommended"] = "b"
    assert plots.sweep(content, tmp_path / "sweep.png").stat().st_size > 0
    with pytest.raises(ValueError, match="0 rows"):
        plots.sweep(content | {"rows": []}, tmp_path / "none.png")


def test_what_a_sweep_leaves(swept):
    out, _, found = swept
    content = json.loads((out / "sweep.json").read_text())
    assert content == json.loads(json.dumps(found.to_dict()))
    assert [row["recipe"] for row in content["rows"]] == ["ccsam-radius_scale-0.5", "ccsam"]
    results = RunDirectory(out / "ccsam-seed4").results()
    assert content["rows"][1]["balanced"]["values"] == [results["test"]["balanced"]]
    assert content["rows"][1]["validation"]["values"] == [results["validation"]["overall"]]
    with Image.open(out / "sweep.png") as image:
        assert min(image.size) > 400
    assert found.table().splitlines()[2].startswith("0.5")


def test_a_sweep_that_was_killed_goes_on(swept, tmp_path):
    out, options, found = swept
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    kept = (copy / "ccsam-seed4" / "results.json").stat().st_mtime_ns
    broken = RunDirectory(copy / "ccsam-radius_scale-0.5-seed4")
    write_json(broken.state_file, {"kind": "run", "status": "running"})
    broken.manifest.reopen(*broken.logs, broken.results_file)
    broken.results_file.unlink()
    (copy / "sweep.json").unlink()
    again = sweep("radius_scale", ("0.5", "1e-2"), **{**options, "out": copy})
    assert (copy / "ccsam-seed4" / "results.json").stat().st_mtime_ns == kept
    assert again.to_dict()["rows"] == found.to_dict()["rows"]
    assert (copy / "sweep.json").is_file()


def test_the_command(swept, tmp_path, monkeypatch):
    out, _, found = swept
    monkeypatch.chdir(tmp_path)
    settings = [word for text in QUICK for word in ("--set", text)]
    line = ["sweep", "radius_scale", "--values", "0.5,1e-2"]
    result = CliRunner().invoke(cli, [*line, *settings, "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "runs      6, of which 0 are finished" in result.stdout
    assert "runs/sweep-radius_scale-ccsam-digits-lt" in result.stdout
    assert list(tmp_path.iterdir()) == []
    # All runs are there: the table is made anew.
    result = CliRunner().invoke(
        cli, ["sweep", "radius_scale", "--values", "0.5,1e-2", "--seeds", "4,5", *settings,
              "--out", str(out), "--dry-run", "--json"],
    )  # fmt: skip
    content = json.loads(result.stdout)
    assert [run["finished"] for run in content["runs"]] == [True, True, False, False]
    assert content["kind"] == "sweep plan"
    assert found.plan.plan.path == out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["radius_scal", "--values", "1,2"], "did you mean 'radius_scale'"),
        (["stage1.nothing", "--values", "1,2"], "unknown recipe key 'stage1.nothing'"),
        (["flat_ratio"], "two values of stage1.method.flat_ratio or more"),
        (["radius_scale", "--values", "1e-2"], "Received: values=['1e-2']"),
        (["radius_scale", "--values", "1e-2,,1"], "Received: values=['1e-2', '', '1']"),
        (["radius_scale", "--values", "1e-2,0.01"], "each value may come once"),
        (["radius_scale", "--values", "1e-2,-1"], "stage1.method.radius_scale=-1"),
        (["seed", "--values", "1,2"], "say how many with seeds"),
        (["radius_scale", "--recipe", "ce"], "ce has no such value"),
        (["radius_scale", "--record", "bond"], "did you mean 'bound'"),
    ],
)
def test_wrong_input_ends_in_one_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["sweep", *arguments])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []
