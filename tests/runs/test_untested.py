"""A run whose test images are left unseen, for whoever still chooses among runs."""

import dataclasses

import numpy as np
import pytest

from keras_ccsam import runs
from keras_ccsam.runs import parts
from tests import run_pictures


class Unseen:
    """Test images that fail when they are looked at."""

    def __getattr__(self, name):
        raise AssertionError(f"the test images were looked at: {name}")

    def __getitem__(self, rows):
        raise AssertionError(f"the test images were looked at: {rows}")


@pytest.fixture
def unseen_test(monkeypatch):
    load = parts.load_data
    monkeypatch.setattr(
        parts, "load_data", lambda choice: dataclasses.replace(load(choice), x_test=Unseen())
    )


@pytest.mark.any_backend
def test_the_test_images_stay_unseen(small, unseen_test, finished, tmp_path):
    recipe = finished.recipe
    with run_pictures.drawn():
        result = runs.run(recipe, tmp_path / "run", progress="none", tested=False)
    assert "test" not in result.results
    # The same numbers as those of a run that is tested, too.
    assert result.results["validation"] == finished.results["validation"]
    assert result.report is result.validation_report
    assert result.results["stage1"]["num_samples"] == result.report.num_samples
    assert (result.path / "plots" / "confusion.png").is_file()
    with pytest.raises(AssertionError, match="looked at"):
        runs.run(recipe, tmp_path / "tested", progress="none")


@pytest.mark.any_backend
def test_what_is_predicted_of_the_validation_images_is_kept(finished):
    directory = runs.RunDirectory(finished.path)
    predicted = directory.validation()
    labels = parts.load_data(finished.recipe.data).y_validation
    confusion = np.zeros_like(finished.validation_report.confusion)
    np.add.at(confusion, (labels, predicted), 1)
    np.testing.assert_array_equal(confusion, finished.validation_report.confusion)


@pytest.mark.any_backend
def test_a_run_that_nothing_judges_is_refused_before_it_is_trained(small, tmp_path):
    with pytest.raises(ValueError, match="without a validation part"):
        runs.run(small("ce"), tmp_path / "run", progress="none", tested=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.any_backend
def test_damaged_predictions_are_named(finished, tmp_path):
    directory = runs.RunDirectory(tmp_path)
    directory.validation_file.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"cannot be read.*Received: path=.*validation\.npz"):
        directory.validation()
