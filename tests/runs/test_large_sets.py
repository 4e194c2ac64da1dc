"""ImageNet-LT, Places-LT and iNaturalist 2018 end to end, on miniatures in the true formats."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keras_ccsam import recipes, reproduction, runs
from tests import made_images

# Reading the sets is the same on each backend.
pytestmark = pytest.mark.any_backend

# The published network and schedule are hours of a GPU: this is the same recipe in seconds.
TINY = (
    "data.size=16",
    "model.backbone=small_cnn",
    "model.backbone.width=4",
    "model.backbone.features=8",
    "model.train=none",
    "stage1.epochs=1",
    "stage1.batch_size=8",
    "stage2.epochs=1",
    "stage2.batch_size=8",
)
SETS: dict[str, Callable[[Path], Path]] = {
    "imagenet-lt": lambda root: made_images.imagenet(root, flat=True),
    "imagenet-lt-resnext50": made_images.imagenet,
    "places-lt": lambda root: made_images.places(root, "256", "standard"),
    "inat2018": made_images.inat,
}


@pytest.mark.parametrize("setting", SETS)
def test_a_miniature_is_trained_and_opened_again(setting: str, tmp_path: Path) -> None:
    root = SETS[setting](tmp_path / "images")
    recipe = recipes.load("crt", setting, (f'data.path="{root}"', *TINY))
    planned = runs.plan(recipe)
    assert planned.images.image_shape == (16, 16, 3)
    result = runs.run(recipe, tmp_path / "run", progress="none", compile_cache="off")
    assert sum(result.results["class_counts"]) in (12, 11)
    assert result.report.confusion.sum() == 6
    again = runs.evaluate_run(tmp_path / "run")
    assert np.array_equal(again.confusion, result.report.confusion)


def test_the_settings_are_the_fields() -> None:
    imagenet = recipes.load("crt", "imagenet-lt")
    assert imagenet.model.backbone.name == "torch_resnet50" and imagenet.data.size == 224
    assert (imagenet.stage1.batch_size, imagenet.stage1.lr, imagenet.stage1.epochs) == (
        512,
        0.2,
        90,
    )
    assert (imagenet.groups.many, imagenet.groups.few) == (100, 20)
    other = recipes.load("crt", "imagenet-lt-resnext50").to_dict()
    own = imagenet.to_dict()
    assert other["model"]["backbone"]["name"] == "resnext50"
    assert {k: v for k, v in own.items() if k not in ("model", "setting")} == {
        k: v for k, v in other.items() if k not in ("model", "setting")
    }
    jittered = ("random_resized_crop", "flip", "color_jitter")
    for setting, augment in (
        ("imagenet-lt", jittered),
        ("places-lt", jittered),
        ("inat2018", jittered[:2]),  # as Decoupling's code has it
    ):
        recipe = recipes.load("crt", setting)
        assert recipe.stage1.augment == recipe.stage2.augment == augment
        assert recipe.stage2.images_per_class == 4
        probe = recipes.load("linear-probe-crt", setting)  # features are computed once
        assert probe.stage1.augment == probe.stage2.augment == ()
    places = recipes.load("ccsam", "places-lt")
    assert places.model.backbone.name == "ResNet152"
    assert places.model.backbone.weights == "imagenet"
    trained = {"crt-continued": "last_block", "crt-mp": "last_block", "crt-sn": "all"}  # figure 2
    for name, part in trained.items():
        train = recipes.load(name, "places-lt").model.train
        assert (train if isinstance(train, str) else train.name) == part


def test_without_the_images_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a path"):
        runs.plan(recipes.load("ce", "imagenet-lt", TINY[:-2]))
    with pytest.raises(ValueError, match="no training list such as Places_LT_train"):
        runs.plan(recipes.load("ce", "places-lt", (f'data.path="{tmp_path}"', *TINY[:-2])))


def test_figure_2_is_reproduced_on_places(tmp_path: Path) -> None:
    root = made_images.places(tmp_path / "images", "standard", "256")
    options = {"data": "places-lt", "data_path": root, "overrides": TINY}
    planned = reproduction.plan_reproduction("figure2", out=tmp_path / "out", **options)
    assert [row.folder.name for row in planned.rows] == ["places-lt"] * 5
    assert "places-lt" in planned.text()
    some = (*TINY, "stage1.epochs=2", "stage2.epochs=2")
    made = reproduction.reproduce(
        "figure2",
        out=tmp_path / "out",
        progress="none",
        compile_cache="off",
        **(options | {"overrides": some}),
    )
    assert not made.missing and len(made.rows) == 5
    assert "places-lt" in made.text()
