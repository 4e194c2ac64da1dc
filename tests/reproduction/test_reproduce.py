"""Published tables trained on the digits, as small as it goes."""

import importlib
import json
import re
import shutil

import pytest

from keras_ccsam import reproduction
from keras_ccsam.comparison.comparison import Row
from keras_ccsam.recipes import tables
from keras_ccsam.recipes.tables import Table
from keras_ccsam.reproduction.reproduction import ReproducedRow, Reproduction
from keras_ccsam.runs import experiment, parts
from keras_ccsam.runs.run_directory import RunDirectory

pytestmark = pytest.mark.any_backend

QUICK = (
    "stage1.epochs=2",
    "stage1.batch_size=64",
    "stage2.epochs=1",
    "model.backbone.width=4",
    "model.backbone.features=8",
)
OPTIONS = {"scale": "tiny", "overrides": QUICK, "progress": "none"}

# Two data sets that are both the digits here, a row without a second stage, one with a change.
TABLE = """
title = "Toy"
source = "Nobody, Table 9"
note = "Mind this."

[[rows]]
label = "cRT"
recipe = "crt-continued"
data = "cifar10-lt"
imbalance_ratio = 20
published = 70.0

[[rows]]
label = "cRT + both"
recipe = "ccsam-stage2"
data = "cifar10-lt"
imbalance_ratio = 20
published = 71.5
over = "cRT"
overrides = ["stage2.strength=0.5"]

[[rows]]
label = "CE"
recipe = "ce"
data = "cifar10-lt"
imbalance_ratio = 50
published = 60.0

[[rows]]
label = "cRT"
recipe = "crt-continued"
data = "cifar100-lt"
imbalance_ratio = 20
"""


