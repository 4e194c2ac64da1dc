"""An error that needs no Keras to be found is said before Keras is imported, within two seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from keras_ccsam_cli import light, options
from keras_ccsam_cli.main import cli

from keras_ccsam import duration, hints, json_lines, writer
from keras_ccsam.comparison import plan as comparison_plan
from keras_ccsam.data.sources import recognise
from keras_ccsam.recipes import known, shipped, tables
from keras_ccsam.reproduction import scales
from keras_ccsam.runs import folders, lock
from keras_ccsam.trackers import known as trackers

pytestmark = pytest.mark.any_backend

DEEP = 20_000
# The command line, and what the one line says.
CASES = [
    (["train", "ccsamm"], "did you mean 'ccsam'"),
    (
        ["train", "mine.toml"],
        "there is no such recipe file: 'mine.toml'; did you mean 'mime.toml'?",
    ),
    (["train", "ce.toml"], "the package's own recipe is called 'ce'"),
    (["train", "./ce"], "the package's own recipe is called 'ce'"),
    (["train", "folder/absent"], "there is no such recipe file: 'folder/absent'"),
    (["train", "taken"], "this is a folder"),
    (["compare", "ce", "mine.tml"], "there is no such recipe file: 'mine.tml'"),
    (["recipes", "show", "x" * 5000 + ".toml"], "there is no such recipe file"),
    (["recipes", "show", "mime.toml"], "is not valid TOML"),
    *(
        ([*words, f"{kind}.toml"], "nested 32 deep, no deeper")
        for words in (["train"], ["compare", "ce"], ["recipes", "show"])
        for kind in ("list", "inline", "dotted", "header")
    ),
    (["train", "--set", "seed=" + "[" * DEEP + "]" * DEEP], "nested 32 deep, no deeper"),
    (["compare", "ce", "--set", "model.options." + "a." * DEEP + "a=1"], "nested 32 deep"),
    (["recipes", "show", "ce", "--set", "seed=" + "{a=" * DEEP + "1" + "}" * DEEP], "nested 32"),
    (["train", "--set", "stage1.epochs=99999999999999999999"], "has 64 bits"),
    (["compare", "ce", "--set", "stage1.boundaries=[99999999999999999999]"], "has 64 bits"),
    (["train", "--set", "stage1.epochs"], "reads key=value"),
    (["reproduce", "table1", "--set", "=3"], "reads key=value"),
    (["train", "--data", "digit-lt"], "did you mean 'digits-lt'"),
    (["data", "describe", "cifar"], "did you mean 'cifar10-lt'"),
    (["data", "describe", "absent.npz"], "No such file"),
    (["train", "--out", "taken"], "name another"),
    (["train", "--dry-run", "--out", "taken"], "name another"),
    (["compare", "ce", "--out", "taken"], "name another"),
    (["reproduce", "table1", "--out", "taken"], "name another"),
    (["compare", "ce", "--seeds", "0"], "at least 1"),
    (["compare", "ce", "--seeds", "9" * 5000], "at most 1000"),
    (["reproduce", "tabel1"], "did you mean 'table1'"),
    (["reproduce", "table1", "--scale", "smal"], "did you mean 'small'"),
    (["evaluate", "absent"], "there is no such folder"),
    (["watch", "absent"], "there is no such folder"),
    (["watch", "taken"], "none lies in it"),
    (["watch", "mime.toml", "--once"], "this is a file"),
    (["train", "--tracker", "wandbb"], "did you mean 'wandb'"),
    (["compare", "ce", "--tracker", "excel"], "choose from tensorboard, wandb, mlflow, trackio"),
    (["evaluate", "taken"], "it has no recipe.toml"),
    (["train", "--dry-run", "--backend", "mxnet"], "tensorflow, jax, torch"),
    (["train", "--dry-run", "--device", "tpu"], "cpu, gpu or gpu:N"),
    # What the recipe's schema has to be known for.
    (["train", "--set", "stage1.epocs=3"], "did you mean 'stage1.epochs'"),
    (["train", "--set", "model.backbone.width=99999999999999"], "must be at most 65,536"),
    (["train", "--epochs", "-1"], "stage1.epochs must be at least 1. Received: stage1.epochs=-1"),
    (["train", "--seed", "-1"], "seed must be at least 0"),
    (["train", "sam", "--set", "stage1.method.rh=1"], "did you mean 'stage1.method.rho'"),
    (["train", "--set", "stage1.method.name=samm"], "did you mean 'sam'"),
    (["train", "--set", "model.backbone=resnet33"], "did you mean 'resnet32'"),
    (["train", "--set", "stage1.boundaries=[3, 2]"], "must increase"),
    (["train", "typed.toml"], "stage1.batch_size must be a whole number"),
    (["train", "range.toml"], "stage1.lr must be above 0"),
    (["train", "ce", "--set", "stage2.epochs=3"], "'ce' has no second stage"),
    (["compare", "ce", "sam", "--set", "stage2.epochs=3"], "'ce' has no second stage"),
    (["compare", "ce", "crt", "--set", "stage2.epochs=-3"], "stage2.epochs must be at least 1"),
    (
        ["train", "--set", 'stage1.callbacks=[{name="weight_averaging", start=-1}]'],
        "stage1.callbacks[0].start must be at least 0 or above 0.",
    ),
    (["reproduce", "figure3", "--set", "stage1.epocs=3"], "did you mean 'stage1.epochs'"),
    (["recipes", "show", "ce", "--set", "stage1.lr=fast"], "stage1.lr must be a number"),
    (["reproduce", "table1", "--set", "stage1.epocs=3"], "did you mean 'stage1.epochs'"),
    (["reproduce", "table1", "--epochs", "0"], "stage1.epochs must be at least 1"),
    (["reproduce", "--set", "=3"], "reads key=value"),
    (["auto", "digit-lt"], "did you mean 'digits-lt'"),
    (["auto", "absent/photos"], "absent/photos"),
    (["auto", "digits-lt", "--recipe", "lda"], "did you mean 'ldam'"),
    (["auto", "digits-lt", "--recipe", "mime.tml"], "did you mean 'mime.toml'?"),
    (["auto", "digits-lt", "--budget", "soon"], "must be a time above 0"),
    (["auto", "digits-lt", "--budget", "-5m"], "must be a time above 0"),
    (["auto", "digits-lt", "--seeds", "0"], "at least 1"),
    (["auto", "digits-lt", "--out", "taken"], "name another"),
    (["auto", "digits-lt", "--set", "stage1.epocs=3"], "did you mean 'stage1.epochs'"),
    (["auto", "digits-lt", "--epochs", "0"], "stage1.epochs must be at least 1"),
    (["auto", "digits-lt", "--export", "onx"], "did you mean 'onnx'"),
    (["auto", "digits-lt", "--backbone", "ResNet51"], "did you mean 'ResNet50'"),
    (["auto", "digits-lt", "--backbone", "resnet8=absent.h5"], "there is no such file"),
    (["auto", "digits-lt", "--backbone", "mime.keras"], "there is no such file"),
    (["auto", "digits-lt", "--backbone", "resnet8=mime.toml"], "a file that ends in .weights.h5"),
    (["landscape", "absent", "--points", "4"], "an odd whole number of at least 3"),
    (["landscape", "absent", "--points", "1"], "an odd whole number of at least 3"),
    (["landscape", "absent", "--span", "nan"], "a number above 0. Received: nan"),
    (["landscape", "absent", "--limit", "0"], "a whole number from 1 on"),
    (["landscape", "absent", "--lines", "0"], "a whole number from 1 on"),
    (["landscape", "absent", "--seed", "-1"], "a whole number from 0 on"),
    (["sharpness", "absent", "--rho", "nan"], "a number above 0. Received: nan"),
    (["sharpness", "absent", "--radius-scale", "-1"], "a number above 0. Received: -1"),
    (["sharpness", "absent", "--probes", "2.5"], "a whole number from 0 on. Received: 2.5"),
    (["sharpness", "absent", "--eigenvalues", "-1"], "a whole number from 0 on"),
    (["sharpness", "absent", "--seed", "-1"], "a whole number from 0 on"),
    (["sharpness", "absent", "--seed", "1" + 400 * "0"], "a whole number from 0 on"),
    (["bound", "absent", "--delta", "2"], "a probability between 0 and 1. Received: 2"),
    (["bound", "absent", "--delta", "nan"], "a probability between 0 and 1. Received: nan"),
    (["export", "absent", "--temperature", "0"], "a number above 0, or auto. Received: 0"),
    (["predict", "absent", "x", "--temperature", "nan"], "a number above 0, or auto"),
    (["export", "absent", "--logit-adjustment", "-1"], "a number of at least 0. Received: -1"),
    (["predict", "absent", "x", "--logit-adjustment", "nan"], "a number of at least 0"),
    (["export", "run", "--format", "keras"], "say --force. Received: --out=run/export/model.keras"),
    (["report", "run", "--out", "taken"], "a report is a file, and this is a folder"),
    (["train", "empty.toml"], 'such as base = "ccsam" for the method that it changes'),
    (["compare", "ce", "empty.toml"], "the recipe file says nothing"),
    (["evaluate", "run", "--arrays", "a", "--data", "b"], "only one may be given. Received: --da"),
    (["train", "--resume", "held"], "trains this run; let it end. Received: run='held'"),
    (["train"], "/runs' is a file; name another. Received: out='runs'"),
    (["compare", "ce"], "/runs' is a file; name another. Received: out='runs'"),
    (["data", "describe", "digits-lt", "--profile", "expo"], "'exponential' or 'step'"),
    (["data", "describe", "digits-lt", "--imbalance-ratio", "0.5"], "must be at least 1"),
]
SCRIPT = """
import io, json, sys, time
from contextlib import redirect_stderr, redirect_stdout
from keras_ccsam_cli.main import main
found = []
for words in json.load(open("cases.json")):
    out, err, start = io.StringIO(), io.StringIO(), time.process_time()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(args=words)
        except SystemExit as stop:
            code = stop.code
    heavy = sorted({"keras", "numpy", "keras_ccsam"} & set(sys.modules))
    seconds = time.process_time() - start  # a busy machine makes nothing slower
    found.append([code, out.getvalue(), err.getvalue(), heavy, seconds])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """What each command line ends with, all from one process that must never import Keras."""
    folder = tmp_path_factory.mktemp("early")
    (folder / "taken").mkdir()
    (folder / "taken" / "notes.txt").write_text("precious", encoding="utf-8")
    (folder / "mime.toml").write_text("seed = \n", encoding="utf-8")
    (folder / "empty.toml").write_text("# base = 'sam'\n", encoding="utf-8")
    (folder / "typed.toml").write_text("[stage1]\nbatch_size = 3.5\n", encoding="utf-8")
    (folder / "range.toml").write_text('base = "sam"\n[stage1]\nlr = 0\n', encoding="utf-8")
    (folder / "run" / "export").mkdir(parents=True)
    (folder / "run" / "recipe.toml").touch()
    (folder / "run" / "export" / "model.keras").touch()
    (folder / "held").mkdir()
    (folder / "held" / "recipe.toml").touch()
    (folder / "held" / lock.NAME).write_text(json.dumps(writer.this_process()), encoding="utf-8")
    (folder / "runs").touch()
    deep = {
        "list": "seed = " + "[" * DEEP + "]" * DEEP,
        "inline": "seed = " + "{a=" * DEEP + "1" + "}" * DEEP,
        "dotted": "a." * DEEP + "a = 1",
        "header": "[" + "a." * DEEP + "a]",
    }
    for name, text in deep.items():
        (folder / f"{name}.toml").write_text(text + "\n", encoding="utf-8")
    (folder / "cases.json").write_text(json.dumps([words for words, _ in CASES]))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, cwd=folder
    )
    keys = (json.dumps(words) for words, _ in CASES)
    return dict(zip(keys, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case[0])[:60])
