"""Parts from outside the package: imported for what a user names, never on reading a recipe."""

import dataclasses
import json
import sys
import textwrap
from importlib import metadata

import keras
import pytest

from keras_ccsam import declare, recipes, runs
from keras_ccsam.recipes import Recipe, known, outside
from keras_ccsam.recipes.slots import Unread, build, part_of
from keras_ccsam.runs import parts
from keras_ccsam.runs.stage_callbacks import stage_callbacks

# `cli/test_own_parts.py` trains with one on each backend.
pytestmark = pytest.mark.any_backend

METHOD = """
    from typing import Annotated
    from pydantic import Field
    from keras_ccsam.sharpness import SAM, SharpnessMethod

    class Lab(SAM):
        \"\"\"SAM by another name.\"\"\"
        def __init__(
            self, rho: Annotated[float, Field(ge=0, description="radius")] = 0.3
        ) -> None:
            super().__init__(rho)

    class Undeclared(SharpnessMethod):
        def __init__(self, rho=0.1):
            super().__init__(rho=rho)

    def number():
        return 3

    three = 3
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Writes a module and a recipe beside it; forgets afterwards what was imported."""
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.setattr(outside, "_imported", {})
    monkeypatch.setattr(declare, "_PARTS", {kind: dict(of) for kind, of in declare._PARTS.items()})

    def write(recipe, module="lab_method", code=METHOD):
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        file = tmp_path / "mine.toml"
        file.write_text(recipe)
        return file

    yield write
    assert sys.path == path
    for name in set(sys.modules) - before:
        if name.startswith("lab_"):
            del sys.modules[name]


def test_a_file_names_a_method_beside_it(lab):
    recipe = recipes.load(lab('stage1.method = { name = "lab_method:Lab", rho = 0.2 }\n'))
    assert recipe.stage1.method.model_dump() == {"name": "lab_method:Lab", "rho": 0.2}
    method = build(recipe.stage1.method, class_counts=(5, 4))
    assert (type(method).__name__, method.get_config()["rho"]) == ("Lab", 0.2)
    default = recipes.load(lab('stage1.method = "lab_method:Lab"\n'))
    assert default.stage1.method.rho == 0.3
    assert default.digest() != recipe.digest()
    assert recipes.override(recipe, "stage1.method.rho=0.4").stage1.method.rho == 0.4
    # An earlier method's options are dropped.
    file = lab('base = "ccsam"\nstage1.method = "lab_method:Lab"\n')
    assert recipes.load(file).stage1.method == default.stage1.method


def test_its_options_are_checked_as_ours_are(lab):
    file = lab('stage1.method = "lab_method:Lab"\n')
    with pytest.raises(ValueError, match=r"stage1\.method\.rho must be at least 0"):
        recipes.load(file, overrides=["stage1.method.rho=-1"])
    with pytest.raises(ValueError, match=r"did you mean 'stage1\.method\.rho'\?.*\.rhoo=1"):
        recipes.load(file, overrides=["stage1.method.rhoo=1"])


def test_an_override_is_typed_by_the_user(lab, monkeypatch):
    monkeypatch.chdir(lab("").parent)
    recipe = recipes.load("ce", overrides=["stage1.method=lab_method:Lab", "stage1.method.rho=0.1"])
    assert recipe.stage1.method.rho == 0.1
    changed = recipes.override(recipes.load("ccsam"), "stage1.method=lab_method:Lab")
    assert changed.stage1.method.name == "lab_method:Lab"