@pytest.fixture(scope="module", autouse=True)
def toy():
    """Let `toy` be the only table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "load", lambda name: Table.from_toml(TABLE))
        yield


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """The toy table, trained once; read only but for what a test adds."""
    return reproduction.reproduce("toy", out=tmp_path_factory.mktemp("toy") / "out", **OPTIONS)


def run_folders(path):
    return {p.parent.relative_to(path).as_posix() for p in path.glob("*/*/results.json")}


def times(path):
    return {p: p.stat().st_mtime_ns for p in path.glob("*/*/*.json")}  # of the runs


def test_rows_on_the_same_data_are_one_comparison(reproduced):
    # The cRT rows of CIFAR-10 and of CIFAR-100 are the same run, of the digits at half the ratio.
    assert run_folders(reproduced.path) == {
        "digits-lt-10/crt-continued-seed0",
        "digits-lt-10/ccsam-stage2-strength-0.5-seed0",
        "digits-lt-25/ce-seed0",
    }
    results = [row.result.results[0] for row in reproduced.rows]
    assert results[0] == results[3]
    assert results[1]["stage1_from"].replace("\\", "/") == "../crt-continued-seed0"
    assert results[2]["class_counts"][-1] == 5
    assert [row.result.values("overall") for row in reproduced.rows] == [
        [r["test"]["overall"]] for r in results
    ]


def test_the_changes_of_a_row_and_of_the_user_are_in_its_recipe(reproduced):
    recipe = reproduced.rows[1].recipe
    assert (recipe.stage2.strength, recipe.stage2.epochs, recipe.stage1.epochs) == (0.5, 1, 2)
    assert reproduced.rows[2].recipe.stage2 is None
    written = RunDirectory(reproduced.path / "digits-lt-10/ccsam-stage2-strength-0.5-seed0")
    assert written.recipe().digest() == recipe.digest()


def test_the_files(reproduced):
    content = json.loads((reproduced.path / "toy.json").read_text(encoding="utf-8"))
    assert content == reproduced.to_dict()
    assert content["complete"] is True
    ours = [100 * row.result.results[0]["test"]["overall"] for row in reproduced.rows]
    first, second, *_ = content["rows"]
    assert first["ours"]["values"] == [pytest.approx(ours[0])]
    assert second["published_gain"] == pytest.approx(1.5)
    assert second["gain"] == pytest.approx(ours[1] - ours[0])
    assert second["difference"] == pytest.approx(ours[1] - 71.5)
    assert first["gain"] is None
    text = (reproduced.path / "toy.md").read_text(encoding="utf-8")
    assert text == reproduced.markdown()
    assert text.startswith(
        "| row | data | ours on | published | ours | published gain | our gain |"
    )
    assert f"| cRT + both | cifar10-lt 20 | digits-lt-10 | 71.50 | {ours[1]:.2f} | +1.50 |" in text
    for part in ("Nobody, Table 9", "Mind this.", "in place of CIFAR", "stage1.epochs=2", "1 seed"):
        assert part in text
    assert json.loads((reproduced.path / "state.json").read_text())["status"] == "complete"


def test_the_same_call_trains_nothing(reproduced):
    before = times(reproduced.path)
    again = reproduction.reproduce("toy", out=reproduced.path, **OPTIONS)
    assert times(reproduced.path) == before
    assert again.to_dict() == reproduced.to_dict()


def test_another_table_in_the_same_folder_takes_its_runs(reproduced, monkeypatch):
    other = Table.from_toml(
        'title = "t"\nsource = "s"\n[[rows]]\nlabel = "a"\nrecipe = "ce"\ndata = "cifar100-lt"\n'
        'imbalance_ratio = 20\n[[rows]]\nlabel = "b"\nrecipe = "crt-continued"\n'
        'data = "cifar10-lt"\nimbalance_ratio = 20\n'
    )
    monkeypatch.setattr(tables, "load", lambda name: other)
    before = times(reproduced.path)
    result = reproduction.reproduce("other", out=reproduced.path, **OPTIONS)
    a, b = (row.result.results[0] for row in result.rows)
    # Only `a` is new, and its first stage is that of a run of the other table.
    assert a["stage1_from"].replace("\\", "/") == "../crt-continued-seed0"
    assert b == reproduced.rows[0].result.results[0]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert (reproduced.path / "toy.md").is_file() and (reproduced.path / "other.md").is_file()


def test_data_that_cannot_be_had_costs_its_own_rows_only(reproduced, monkeypatch, tmp_path):
    def load(choice, real=parts.load_data):
        if choice.imbalance_ratio == 25:
            raise ValueError("The download failed.\nReceived: x=1")
        return real(choice)

    out = tmp_path / "out"
    shutil.copytree(reproduced.path, out)
    monkeypatch.setattr(parts, "load_data", load)
    # What is finished is shown even so.
    assert reproduction.reproduce("toy", out=out, **OPTIONS).missing == {}
    shutil.rmtree(out / "digits-lt-25")
    result = reproduction.reproduce("toy", out=out, **OPTIONS)
    assert result.missing == {"The download failed. Received: x=1": ["CE (cifar10-lt 50)"]}
    assert [row.result is None for row in result.rows] == [False, False, True, False]
    assert result.rows[0].result == reproduced.rows[0].result
    assert "Missing: CE (cifar10-lt 50): The download failed." in result.text()
    row = next(line for line in result.text().splitlines() if line.startswith("CE "))
    assert row.split()[:7] == ["CE", "cifar10-lt", "50", "digits-lt-25", "60.00", "-", "-"]
    content = json.loads((out / "toy.json").read_text())
    assert content["complete"] is False
    assert content["rows"][2]["missing"].startswith("The download failed.")
    assert content["rows"][2]["ours"]["mean"] is None
    assert json.loads((out / "state.json").read_text())["status"] == "incomplete"


def test_a_run_that_fails_costs_its_own_rows_only(reproduced, monkeypatch, tmp_path):
    def fail(plan, shown, clock, *options, **named):
        raise RuntimeError(f"out of memory\nin {plan.path.name}")

    out = tmp_path / "out"
    shutil.copytree(reproduced.path, out)
    shutil.rmtree(out / "digits-lt-10" / "ccsam-stage2-strength-0.5-seed0")
    monkeypatch.setattr(
        importlib.import_module("keras_ccsam.reproduction.reproduce"), "train", fail
    )
    result = reproduction.reproduce("toy", out=out, **OPTIONS)
    reason = "training failed: RuntimeError: out of memory in digits-lt-10"
    assert result.missing == {reason: ["cRT + both (cifar10-lt 20)"]}
    assert result.rows[0].result == reproduced.rows[0].result


def test_a_run_that_diverges_costs_its_own_row_only(reproduced, monkeypatch, tmp_path):
    def diverge(recipe, *arguments, **options):
        raise FloatingPointError(f"{recipe.name}\nis no longer finite")

    out, name = tmp_path / "out", "ccsam-stage2-strength-0.5"
    shutil.copytree(reproduced.path, out)
    shutil.rmtree(out / "digits-lt-10" / f"{name}-seed0")
    monkeypatch.setattr(experiment, "run_or_resume", diverge)
    with pytest.warns(UserWarning, match=f"{name}-seed0 diverged"):
        result = reproduction.reproduce("toy", out=out, **OPTIONS)
    reason = f"diverged with seed 0: {name} is no longer finite"
    assert result.missing == {reason: ["cRT + both (cifar10-lt 20)"]}
    assert result.rows[0].result == reproduced.rows[0].result


def test_refusals(reproduced, monkeypatch, tmp_path):
    def refused(message, **changes):
        with pytest.raises(ValueError, match=message):
            reproduction.reproduce("toy", **({"out": tmp_path / "x"} | OPTIONS | changes))
        assert not (tmp_path / "x").exists()

    refused(r"must be one of tiny, small, full; did you mean 'small'\?", scale="smal")
    refused(r"full\. Received: scale='x'", scale="x")
    refused("`seeds` must be", seeds=0)
    refused("did you mean 'stage1.epochs'", overrides=["stage1.epocs=3"])
    refused("perturb='foo'", overrides=[*QUICK, "stage1.method=class_conditional",
                                        "stage1.method.perturb=foo"])  # fmt: skip
    refused("takes no path", data_path=tmp_path)
    refused("a run of another recipe named 'crt-continued'", out=reproduced.path,
            overrides=[*QUICK, "stage1.lr=0.3"])  # fmt: skip
    refused("at the scale 'tiny'; name another", out=reproduced.path, scale="full", overrides=[])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("precious")
    refused("not empty", out=tmp_path / "taken")
    only_ce = Table.from_toml(TABLE.replace("crt-continued", "ce").replace("ccsam-stage2", "sam")
                              .replace('["stage2.strength=0.5"]', "[]"))  # fmt: skip
    monkeypatch.setattr(tables, "load", lambda name: only_ce)
    refused("'ce' has no second stage", overrides=["stage2.epochs=3"])


def test_the_plan_counts_what_is_left(tmp_path, reproduced):
    options = {"overrides": QUICK}
    plan = reproduction.plan_reproduction("toy", "tiny", 2, tmp_path / "x", **options)
    text = plan.text()
    assert not (tmp_path / "x").exists()
    assert re.search(r"runs +6, of which 0 are finished", text)
    assert re.search(r"stage 1 +4 to train", text)
    assert plan.without_stage2 == ("ce",)
    text = reproduction.plan_reproduction("toy", "tiny", [0], reproduced.path, **options).text()
    assert re.search(r"runs +3, of which 3 are finished", text)
    assert re.search(r"stage 1 +0 to train", text)


@pytest.mark.parametrize(
    ("scale", "folders"),
    [
        ("small", ["cifar10-lt-small-20", "cifar10-lt-small-50", "cifar100-lt-small-20"]),
        ("full", ["cifar10-lt-20", "cifar10-lt-50", "cifar100-lt-20"]),
    ],
)
def test_the_scale_is_the_setting(scale, folders):
    plan = reproduction.plan_reproduction("toy", scale, data_path='/a "b"/1')
    assert plan.path.as_posix() == f"runs/reproduce-{scale}"
    assert [folder.name for folder in plan.groups()] == folders
    assert {row.recipe.data.path for row in plan.rows} == {'/a "b"/1'}
    assert plan.overrides == ()
    assert {row.recipe.model.backbone.name for row in plan.rows} == {
        {"small": "resnet14", "full": "resnet32"}[scale]
    }


def result(*numbers):
    """A recipe's row with an accuracy and a time for each seed."""
    return Row("x", "", "d", tuple({"test": {"overall": a, "groups": {"few": a / 2}},
                                    "ms_per_step": ms} for a, ms in numbers))  # fmt: skip


