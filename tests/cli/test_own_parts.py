"""A method, a head and a dataset of one's own, from the command line to the run directory."""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result
from keras_ccsam_cli import light
from keras_ccsam_cli.main import cli

from keras_ccsam import declare, runs
from keras_ccsam.recipes import outside
from keras_ccsam.recipes.slots import Unread

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "custom_method.toml"
SHORT = ("--epochs", "1", "--set", "stage1.warmup_epochs=0", "--set", "model.backbone.width=4")


def ccsam(*arguments: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def forget(*modules: str) -> None:
    """As a process that has imported nothing of them."""
    outside._imported.clear()
    for module in modules:
        sys.modules.pop(module, None)
        for parts in declare._PARTS.values():
            for name in [n for n, part in parts.items() if part.make.__module__ == module]:
                parts.pop(name)
        for name in [n for n in keras.saving.get_custom_objects() if n.startswith(f"{module}>")]:
            keras.saving.get_custom_objects().pop(name)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    path = list(sys.path)
    yield
    assert sys.path == path
    forget("custom_method", "lab_own")


@pytest.mark.any_backend
def test_a_method_of_ones_own_is_trained_compared_and_evaluated(tmp_path: Path) -> None:
    run = tmp_path / "run"
    ccsam("train", EXAMPLE, *SHORT, "--set", "stage1.method.alpha=0.5", "--out", run)
    written = (run / "recipe.toml").read_text()
    assert 'name = "custom_method:GSAM"\nrho = 0.05\nalpha = 0.5\n' in written
    code = json.loads((run / "environment.json").read_text())["code"]["custom_method:GSAM"]
    assert Path(code["file"]) == EXAMPLE.with_suffix(".py")
    assert len(code["sha256"]) == 64

    # Neither the method's code nor the folder that it is in is needed any more.
    forget("custom_method")
    first = json.loads(ccsam("evaluate", run, "--json").stdout)
    assert first["overall"] == json.loads((run / "results.json").read_text())["test"]["overall"]
    directory = runs.RunDirectory(run)
    assert isinstance(directory.recipe().stage1.method, Unread)
    assert "custom_method" not in sys.modules
    assert directory.recipe(trust_code=True).stage1.method.alpha == 0.5
    assert directory.recipe().digest() == directory.recipe(trust_code=True).digest()

    # At alpha = 0 it is SAM, and a comparison is finished where it was left.
    out, chosen = tmp_path / "compared", ("--set", "name=gsam", "--set", "stage1.method.alpha=0.0")
    result = ccsam("compare", EXAMPLE, *SHORT, *chosen, "--out", out)
    assert "gsam" in result.stdout
    forget("custom_method")
    again = ccsam("compare", EXAMPLE, *SHORT, *chosen, "--out", out)
    assert "run 1/1" in result.stdout and "run 1/1" not in again.stdout
    ccsam("train", "sam", *SHORT, "--out", tmp_path / "sam")
    kernels = [
        keras.models.load_model(folder / "model.keras", compile=False).get_weights()
        for folder in (out / "gsam-seed0", tmp_path / "sam", run)
    ]
    for ours, theirs in zip(*kernels[:2], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert max(np.abs(a - b).max() for a, b in zip(*kernels[1:], strict=True)) > 1e-4


@pytest.mark.any_backend
def test_one_comparison_of_ours_and_of_ones_own(tmp_path: Path) -> None:
    ccsam("compare", EXAMPLE, "ce", *SHORT, "--out", tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())["rows"]
    assert [row["recipe"] for row in rows] == ["custom_method", "ce"]
    shown = ccsam("recipes", "show", EXAMPLE).stdout
    assert "alpha = 0.2" in shown and 'description = "GSAM' in shown


OWN = """
    from typing import Annotated
    import keras
    import numpy as np
    from pydantic import Field
    import keras_ccsam as cc

    class Head(keras.layers.Dense):
        "A head that is saved as a class of its own."

    def birds(path):
        rng = np.random.default_rng(0)
        y = np.repeat(np.arange(3), (30, 20, 10))
        x = rng.integers(0, 255, (60, 8, 8, 1)).astype("uint8")
        return cc.data.source(x, y, test_fraction=0.2, name="birds")
"""


BROKEN = """
    from typing import Annotated
    from keras import ops
    from pydantic import Field
    import keras_ccsam as cc

    class Raises(cc.sharpness.SharpnessMethod):
        def gradients(self, objective, options):
            raise ValueError("the moons are not aligned")

    class Fewer(cc.sharpness.SharpnessMethod):
        def gradients(self, objective, options):
            gradients, evaluation = objective.gradient(objective.values)
            return gradients[1:], evaluation

    class Refuses(cc.sharpness.SharpnessMethod):
        def __init__(self, rho: Annotated[float, Field(description="radius")] = 0.1) -> None:
            if rho > 1:
                raise ValueError(f"`rho` must be small. Received: rho={rho}")
            super().__init__(rho=rho)
"""


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("method", "code", "said"),
    [
        ("Raises", 1, "ValueError in {file}, line 9, in gradients: the moons are not aligned (add"),
        ("Fewer", 1, "the evaluation of the clean pass; it returned 10 gradients (add --debug"),
        # What a constructor says is said of the recipe.
        ("Refuses", 2, "`rho` must be small. Received: rho=2.0"),
    ],
)
def test_an_error_in_ones_own_code_is_said_to_be_there(
    tmp_path: Path, method: str, code: int, said: str
) -> None:
    file, recipe = tmp_path / "lab_own.py", tmp_path / "mine.toml"
    file.write_text(textwrap.dedent(BROKEN))
    rho = "rho = 2.0" if method == "Refuses" else ""
    recipe.write_text(f'[stage1.method]\nname = "lab_own:{method}"\n{rho}\n')
    result = ccsam("train", recipe, *SHORT, "--out", tmp_path / "run", "--quiet", code=code)
    assert said.format(file=file) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    if code == 1:
        assert str(file) in result.stderr
    if method == "Raises":
        shown = ccsam("train", recipe, *SHORT, "--out", tmp_path / "r2", "--debug", code=1).stderr
        assert "Traceback" in shown and 'raise ValueError("the moons' in shown


@pytest.mark.any_backend
def test_a_dataset_of_ones_own_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is checked before Keras is imported lets the name pass."""
    monkeypatch.setattr(light, "imported", lambda: False)
    monkeypatch.chdir(tmp_path)
    Path("lab_own.py").write_text(textwrap.dedent(OWN))
    words = ("train", "ce", *SHORT, "--set", "stage1.batch_size=16", "--data")
    ccsam(*words, "lab_own:birds", "--out", "run")
    recipe = runs.RunDirectory("run").recipe()
    assert (recipe.data.name, recipe.data.imbalance_ratio) == ("lab_own:birds", "none")
    wrong = ccsam(*words, "lab_own:brids", "--out", "other", code=2)
    assert "did you mean 'birds'" in wrong.stderr and len(wrong.stderr.splitlines()) == 1


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ('data.name = "lab_own:birds"', "names code from outside the package"),
        ('model.head = "lab_own:Head"', "has a layer from outside the package"),
    ],
)
def test_code_that_is_needed_is_asked_for(tmp_path: Path, choice: str, message: str) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    module, recipe, run = folder / "lab_own.py", folder / "mine.toml", tmp_path / "run"
    module.write_text(textwrap.dedent(OWN))
    recipe.write_text(f'base = "ce"\n{choice}\nstage1.batch_size = 16\n')
    ccsam("train", recipe, *SHORT, "--out", run)

    forget("lab_own")
    said = ccsam("evaluate", run, code=2).stderr
    assert message in said and "--trust-code" in said and "trust_code=True" in said
    assert len(said.splitlines()) == 1
    assert "lab_own" not in sys.modules
    report = json.loads(ccsam("evaluate", run, "--trust-code", "--json").stdout)
    assert report["overall"] == json.loads((run / "results.json").read_text())["test"]["overall"]

    forget("lab_own")
    module.write_text(textwrap.dedent(OWN) + "\n# changed\n")
    with pytest.warns(UserWarning, match=r"lab_own\.py is not the code that the run was trained"):
        runs.RunDirectory(run).recipe(trust_code=True)
