"""Random-resized crop: what is drawn, and that files and arrays are cut alike."""

import numpy as np
import pytest
from PIL import Image

import keras_ccsam.data as ccdata
from keras_ccsam.data import ImageFiles, RandomResizedCrop
from tests.data.images.conftest import picture

pytestmark = pytest.mark.any_backend


def boxes(width, height, count=4000, seed=0, **options):
    views = RandomResizedCrop(**options).views(count, np.random.default_rng(seed))
    return np.array([view.box(width, height) for view in views])


def test_area_proportion_and_place_have_the_distribution_of_the_field():
    left, top, right, bottom = boxes(1000, 1000, area=(0.1, 0.5)).T
    wide, high = right - left, bottom - top
    area, ratio = wide * high / 1e6, np.log(wide / high)
    # Nothing is refused here: 0.5 of the area at a ratio of 4/3 fits.
    assert area.min() > 0.099 and area.max() < 0.501
    assert abs(area.mean() - 0.3) < 0.01
    assert abs(area.std() - 0.4 / np.sqrt(12)) < 0.005
    assert abs(ratio.mean()) < 0.01
    assert abs(np.abs(ratio).max() - np.log(4 / 3)) < 0.01
    assert abs(ratio.std() - 2 * np.log(4 / 3) / np.sqrt(12)) < 0.005
    for place, room in ((left, 1000 - wide), (top, 1000 - high)):
        assert place.min() >= 0 and (place <= room).all()
        assert abs((place / room).mean() - 0.5) < 0.02
        assert abs((place / room).std() - 1 / np.sqrt(12)) < 0.01


def test_every_place_is_as_likely():
    # 2 of 3 columns: the left edge is at 0 or 1.
    left, _, right, _ = boxes(3, 2, area=(2 / 3, 2 / 3), ratio=(1.0, 1.0)).T
    assert set(right - left) == {2.0}
    assert abs((left == 1).mean() - 0.5) < 0.03


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (7, 1000), (1000, 7), (333, 500)])
def test_a_box_never_leaves_the_image(size):
    left, top, right, bottom = boxes(*size, count=500).T
    assert (left >= 0).all() and (top >= 0).all()
    assert (right <= size[0]).all() and (bottom <= size[1]).all()
    assert (right - left >= 1).all() and (bottom - top >= 1).all()


def test_an_image_into_which_nothing_fits_is_cut_in_its_middle():
    left, top, right, bottom = boxes(300, 10, count=1, area=(1.0, 1.0))[0]
    assert (right - left, bottom - top) == (13.0, 10.0)
    assert left == 143.0


def test_a_file_is_cut_as_its_pixels_are(tmp_path):
    Image.fromarray(picture(48, 48)).save(tmp_path / "a.png")
    store = ImageFiles(["a.png"] * 12, tmp_path, size=48)
    files, arrays = (
        ccdata.from_arrays(x, np.arange(12) // 6).batches(
            batch_size=12, augment=("random_resized_crop", "flip"), seed=5, workers=1
        )
        for x in (store, np.asarray(store))
    )
    assert np.array_equal(files[0][0], arrays[0][0])
    assert len({image.tobytes() for image in files[0][0]}) == 12
    first = files[0][0]
    files.set_epoch(1)
    assert not np.array_equal(first, files[0][0])
    files.set_epoch(0)
    assert np.array_equal(first, files[0][0])


def test_float_and_grey_arrays_are_cut_channel_by_channel():
    x = picture(20, 20)[None].repeat(3, axis=0)
    whole = RandomResizedCrop()(x, np.random.default_rng(1))
    for c in range(3):
        alone = RandomResizedCrop()(x[..., c : c + 1], np.random.default_rng(1))
        # By another way where OpenCV is installed, which rounds once.
        assert np.abs(alone[..., 0].astype(int) - whole[..., c]).max() <= 1
    floats = RandomResizedCrop()(x.astype(np.float32) / 255, np.random.default_rng(1))
    assert floats.dtype == np.float32
    assert np.abs(floats * 255 - whole).max() < 1.6


@pytest.mark.parametrize(
    "options",
    [
        {"area": (0.0, 1.0)},
        {"area": (0.5, 0.2)},
        {"area": (0.5, 1.2)},
        {"ratio": (2.0, 1.0)},
        {"ratio": (0.0, 1.0)},
        {"ratio": (1.0, float("inf"))},
    ],
)
def test_limits_that_cannot_be(options):
    with pytest.raises(ValueError, match=r"Received: (area|ratio)="):
        RandomResizedCrop(**options)


def test_it_is_the_default_for_colour_files_and_for_no_array(tmp_path):
    store = ImageFiles(["a.png"] * 4, tmp_path, size=48)
    names = [type(a).__name__ for a in ccdata.from_arrays(store, [0, 0, 1, 1]).train._augment]
    assert names == ["RandomResizedCrop", "Flip"]
    grey = ImageFiles(["a.png"] * 4, tmp_path, size=48, channels=1)
    assert ccdata.from_arrays(grey, [0, 0, 1, 1]).train._augment == ()
    arrays = np.tile(np.arange(48, dtype=np.uint8)[:, None], (4, 48, 1, 3))
    assert ccdata.from_arrays(arrays, [0, 0, 1, 1]).train._augment == ()
