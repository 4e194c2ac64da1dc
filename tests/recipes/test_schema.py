"""What a recipe accepts, and how it refuses."""

import pytest
from pydantic import BaseModel

from keras_ccsam import recipes
from keras_ccsam.data import Crop, Cutout
from keras_ccsam.recipes.errors import keys
from keras_ccsam.recipes.schema import Recipe
from keras_ccsam.recipes.slots import augmentations

pytestmark = pytest.mark.any_backend


def test_every_field_is_described():
    def fields(schema, prefix=""):
        for name, field in schema.model_fields.items():
            yield prefix + name, field
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from fields(field.annotation, f"{prefix}{name}.")

    tags = {"name", "rule"}  # of the tables' alternatives
    assert all(f.description or n.rpartition(".")[2] in tags for n, f in fields(Recipe))
    assert {"stage1.method.radius_scale", "stage2.alpha_max", "groups.many"} <= set(keys(Recipe))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stage1.epoch=3", "unknown recipe key 'stage1.epoch'; did you mean 'stage1.epochs'? "),
        ("epochs=3", "unknown recipe key 'epochs'; did you mean 'stage1.epochs'? "),
        ("stage1.lr=-1", "stage1.lr must be above 0. Received: stage1.lr=-1"),
        ("data.imbalance_ratio=-3", "data.imbalance_ratio must be at least 1"),
        ("stage1.method=sma", "stage1.method.name must be one of 'adversarial_features', "),
        ("stage1.batch_size=3.5", "stage1.batch_size must be a whole number"),
        ("stage1.epochs=true", "stage1.epochs must be a whole number"),
        ("stage1.lr=nan", "stage1.lr must be a finite number"),
        ("data.profile=expo", "data.profile must be 'exponential' or 'step'"),
        ('stage1.augment=["rotate"]', "stage1.augment[0] must be one of 'auto_augment', 'color"),
        ('stage2.augment=["flop"]', "did you mean 'flip'? Received: stage2.augment[0]="),
        ("stage1.augment=crop", "must be 'default' or a list; did you mean [\"crop\"]? Received"),
        ("stage1.augment='crop,flop'", 'did you mean ["crop", "flip"]? Received'),
        ("stage1.augment=defualt", "a list; did you mean 'default'? Received"),
        ("stage1.callbacks=mine", "must be a list of 'curriculum', 'deferred_reweighting', "),
        ("stage1.precision=mixed_float", "or 'mixed_float16'; did you mean 'mixed_float16'? "),
        ('stage1.augment=[{name="cutout", size=0}]', "stage1.augment[0].size must be at least 1"),
        ("stage1.boundaries=[3, 0.5]", "stage1.boundaries must be all whole epochs"),
        ("stage1.boundaries=[3, 2]", "stage1.boundaries must increase"),
        ("stage1.boundaries=[0.5, 1.5]", "stage1.boundaries must be whole epochs from 1 to"),
        ("stage1.class_weight=2", "stage1.class_weight must be 'auto' or a table"),
        ("stage1.class_weight.power=2", "stage1.class_weight.power must be at most 1. Received"),
        ("model.backbone=3", "model.backbone must be a table"),
        ("model.backbone=resnet33", "did you mean 'resnet32'? Received: model.backbone.name="),
        ("model.backbone.width=0", "model.backbone.width must be at least 1"),
        ("model.backbone.widht=8", "did you mean 'model.backbone.width'? "),
        ("model.head.scale=8", "'model.head.scale' here: it belongs to another choice"),
        ("stage1.loss=focall", "stage1.loss.name must be one of"),
        ("stage1.loss=focall", "did you mean 'focal'? Received: stage1.loss.name="),
        (
            "data.imbalance_ratio=many",
            "data.imbalance_ratio must be a number or 'none'. Received: ",
        ),
        ("name=a/b", "name must hold letters"),
        ("nonsense=3", "unknown recipe key 'nonsense'; known here: data, description"),
    ],
)
def test_a_bad_value_gives_one_line(override, message):
    with pytest.raises(ValueError) as error:
        recipes.load("ccsam", overrides=[override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "Received: " + override.partition("=")[0] in str(error.value)


def test_an_augmentation_has_options():
    text = 'stage1.augment=["flip", {name="cutout", size=3}]'
    recipe = recipes.load("ce", overrides=[text])
    assert recipe.stage1.augment[0] == "flip"
    assert recipe.stage1.augment[1].model_dump() == {"name": "cutout", "size": 3, "fill": 0.0}
    assert 'augment = ["flip", { name = "cutout", size = 3, fill = 0.0 }]' in recipe.to_toml()
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    plain = recipes.load("ce", overrides=['stage1.augment=["flip", "cutout"]'])
    assert recipe.digest() != plain.digest()
    assert augmentations(recipe.stage1.augment) == ("flip", Cutout(3))
    second = recipes.load("crt", overrides=['stage2.augment=[{name="crop", padding=1}]']).stage2
    assert second.retraining(recipe.stage1).augment == (Crop(1),)
    assert augmentations("default") == "default"


def test_a_key_of_another_method_is_explained():
    with pytest.raises(ValueError, match="belongs to another choice"):
        recipes.load("sam", overrides=["stage1.method.radius_scale=1.0"])


def test_a_cosine_decay_needs_epochs_after_the_warm_up():
    overrides = ["stage1.decay=cosine", "stage1.warmup_epochs=3", "stage1.epochs=3"]
    with pytest.raises(ValueError, match="stage1 must have more epochs"):
        recipes.load("ce", overrides=overrides)


def test_all_problems_are_counted():
    with pytest.raises(ValueError, match=r"\(and 1 more\)"):
        recipes.load("ce", overrides=["stage1.epochs=0", "stage1.lr=0"])


def test_boundaries_follow_the_epochs():
    assert recipes.load("ce", "cifar10-lt").stage1.boundary_epochs() == (160.0, 180.0)
    shorter = recipes.load("ce", "cifar10-lt", ["stage1.epochs=20"])
    assert shorter.stage1.boundary_epochs() == (16.0, 18.0)


def test_what_is_probably_not_meant_is_named():
    assert recipes.load("ce", "cifar10-lt").warnings() == ()
    short = recipes.load("ce", "cifar10-lt", ["stage1.epochs=2"])
    assert "warmup_epochs=5 lasts longer than stage1.epochs=2" in short.warnings()[0]
    late = recipes.load("ce", "cifar10-lt", ["stage1.epochs=20", "stage1.boundaries=[160, 180]"])
    assert "reach beyond stage1.epochs=20" in late.warnings()[0]


def test_the_digest_names_what_determines_the_results():
    ce, crt, ccsam = (recipes.load(name) for name in ("ce", "crt", "ccsam"))
    assert ce.stage1_digest() == crt.stage1_digest() != ccsam.stage1_digest()
    assert ce.digest() != crt.digest()
    for override in ("seed=1", "data.seed=1", "stage1.lr=0.2", "model.backbone.width=8"):
        changed = recipes.override(crt, override)
        assert changed.stage1_digest() != crt.stage1_digest()
        assert changed.digest() != crt.digest()
    same_stage1 = recipes.override(crt, "stage2.lr=0.2")
    assert same_stage1.stage1_digest() == crt.stage1_digest()
    assert same_stage1.digest() != crt.digest()
    assert recipes.override(crt, "name=other", "note=x").digest() == crt.digest()


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        recipes.load("ce").stage1.lr = 1.0


def test_logits_that_are_adjusted_twice_are_doubted():
    once = ("stage1.loss=cross_entropy", "stage1.loss=logit_adjustment", "stage1.loss.tau=0")
    assert recipes.load("la-posthoc", overrides=once[:1]).warnings() == ()
    for loss in ("logit_adjustment", "balanced_softmax", "vector_scaling"):
        (said,) = recipes.load("la-posthoc", overrides=[f"stage1.loss={loss}"]).warnings()
        assert f"stage1.loss '{loss}' has done so in training" in said
        assert "rare classes are favoured twice" in said
    # Without any strength nothing has been done; and other ways after training make up for nothing.
    assert recipes.load("la-posthoc", overrides=once[1:]).warnings() == ()
    assert recipes.load("tau-norm", overrides=["stage1.loss=balanced_softmax"]).warnings() == ()


def test_a_curriculum_that_nothing_moves_is_doubted():
    still = ["stage1.callbacks=none"]
    (said,) = recipes.load("cuda", overrides=still).warnings()
    assert "'curriculum' at level 0, which augments nothing" in said
    assert recipes.load("cuda").warnings() == ()
    constant = [*still, 'stage1.augment=[{name="curriculum", start=4}]']
    assert recipes.load("cuda", overrides=constant).warnings() == ()


def test_logits_that_are_cosines_are_doubted():
    cosine = ("model.head=cosine", "model.head.scale=1")
    (said,) = recipes.load("ce", overrides=cosine).warnings()
    assert (
        "model.head.scale=1 keeps the logits of stage1.loss 'cross_entropy' between -1 and 1"
        in (said)
    )
    assert (
        "stage2.loss 'focal'" in recipes.load("gcl", overrides=["stage2.loss=focal"]).warnings()[0]
    )
    assert recipes.load("ce", overrides=["model.head=cosine"]).warnings() == ()
    assert recipes.load("ldam").warnings() == ()
    # The other way round is no doubt, but an error.
    for head in ("dense", "cosine"):
        with pytest.raises(ValueError, match="takes cosines and owns their scale"):
            recipes.load("ce", overrides=["stage1.loss=ldam", f"model.head={head}"])


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("stage1.schedule=cosine", "; known here: augment, average, batch_norm_sync,"),
        ("stagel.epochs=3", "; did you mean 'stage1.epochs'?"),
        ("stage3.lr=1", "; did you mean 'stage1.lr'?"),
        ("stage1.metod.rho=1", "; did you mean 'stage1.method.rho'?"),
        ("data.ratio=3", "; did you mean 'data.imbalance_ratio'?"),
        ("epocs=3", "; did you mean 'stage1.epochs'?"),
        (
            "stage1.loss.head=3",
            "another choice of the same table, and this one is 'cross_entropy'.",
        ),
        ("stage1.loss.gama=3", "; known here: name."),
        ("groups.inclusive=true", "here: it belongs to another choice of the same table."),
    ],
)
def test_a_key_is_compared_with_its_neighbours_first(override, hint):
    with pytest.raises(ValueError) as error:
        recipes.load("ce", overrides=[override])
    assert f"unknown recipe key '{override.partition('=')[0]}'" in str(error.value)
    assert hint in str(error.value)


