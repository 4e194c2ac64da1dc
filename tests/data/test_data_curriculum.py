"""CUDA's operations against Pillow and loops; how many an image gets; batches at the limit."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

import keras_ccsam.data as ccdata
from keras_ccsam.data import Curriculum
from keras_ccsam.data.batches.augmentations import curriculum
from keras_ccsam.data.batches.augmentations.magnitudes import CURRICULUM, value_of
from keras_ccsam.data.batches.augmentations.operations import Canvas, apply

pytestmark = pytest.mark.any_backend

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(4), [30, 17, 9, 5])


@pytest.fixture(scope="module")
def data():
    x = RNG.integers(0, 256, size=(61, 8, 8, 3), dtype=np.uint8)
    return ccdata.from_arrays(x, LABELS)


def blended(kind, factor):
    return lambda im: kind(im).enhance(factor)


def moved(*matrix):
    return lambda im: im.transform(im.size, Image.Transform.AFFINE, matrix)


def solarized_sum(im):
    """By a loop over the pixels, with 110 * 6 / 30 = 22 added."""
    out = np.asarray(im).astype(int)
    for place in np.ndindex(out.shape):
        total = min(out[place] + 22, 255)
        out[place] = 255 - total if total >= 128 else total
    return out


def zoomed(im):
    larger = im.resize((13, 9), Image.Resampling.LANCZOS)  # 12 and 9 pixels, 1.1 times
    return np.asarray(larger)[0:9, 0:12]


# Each operation at level 6, so of strength 0.2, with what the authors' code makes of it.
AT_SIX = {
    "flip": ImageOps.flip,
    "mirror": ImageOps.mirror,
    "edge_enhance": lambda im: im.filter(ImageFilter.EDGE_ENHANCE),
    "detail": lambda im: im.filter(ImageFilter.DETAIL),
    "smooth": lambda im: im.filter(ImageFilter.SMOOTH),
    "auto_contrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "invert": ImageOps.invert,
    "blur": lambda im: im.filter(ImageFilter.GaussianBlur(0.4)),
    "zoom": zoomed,
    "rotate": lambda im: im.rotate(6.0),
    "posterize": lambda im: ImageOps.posterize(im, 1),
    "solarize": lambda im: ImageOps.solarize(im, 51.2),
    "solarize_add": solarized_sum,
    "color": blended(ImageEnhance.Color, 0.46),
    "contrast": blended(ImageEnhance.Contrast, 0.46),
    "brightness": blended(ImageEnhance.Brightness, 0.46),
    "sharpness": blended(ImageEnhance.Sharpness, 0.46),
    "shear_x": moved(1, 0.06, 0, 0, 1, 0),
    "shear_y": moved(1, 0, 0, 0.06, 1, 0),
    "translate_x": moved(1, 0, 20, 0, 1, 0),
    "translate_y": moved(1, 0, 0, 0, 1, 20),
}


@pytest.mark.parametrize("name", AT_SIX)
def test_an_operation_is_that_of_the_authors_code(name):
    assert set(AT_SIX) == set(CURRICULUM) and len(CURRICULUM) == 22
    image = Image.fromarray(RNG.integers(0, 256, size=(9, 12, 3), dtype=np.uint8))
    value = value_of(name, 0.2, False, CURRICULUM, image.size)
    found = np.asarray(apply(name, image, value, Canvas("nearest", 0)))
    np.testing.assert_array_equal(found, np.asarray(AT_SIX[name](image)))
    signed = name in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
    other = value_of(name, 0.2, True, CURRICULUM, image.size)
    assert other == (-value if signed else value)


def noted(monkeypatch):
    """What is applied from now on: the image's first pixel, the name and the value."""
    seen = []

    def note(name, image, value, canvas):
        seen.append((image.getpixel((0, 0)), name, value))
        return image

    monkeypatch.setattr(curriculum, "apply", note)
    return seen


def test_an_image_gets_as_many_operations_as_the_level_of_its_class(monkeypatch):
    augment = Curriculum(probability=0.25)
    augment.set_levels(np.array([0, 3, 10]))
    labels = np.repeat(np.arange(3), 2000)
    seen = noted(monkeypatch)
    # An image's number in its two first bytes, as grey levels may be.
    x = np.zeros((6000, 1, 1, 3), np.uint8)
    x[:, 0, 0, 0], x[:, 0, 0, 1] = np.arange(6000) // 256, np.arange(6000) % 256
    augment.of(labels)(x, np.random.default_rng(0))
    counts = np.zeros(6000, int)
    for (high, low, _), name, value in seen:
        place = high * 256 + low
        counts[place] += 1
        level = (0, 3, 10)[labels[place]]
        negative = value_of(name, level / 30, True, CURRICULUM, (1, 1))
        assert value in (value_of(name, level / 30, False, CURRICULUM, (1, 1)), negative)
    for label, level in enumerate((0, 3, 10)):
        own = counts[labels == label]
        assert set(own) == ({0} if level == 0 else {0, level})
        if level:
            assert abs(np.mean(own == level) - 0.25) < 0.04
    # With replacement, all 22 alike: the 99.9 % point of chi-square with 21 degrees of freedom.
    names = [name for _, name, _ in seen]
    found = np.array([names.count(name) for name in CURRICULUM])
    expected = len(names) / 22
    assert ((found - expected) ** 2 / expected).sum() < 46.8
    turns = np.array([value for _, name, value in seen if name == "rotate"])
    assert set(np.abs(turns).round(6)) == {3.0, 10.0}
    assert abs(np.mean(turns > 0) - 0.5) < 0.12