def test_reading_a_recipe_runs_nothing(lab):
    ran = "raise SystemExit('this ran')\n"
    file = lab("", "lab_bomb", ran)
    text = recipes.load("ccsam").to_toml()
    text = text.replace('name = "class_conditional"', 'name = "lab_bomb:Bang"\nfuse = 3')
    recipe = Recipe.from_toml(text)
    assert isinstance(recipe.stage1.method, Unread)
    assert recipe.stage1.method.fuse == 3
    assert Recipe.from_toml(recipe.to_toml()).digest() == recipe.digest()
    # What is typed afterwards says nothing about what was read.
    assert isinstance(recipes.override(recipe, "seed=1").stage1.method, Unread)
    with pytest.raises(ValueError, match=r"runs none.*trust_code=True.*name='lab_bomb:Bang'"):
        build(recipe.stage1.method)
    with pytest.raises(ValueError, match="--trust-code"):
        part_of(recipe.stage1.method)
    assert "lab_bomb" not in sys.modules
    file.write_text('stage1.method = "lab_bomb:Bang"\n')
    with pytest.raises(SystemExit, match="this ran"):
        recipes.load(file)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('stage1.method = "lab_methd:Lab"', "no module 'lab_methd' among the installed ones, nor"),
        ('stage1.method = "lab_method:Labb"', "has no 'Labb'; did you mean 'Lab'?"),
        ('stage1.method = "lab_method:three"', "must be a class, or a function .* of the type int"),
        ('stage1.method = "keras.losses:Hinge"', "subclass of keras_ccsam.sharpness.Sharpness"),
        ('stage1.loss = "lab_method:Lab"', "subclass of keras.losses.Loss.*stage1.loss='lab_m"),
        ('stage1.loss = "keras_ccsam.losses:Gone"', "has no 'Gone'"),
        ('model.head = "keras.layers:ReLU"', "given 'units'"),
        ('stage1.method = "lab_method.Lab"', "from outside reads module:Class"),
        ('stage1.method = { name = "lab_method:Undeclared", rho = 1 }', "not declared: annotate"),
        ('stage1.method = { name = "lab_method:Undeclared", zeta = 1 }', "known here: name"),
        ('stage1.method = "keras_ccsam.heads:Cosine"', "must be a subclass of"),
    ],
)
def test_what_is_wrong_is_said(lab, line, message):
    with pytest.raises(ValueError, match=message) as error:
        recipes.load(lab(line + "\n"))
    assert "\n" not in str(error.value)
    assert "Received: stage1." in str(error.value) or "Received: model." in str(error.value)


def test_a_module_that_does_not_import_is_named(lab):
    file = lab('stage1.method = "lab_broken:Lab"\n', "lab_broken", "import lab_absent\n")
    with pytest.raises(ValueError, match="'lab_broken' cannot be imported: ModuleNotFoundError"):
        recipes.load(file)
    file = lab('stage1.method = "lab_wrong:Lab"\n', "lab_wrong", "1 / 0\n")
    with pytest.raises(ValueError, match="cannot be imported: ZeroDivisionError"):
        recipes.load(file)


def test_a_function_that_makes_something_else(lab):
    recipe = recipes.load(lab('stage1.method = "lab_method:number"\n'))
    with pytest.raises(ValueError, match="which made one of the type int"):
        build(recipe.stage1.method)


def test_two_modules_of_one_name_are_not_mixed_up(lab, tmp_path):
    first = recipes.load(lab('stage1.method = "lab_method:Lab"\n'))
    other = tmp_path / "other"
    other.mkdir()
    (other / "lab_method.py").write_text(textwrap.dedent(METHOD.replace("0.3", "0.9")))
    (other / "mine.toml").write_text('stage1.method = "lab_method:Lab"\n')
    with pytest.raises(ValueError, match="another module named 'lab_method' is imported already"):
        recipes.load(other / "mine.toml")
    assert first.stage1.method.rho == 0.3


PARTS = """
    from typing import Annotated
    import keras
    import numpy as np
    from pydantic import Field
    import keras_ccsam as cc
    from keras_ccsam.declare import part

    Power = Annotated[float, Field(ge=0, description="of the loss")]

    @part("loss", "lab_loss")
    class Loss(cc.losses.Focal):
        takes_cosines = True

    @part("head", "lab_head", offers=("cosines",))
    class Head(cc.heads.Cosine):
        pass

    def backbone(
        input_shape, width: Annotated[int, Field(ge=1, description="channels")] = 4
    ):
        return keras.Sequential([keras.Input(input_shape), keras.layers.Conv2D(width, 3)])

    def birds(
        path, sides: Annotated[int, Field(ge=4, description="pixels of a side")] = 6
    ):
        rng = np.random.default_rng(0)
        y = np.repeat(np.arange(3), (30, 20, 10))
        x = rng.integers(0, 255, (60, sides, sides, 1)).astype("uint8")
        return cc.data.source(x, y, test_fraction=0.2, name="birds")

    def darken(share: Annotated[float, Field(ge=0, description="of the light")] = 0.5):
        return lambda x, rng: (x * share).astype(x.dtype)

    def arrays(path):
        return cc.data.from_arrays(np.arange(144.0).reshape(4, 6, 6, 1), [0, 0, 1, 1])
"""
WHOLE = """
base = "ce"
data = { name = "lab_parts:birds", sides = 8 }
stage1.loss = { name = "lab_parts:Loss", gamma = 1.0 }
stage1.batch_size = 16
stage1.augment = ["flip", { name = "lab_parts:darken", share = 0.25 }]
model.head = { name = "lab_parts:Head", scale = 1.0 }
model.backbone = { name = "lab_parts:backbone", width = 3 }
"""


