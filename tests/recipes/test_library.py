"""How a recipe is put together from its layers."""

import pytest

from keras_ccsam import recipes
from keras_ccsam.data import SAMPLERS
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.layers import merge

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("name", recipes.names())
def test_every_method_fits_every_setting_and_survives_the_round_trip(name, tmp_path):
    assert recipes.settings()
    for setting in recipes.settings():
        recipe = recipes.load(name, data=setting)
        assert (recipe.name, recipe.setting) == (name, setting)
        assert recipe.description
        assert recipe.warnings() == (), setting
        written = recipe.to_toml()
        assert Recipe.from_toml(written) == recipe, setting
        file = tmp_path / f"{setting}.toml"
        file.write_text(written, encoding="utf-8")
        again = recipes.load(file)
        assert again == recipe, setting
        assert again.digest() == recipe.digest(), setting


def test_the_expected_names_are_there():
    wanted = {"ce", "crt", "sam", "ccsam-stage1", "ccsam-stage2", "ccsam", "ccsam-published"}
    assert wanted <= set(recipes.names())
    assert {"digits-lt", "cifar10-lt", "cifar100-lt", "cifar10-lt-small"} <= set(recipes.settings())


def test_a_later_layer_wins(tmp_path):
    # schema default < setting
    assert recipes.load("ce", "digits-lt").model.backbone.name == "small_cnn"
    assert recipes.load("ce", "cifar10-lt").model.backbone.name == "resnet32"
    # method < its table for the data set
    assert recipes.load("ccsam", "cifar100-lt").stage1.method.flat_ratio == 0.5
    assert recipes.load("ccsam", "cifar10-lt").stage1.method.flat_ratio == 0.3
    assert recipes.load("ccsam", "cifar10-lt-small").stage1.method.flat_ratio == 0.3
    assert recipes.load("ccsam", "cifar10-lt").stage2.alpha_max == 1.0
    assert recipes.load("ccsam", "cifar100-lt").stage2.alpha_max == 0.3
    # < user file < overrides
    file = tmp_path / "mine.toml"
    file.write_text(
        'base = "ccsam"\nsetting = "cifar10-lt"\n[stage1]\nlr = 0.3\n[stage1.method]\n'
        "flat_ratio = 0.7\n[stage2]\nepochs = 7\n"
    )
    mine = recipes.load(file, overrides=("stage1.lr=0.4", "data.protocol=seeded"))
    assert (mine.name, mine.variant, mine.setting) == ("mine", "default", "cifar10-lt")
    assert (mine.source, mine.readings, mine.note) == ("", (), "")
    assert (mine.stage1.method.flat_ratio, mine.stage2.epochs) == (0.7, 7)
    assert (mine.stage1.lr, mine.data.protocol) == (0.4, "seeded")
    assert mine.stage1.batch_size == 64
    # the argument names the data, whatever the file says
    assert recipes.load(file, data="cifar100-lt").data.name == "cifar100-lt"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("tau-norm", "posthoc"),
        ("ldam-drw", "stage1.reweight"),
        ("m2m", "stage1.resample"),
        ("m2m", "stage1.translate"),
        ("crt-swa", "stage1.average"),
        ("crt-swa", "stage2.average"),
        ("gcl", "stage2.loss"),
        ("crt-sn", "model.spectral_norm"),
    ],
)
def test_none_leaves_out_a_table_that_may_be_absent(name, key):
    def found(recipe):
        for part in key.split("."):
            recipe = getattr(recipe, part)
        return recipe

    assert found(recipes.load(name)) is not None
    assert found(recipes.load(name, overrides=[f"{key}=none"])) is None
    assert found(recipes.override(recipes.load(name), f"{key}=none")) is None


def test_the_method_says_whether_there_is_a_second_stage():
    assert recipes.load("ce", "cifar10-lt").stage2 is None
    assert recipes.load("crt", "cifar10-lt").stage2.epochs == 30
    assert recipes.load("ccsam", overrides=["stage2=none"]).stage2 is None
    assert recipes.load("crt", overrides=["stage2.epochs=3"]).stage2.epochs == 3
    for text in ("stage2=none", "stage2=false"):
        assert recipes.load("ce", overrides=[text]).stage2 is None


@pytest.mark.parametrize("text", ["stage2.epochs=3", " stage2 . lr = 3", "stage2={epochs=3}"])
@pytest.mark.parametrize("name", ["ce", "sam"])
def test_an_override_adds_no_second_stage(name, text):
    text = text.replace(" . ", ".")
    with pytest.raises(ValueError) as error:
        recipes.load(name, overrides=["stage1.epochs=2", text])
    for part in (f"'{name}' has no second stage", "such as 'crt' or 'ccsam'", "=3"):
        assert part in str(error.value)
    with pytest.raises(ValueError, match="no second stage"):
        recipes.override(recipes.load(name), text)
    assert recipes.override(recipes.load("crt"), "stage2.epochs=3").stage2.epochs == 3
    assert recipes.override(recipes.load("crt"), "stage2=none").stage2 is None


