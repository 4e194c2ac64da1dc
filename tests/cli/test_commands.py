"""The commands, from the recipe to the table, on the embedded digits and as small as it goes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result
from keras_ccsam_cli import console
from keras_ccsam_cli.main import COMMANDS, cli
from keras_ccsam_cli.options import Choices

from tests import run_pictures

SHORT = ("--epochs", "1", "--set", "stage2.epochs=1", "--set", "stage1.warmup_epochs=0")


def noise(*shape: int) -> np.ndarray:
    """Pixels in which something can be seen: constant images are warned of."""
    return np.random.default_rng(0).integers(0, 256, shape, "uint8")


def ccsam(*arguments: str | Path) -> Result:
    """Run a command that has to succeed."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of the default recipe."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    with run_pictures.drawn():
        result = ccsam("train", *SHORT, "--out", folder)
    # Not a terminal: one line per epoch, and the stages are told apart.
    epochs = [line[:9] for line in result.stdout.splitlines() if "epoch 1/1" in line]
    assert epochs == ["stage 1/2", "stage 2/2"]
    assert "note: the imbalance ratio is 128 / 2 = 64 in place of 50" in result.stdout
    assert str(folder) in result.stdout
    for word in ("many", "medium", "few", "balanced"):
        assert word in result.stdout
    return folder


@pytest.mark.any_backend
def test_train_writes_the_run_directory(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert {
        "recipe.toml",
        "environment.json",
        "indices.npz",
        "metrics.jsonl",
        "metrics.csv",
    } <= names
    assert {"checkpoints", "model.keras", "results.json", "plots"} <= names
    assert {path.suffix for path in (run / "plots").iterdir()} == {".png"}
    assert not [path for path in run.rglob("*") if "tmp" in path.name]


@pytest.mark.any_backend
def test_train_does_not_overwrite_a_run(run: Path) -> None:
    before = (run / "results.json").read_bytes()
    result = CliRunner().invoke(cli, ["train", *SHORT, "--out", str(run)])
    assert result.exit_code == 2
    assert (run / "results.json").read_bytes() == before


@pytest.mark.any_backend
def test_evaluate_gives_the_numbers_of_the_run(run: Path) -> None:
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    again = json.loads(ccsam("evaluate", run, "--json").stdout)
    assert again["overall"] == pytest.approx(results["test"]["overall"], abs=1e-9)
    assert again["confusion"] == results["test"]["confusion"]
    assert "balanced" in ccsam("evaluate", run).stdout


@pytest.mark.any_backend
def test_evaluate_on_arrays_of_ones_own(run: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 17, (30, 8, 8, 1), dtype="uint8"), np.arange(30) % 10
    np.savez(tmp_path / "own.npz", x=x, y=y)
    report = json.loads(ccsam("evaluate", run, "--arrays", tmp_path / "own.npz", "--json").stdout)
    assert report["num_samples"] == 30
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert report["class_counts"] == results["class_counts"]  # the groups are the training set's


@pytest.mark.any_backend
def test_arrays_of_ones_own_may_lack_a_class(run: Path, tmp_path: Path) -> None:
    x, y = noise(30, 8, 8, 1), np.arange(30) % 9
    np.savez(tmp_path / "own.npz", x=x, y=y)
    report = json.loads(ccsam("evaluate", run, "--arrays", tmp_path / "own.npz", "--json").stdout)
    assert report["per_class"][9] is None


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": np.full(30, 10)}, "from 0 to 9"),
        ({"x": noise(30, 9, 9, 1)}, "(8, 8, 1)"),
        ({"x": noise(29, 8, 8, 1)}, "one label per sample"),
    ],
)
def test_evaluate_refuses_arrays_that_do_not_fit(
    run: Path, tmp_path: Path, change: dict[str, np.ndarray], words: str
) -> None:
    arrays = {"x": noise(30, 8, 8, 1), "y": np.arange(30) % 10} | change
    np.savez(tmp_path / "own.npz", **arrays)
    result = CliRunner().invoke(cli, ["evaluate", str(run), "--arrays", str(tmp_path / "own.npz")])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.any_backend