def test_losses_heads_backbones_and_data_come_from_outside_too(lab):
    from keras_ccsam.runs import parts

    recipe = recipes.load(lab(WHOLE, "lab_parts", PARTS))
    assert (recipe.data.sides, recipe.data.imbalance_ratio) == (8, "none")
    images = parts.load_data(recipe.data)
    assert (images.class_counts, images.image_shape) == ((24, 16, 8), (8, 8, 1))
    model = parts.build_model(recipe, images, 3)
    assert type(model.head).__name__ == "Head"
    assert model.backbone.output_shape == (None, 3)
    assert (type(model.sample_loss.loss).__name__, model.sample_loss.loss.gamma) == ("Loss", 1.0)
    batches = parts.train_batches(recipe, images)
    assert 30 < batches[0][0].max() < 64
    model.fit(batches, epochs=1, verbose=0)
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    cut = recipes.override(recipe, "data.imbalance_ratio=6")
    assert parts.load_data(cut.data).class_counts == (24, 9, 4)
    with pytest.raises(ValueError, match=r"data\.sides must be at least 4"):
        recipes.override(recipe, "data.sides=1")
    # What the head offers and the loss takes is declared, and holds for these as well.
    with pytest.raises(ValueError, match=r"'lab_parts:Loss' takes cosines .*model\.head='dense'"):
        recipes.override(recipe, "model.head=dense")
    wrong = recipes.override(recipe, "data.name=lab_parts:arrays")
    with pytest.raises(ValueError, match=r"must return a keras_ccsam\.data\.Source.*LongTailed"):
        parts.load_data(wrong.data)


def test_the_data_on_the_command_line(lab, monkeypatch):
    file = lab('base = "sam"\n', "lab_parts", PARTS)
    monkeypatch.chdir(file.parent)
    recipe = recipes.load("ce", "lab_parts:birds")
    assert (recipe.data.name, recipe.data.sides, recipe.setting) == (
        "lab_parts:birds",
        6,
        "digits-lt",
    )


def test_an_installed_package_gives_a_part_a_name(lab, monkeypatch):
    lab("")
    monkeypatch.syspath_prepend(str(lab("").parent))
    group = "keras_ccsam.sharpness"
    points = [
        metadata.EntryPoint("labs_own", "lab_method:Lab", group),
        metadata.EntryPoint("labs_broken", "lab_method:Gone", group),
    ]
    monkeypatch.setattr(
        metadata, "entry_points", lambda *, group: points if group == points[0].group else []
    )
    known.installed.cache_clear()
    try:
        recipe = recipes.load("ce", overrides=["stage1.method=labs_own"])
        assert recipe.stage1.method.model_dump() == {"name": "labs_own", "rho": 0.3}
        with pytest.raises(ValueError, match="did you mean 'labs_own'"):
            recipes.load("ce", overrides=["stage1.method=labs_ownn"])
        with pytest.raises(ValueError, match=r"'labs_broken'|cannot be imported"):
            recipes.load("ce", overrides=["stage1.method=labs_broken"])
        # What a user has installed is no code that came with a file.
        assert Recipe.from_toml(recipe.to_toml()) == recipe
    finally:
        monkeypatch.undo()
        known.installed.cache_clear()


def test_a_declaration_keeps_its_limit_under_the_dotted_name(lab):
    from keras_ccsam.sharpness import SAM

    part = outside.import_part("sharpness", "keras_ccsam.sharpness:SAM")
    assert (part.name, part.limit.other) == ("keras_ccsam.sharpness:SAM", "erm")
    assert dataclasses.replace(part, name="sam").make is SAM
    assert declare.find("sharpness", "sam").make is SAM