def made(text, *results, **changes):
    """A reproduction of given results."""
    table = Table.from_toml(text)
    plan = reproduction.plan_reproduction("toy", "full")
    rows = tuple(
        ReproducedRow(source, plan.rows[0].recipe, plan.path / "x", found, "" if found else "why")
        for source, found in zip(table.rows, results, strict=True)
    )
    options = {"scale": "full", "seeds": (0, 1), "overrides": ()} | changes
    return Reproduction("toy", table, backend="b", path=plan.path, rows=rows, **options)


def test_the_full_scale_shows_the_difference():
    numbers = [result((0.68, 1.0), (0.70, 1.0)), result((0.72, 1.0), (0.72, 1.0)), None, None]
    full = made(TABLE, *numbers)
    header, cells = full.cells()
    assert header == ["row", "data", "published", "ours", "difference", "published gain",
                      "our gain", "many", "medium", "few"]  # fmt: skip
    assert cells[0] == ["cRT", "cifar10-lt 20", "70.00", "69.00 ± 1.41", "-1.00", "-", "-", "-",
                        "-", "34.50 ± 0.71"]  # fmt: skip
    assert cells[1][3:7] == ["72.00 ± 0.00", "+0.50", "+1.50", "+3.00"]
    assert cells[3][2:5] == ["-", "-", "-"]
    assert "the paper's network and schedule" in full.caption()
    assert "mean ± standard deviation over 2 seeds (0, 1)" in full.caption()


