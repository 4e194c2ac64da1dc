"""Features of image files, kept: when they are the same, and when they are new."""

import os
import shutil
import warnings

import keras
import numpy as np
import pytest
from PIL import Image

from keras_ccsam.data.images.files import ImageFiles
from keras_ccsam.second_stage.feature_store import FeatureStore

NAMES = [f"{i}.png" for i in range(5)]


@pytest.fixture
def backbone():
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs)))
    return keras.Model(inputs, x)


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name in NAMES:
        pixels = rng.integers(0, 256, (6, 5, 3)).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    return tmp_path / "images"


def stored(root, names=NAMES, **options):
    return ImageFiles(names, root, size=4, **options)


def test_files_are_read_once(backbone, root, tmp_path, monkeypatch):
    first = FeatureStore(backbone, tmp_path / "kept")
    images = stored(root)
    found = first.features(images)
    np.testing.assert_allclose(found, backbone.predict(images[:], verbose=0), rtol=1e-5, atol=1e-6)
    # A part is another set of images; the whole is known again, without one file being opened.
    first.features(images.take(np.array([3, 1])))
    assert (first.computed, first.found) == (2, 0)
    monkeypatch.setattr(ImageFiles, "__getitem__", lambda *_: pytest.fail("a file was read"))
    again = FeatureStore(backbone, tmp_path / "kept")
    np.testing.assert_array_equal(again.features(stored(root)), found)
    part = again.features(stored(root, [NAMES[3], NAMES[1]]))
    np.testing.assert_allclose(part, found[[3, 1]], rtol=1e-5, atol=1e-6)
    assert (again.computed, again.found) == (0, 2)


def test_files_that_moved_or_changed_and_another_view_are_new(backbone, root, tmp_path):
    store = FeatureStore(backbone, tmp_path / "kept")
    before = store.features(stored(root))
    other = FeatureStore(backbone, tmp_path / "kept")
    shutil.copytree(root, tmp_path / "moved")
    np.testing.assert_array_equal(other.features(stored(tmp_path / "moved")), before)
    assert (other.computed, other.found) == (1, 0)
    other.features(stored(root, resize=6))
    assert (other.computed, other.found) == (2, 0)
    # The same size in bytes, at another time.
    file = root / NAMES[2]
    length = file.stat().st_size
    Image.new("RGB", (6, 5), "white").save(file)
    file.write_bytes(file.read_bytes().ljust(length, b"\0"))
    os.utime(file, ns=(1, 1))
    changed = other.features(stored(root))
    assert (other.computed, other.found) == (3, 0)
    rows = [row for row in range(5) if not np.allclose(changed[row], before[row])]
    assert rows == [2]


def test_a_folder_that_cannot_be_written_costs_the_file_alone(backbone, root, tmp_path):
    (tmp_path / "kept").write_text("a file")
    store = FeatureStore(backbone, tmp_path / "kept")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = store.features(stored(root))
    assert any(f"features are not kept in {store.folder}" in str(w.message) for w in told)
    assert found.shape == (5, 2)
