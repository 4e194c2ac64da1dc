"""A tournament from end to end: what it may see, what it leaves, and that it goes on."""

import json
import shutil

import keras
import numpy as np
import pytest

from keras_ccsam import runs
from keras_ccsam.auto import auto, plan_auto
from keras_ccsam.auto.kinds import KINDS
from keras_ccsam.auto.lost import RunLost
from keras_ccsam.auto.record import Record
from keras_ccsam.auto.tournament import Tournament
from keras_ccsam.auto.uncertainty import difference, estimate
from keras_ccsam.auto.weighing import weighed
from keras_ccsam.data.sources import digits
from keras_ccsam.launching import Outcome
from keras_ccsam.runs import claim, experiment, parts
from keras_ccsam.runs.run_directory import RunDirectory
from tests.auto.conftest import hide_test_images
from tests.launching.same_runs import assert_same
from tests.launching.test_compared import Here

# What a backend could change of a tournament is tested in test_own_images.py and test_backbone.py.
pytestmark = pytest.mark.any_backend

TOLD = ("chosen", "validation", "rivals", "rungs", "left_out", "test", "trained", "data")


def told(result):
    """What a tournament came to, without its times."""
    return {key: result.content[key] for key in TOLD}


def test_no_test_image_is_looked_at_before_the_end(played):
    """Its test images failed whoever looked, but for the one run without a validation split."""
    finished = {path.parent for path in played.path.rglob("results.json")}
    tested = {path for path in finished if "test" in RunDirectory(path).results()}
    assert tested == {played.path / "winner"}


def test_where_the_test_images_are_looked_at_all_is_chosen(options, monkeypatch, tmp_path):
    """And whoever looks at what is hidden above fails."""
    hide_test_images(monkeypatch)
    with pytest.raises(AssertionError, match="looked at"):
        auto(out=tmp_path / "out", refit=False, **options)
    state = json.loads((tmp_path / "out" / "state.json").read_text())
    assert state["status"] == "failed"
    last = tmp_path / "out" / "rung-2"
    assert len(list(last.glob("*/results.json"))) == 2
    assert (tmp_path / "out" / "winner" / "recipe.toml").is_file()


def test_it_says_what_it_chose_and_by_how_much(played):
    content = json.loads((played.path / "auto.json").read_text())
    assert content | {"path": str(played.path)} == json.loads(json.dumps(played.to_dict()))
    last = {row["recipe"]: row for row in content["rungs"][-1]["results"]}
    assert content["chosen"] == max(last, key=lambda name: last[name]["weighed"])
    assert content["validation"]["balanced"] == last[content["chosen"]]["balanced"]
    names = {rival["recipe"] for rival in content["rivals"]} | {content["chosen"]}
    assert names == {"ce", "la", "la-posthoc", "crt"}
    # Every number again, from the files of the runs.
    labels = parts.load_data(RunDirectory(played.path / "rung-1/ce-seed0").recipe().data)
    labels = labels.y_validation

    def right(rung, name):
        path = played.path / f"rung-{rung}" / f"{name}-seed0"
        return [np.asarray(RunDirectory(path).validation() == labels, "float64")]

    for rung in content["rungs"]:
        rights = {row["recipe"]: right(rung["rung"], row["recipe"]) for row in rung["results"]}
        ranked = weighed(rights, labels, {name: KINDS[name].expected for name in rights})
        assert ranked.images == rung["images_weigh"]
        for row in rung["results"]:
            assert row["weighed"] == ranked.scores[row["recipe"]]
            found = estimate(right(rung["rung"], row["recipe"]), labels)
            assert (row["balanced"], row["error"]) == (found.balanced, found.error)
            run = RunDirectory(played.path / f"rung-{rung['rung']}" / f"{row['recipe']}-seed0")
            assert row["balanced"] == pytest.approx(run.results()["validation"]["balanced"])
    for rival in content["rivals"]:
        rung = rival["rung"]
        pair = (right(rung, name) for name in (content["chosen"], rival["recipe"]))
        lead = difference(*pair, labels, among=len(content["rungs"][0]["results"]))
        assert rival["lead"] == lead.to_dict()
    text = (played.path / "summary.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {content['chosen']}: what was chosen for digits-lt\n")
    assert f"Chosen: {content['chosen']} (" in text and "same images" in text
    assert "on training and validation images together (519)" in text
    assert f"balanced {100 * content['test']['balanced']:.1f} %" in text
    assert text.count("| recipe | balanced | weighed |") == 2
    assert f"The next best, {content['rivals'][0]['recipe']}," in played.text()