def test_a_file_adds_a_second_stage(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "ce"\n[stage2]\n')
    mine = recipes.load(file, "cifar10-lt", ["stage2.lr=0.02"])
    assert (mine.stage2.epochs, mine.stage2.lr) == (30, 0.02)
    file.write_text('base = "crt"\nstage2 = "none"\n')
    assert recipes.load(file).stage2 is None
    with pytest.raises(ValueError, match="'mine' has no second stage"):
        recipes.load(file, overrides=["stage2.lr=0.02"])


def test_several_recipes_take_what_fits_them():
    chosen, without = recipes.load_several(
        ["ce", "crt", "sam"], overrides=["stage1.epochs=3", "stage2.epochs=4"]
    )
    assert [recipe.name for recipe in chosen] == ["ce", "crt", "sam"]
    assert [recipe.stage1.epochs for recipe in chosen] == [3, 3, 3]
    assert [recipe.stage2 and recipe.stage2.epochs for recipe in chosen] == [None, 4, None]
    assert without == ("ce", "sam")
    assert recipes.load_several(["ce", "crt"], overrides="stage1.epochs=3")[1] == ()
    dropped, without = recipes.load_several(["ce", "crt"], overrides=["stage2=none"])
    assert [recipe.stage2 for recipe in dropped] == [None, None]
    assert without == ()
    with pytest.raises(ValueError, match="'ce' has no second stage"):
        recipes.load_several(["ce", "sam"], overrides=["stage2.epochs=4"])
    with pytest.raises(ValueError, match=r"did you mean 'stage2\.epochs'"):
        recipes.load_several(["ce", "crt"], overrides=["stage2.epocs=4"])


def test_the_samplers_of_stage_2_are_those_of_the_data():
    for name in set(SAMPLERS) - {"sequential"}:
        assert recipes.load("crt", overrides=[f"stage2.sampler={name}"]).stage2.sampler == name
    with pytest.raises(ValueError, match=r"must be 'instance', .*stage2\.sampler=.sequential"):
        recipes.load("crt", overrides=["stage2.sampler=sequential"])


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_says_what_kind_it_is_and_from_where(name):
    recipe = recipes.load(name)
    kinds = {"-paper": "paper", "-published": "published", "-published-first": "published"}
    expected = next((kind for end, kind in kinds.items() if name.endswith(end)), "recommended")
    assert recipe.variant.partition(":")[0] == expected  # the plain name is what we recommend
    assert recipe.source.endswith((".", "mixup")) and "\n" not in recipe.source
    # What a recipe does otherwise than the code that it follows is listed, and what no source says.
    ours = recipe.variant == "recommended"
    assert not (ours and recipe.differs) and (recipe.differs or recipe.variant != "published")
    once = recipe.stage2 and recipe.stage2.retraining(recipe.stage1).features_once
    if once and recipe.model.train is None:  # on a frozen network nothing else is meant
        assert ours
        assert any("computed once" in text for text in recipe.readings)


@pytest.mark.parametrize("data", ["cifar10-lt", "cifar100-lt"])
def test_paper_and_published_rows_augment_and_let_batch_norm_follow_in_stage_2(data):
    """As the released codes of CC-SAM and decoupling do; GCL's and MiSLAS' own differ."""
    found = {recipe.name: recipe for recipe in (recipes.load(n, data) for n in recipes.names())}
    flattening = {"crt-gnp", "crt-mp", "crt-sn", "crt-swa"}
    checked = [
        recipe
        for recipe in found.values()
        if recipe.stage2 and (recipe.variant in ("paper", "published") or recipe.name in flattening)
    ]
    assert len(checked) >= 11
    for recipe in checked:
        stage = recipe.stage2.retraining(recipe.stage1)
        assert (stage.augment, stage.batch_norm) == ("default", "update"), recipe.name
    # Stage 2 follows what stage 1 does to an image, under the main protocol too.
    main = recipes.load("ccsam-paper", f"{data}-main")
    names = ("crop", "flip", "auto_augment", "cutout")
    assert main.stage1.augment == main.stage2.retraining(main.stage1).augment == names
    assert main.stage1.mixup == 0.0
    assert main.stage1.epochs == recipes.load("ccsam-paper", data).stage1.epochs


def test_a_table_of_a_method_for_a_ratio_is_laid_over_that_of_the_dataset():
    def smoothing(data, *changes):
        stage = recipes.load("mislas", data, changes).stage2
        return stage.loss.head, stage.loss.tail, stage.lr_factor

    assert smoothing("cifar10-lt") == (0.3, 0.0, 0.5)
    assert smoothing("cifar10-lt", "data.imbalance_ratio=50") == (0.2, 0.0, 0.2)
    assert smoothing("cifar10-lt-small", "data.imbalance_ratio=10") == (0.1, 0.0, 0.2)
    assert smoothing("cifar100-lt") == (0.4, 0.1, 0.2)
    assert smoothing("cifar100-lt-main", "data.imbalance_ratio=50.0") == (0.3, 0.0, 0.1)
    assert smoothing("cifar100-lt", "data.imbalance_ratio=200") == (0.4, 0.1, 0.2)


def test_the_published_variants_differ_and_warn():
    plain, published = (recipes.load(n, "cifar10-lt") for n in ("ccsam", "ccsam-published"))
    assert (plain.variant, published.variant) == ("recommended", "published")
    assert (plain.stage1.method.radius_scale, published.stage1.method.radius_scale) == (1e-2, 1e-6)
    assert (plain.stage2.loss_weights, published.stage2.loss_weights) == (False, True)
    assert "collapse" in published.note
    assert "54.5 / 26.2 / 56.8 / 79.7" in published.note


def test_changing_a_method_drops_the_old_ones_parameters():
    recipe = recipes.load("ccsam", overrides=["stage1.method=sam"])
    method = {"name": "sam", "rho": 0.05, "adaptive": False, "sync": "global"}
    assert recipe.stage1.method.model_dump() == method
    recipe = recipes.load("ccsam", overrides=["stage1.method.rho=0.1", "stage1.method.name=asam"])
    method = {"name": "asam", "rho": 0.1, "eta": 0.01, "weights_only": True, "sync": "global"}
    assert recipe.stage1.method.model_dump() == method
    grouped = recipes.load("ce", "cifar100-lt", ["groups=thirds"])
    assert grouped.groups.model_dump() == {"rule": "thirds"}


def test_options_belong_to_their_part():
    base = {"model": {"backbone": {"name": "a", "width": 8}, "head": {"name": "cosine"}}}
    kept = merge(base, {"model": {"backbone": {"features": 2}}})
    assert kept["model"]["backbone"] == {"name": "a", "width": 8, "features": 2}
    assert merge(base, {"model": {"backbone": "b"}})["model"] == {
        "backbone": {"name": "b"},
        "head": {"name": "cosine"},
    }
    assert base["model"]["backbone"]["width"] == 8
    data = {"data": {"name": "a", "imbalance_ratio": 10, "resolution": 64}}
    assert merge(data, {"data": {"name": "b"}})["data"] == {"name": "b", "imbalance_ratio": 10}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5),
        (".5", 0.5),
        ("1", 1.0),
        ("1e-2", 0.01),
    ],
)
def test_numbers_as_people_type_them(text, value):
    assert recipes.load("ce", overrides=[f"stage1.lr={text}"]).stage1.lr == value


