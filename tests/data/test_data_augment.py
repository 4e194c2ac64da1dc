"""Augmentations against slow loops, and no leak between images."""

import numpy as np
import pytest

from keras_ccsam.data import from_arrays
from keras_ccsam.data.batches.augment import Crop, Cutout, Flip, resolve

pytestmark = pytest.mark.any_backend


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def images():
    """Every pixel above 0, so that padding can be told from an image."""
    return generator(1).integers(1, 256, size=(300, 32, 32, 3), dtype=np.uint8)


def positions_of(image, cropped, pad):
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    height, width = image.shape[:2]
    return [
        (top, left)
        for top in range(2 * pad + 1)
        for left in range(2 * pad + 1)
        if np.array_equal(padded[top : top + height, left : left + width], cropped)
    ]


def test_crop_pads_by_four_and_cuts_every_place(images):
    cropped = Crop()(images, generator())
    places = [positions_of(x, c, 4) for x, c in zip(images, cropped, strict=True)]
    assert all(len(place) == 1 for place in places)
    assert {place[0][0] for place in places} == set(range(9))
    assert {place[0][1] for place in places} == set(range(9))
    # Padding is black, and some crops do reach into it.
    assert (cropped == 0).any()
    assert len({tuple(place[0]) for place in places}) > 50


@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 9, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_crop_of_other_shapes(shape, dtype):
    images = generator(2).integers(1, 256, size=(40, *shape)).astype(dtype)
    cropped = Crop(padding=2)(images, generator())
    assert cropped.dtype == dtype
    assert all(positions_of(x, c, 2) for x, c in zip(images, cropped, strict=True))
    # By default an eighth of the height.
    narrow = Crop()(images, generator())
    assert all(positions_of(x, c, 1) for x, c in zip(images, narrow, strict=True))


def test_crop_without_padding_changes_nothing(images):
    assert np.array_equal(Crop(padding=0)(images, generator()), images)


def test_flip_mirrors_columns_of_about_half(images):
    flipped = Flip()(images, generator())
    mirrored = [np.array_equal(f, x[:, ::-1]) for f, x in zip(flipped, images, strict=True)]
    same = [np.array_equal(f, x) for f, x in zip(flipped, images, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 110 < sum(mirrored) < 190


def test_a_subclass_of_flip_does_what_it_says_itself():
    class Shift(Flip):
        def __call__(self, x, rng):
            return x + 1

    x = np.arange(16, dtype="uint8").reshape(4, 2, 2, 1)
    source = from_arrays(x, np.arange(4) % 2)
    shifted, _ = source.batches(batch_size=4, augment=(Shift(),))[0]
    np.testing.assert_array_equal(np.sort(shifted[:, 0, 0, 0]), x[:, 0, 0, 0] + 1)


def test_cutout_blanks_one_square(images):
    cut = Cutout()(images, generator())
    sizes = set()
    for x, c in zip(images, cut, strict=True):
        blank = (c == 0).all(axis=-1)
        rows, columns = np.flatnonzero(blank.any(axis=1)), np.flatnonzero(blank.any(axis=0))
        assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
        assert blank[np.ix_(rows, columns)].all()
        assert blank.sum() == len(rows) * len(columns)
        # A square that sticks out is clipped: at least half of it stays, at most 16 pixels.
        assert 8 <= len(rows) <= 16
        assert 8 <= len(columns) <= 16
        assert np.array_equal(c[~blank], x[~blank])
        sizes.add((len(rows), len(columns)))
    assert (16, 16) in sizes
    assert len(sizes) > 5


def test_cutout_options(images):
    cut = Cutout(size=3, fill=7)(images, generator())
    changed = (cut != images).any(axis=-1).sum(axis=(1, 2))
    assert changed.max() == 9
    assert (cut[(cut != images).any(axis=-1)] == 7).all()


@pytest.mark.parametrize("step", [Crop(), Flip(), Cutout()], ids=lambda s: type(s).__name__)
def test_images_do_not_leak_into_each_other(step):
    # Image i holds the value i + 1 everywhere: after any step it holds that and black alone.
    images = np.arange(1, 201, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 32, 32, 3), dtype=np.uint8
    )
    for row, image in enumerate(step(images, generator())):
        assert set(np.unique(image)) <= {0, row + 1}


@pytest.mark.parametrize("step", [Crop(), Flip(), Cutout()], ids=lambda s: type(s).__name__)
def test_pure_and_per_image(step, images):
    before = images.copy()
    first = step(images, generator(3))
    assert np.array_equal(images, before)
    assert first.shape == images.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, step(images, generator(3)))
    assert not np.array_equal(first, step(images, generator(4)))
    same = np.repeat(images[:1], 60, axis=0)
    assert len({x.tobytes() for x in step(same, generator())}) > 1


def test_resolve():
    assert resolve("default", ("crop", "flip")) == (Crop(), Flip())
    assert resolve((), ("crop",)) == ()
    assert resolve(("flip", Cutout(size=4)), ()) == (Flip(), Cutout(size=4))
    with pytest.raises(ValueError, match="augment='rotate'"):
        resolve(("crop", "rotate"), ())
    with pytest.raises(ValueError, match="augment='crop'"):
        resolve("crop", ())
    with pytest.raises(ValueError, match="augment=3"):
        resolve((3,), ())


def test_bad_options():
    with pytest.raises(ValueError, match="padding=-1"):
        Crop(padding=-1)
    with pytest.raises(ValueError, match="size=0"):
        Cutout(size=0)