def test_the_winner_is_trained_on_all_images_and_handed_over(played):
    winner = RunDirectory(played.path / "winner")
    assert winner.recipe().data.validation_fraction == 0
    assert sum(winner.results()["class_counts"]) == 519
    assert winner.results()["test"] == played.content["test"]
    assert played.model_file.read_bytes() == winner.model_file.read_bytes()
    model = keras.models.load_model(played.model_file, compile=False)
    images = parts.load_data(winner.recipe().data)
    report = runs.evaluate_run(winner.path)
    predicted = model.predict(images.x_test, verbose=0).argmax(axis=1)
    assert (predicted == images.y_test).mean() == pytest.approx(report.overall)
    assert (played.path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_runs_of_a_rung_are_judged_at_their_end_alone(played):
    run = RunDirectory(played.path / "rung-1" / "ce-seed0")
    assert run.environment()["asked"]["validate_every"] == 0
    assert "val_loss" not in (run.path / "metrics.jsonl").read_text(encoding="utf-8")


def test_first_stages_are_shared(played):
    rung = played.path / "rung-1"
    lenders = {
        path.parent.name: RunDirectory(path.parent).results()["stage1_from"]
        for path in rung.glob("*/results.json")
    }
    assert {name for name, lender in lenders.items() if lender} == {
        "la-posthoc-seed0", "crt-seed0",
    }  # fmt: skip


class Killed(BaseException):
    """Ends a tournament as a signal would."""


def test_killed_again_and_again_it_goes_on_and_chooses_the_same(
    played, options, monkeypatch, tmp_path
):
    """In its first, third, fifth and last run; each goes on with what the one before it left."""
    out, began, kept = tmp_path / "out", [], {}
    run = experiment.run

    def times():
        return {path: path.stat().st_mtime_ns for path in out.rglob("results.json")}

    def mortal(recipe, path, **arguments):
        began.append(path)
        if len(began) == fatal:
            # In the middle of a run, whose folder stays behind, or just as it begins.
            left = RunDirectory(path)
            left.create(recipe, {})
            if fatal == 4:
                left.recipe_file.unlink()
            raise Killed
        return run(recipe, path, **arguments)

    monkeypatch.setattr(experiment, "run", mortal)
    for kills, fatal in enumerate((1, 4, 7, 10), start=1):
        with pytest.raises(Killed):
            auto(out=out, **options)
        now = times()
        assert len(now) == fatal - kills
        assert {path: now[path] for path in kept} == kept
        kept = now
        # As a kill leaves it: half a line in the study, and nobody who wrote how it ended.
        with (out / "study.log").open("ab") as file:
            file.write(b'{"op_code":')
        (out / "study.log.lock").write_text("")
    fatal = None
    result = auto(out=out, **options)
    assert told(result) == told(played)
    now = times()
    assert {path: now[path] for path in kept} == kept
    assert len(began) == 11  # seven runs, four of them twice
    assert len(list(out.rglob("*.incomplete-1"))) == 4
    assert json.loads((out / "state.json").read_text())["status"] == "complete"


def test_a_finished_tournament_is_read(played, options, monkeypatch, tmp_path):
    monkeypatch.setattr(digits, "load_digits", lambda: pytest.fail("images were read"))
    out = tmp_path / "out"
    shutil.copytree(played.path, out)
    again = auto(out=out, **options)
    assert again.content == played.content
    for changed, words in (
        ({"budget": "101h"}, "differs in budget"),
        ({"refit": False}, "differs in refit"),
        ({"seeds": [1]}, "differs in recipes, seeds"),
        ({"recipes": ("ce", "crt")}, "differs in recipes"),
    ):
        with pytest.raises(ValueError, match=rf"{words}: give what .*Received: out="):
            auto(out=out, **(options | changed))


def test_two_at_once_are_refused(options, monkeypatch, tmp_path):
    monkeypatch.setattr(claim.writer, "standing", lambda process: claim.writer.HERE)
    out = tmp_path / "out"
    out.mkdir()
    state = {"kind": "auto", "status": "running", "process": {"pid": 7}}
    (out / "state.json").write_text(json.dumps(state))
    with pytest.raises(ValueError, match=r"another process \(7\) trains in this folder"):
        auto(out=out, **options)
    assert [path.name for path in out.iterdir()] == ["state.json"]


def test_what_is_wrong_is_said_before_anything_is_written(options, tmp_path):
    out = tmp_path / "out"
    wrong = {
        "a budget": ({"budget": "soon"}, "must be a time above 0.*Received: budget='soon'"),
        "a small one": ({"budget": "0.1s"}, "the budget is too small: ce and .* alone need about"),
        "a share": ({"validation_fraction": 1.0}, "validation_fraction.*Received"),
        "a name": ({"recipes": ("ce", "lda")}, "did you mean"),
        "twice": ({"recipes": ("ce", "ce")}, "each recipe takes part once"),
        "seeds": ({"seeds": 0}, "`seeds` must be"),
        "data": ({"data": "digit-lt"}, "did you mean 'digits-lt'"),
        "a model": (
            {"overrides": (*options["overrides"], "model.backbone.width=0")},
            "width.*Received",
        ),
    }
    for changed, words in wrong.values():
        with pytest.raises(ValueError, match=words):
            auto(**({"out": out} | options | changed))
        assert not out.exists()
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ValueError, match="not empty"):
        auto(out=tmp_path, **options)
    assert (tmp_path / "mine").read_text() == "x"


