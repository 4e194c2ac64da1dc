"""The recipe in the manner of LIFT from end to end, on small random encoders of keras-hub."""

import keras
import numpy as np
import pytest

from keras_ccsam import recipes
from keras_ccsam.layers.lora import lora_candidates
from keras_ccsam.runs import experiment, work
from keras_ccsam.runs.trained_run import open_run
from tests.models.test_hub import ENCODERS, preset
from tests.models.test_hub import pytestmark as pytestmark

SHORT = ("stage1.epochs=1", "stage1.augment=[]", "data.imbalance_ratio=100", "stage1.lr=0.1")


@pytest.mark.any_backend
@pytest.mark.parametrize("name", ["vit", "clip"])
def test_an_encoder_is_adapted_trained_judged_and_kept(name, tmp_path, monkeypatch):
    folder, _ = preset(tmp_path, name)
    hub = ("model.backbone.name=hub", f"model.backbone.preset={folder}")
    recipe = recipes.load("lift", overrides=[*hub, "model.train.rank=2", *SHORT])
    built = []

    def noted(*arguments, _build=work.parts.build_model, **options):
        built.append(_build(*arguments, **options))
        start.extend(keras.ops.convert_to_numpy(w) for w in built[0].backbone.weights)
        return built[-1]

    start = []
    monkeypatch.setattr(work.parts, "build_model", noted)
    run = experiment.run(recipe, tmp_path / "run", progress="none")
    model = built[0]
    # Two factors in query and value of two blocks, and the head: the rest is as it was.
    for weight, before in zip(model.backbone.weights, start, strict=True):
        same = np.array_equal(before, keras.ops.convert_to_numpy(weight))
        assert same is not ("lora" in weight.path), weight.path
    assert len(model.backbone.trainable_variables) == 2 * 2 * 2
    # The head began at the class means of random features, which tell digits better than chance.
    assert run.report.overall > 0.15
    # What is kept has the sums and no factors, and scores what the run scored.
    kept = keras.models.load_model(run.path / "model.keras")
    assert not any(layer.lora_enabled for layer in lora_candidates(kept))
    assert kept.output_shape == (None, 10) and ENCODERS[name][2] == model.head.kernel.shape[0]
    assert experiment.evaluate_run(run.path).overall == pytest.approx(run.report.overall)
    trained = open_run(run.path)
    again = trained.evaluate(trained.stage1_model(), "test").overall
    assert again == pytest.approx(run.report.overall)