def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = ccsam("train", "sam", "--epochs", "7", "--seed", "3", "--dry-run").stdout
    assert list(tmp_path.iterdir()) == []
    assert "7 epochs" in text
    assert "128 / 2 = 64 in place of 50" in text
    assert "digits-lt" in text
    assert keras.config.backend() in text


@pytest.mark.any_backend
@pytest.mark.slow
def test_compare_prints_mean_and_deviation(tmp_path: Path) -> None:
    folder = tmp_path / "comparison"
    result = ccsam("compare", "ce", "crt", *SHORT, "--seeds", "2", "--out", folder)
    assert "not applied to ce: no second stage" in result.stdout
    for word in ("many", "medium", "few", "ms/step", "±", "ce", "crt"):
        assert word in result.stdout
    table = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert [row["recipe"] for row in table["rows"]] == ["ce", "crt"]
    assert table["seeds"] == [0, 1]


@pytest.mark.any_backend
def test_reproduce_without_a_table_lists_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras_ccsam.recipes import tables

    monkeypatch.chdir(tmp_path)
    lines = ccsam("reproduce").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(tables.names())
    assert "CC-SAM appendix, Table 1" in ccsam("reproduce").stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.any_backend
def test_a_dry_run_of_a_table_loads_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = ccsam("reproduce", "table1", "--seeds", "0,4", "--epochs", "3", "--dry-run").stdout
    assert list(tmp_path.iterdir()) == []
    assert "seeds     0, 4" in text
    assert "runs      16, of which 0 are finished" in text
    assert "stage 1   8 to train" in text
    for word in ("81.14", "cifar100-lt-small-50", "3 + 30", "crt-continued", "reproduce-small"):
        assert word in text


# Two data sets as the digits: ratios 20 and 40, halved.
TOY = """
title = "Toy"
source = "Nobody"
[[rows]]
label = "CE"
recipe = "ce"
data = "cifar10-lt"
imbalance_ratio = 20
published = 77.25
[[rows]]
label = "CE, longer tail"
recipe = "ce"
data = "cifar10-lt"
imbalance_ratio = 40
"""


