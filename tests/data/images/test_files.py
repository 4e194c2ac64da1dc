"""`ImageFiles`: an array that is not read yet, and what is shown of each image."""

import numpy as np
import pytest
from PIL import Image

import keras_ccsam.data as ccdata
from keras_ccsam.data import ImageFiles, UnreadableImage
from keras_ccsam.data.images import files as files_module
from keras_ccsam.data.images import jpeg_parts
from keras_ccsam.data.images.array_rows import ArrayRows
from keras_ccsam.data.images.store import row_numbers, taken
from keras_ccsam.data.images.view import Centre
from tests.data.images.conftest import picture

pytestmark = pytest.mark.any_backend


@pytest.fixture
def store(folder):
    root, names, _ = folder()
    return ImageFiles(names, root, size=24)


def test_it_is_indexed_as_the_array_of_its_images(store):
    whole = store[:]
    assert store.shape == whole.shape == (40, 24, 24, 3)
    assert store.dtype == whole.dtype == np.uint8
    assert (len(store), store.ndim, store.nbytes) == (40, 4, whole.nbytes)
    mask = np.arange(40) % 3 == 0
    for index in (slice(3, 30, 4), [5, 1, 5], np.array([-1, 0]), mask, []):
        expected = whole[row_numbers(index, 40)]
        assert np.array_equal(store[index], expected)
        assert np.array_equal(taken(store, index)[:], expected)
    assert np.array_equal(store[7], whole[7])
    assert np.array_equal(store[-1], whole[-1])
    assert np.array_equal(np.asarray(store), whole)


def test_a_part_of_a_part_is_taken_without_reading(store, monkeypatch):
    reads = []
    seen = files_module.seen
    monkeypatch.setattr(files_module, "seen", lambda *a: reads.append(a[0]) or seen(*a))
    part = store.take(np.arange(10, 20)).take([0, 9])
    assert (len(part), reads) == (2, [])
    assert part.paths == [store.paths[10], store.paths[19]]
    part[1:]
    assert reads == [store.path(19)]


@pytest.mark.parametrize("index", [40, [-41], [1.5], [[0, 1]], "a", [True, False]])
def test_rows_that_are_not_there(store, index):
    with pytest.raises(IndexError, match=r"Received: index"):
        store[index]


def test_nothing_is_looked_for_before_it_is_read(tmp_path):
    store = ImageFiles(["absent.png", "other.png"], tmp_path, size=8)
    data = ccdata.from_arrays(store, [0, 1])
    assert data.outline.image_shape == (8, 8, 3)
    with pytest.raises(UnreadableImage, match=r"absent\.png"):
        store[0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"paths": []}, "paths=\\[\\]"),
        ({"paths": "one.jpg"}, "paths='one.jpg'"),
        ({"paths": ["a/../../b.jpg"]}, r"paths\[0\]='a/../../b.jpg'"),
        ({"paths": ["a.jpg", "/etc/passwd"]}, r"paths\[1\]='/etc/passwd'"),
        ({"paths": ["..\\b.jpg"]}, "paths"),
        ({"size": 0}, "size=0"),
        ({"size": (8, 8, 8)}, "size="),
        ({"size": 8.0}, "size=8.0"),
        ({"size": True}, "size=True"),
        ({"resize": 7}, "resize=7"),
        ({"channels": 2}, "channels=2"),
    ],
)
def test_what_cannot_be_is_said_at_once(tmp_path, arguments, message):
    given = {"paths": ["a.jpg"], "size": 8} | arguments
    with pytest.raises(ValueError, match=message):
        ImageFiles(given.pop("paths"), tmp_path, **given)


def test_row_numbers_of_an_empty_set():
    assert row_numbers(slice(None), 0).tolist() == []
    assert row_numbers([], 3).tolist() == []


def test_an_image_of_the_right_size_stays_as_it_is(tmp_path):
    Image.fromarray(picture(24, 24)).save(tmp_path / "a.png")
    store = ImageFiles(["a.png"], tmp_path, size=24)
    assert np.array_equal(store[0], picture(24, 24))


def test_resize_and_centre_crop_are_those_of_two_steps(tmp_path):
    Image.fromarray(picture(300, 200)).save(tmp_path / "a.png")
    found = ImageFiles(["a.png"], tmp_path, size=56, resize=64)[0]
    whole = Image.fromarray(picture(300, 200)).resize((96, 64), Image.Resampling.BILINEAR)
    expected = np.asarray(whole.crop((20, 4, 76, 60))).astype(int)
    assert np.abs(found - expected).max() <= 1


def test_boxes_of_the_centre():
    assert Centre((10, 10)).box(40, 20) == (10.0, 0.0, 30.0, 20.0)
    assert Centre((10, 20)).box(40, 20) == (0.0, 0.0, 40.0, 20.0)
    assert Centre((10, 20)).box(20, 20) == (0.0, 5.0, 20.0, 15.0)
    # Nothing is resized: whole pixels.
    assert Centre((224, 224), 256).box(301, 256) == (38.0, 16.0, 262.0, 240.0)
    assert Centre((224, 224), 256).box(512, 256) == (144.0, 16.0, 368.0, 240.0)
    # An image that is smaller than the result is enlarged.
    assert Centre((10, 10)).box(4, 2) == (1.0, 0.0, 3.0, 2.0)


def test_a_large_jpeg_is_decoded_at_reduced_scale_and_looks_the_same(tmp_path, monkeypatch):
    Image.fromarray(picture(1024, 768)).save(tmp_path / "a.jpg", quality=95)
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    scales = []
    from PIL import JpegImagePlugin

    real = JpegImagePlugin.JpegImageFile.draft

    def noted(self, mode, size):
        found = real(self, mode, size)
        scales.append(self.size)
        return found

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", noted)
    monkeypatch.setattr(jpeg_parts, "is_jpeg", lambda start: False)  # Pillow's way alone
    store = ImageFiles(["a.jpg", "a.png"], tmp_path, size=96)
    jpeg, png = store[0].astype(int), store[1].astype(int)
    assert scales == [(128, 96)]
    assert np.abs(jpeg - png).mean() < 2


def test_a_turned_photograph_is_shown_upright(tmp_path):
    pixels = picture(64, 32)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.ascontiguousarray(pixels.swapaxes(0, 1)[::-1]))
    turned.save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(pixels).save(tmp_path / "upright.png")
    store = ImageFiles(["turned.png", "upright.png"], tmp_path, size=(16, 32))
    assert np.array_equal(store[0], store[1])


def test_rows_of_an_array_that_is_not_copied(tmp_path):
    x = np.arange(6 * 4 * 4 * 3, dtype=np.uint8).reshape(6, 4, 4, 3)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    store = ArrayRows(mapped).take([5, 0, 3])
    assert store.shape == (3, 4, 4, 3) and store.dtype == np.uint8
    assert np.array_equal(store[:], x[[5, 0, 3]])
    assert np.array_equal(store.take([2])[0], x[3])
    shown = store.read(np.array([0, 1]), [Centre((4, 4))] * 2)
    assert np.array_equal(shown, x[[5, 0]])