def test_a_plan_reads_no_image_and_writes_nothing(options, monkeypatch, tmp_path):
    monkeypatch.setattr(digits, "load_digits", lambda: pytest.fail("images were read"))
    monkeypatch.chdir(tmp_path)
    named = {key: options[key] for key in ("recipes", "overrides", "budget")}
    plan = plan_auto("digits-lt", **named)
    text = plan.text()
    assert "rung 1/2   4 recipes, 5 of 8 epochs" in text
    assert "103 held out to choose by, 500 to test on, unseen to the end" in text
    assert "warning    3 classes have fewer than 5 validation images" in text
    content = json.loads(json.dumps(plan.to_dict()))
    assert [rung["recipes"] for rung in content["rungs"]] == [4, 2]
    assert content["ladder"]["seconds"] > 0
    assert list(tmp_path.iterdir()) == []


def test_time_that_runs_out_ends_the_tournament_early(options, monkeypatch, tmp_path):
    spend = Record.spend
    monkeypatch.setattr(Record, "spend", lambda self, seconds: spend(self, 1e5))
    result = auto(out=tmp_path / "out", **options)
    assert result.content["cut_after_rung"] == 1
    assert len(result.content["rungs"]) == 1
    # At least as long as it was trained to be chosen.
    assert result.content["trained"]["epochs"] >= 5
    first = {row["recipe"]: row["weighed"] for row in result.content["rungs"][0]["results"]}
    assert first[result.chosen] == max(first.values())
    # It is written down, and holds for whoever goes on.
    (result.path / "auto.json").unlink()
    monkeypatch.setattr(Record, "spend", spend)
    assert told(auto(out=result.path, **options)) == told(result)


@pytest.mark.filterwarnings("ignore:crt-seed0 diverged. no longer finite:UserWarning")
def test_a_recipe_that_diverges_is_out(options, monkeypatch, tmp_path):
    """Even where what papers report of it outweighs a few images."""
    run = experiment.run

    def diverging(recipe, *arguments, **chosen):
        if recipe.name == "crt":
            raise FloatingPointError("no longer finite")
        return run(recipe, *arguments, **chosen)

    monkeypatch.setattr(experiment, "run", diverging)
    changed = options | {"recipes": ("ce", "crt"), "refit": False}
    result = auto(out=tmp_path / "out", **changed)
    assert result.chosen == "ce"
    last = {row["recipe"]: row for row in result.content["rungs"][-1]["results"]}
    assert last["crt"]["balanced"] == last["crt"]["weighed"] == 0.0


def test_several_seeds_on_the_last_rung(options, tmp_path):
    changed = options | {"recipes": ("la", "crt"), "seeds": 2, "refit": False}
    result = auto(out=tmp_path / "out", **changed)
    runs_of = sorted(path.parent.name for path in (result.path / "rung-1").glob("*/results.json"))
    assert runs_of == ["crt-seed0", "crt-seed1", "la-seed0", "la-seed1"]
    balanced = [
        RunDirectory(result.path / "rung-1" / f"{result.chosen}-seed{seed}").results()
        for seed in (0, 1)
    ]
    mean = np.mean([one["validation"]["balanced"] for one in balanced])
    assert result.content["validation"]["balanced"] == pytest.approx(mean)
    assert "One seed each" not in result.text()
    # Not trained again: the first seed's run, with its validation split, and now tested.
    winner = RunDirectory(result.path / "winner").results()
    assert winner["stage1_from"].replace("\\", "/") == f"../rung-1/{result.chosen}-seed0"
    assert winner["validation"] == balanced[0]["validation"]
    assert "The network is that of the last rung" in result.text()


def test_a_launcher_trains_the_runs_with_the_same_bits_and_what_it_loses_is_no_zero(
    played, options, tmp_path
):
    out, lost = tmp_path / "out", {"la-seed0": [Outcome("failed", "its own mistake")]}
    with pytest.raises(RunLost, match="la, seed 0, has no results: its own mistake"):
        auto(out=out, **options, launcher=Here(lost))
    assert json.loads((out / "state.json").read_text())["status"] == "failed"
    launcher = Here()
    again = auto(out=out, **options, launcher=launcher)
    assert again.chosen == played.chosen
    assert launcher.begun[-1][0] == "winner"
    for name in (f"rung-1/{played.chosen}-seed0", "winner"):
        assert_same(played.path / name, out / name)


def test_one_recipe_alone_is_trained_and_tested(options, tmp_path):
    result = auto(out=tmp_path / "out", **(options | {"recipes": ("crt",)}))
    assert (result.chosen, result.content["validation"]) == ("crt", None)
    assert result.content["test"]["num_samples"] == 500
    assert "stood alone" in result.text()
    assert not (result.path / "study.log").exists()


def test_data_that_changed_is_not_judged(played, options, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(played.path, out)
    (out / "auto.json").unlink()
    RunDirectory(out / "rung-1" / "ce-seed0").write_validation(np.zeros(7))
    with pytest.raises(ValueError, match="other validation images than the data has now"):
        auto(out=out, **options)


def test_a_rung_is_played_by_the_plan(played):
    assert Tournament.__doc__
    plan = json.loads((played.path / "plan.json").read_text())
    assert [rung["count"] for rung in plan["ladder"]["rungs"]] == [4, 2]
    assert set(plan["paces"]) == {"ce", "la", "la-posthoc", "crt"}
