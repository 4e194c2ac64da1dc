"""How often a run looks at its validation split while it trains changes no number of it."""

import importlib

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import cli
from keras_ccsam import comparison, runs
from keras_ccsam.runs import experiment
from keras_ccsam.runs.asked import Asked
from keras_ccsam.runs.run_directory import RunDirectory, write_json

pytestmark = pytest.mark.any_backend

TIMES = ("seconds", "ms_per_step")
SPLIT = "data.validation_fraction=0.2"


def without(record, *prefixes):
    return {k: v for k, v in record.items() if k not in TIMES and not k.startswith(prefixes)}


def numbers(run):
    """What a run found and left: results, both stages' weights."""
    directory = RunDirectory(run)
    first = runs.open_run(run).stage1_model()
    kept = [*first.variables, *first.optimizer.variables]
    left = [*directory.model().get_weights(), *map(keras.ops.convert_to_numpy, kept)]
    return without(directory.results(), "digest", "stage1_digest"), left


@pytest.mark.parametrize("every", [0, 2])
def test_no_bit_depends_on_it(small, finished, tmp_path, every):
    """Weights of both stages, the optimizer and all results are those of a run that does so."""
    found = runs.run(finished.recipe, tmp_path / "run", progress="none", validate_every=every)
    for a, b in zip(numbers(finished.path)[1], numbers(found.path)[1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert numbers(finished.path)[0] == numbers(found.path)[0]
    known, records = (RunDirectory(path).metrics() for path in (finished.path, found.path))
    assert [without(r, "val_") for r in known] == [without(r, "val_") for r in records]
    first = [record for record in records if record["stage"] == 1]
    wanted = [bool(every) and not r["epoch"] % every for r in first]
    assert ["val_loss" in record for record in first] == wanted
    assert len(first) >= 2  # so that 2 and 0 differ
    for record, other in zip(records, known, strict=True):
        assert "val_loss" not in record or record["val_loss"] == other["val_loss"]


class Cut(BaseException):
    """In place of a kill."""


def test_a_run_that_goes_on_remembers_it(small, finished, tmp_path, monkeypatch):
    recipe = finished.recipe

    def cut(self, epoch, logs=None):
        if epoch:
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr("keras_ccsam.callbacks.metrics_log.MetricsLog.on_epoch_begin", cut)
        with pytest.raises(Cut):
            runs.run(recipe, tmp_path / "run", progress="none", validate_every=0, save_every=1)
    assert RunDirectory(tmp_path / "run").environment()["asked"]["validate_every"] == 0
    experiment.run_or_resume(recipe, tmp_path / "run", progress="none", validate_every=1)
    assert not any("val_loss" in r for r in RunDirectory(tmp_path / "run").metrics())
    assert numbers(tmp_path / "run")[0] == numbers(finished.path)[0]


def test_a_run_of_an_earlier_version_validated_each_epoch(finished, tmp_path):
    directory = RunDirectory(tmp_path)
    told = dict(RunDirectory(finished.path).environment())
    told["asked"] = {k: v for k, v in told["asked"].items() if k != "validate_every"}
    write_json(directory.environment_file, told)
    assert Asked.of(directory).validate_every == 1


def test_a_comparison_hands_it_to_every_run(small, tmp_path, monkeypatch):
    chosen = [small("ce", SPLIT), small("crt", SPLIT)]
    found = comparison.compare(chosen, 1, tmp_path / "a", progress="none", validate_every=0)
    for path in ("ce-seed0", "crt-seed0"):
        assert not any("val_loss" in r for r in RunDirectory(found.path / path).metrics())
    given = {}

    def launched(*_, **options):
        given.update(options)
        return ()

    module = importlib.import_module("keras_ccsam.comparison.compare")
    monkeypatch.setattr(module, "launched", launched)
    options = {"progress": "none", "launcher": object(), "validate_every": 3}
    with pytest.raises(IndexError):  # nothing was trained, and nothing is missing
        comparison.compare(chosen, 1, tmp_path / "b", **options)
    assert given["validate_every"] == 3


@pytest.mark.parametrize("value", [-1, 1.5, True, "2"])
def test_what_is_no_number_of_epochs_is_refused_before_anything_is_written(small, tmp_path, value):
    message = f"`validate_every` must be a whole number.*Received: validate_every={value!r}"
    out = tmp_path / "run"
    with pytest.raises(ValueError, match=message):
        runs.run(small("ce"), out, validate_every=value)
    with pytest.raises(ValueError, match=message):
        comparison.compare([small("ce")], out=out, validate_every=value)
    with pytest.raises(ValueError, match=message):
        comparison.sweep("stage1.lr", [0.1, 0.2], "ce", out=out, validate_every=value)
    assert not out.exists()


@pytest.mark.parametrize("words", [["train", "ce"], ["compare", "ce"], ["sweep", "stage1.lr"]])
def test_the_commands_hand_it_on(words, tmp_path, monkeypatch):
    class Seen(RuntimeError):
        pass

    def note(*_, validate_every, **__):
        raise Seen(str(validate_every))

    monkeypatch.setattr(experiment, "run", note)
    monkeypatch.setattr(runs, "run", note)
    monkeypatch.setattr(comparison, "compare", note)
    monkeypatch.setattr(comparison, "sweep", note)
    line = [*words, "--out", str(tmp_path / "x"), "--validate-every"]
    if words[0] == "sweep":
        line = [*words, "--values", "0.1,0.2", *line[2:]]
    assert "4" in CliRunner().invoke(cli, [*line, "4"]).output
    refused = CliRunner().invoke(cli, [*line, "-1"])
    assert refused.exit_code == 2 and "--validate-every" in refused.output
