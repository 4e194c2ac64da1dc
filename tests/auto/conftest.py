"""A tournament of seconds."""

import dataclasses

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


class Unseen:
    """Test images that fail when they are looked at."""

    def __getattr__(self, name):
        raise AssertionError(f"the test images were looked at: {name}")

    def __getitem__(self, rows):
        raise AssertionError(f"the test images were looked at: {rows}")


def hide_test_images(patch):
    """Let every data with a validation split hide its test images."""
    from keras_ccsam.runs import parts

    load = parts.load_data

    def hidden(choice):
        images = load(choice)
        is_final = images.x_validation is None
        return images if is_final else dataclasses.replace(images, x_test=Unseen())

    patch.setattr(parts, "load_data", hidden)


@pytest.fixture(scope="session")
def played(options, tmp_path_factory):
    """A finished tournament; read only. Only its end could see test images."""
    from keras_ccsam.auto import auto

    with pytest.MonkeyPatch.context() as patch:
        hide_test_images(patch)
        return auto(out=tmp_path_factory.mktemp("auto") / "out", **options)