def test_values_are_toml_and_bare_words_strings():
    recipe = recipes.load(
        "crt",
        overrides=[
            'data.path="a=b c"',
            "stage1.nesterov=True",
            "stage2.reinitialize_head = false",
            "description=two words",
            "stage1.augment=[]",
            "model.backbone.width=8",
        ],
    )
    assert recipe.data.path == "a=b c"
    assert (recipe.stage1.nesterov, recipe.stage2.reinitialize_head) == (True, False)
    assert (recipe.description, recipe.stage1.augment) == ("two words", ())
    assert recipe.model.backbone.width == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name_or_path": "ccsamm"}, "unknown recipe 'ccsamm'; did you mean 'ccsam'?"),
        ({"name_or_path": "ce", "data": "cifar10lt"}, "did you mean 'cifar10-lt'?"),
        ({"name_or_path": "absent.toml"}, "there is no such recipe file: 'absent.toml'"),
        ({"name_or_path": "ce", "overrides": ["stage1"]}, "an override reads key=value"),
        ({"name_or_path": "ce", "overrides": ["data.name=digit-lt"]}, "did you mean 'digits-lt'?"),
        # What other programs call it.
        (
            {"name_or_path": "ce", "overrides": ["stage1.learning_rate=1"]},
            "did you mean 'stage1.lr'?",
        ),
        ({"name_or_path": "ce", "overrides": ["learning_rate=1"]}, "did you mean 'stage1.lr'?"),
    ],
)
def test_unknown_names(arguments, message):
    with pytest.raises(ValueError) as error:
        recipes.load(**arguments)
    assert message in str(error.value)
    assert "Received: " in str(error.value)


def test_broken_files(tmp_path):
    file = tmp_path / "broken.toml"
    file.write_text("[stage1\n")
    with pytest.raises(ValueError, match="is not valid TOML"):
        recipes.load(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="not UTF-8"):
        recipes.load(file)
    file.write_text('base = "cesam"\n')
    with pytest.raises(ValueError, match="did you mean 'ccsam"):
        recipes.load(file)
    file.write_text("[stage1]\nepoch = 3\n")
    with pytest.raises(ValueError, match=r"did you mean 'stage1\.epochs'"):
        recipes.load(file)
