"""A run whose training diverges ends with the cause, and says so in its folder."""

import json
import re

import pytest
from keras_ccsam_cli.errors import EXIT_RUNTIME, as_failure

from keras_ccsam import recipes, runs


@pytest.mark.any_backend
def test_a_run_that_diverges_stops(small, tmp_path):
    recipe = small("ce", "stage1.lr=1e30", "stage1.warmup_epochs=0", "stage1.epochs=1")
    with pytest.raises(FloatingPointError) as found:
        runs.run(recipe, tmp_path / "run", progress="none")
    text = str(found.value)
    start = r"ce, stage 1, epoch 1, step [23]: the loss is no longer finite\. Its batch has classes"
    assert re.match(start, text)
    assert "learning rate" in text
    state = json.loads((tmp_path / "run/state.json").read_text())
    assert state["status"] == "failed"
    assert state["error"].startswith("FloatingPointError: ce, stage 1, epoch 1, step ")
    assert as_failure(found.value).code == EXIT_RUNTIME
    assert as_failure(found.value).message == text


@pytest.mark.any_backend
def test_the_choice_is_part_of_the_digest_where_it_is_not_the_default():
    plain, raises, skips = (
        recipes.load("ce", overrides=extra)
        for extra in ((), ("on_nonfinite=raise",), ("on_nonfinite=skip",))
    )
    assert plain.digest() == raises.digest() != skips.digest()
    assert plain.stage1_digest() != skips.stage1_digest()
