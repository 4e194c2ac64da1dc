"""A run puts each set through the network once per stage, whatever it reports."""

import keras
import pytest

from keras_ccsam import runs


@pytest.fixture
def predicted(monkeypatch):
    """The rows of each prediction."""
    seen: list[int] = []
    predict = keras.Model.predict

    def noting(self, x, *arguments, **options):
        seen.append(len(x))
        return predict(self, x, *arguments, **options)

    def refused(*_, **__):
        raise AssertionError("metrics come from the predictions")

    monkeypatch.setattr(keras.Model, "predict", noting)
    monkeypatch.setattr(keras.Model, "evaluate", refused)
    return seen


@pytest.mark.any_backend
def test_a_run_predicts_a_set_once_a_stage(predicted, small, tmp_path):
    result = runs.run(small("ccsam"), tmp_path / "run", progress="none")
    train = sum(result.results["class_counts"])
    # The test set after stage 1; the features of stage 2; the test set after it.
    assert predicted == [500, train, 500]
    predicted.clear()
    runs.evaluate_run(tmp_path / "run")
    assert predicted == [500]


@pytest.mark.any_backend
def test_validation_images_are_predicted_once_at_the_end(predicted, small, tmp_path):
    """Their report and the temperature are of the same logits."""
    recipe = small("ccsam", "data.validation_fraction=0.2")
    result = runs.run(recipe, tmp_path / "run", progress="none", validate_every=0)
    train, held = (sum(result.results["class_counts"]), result.validation_report.num_samples)
    assert predicted == [500, train, 500, held]
    assert result.results["temperature"]["images"] == held


@pytest.mark.any_backend
def test_a_run_without_a_second_stage_predicts_once(predicted, small, tmp_path):
    runs.run(small("ce", "stage1.epochs=1"), tmp_path / "run", progress="none")
    assert predicted == [500]