def test_it_is_said_at_once(case: tuple[list[str], str], answers: dict[str, list]) -> None:
    words, said = case
    code, out, err, heavy, seconds = answers[json.dumps(words)]
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert said in err
    assert heavy == [], "an error imported what takes seconds"
    assert seconds < 2


def test_the_files_read_alone_are_those_of_the_package() -> None:
    for name, module in (
        ("recipes.known", known),
        ("runs.folders", folders),
        ("reproduction.scales", scales),
        ("trackers.known", trackers),
        ("json_lines", json_lines),
        ("duration", duration),
        ("recipes.shipped", shipped),
        ("recipes.tables", tables),
        ("hints", hints),
    ):
        assert light.library(name).__file__ == module.__file__
    assert options.MAX_SEEDS == comparison_plan.MAX_SEEDS


def test_the_help_of_evaluate_names_the_kinds_of_data() -> None:
    said = CliRunner().invoke(cli, ["evaluate", "--help"]).output
    assert [kind for kind in recognise.KINDS if kind not in said.partition("--kind")[2]] == []


@pytest.mark.parametrize("group", ["recipes", "data"])
def test_a_group_alone_shows_its_help(group: str) -> None:
    result = CliRunner().invoke(cli, [group])
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout == CliRunner().invoke(cli, [group, "--help"]).stdout
    assert len(result.stdout.splitlines()) > 5


