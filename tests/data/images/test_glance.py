"""A few seconds' look at image files, before anything is trained on them."""

import numpy as np
import pytest
from PIL import Image

from keras_ccsam.data.images import glance as module
from keras_ccsam.data.images.files import ImageFiles
from keras_ccsam.data.images.glance import glance
from keras_ccsam.data.images.unreadable import UnreadableImage
from tests.data.images.conftest import picture

pytestmark = pytest.mark.any_backend

ENDINGS = ("jpg", "png", "gif", "webp", "bmp", "tif", "ppm")


@pytest.fixture
def files(tmp_path):
    for number, ending in enumerate(ENDINGS):
        Image.fromarray(picture(seed=number)).save(tmp_path / f"{number}.{ending}")
    names = [f"{number}.{ending}" for number, ending in enumerate(ENDINGS)]
    return tmp_path, ImageFiles(names, tmp_path, size=16)


def test_whole_files_are_not_decoded_where_their_ends_tell(files, monkeypatch):
    decoded = []
    monkeypatch.setattr(module, "decode", lambda path, **_: decoded.append(path[-3:]))
    halves = files[1].take([1, 3, 5]), files[1].take([0, 2, 4, 6])
    assert glance([None, np.zeros(3), *halves]) == (7, 7)
    assert sorted(decoded) == ["ppm", "tif"]


@pytest.mark.parametrize("number", range(len(ENDINGS)))
@pytest.mark.parametrize("broken", ["short", "empty", "foreign", "missing"])
def test_a_broken_file_is_found(files, number, broken):
    root, store = files
    path = root / store.paths[number]
    content = {"short": path.read_bytes()[:-60], "empty": b"", "foreign": b"no image" * 9}
    path.unlink() if broken == "missing" else path.write_bytes(content[broken])
    with pytest.raises(UnreadableImage, match=f"{path.name}"):
        glance([store])


def test_what_a_camera_adds_behind_an_image_is_no_fault(files):
    root, store = files
    path = root / store.paths[0]
    for behind in (b"\0" * 40, b"a film of two seconds"):
        path.write_bytes(path.read_bytes() + behind)
        assert glance([store]) == (7, 7)


def test_it_ends_when_the_time_is_over(files):
    assert glance([files[1]], seconds=0.0) == (1, 7)
    assert glance([], seconds=0.0) == (0, 0)
