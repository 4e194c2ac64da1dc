"""The network that guides M2m's translation: cross-entropy on the same data, trained first."""

from collections.abc import Callable
from typing import Any

import keras

from keras_ccsam.recipes import Recipe, override
from keras_ccsam.runs.run_directory import RunDirectory

# What makes the helper a plain run of its own, without a second stage.
_PLAIN = (
    "stage1.method=erm",
    "stage1.loss=cross_entropy",
    "stage1.translate=none",
    "stage1.resample=none",
    "stage1.reweight=none",
    "stage1.average=none",
    "stage2=none",
    "posthoc=none",
    "model.head=dense",
    "note=",
)


def helper_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of the helper: the same data, network and schedule, plain."""
    return override(
        recipe,
        *_PLAIN,
        f"name={recipe.name}-helper",
        "description=Cross-entropy: the helper of M2m's translation.",
    )


def check_helper(recipe: Recipe, index_sha256: str) -> None:
    """Refuse a helper that is no finished run, or was trained on other images.

    Raises:
        ValueError: as said.
    """
    translate = recipe.stage1.translate
    if translate is None or not translate.helper:
        return
    directory = RunDirectory(translate.helper)
    directory.results()
    if directory.indices().index_sha256 != index_sha256:
        raise ValueError(
            "the helper was trained on other images than these; leave it out, and one is trained "
            f"first. Received: stage1.translate.helper={translate.helper!r}"
        )


def trained_helper(
    recipe: Recipe, directory: RunDirectory, run: Callable[[Recipe, Any], Any]
) -> keras.Model:
    """Return the helper's network: that of the run named, or of one trained in `directory`/helper.

    Args:
        recipe: with a `stage1.translate`.
        directory: of the run that needs the helper.
        run: trains a recipe into a folder, or goes on with it there.
    """
    translate = recipe.stage1.translate
    source = RunDirectory(directory.path / "helper")
    if translate is not None and translate.helper:
        source = RunDirectory(translate.helper)
    elif source.status() != "complete":
        run(helper_recipe(recipe), source.path)
    return source.model()
