"""Networks on disk: the same as Keras writes, and a full disk costs nothing but them."""

import errno
import os
import resource

import keras
import numpy as np
import pytest

from keras_ccsam import atomic
from keras_ccsam.training import saving


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """40 kB of weights and as much of momentum."""
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    x = np.ones((4, 100), "float32")
    model.fit(x, x, verbose=0)
    return model


def _same(model: keras.Model, other: keras.Model) -> None:
    for one, two in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(two)
        )


def test_weights_and_the_optimizer_come_back(model, tmp_path):
    path = tmp_path / "a.weights.h5"
    saving.save_weights(model, path)
    other = keras.models.clone_model(model)
    other.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    other.optimizer.build(other.trainable_variables)
    other.load_weights(path)
    _same(model, other)
    for one, two in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(two)
        )
    saving.save_model(model, tmp_path / "a.keras")
    _same(model, keras.models.load_model(tmp_path / "a.keras"))


@pytest.fixture
def short_files():
    """No file may become longer than 20 kB: the system refuses the rest, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("save", "name"),
    [(saving.save_weights, "a.weights.h5"), (saving.save_model, "a.keras")],
)
def test_a_disk_that_is_full_loses_nothing_and_says_how_much_was_needed(
    model, tmp_path, monkeypatch, short_files, save, name
):
    target = tmp_path / name
    target.write_text("before")
    # Of a file that is too long the system says so; of a full disk, that there is no room.
    monkeypatch.setattr(atomic, "NO_ROOM", {errno.EFBIG, *atomic.NO_ROOM})
    words = r"\d\d,\d{3} bytes were needed, [\d,]+ are free"
    with pytest.raises(OSError, match=words) as caught, atomic.replacing(target) as temporary:
        save(model, temporary)
    assert caught.value.filename == str(target)
    assert target.read_text() == "before" and os.listdir(tmp_path) == [name]


@pytest.mark.any_backend
def test_a_network_for_which_there_is_no_room_is_not_begun(model, tmp_path, monkeypatch):
    free = type("Free", (), {"free": 1000})()
    monkeypatch.setattr(saving.shutil, "disk_usage", lambda _: free)
    monkeypatch.setattr(type(model), "save", lambda *_: pytest.fail("begun"))
    words = r"No space left on device, at least 9\d,\d{3} bytes were needed, [\d,]+ are free"
    with pytest.raises(OSError, match=words):
        saving.save_model(model, tmp_path / "a.keras")