def test_left_out_operations_are_not_drawn(monkeypatch):
    seen = noted(monkeypatch)
    kept = ("flip", "blur")
    augment = Curriculum(1.0, 10, without=[name for name in CURRICULUM if name not in kept])
    augment.of(np.zeros(100, int))(np.zeros((100, 2, 2, 3), np.uint8), np.random.default_rng(0))
    assert {name for _, name, _ in seen} == set(kept) and len(seen) == 1000


ORDER = ("crop", "flip", "curriculum", "cutout")


def batches(data, *, levels=None, **options):
    given = Curriculum(**options)
    given.set_levels(levels)
    augment = [given if name == "curriculum" else name for name in ORDER]
    return data.batches(batch_size=13, seed=3, augment=augment, mixup=0.5)


def same(one, other):
    keys = ("labels", "second_labels", "mix")
    return np.array_equal(one[0], other[0]) and all(
        np.array_equal(one[1][key], other[1][key]) for key in keys
    )


def test_at_its_limits_the_batch_is_the_plain_one(data):
    """Also what is drawn after it: the hole of Cutout, and the partners of mixup."""
    plain = data.batches(batch_size=13, seed=3, augment=("crop", "flip", "cutout"), mixup=0.5)
    for own in (
        batches(data),
        batches(data, levels=np.zeros(4, int)),
        batches(data, probability=0.0, start=5),
    ):
        assert all(same(own[step], plain[step]) for step in (0, 3, 4))
    higher = [batches(data, start=level)[0] for level in (1, 2)]
    assert not same(higher[0], plain[0]) and not same(*higher)
    one_class = batches(data, levels=np.array([0, 0, 0, 4]))
    assert not all(same(one_class[step], plain[step]) for step in range(5))


def test_other_levels_are_seen_once_what_was_prepared_is_dropped(data):
    augment = Curriculum(probability=1.0)
    options = {"batch_size": 13, "seed": 3, "augment": (augment,)}
    threads, alone = data.batches(workers=2, **options), data.batches(workers=1, **options)
    threads[0]
    augment.set_levels(np.full(4, 6))
    threads.drop_prepared()
    for step in range(5):
        np.testing.assert_array_equal(threads[step][0], alone[step][0])


def test_views_are_of_the_classes_of_the_images_that_they_show(data, monkeypatch):
    """GLMC mixes with images of the whole set: these get the operations of their own classes."""
    x = RNG.integers(0, 256, size=(61, 8, 8, 3), dtype=np.uint8)
    x[:, 0, 0] = LABELS[:, None]
    coded = ccdata.from_arrays(x, LABELS)
    seen = noted(monkeypatch)
    augment = Curriculum(probability=1.0)
    augment.set_levels(np.array([0, 1, 2, 4]))
    views = ccdata.views.Mixtures(partner_power=1.0)
    mixed = coded.batches(batch_size=13, seed=3, augment=(augment,), views=views)
    _, y, _ = mixed[0]
    labels = np.concatenate([y["labels"], y["second_labels"]])
    counts = [sum(pixel[0] == label for pixel, *_ in seen) for label in range(4)]
    wanted = [level * np.sum(labels == label) for label, level in enumerate((0, 1, 2, 4))]
    assert counts == wanted


@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 9, 3), (40, 24, 3), (2, 2, 1)])
def test_any_size_grey_and_rgb(shape):
    x = RNG.integers(0, 256, size=(60, *shape), dtype=np.uint8)
    before = x.copy()
    out = Curriculum(1.0, 3).of(np.zeros(60, int))(x, np.random.default_rng(0))
    assert out.shape == x.shape and out.dtype == x.dtype
    np.testing.assert_array_equal(x, before)


def test_what_cannot_be_is_refused(data):
    of_too_few = Curriculum()
    of_too_few.set_levels(np.array([0, 1]))
    for make, match in (
        (lambda: Curriculum(probability=1.5), "probability=1.5"),
        (lambda: Curriculum(start=11), "start=11"),
        (lambda: Curriculum(without=("mirrors",)), r"did you mean 'mirror'\? Received"),
        (lambda: Curriculum(without=tuple(CURRICULUM)), "and not all of them"),
        (lambda: Curriculum().set_levels(np.array([0, 11])), "whole numbers from 0 to 10"),
        (lambda: of_too_few.of(LABELS), "2 levels, and images of class 3"),
        (lambda: Curriculum()(data.x_train, RNG), "goes by the classes"),
        (lambda: data.batches(augment=("curriculum",), data_on="device"), "computed on the host"),
    ):
        with pytest.raises(ValueError, match=match):
            make()
    floats = ccdata.from_arrays(RNG.random((61, 8, 8, 3), "float32"), LABELS)
    with pytest.raises(ValueError, match="takes uint8 images"):
        floats.batches(augment=("curriculum",))