def test_a_class_that_nobody_registered_can_be_loaded_again(lab):
    recipes.load(lab('stage1.method = "lab_method:Lab"\n'))
    made = sys.modules["lab_method"].Lab
    assert keras.saving.get_registered_object("lab_method>Lab") is made


CALLBACK = """
    from typing import Annotated
    import keras
    from pydantic import Field

    class Watch(keras.callbacks.Callback):
        \"\"\"Notes what it is given, and the epochs.\"\"\"
        seen = []
        def __init__(
            self,
            class_counts,
            train,
            patience: Annotated[int, Field(ge=1, description="epochs")] = 5,
        ) -> None:
            super().__init__()
            self.seen.append((len(class_counts), len(train), patience))
        def on_epoch_end(self, epoch, logs=None):
            self.seen.append((self.params["epochs"], epoch, sorted(logs)))
"""
CALLBACKS = """
    base = "crt"
    [stage1]
    epochs = 2
    callbacks = [{ name = "lab_callbacks:Watch", patience = 3 }]
    [stage2]
    epochs = 1
    callbacks = ["lab_callbacks:Watch"]
"""


def test_a_callback_of_ones_own_hangs_on_each_stage(lab, tmp_path):
    recipe = recipes.load(lab(textwrap.dedent(CALLBACKS), "lab_callbacks", CALLBACK))
    assert 'callbacks = [{ name = "lab_callbacks:Watch", patience = 3 }]' in recipe.to_toml()
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert (
        recipe.stage1_digest() != recipes.override(recipe, "stage1.callbacks=none").stage1_digest()
    )
    assert "callbacks lab_callbacks:Watch (patience 3)" in runs.plan(recipe).text()
    made = [(10, 11, 3), (10, 11, 5)]
    assert sys.modules["lab_callbacks"].Watch.seen == made  # a plan makes them, as the run does
    result = runs.run(recipe, tmp_path / "run", progress="none")
    logs = ["accuracy", "loss"]
    epochs = [(2, 0, logs), (2, 1, logs), (1, 0, logs)]
    assert sys.modules["lab_callbacks"].Watch.seen == [*made, *made, *epochs]
    code = json.loads((result.path / "environment.json").read_text())["code"]
    assert list(code) == ["lab_callbacks:Watch"]
    # Whoever reads the folder runs no code.
    outside._imported.clear()
    del sys.modules["lab_callbacks"]
    read = Recipe.from_toml((result.path / "recipe.toml").read_text())
    assert isinstance(read.stage1.callbacks[0], Unread)
    assert runs.evaluate_run(result.path).overall == result.report.overall
    assert "lab_callbacks" not in sys.modules


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            '[{name="lab_callbacks:Watch", patience=0}]',
            r"\[0\].patience must be at least 1",
        ),
        ('[{name="lab_callbacks:Watch", patienc=2}]', r"did you mean .*callbacks\[0\].patience"),
        ('[{name="lab_callbacks:keras"}]', "a callback .* from outside must be a class"),
        ('["deferred_rewighting"]', "did you mean 'deferred_reweighting'"),
        (
            '"lab_callbacks:Watch"',
            r'callbacks must be a list; did you mean \["lab_callbacks:Watch"\]\?',
        ),
        ("[3]", r"callbacks\[0\] must be a table"),
    ],
)
def test_a_wrong_callback_is_said(lab, value, message):
    file = lab(textwrap.dedent(CALLBACKS), "lab_callbacks", CALLBACK)
    with pytest.raises(ValueError, match=message) as error:
        recipes.load(file, overrides=[f"stage1.callbacks={value}"])
    assert "\n" not in str(error.value)


def test_callbacks_of_the_package_have_names_too():
    recipe = recipes.load(
        "ce",
        overrides=['stage1.callbacks=[{name="deferred_reweighting", start=1}, "weight_averaging"]'],
    )
    images = parts.load_data(recipe.data)
    first, second = stage_callbacks(recipe, images, parts.train_batches(recipe, images))
    assert [type(callback).__name__ for callback in first] == [
        "OnNonfinite",
        "DeferredReweighting",
        "WeightAveraging",
    ]
    assert first[1].start == 1 and len(first[1].weights) == 10 and second == []