@pytest.mark.any_backend
@pytest.mark.slow
def test_reproduce_prints_both_numbers_and_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras_ccsam.recipes import tables
    from keras_ccsam.runs import parts

    def load(choice, real=parts.load_data):  # type: ignore[no-untyped-def]
        if choice.imbalance_ratio == 20:
            raise ValueError("The download failed. Received: name='toy'")
        return real(choice)

    monkeypatch.setattr(tables, "load", lambda name: tables.Table.from_toml(TOY))
    monkeypatch.setattr(parts, "load_data", load)
    arguments = ["reproduce", "toy", "--scale", "tiny", "--epochs", "1", "--out", str(tmp_path)]
    arguments += ["--set", "stage1.warmup_epochs=0", "--set", "model.backbone.width=4"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("ccsam: error: 1 of 2 rows are missing")
    assert len(result.stderr.splitlines()) == 1
    assert "Missing: CE, longer tail (cifar10-lt 40): The download failed." in result.stdout
    ours = json.loads((tmp_path / "toy.json").read_text())["rows"][0]["ours"]["mean"]
    row = next(line for line in result.stdout.splitlines() if line.startswith("CE  "))
    assert row.split()[:6] == ["CE", "cifar10-lt", "20", "digits-lt-10", "77.25", f"{ours:.2f}"]
    # The reason is gone: only what was missing is trained.
    monkeypatch.undo()
    monkeypatch.setattr(tables, "load", lambda name: tables.Table.from_toml(TOY))
    again = ccsam(*arguments)
    assert [text.count("ce, seed 0") for text in (result.stdout, again.stdout)] == [1, 1]
    assert "Missing" not in again.stdout


@pytest.mark.any_backend
def test_recipes_list_names_them_all() -> None:
    from keras_ccsam import recipes

    text = ccsam("recipes", "list").stdout
    assert [line.split()[0] for line in text.splitlines()[2:]] == list(recipes.names())


@pytest.mark.any_backend
def test_recipes_show_prints_toml_that_can_be_trained(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    shown = ccsam("recipes", "show", "ccsam", "--data", "cifar10-lt", "--set", "seed=5").stdout
    file.write_text(shown, encoding="utf-8")
    assert ccsam("recipes", "show", file).stdout == shown
    assert "seed = 5" in shown


@pytest.mark.any_backend
def test_data_list() -> None:
    text = ccsam("data", "list").stdout
    assert [line.split()[0] for line in text.splitlines()[2:]] == [
        "digits-lt",
        "cifar10-lt",
        "cifar10-lt-main",
        "cifar10-lt-small",
        "cifar10-lt-small-main",
        "cifar100-lt",
        "cifar100-lt-main",
        "cifar100-lt-small",
        "cifar100-lt-small-main",
        "imagenet-lt",
        "imagenet-lt-resnext50",
        "images",
        "inat2018",
        "places-lt",
    ]
    small = next(line for line in text.splitlines() if line.startswith("cifar10-lt-small"))
    assert small.split()[3:5] == ["resnet14", "20"]


@pytest.mark.any_backend
def test_a_smaller_setting_is_called_by_its_name() -> None:
    shown = ccsam("data", "describe", "cifar10-lt-small").stdout
    assert shown.startswith("cifar10-lt-small (cifar10-lt): CIFAR-10")
    assert ccsam("data", "describe", "cifar10-lt").stdout.startswith("cifar10-lt: CIFAR-10")
    plan = ccsam("train", "ce", "--data", "cifar10-lt-small", "--dry-run").stdout
    assert "\ndata      cifar10-lt-small (cifar10-lt): 12406 images" in plan


@pytest.mark.any_backend
def test_no_imbalance_ratio_keeps_every_image(tmp_path: Path) -> None:
    described = ccsam("data", "describe", "digits-lt", "--imbalance-ratio", "none").stdout
    assert "1297 training" in described
    planned = ccsam("train", "ce", "--dry-run", "--imbalance-ratio", "none", "--json").stdout
    plan = json.loads(planned)
    assert plan["recipe"]["data"]["imbalance_ratio"] == "none"
    assert sum(plan["class_counts"]) == 1297
    y = np.repeat([0, 1], [6, 2])
    np.savez(tmp_path / "own.npz", x=noise(8, 4, 4, 1), y=y)
    own = ccsam("data", "describe", str(tmp_path / "own.npz"), "--imbalance-ratio", "none").stdout
    assert "imbalance ratio: 5 / 1 = 5" in own


@pytest.mark.any_backend
def test_data_describe_draws_a_bar_per_class() -> None:
    lines = ccsam("data", "describe", "digits-lt", "--imbalance-ratio", "20").stdout.splitlines()
    bars = [line for line in lines if set("█▏▎▍▌▋▊▉") & set(line)]
    assert len(bars) == 10
    assert [len(line) for line in bars] == sorted((len(line) for line in bars), reverse=True)
    assert any("imbalance ratio" in line for line in lines)


@pytest.mark.any_backend
def test_data_describe_counts_a_download_without_fetching_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise AssertionError("it was fetched")

    monkeypatch.setattr(keras.datasets.cifar100, "load_data", refuse)
    text = ccsam("data", "describe", "cifar100-lt", "--imbalance-ratio", "50").stdout
    assert "the images were not read" in text
    assert "imbalance ratio: 500 / 10 = 50" in text
    assert "apple" in text


@pytest.mark.any_backend
def test_data_describe_of_arrays_of_ones_own(tmp_path: Path) -> None:
    y = np.repeat([0, 1, 2], [6, 3, 1])
    np.savez(tmp_path / "own.npz", x=noise(10, 4, 4), y=y, class_counts=[6, 3, 1])
    text = ccsam("data", "describe", tmp_path / "own.npz").stdout
    assert "imbalance ratio: 5 / 1 = 5" in text and "log scale" in text
    # A training on the file holds out the same.
    assert "8 training, 0 validation, 2 test images" in text
    assert "note: there is no test part: 2 of 10 images are held out" in text
    assert "warning: 1 class has no test image: 2" in text
    none = ccsam("data", "describe", tmp_path / "own.npz", "--set", "data.test_fraction=0").stdout
    assert "warning: no class has a test image" in none
    # In thirds, as a training on the file has them.
    assert "classes: 1 many, 1 medium, 1 few" in text


@pytest.mark.any_backend
def test_choices_become_overrides_and_set_goes_last() -> None:
    choices = Choices(data_path='a "b"/1.5', seed=0, epochs=3, settings=("seed=1",))
    assert choices.overrides() == (
        'data.path="a \\"b\\"/1.5"',
        "seed=0",
        "stage1.epochs=3",
        "seed=1",
    )
    assert Choices().overrides() == ()


@pytest.mark.any_backend
def test_a_protocol_of_the_paper_is_a_setting_of_the_dataset() -> None:
    assert Choices(dataset="cifar10-lt", protocol="main").dataset == "cifar10-lt-main"
    assert Choices(dataset="cifar100-lt-small-main", protocol="ablation").dataset == (
        "cifar100-lt-small"
    )
    assert Choices(dataset="cifar10-lt-main").dataset == "cifar10-lt-main"
    with pytest.raises(ValueError, match=r"are of cifar10-lt, .*protocol='main' with data=None"):
        Choices(protocol="main")
    with pytest.raises(ValueError, match="did you mean 'main'"):
        Choices(dataset="cifar10-lt", protocol="mian")
    text = ccsam("train", "ccsam-paper", "--data", "cifar10-lt", "--protocol", "main", "--dry-run")
    assert "cifar10-lt-main (cifar10-lt)" in text.stdout
    assert "of each batch, BatchNorm's statistics following" in text.stdout
    shown = ccsam("recipes", "show", "ce", "--data", "cifar10-lt-main").stdout
    assert 'augment = ["crop", "flip", "auto_augment", "cutout"]' in shown


@pytest.mark.any_backend
@pytest.mark.parametrize(("value", "cells"), [(0, 0), (0.01, 1), (50, 20), (100, 40)])
def test_bars(value: float, cells: int) -> None:
    assert len(console.bar(value, 100)) == cells


@pytest.mark.any_backend
def test_every_command_is_named_in_its_own_file() -> None:
    folder = Path(__file__).resolve().parents[2] / "cli" / "commands"
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(COMMANDS)


# The first command imports Keras, and the second one asks where it computes.
BOTH = """
import sys
from keras_ccsam_cli.main import main
for words in (["train", "--dry-run"], ["doctor", "--full", "--device", "cpu"]):
    try:
        main(args=[*words, "--backend", sys.argv[1]])
    except SystemExit as stop:
        assert not stop.code, stop.code
"""


@pytest.mark.slow
def test_the_backend_is_chosen_before_keras_is_imported(tmp_path: Path) -> None:
    """And nothing is printed beside the plan.

    In a process of its own: this is what the other tests cannot show. Keras imports TensorFlow,
    where it is installed, and TensorFlow announces itself on stderr.
    """
    backend = keras.config.backend()
    left_out = ("KERAS_BACKEND", "PYTHONPATH")  # with which TensorFlow would not be found
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    result = subprocess.run(
        [sys.executable, "-c", BOTH, backend],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    # TensorFlow's CUDA build says where it finds no driver: a machine's fact, not the banner.
    lines = [line for line in result.stderr.splitlines() if "failed call to cuInit" not in line]
    assert lines == []
    assert result.stdout.startswith("recipe ")
    assert f"started  {backend} computes on cpu" in result.stdout
