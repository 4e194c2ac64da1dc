"""A tournament of seconds."""

import pytest

QUICK = (
    "model.backbone.width=4",
    "model.backbone.features=8",
    "stage1.epochs=8",
    "stage1.batch_size=64",
    "stage2.epochs=2",
    "data.imbalance_ratio=10",
)
# Hours, so that the plan is the same on a machine with other work.
OPTIONS = {
    "recipes": ("ce", "la", "la-posthoc", "crt"),
    "overrides": QUICK,
    "budget": "100h",
    "compile_cache": "off",
    "progress": "none",
}


@pytest.fixture(scope="session")
def options():
    """Arguments of `auto` but for the folder."""
    return dict(OPTIONS)


@pytest.fixture(scope="session")
def played(options, tmp_path_factory):
    """A finished tournament; read only."""
    from keras_ccsam.auto import auto

    return auto(out=tmp_path_factory.mktemp("auto") / "out", **options)
