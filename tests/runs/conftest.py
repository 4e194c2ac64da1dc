"""Recipes that take a second."""

from collections.abc import Callable

import pytest

from keras_ccsam import recipes, runs
from keras_ccsam.recipes import Recipe

_SMALL = (
    "model.options.width=4",
    "model.options.features=8",
    "stage1.epochs=2",
    "stage1.batch_size=64",
    "data.imbalance_ratio=10",
)


def _small(name: str, *overrides: str) -> Recipe:
    two_stages = recipes.load(name).stage2 is not None
    second = ["stage2.epochs=2"] if two_stages else []
    return recipes.load(name, overrides=(*_SMALL, *second, *overrides))


@pytest.fixture(scope="session")
def small() -> Callable[..., Recipe]:
    """Make a small recipe of a method's name and overrides."""
    return _small


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> runs.RunResult:
    """A finished run of both stages, with a validation split; read only."""
    out = tmp_path_factory.mktemp("runs") / "ccsam"
    return runs.run(_small("ccsam", "data.validation_fraction=0.2"), out, progress="none")
