"""Each example runs to its end on one epoch, and prints its table."""

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

from keras_ccsam import declare

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# What the last table's rows begin with.
ROWS = {
    "quickstart": ("cross-entropy", "CC-SAM"),
    "own_backbone": ("own, class_weight", "own, CC-SAM", "MobileNet, CC-SAM"),
    "two_stage_by_hand": ("stage 1 alone", "cRT, continued", "cRT, new head", "CC-SAM"),
    "custom_head": ("ClosedTemperature", "Temperature", "largest difference"),
    "custom_method": ("ERM", "GSAM", "SAM", "ClassConditional"),
}


def run(name, monkeypatch, run_name="__main__"):
    """The example's variables, once it has printed; by another `run_name` it only defines them."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--epochs", "1"])
    # What an example declares is gone when its test is over.
    kept = {kind: dict(found) for kind, found in declare._PARTS.items()}
    monkeypatch.setattr(declare, "_PARTS", kept)
    return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name=run_name)


def test_every_example_is_listed():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*ROWS, "plankton", "ray_train"}


def test_the_plankton_is_long_tailed_photographs(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["plankton.py", str(tmp_path / "p"), "--largest", "100"])
    runpy.run_path(str(EXAMPLES / "plankton.py"), run_name="__main__")
    found = {folder.name: len(list(folder.iterdir())) for folder in (tmp_path / "p").iterdir()}
    assert (found["copepod"], found["dinoflagellate"], len(found)) == (100, 1, 6)
    assert "copepod: 100 images" in capsys.readouterr().out
    # Nothing of the user's is written over.
    with pytest.raises(SystemExit):
        runpy.run_path(str(EXAMPLES / "plankton.py"), run_name="__main__")


@pytest.mark.parametrize(
    "name",
    [
        "quickstart",
        pytest.param("own_backbone", marks=pytest.mark.any_backend),
        pytest.param("two_stage_by_hand", marks=pytest.mark.any_backend),
    ],
)
def test_it_prints_its_table(name, monkeypatch, capsys):
    run(name, monkeypatch)
    printed = capsys.readouterr().out
    for row in ROWS[name]:
        line = next(line for line in printed.splitlines()[::-1] if line.startswith(row))
        numbers = [float(word) for word in line.removeprefix(row).split()[-4:]]
        assert len(numbers) == 4
        assert all(0 <= number <= 100 for number in numbers)


def test_a_closed_form_takes_the_steps_of_the_class_loop(monkeypatch, capsys):
    variables = run("custom_head", monkeypatch)
    printed = capsys.readouterr().out
    for row in ROWS["custom_head"]:
        assert row in printed
    assert variables["difference"] < 1e-5
    closed, looped = (variables[name] for name in ("ClosedTemperature", "Temperature"))
    assert variables["cc"].heads.closed_form(closed(3)) is not None
    assert variables["cc"].heads.closed_form(looped(3)) is None


@pytest.mark.any_backend
def test_a_method_of_ones_own_is_compared_with_others(monkeypatch, capsys):
    run("custom_method", monkeypatch)
    printed = capsys.readouterr().out
    for row in ROWS["custom_method"]:
        assert row in printed


def test_a_method_of_ones_own_is_saved_and_sam_at_alpha_zero(monkeypatch, tmp_path):
    variables = run("custom_method", monkeypatch, run_name="example")
    cc, method = variables["cc"], variables["GSAM"]
    data = cc.data.load("digits-lt", imbalance_ratio=50)

    def kernel(sharpness):
        keras.utils.set_random_seed(0)
        head = keras.layers.Dense(data.num_classes)
        layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        model = cc.SharpnessAwareModel(keras.Sequential(layers), head, sharpness)
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        model.fit(data.batches(batch_size=128), epochs=1, verbose=0)
        return model, keras.ops.convert_to_numpy(head.kernel)

    _, sam = kernel(cc.sharpness.SAM(0.5))
    model, ours = kernel(method(0.5, 0.0))
    _, half = kernel(method(0.5, 0.5))
    assert abs(ours - sam).max() < 1e-6
    assert abs(half - sam).max() > 1e-4
    check_gsam(model.sharpness)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.sharpness.get_config() == {"rho": 0.5, "alpha": 0.0}


def check_gsam(method):
    """Of g = (1, 2) and g_p = (4, 0) the orthogonal component is (0, 2)."""
    answers = [[keras.ops.convert_to_tensor(g)] for g in ([1.0, 2.0], [4.0, 0.0])]

    class Scripted:
        values = (keras.ops.zeros(2),)

        def gradient(self, values):
            return answers.pop(0), None

        def replay(self):
            pass

    options = SimpleNamespace(rho=0.05, alpha=0.25)
    ((step,), _) = method.gradients(Scripted(), options)
    assert keras.ops.convert_to_numpy(step).tolist() == [4.0, -0.5]
