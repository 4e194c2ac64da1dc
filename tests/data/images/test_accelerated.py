"""The extra `fast` gives the same pixels as Pillow alone, but for one of 255 where it enlarges."""

import numpy as np
import pytest
from PIL import Image

import keras_ccsam.data as ccdata
from keras_ccsam.data import ImageFiles, UnreadableImage
from keras_ccsam.data.images import accelerated
from tests.data.images.conftest import picture

pytestmark = pytest.mark.any_backend


@pytest.fixture
def photographs(tmp_path):
    rng = np.random.default_rng(0)
    names = []
    for i in range(6):
        pixels = picture(60 + 40 * i, 90, seed=i).astype(int) + rng.integers(-20, 20, (90, 1, 3))
        names.append(f"{i}.jpg")
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(tmp_path / names[-1], quality=90)
    return ImageFiles(names, tmp_path, size=64, resize=72)


def batch(store):
    labels = np.arange(len(store)) % 2
    framed = ccdata.from_arrays(store, labels).batches(augment=("random_resized_crop",), workers=1)
    return np.concatenate([store[:], *(framed[0][0] for _ in range(2))])


@pytest.mark.parametrize("extra", ["simplejpeg", "cv2"])
def test_each_gives_the_pixels_of_pillow(photographs, monkeypatch, extra):
    pytest.importorskip(extra)
    found = batch(photographs)
    monkeypatch.setattr(accelerated, "module", lambda name: None)
    plain = batch(photographs)
    monkeypatch.undo()
    real = accelerated.module
    monkeypatch.setattr(accelerated, "module", lambda name: real(name) if name == extra else None)
    alone = batch(photographs)
    for other in (found, alone):
        assert np.abs(other.astype(int) - plain).max() <= (0 if extra == "simplejpeg" else 1) or (
            other is found and np.abs(other.astype(int) - plain).max() <= 1
        )


def test_what_is_not_installed_is_not_missed(photographs, monkeypatch):
    import importlib

    def absent(name):
        raise ImportError(name)

    accelerated.module.cache_clear()
    monkeypatch.setattr(importlib, "import_module", absent)
    try:
        assert batch(photographs).shape == (18, 64, 64, 3)
        assert accelerated.module("cv2") is None
    finally:
        accelerated.module.cache_clear()


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_truncated_file_is_refused_by_either(photographs, monkeypatch, share):
    path = photographs.path(2)
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data[: int(len(data) * share)])
    for hidden in (False, True):
        if hidden:
            monkeypatch.setattr(accelerated, "module", lambda name: None)
        with pytest.raises(UnreadableImage, match=r"2\.jpg") as error:
            photographs[2]
        assert error.value.kind == "truncated"