def test_an_unknown_table_of_a_file_is_compared_with_its_neighbours(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[stagel]\nepochs = 3\n")
    with pytest.raises(ValueError, match="key 'stagel'; did you mean 'stage1'"):
        recipes.load(file)


def test_options_without_a_name_are_those_of_the_default():
    recipe = recipes.load("ce", overrides=["model.head.scale=8", "model.head.name=cosine"])
    assert recipe.model.head.scale == 8
    with pytest.raises(ValueError, match=r"the recipe lacks 'posthoc\.name'"):
        recipes.load("ce", overrides=["posthoc.tau=1"])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stage1.boundaries=3", "stage1.boundaries must be a list of numbers, as in [0.8, 0.9]. "),
        ('stage1.boundaries=["a"]', "stage1.boundaries[0] must be a number. "),
        ("stage1.nesterov=1", "stage1.nesterov must be true or false. "),
        ("description=3", "description must be text. "),
        ("stage1.average=3", "stage1.average must be a table of keys and values. "),
        ("stage1.method.perturb=''", "stage1.method.perturb must be text that is not empty. "),
        ("stage1.method.flat_ratio={a=1}", "stage1.method.flat_ratio must be a number. "),
        ("model.backbone={name='resnet32', normalization=[1]}", "'none' or a longer list. "),
        ("seed=4294967296", "seed must be below 4,294,967,296. "),
    ],
)
def test_the_words_are_plain(override, words):
    with pytest.raises(ValueError) as error:
        recipes.load("ccsam", overrides=[override])
    assert words in str(error.value)


def test_a_null_that_toml_would_lose_is_refused():
    """A recipe's file would have the default, and the run another network than its file says."""
    values = recipes.load("ccsam").to_dict()
    values["stage1"]["average"] = None  # as if it were not there
    assert Recipe.from_dict(values) == recipes.load("ccsam")
    values["model"]["backbone"]["normalization"] = None
    with pytest.raises(ValueError, match=r"Received: model\.backbone\.normalization=None"):
        Recipe.from_dict(values)