def test_times_are_ratios_to_the_base_row_of_the_same_seed():
    text = TABLE.replace('title = "Toy"', 'title = "Toy"\nmeasure = "time"')
    numbers = [result((0.5, 2.0), (0.5, 4.0)), result((0.5, 3.0), (0.5, 8.0)), None, None]
    times = made(text.replace("70.0", "0.5").replace("71.5", "0.8"), *numbers)
    header, cells = times.cells()
    assert header == ["row", "data", "published h", "published ratio", "our ratio", "ms/step"]
    assert cells[0][2:] == ["0.50", "1.00", "1.00 ± 0.00", "3.00 ± 1.41"]
    assert cells[1][2:] == ["0.80", "1.60", "1.75 ± 0.35", "5.50 ± 3.54"]
    assert times.to_dict()["rows"][1]["published"] == pytest.approx(1.6)
    unknown = made(text, result((0.5, None)), result((0.5, 3.0)), None, None)
    assert unknown.cells()[1][1][4] == "-"


def test_the_best_row_is_named():
    text = TABLE.replace('title = "Toy"', 'title = "Toy"\npublished_best = "CE"')
    numbers = [result((0.5, 1.0), (0.9, 1.0)), result((0.6, 1.0), (0.7, 1.0)), None, None]
    found = made(text, *numbers)
    assert "Best here: cRT; published as best: CE." in found.caption()
    assert (found.to_dict()["best"], found.to_dict()["published_best"]) == (["cRT"], "CE")
    numbers[1] = result((0.9, 1.0), (0.5, 1.0))
    assert "Best here: cRT, cRT + both; published" in made(text, *numbers).caption()
    assert "Best here" not in made(text, None, None, None, None).caption()