def completed(words: str, folder: Path) -> list[str]:
    """What bash is offered at the end of a line."""
    script = (
        "import sys\nfrom keras_ccsam_cli.main import main\n"
        "try:\n    main()\nfinally:\n"
        "    assert not {'keras', 'numpy', 'pydantic', 'keras_ccsam'} & set(sys.modules)\n"
    )
    parts = words.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=folder,
        env={
            **os.environ,
            "_CCSAM_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(parts) - 1),
        },
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("ccsam rep", ["report", "reproduce"]),
        ("ccsam train ccsam-stage1", ["ccsam-stage1", "ccsam-stage1-paper",
                                      "ccsam-stage1-published"]),
        ("ccsam compare ce la-c", ["la-ccsam"]),
        ("ccsam train --data cifar100", ["cifar100-lt", "cifar100-lt-main", "cifar100-lt-small",
                                                  "cifar100-lt-small-main"]),
        ("ccsam data describe dig", ["digits-lt"]),
        ("ccsam recipes show ld", ["ldam", "ldam-ccsam", "ldam-drw", "ldam-drw-ccsam",
                                   "ldam-drw-sam", "ldam-sam"]),
        ("ccsam reproduce fig", [f"figure{number}" for number in range(1, 10)]),
        ("ccsam reproduce table1 --scale t", ["tiny"]),
        ("ccsam train --backend t", ["tensorflow", "torch"]),
        ("ccsam train --tracker t", ["tensorboard", "trackio"]),
    ],
)  # fmt: skip
def test_the_shell_completes_names_without_keras(
    words: str, offered: list[str], tmp_path: Path
) -> None:
    assert completed(words, tmp_path) == offered
