"""A network that was trained before, in a tournament."""

import json

import keras
import pytest

from keras_ccsam import models
from keras_ccsam.auto import at_hand, auto
from keras_ccsam.auto.entrants import frozen_entrants
from keras_ccsam.auto.plan import ask
from keras_ccsam.second_stage.feature_store import FeatureStore

OPTIONS = ("model.backbone.width=4", "stage1.epochs=2", "stage1.batch_size=128")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "models").mkdir(parents=True)
    return tmp_path / "home" / "models"


def names(asked):
    return [entrant.name for entrant in asked.entrants]


@pytest.mark.any_backend
def test_heads_compete_on_features_computed_once(tmp_path, monkeypatch):
    keras.utils.set_random_seed(3)
    file = tmp_path / "before.weights.h5"
    network = models.build("small_cnn", (8, 8, 1), width=4)
    network.save_weights(file)
    seen = []
    features = FeatureStore.features

    def counted(self, images, *rest):
        found = features(self, images, *rest)
        if self.folder is not None:
            seen.append((len(images), self.computed))
        return found

    monkeypatch.setattr(FeatureStore, "features", counted)
    out = tmp_path / "out"
    options = {"overrides": OPTIONS, "budget": "100h", "compile_cache": "off", "progress": "none"}
    result = auto(out=out, recipes=("ncm",), backbone=str(file), refit=False, **options)
    content = result.content
    assert {row["recipe"] for row in content["rungs"][0]["results"]} == {
        "ncm", "frozen", "frozen-la",
    }  # fmt: skip
    # Of training and validation images, by the first; read by the second; of no test image.
    compared = [count for count, _ in seen][:4]
    assert compared == [281, 72, 281, 72]
    assert [computed for _, computed in seen][:4] == [1, 2, 0, 0]
    paces = json.loads((out / "plan.json").read_text())["paces"]
    assert paces["frozen"]["image"] > 0 == paces["ncm"]["image"]
    assert "small_cnn" not in content["words"] and (out / ".feature-cache").is_dir()


@pytest.mark.any_backend
def test_what_says_which_network(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for file in (tmp_path / "w.h5", tmp_path / "run" / "model.keras"):
        file.write_bytes(b"x")
    (tmp_path / "run" / "recipe.toml").write_text(
        '[model.backbone]\nname = "resnet20"\nwidth = "wide"\n'
    )
    kept = cache / at_hand.CACHED["ResNet50"]
    kept.write_bytes(b"x")
    whole = str(tmp_path / "w.h5")

    def model(text):
        found = frozen_entrants(text, data="cifar10-lt", overrides=("model.train=all",))
        assert [entrant.name for entrant in found] == ["frozen", "frozen-la"]
        recipe = found[0].recipe.to_dict()["model"]
        assert recipe["train"]["name"] == "frozen"
        return recipe["backbone"], recipe.get("weights")

    backbone, weights = model("ResNet50=w.h5")
    assert (backbone["name"], weights) == ("ResNet50", whole)
    assert model("ResNet50")[1] == str(kept)
    backbone, weights = model("run/model.keras")
    assert (backbone["name"], backbone["width"]) == ("resnet20", "wide")
    assert weights == str(tmp_path / "run" / "model.keras")
    assert model("w.h5")[0]["name"] == "resnet32"  # the setting's own
    backbone, weights = model("ResNet50=imagenet")
    assert (backbone["weights"], weights) == ("imagenet", None)
    with pytest.raises(ValueError, match=r"NAME=imagenet .*Received: backbone='EfficientNetB0'"):
        model("EfficientNetB0")


@pytest.mark.any_backend
def test_what_is_cached_takes_part_by_default(cache, monkeypatch):
    assert at_hand.cached() is None
    (cache / at_hand.CACHED["MobileNetV2"]).write_bytes(b"x")
    assert at_hand.cached() == f"MobileNetV2={cache / at_hand.CACHED['MobileNetV2']}"
    assert "frozen" not in names(ask("digits-lt"))  # of 8 pixels and one channel
    asked = ask("cifar10-lt")
    assert names(asked)[-2:] == ["frozen", "frozen-la"]
    assert asked.entrants[-1].words.endswith(": MobileNetV2")
    assert "frozen" not in names(ask("cifar10-lt", backbone="none"))
    assert "frozen" not in names(ask("cifar10-lt", recipes=("ce",)))
