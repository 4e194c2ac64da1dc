"""Policies and jitter: each operation against Pillow and against loops, their laws by counting."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from keras_ccsam.data import AutoAugment, ColorJitter, RandAugment, RandomErasing, TrivialAugment
from keras_ccsam.data.batches.augmentations import auto_augment, rand_augment, trivial_augment
from keras_ccsam.data.batches.augmentations.auto_augment_policies import POLICIES
from keras_ccsam.data.batches.augmentations.color_jitter import turned_hue
from keras_ccsam.data.batches.augmentations.magnitudes import FOURTEEN, STANDARD, WIDE, value_of
from keras_ccsam.data.batches.augmentations.operations import OPERATIONS, Canvas, apply

pytestmark = pytest.mark.any_backend

EVERY = (
    AutoAugment(),
    AutoAugment("imagenet"),
    AutoAugment("svhn"),
    RandAugment(),
    RandAugment(magnitude_std=0.5, probability=0.5),
    TrivialAugment(),
    TrivialAugment(wide=False),
    ColorJitter(hue=0.1),
    RandomErasing(),
    RandomErasing(fill=7),
)
PILLOWS = EVERY[:8]


def generator(seed=0):
    return np.random.default_rng(seed)


def pixels(*shape, seed=1):
    return generator(seed).integers(0, 256, size=shape, dtype=np.uint8)


@pytest.fixture
def image():
    return Image.fromarray(pixels(9, 12, 3))


def run(name, image, value, **canvas):
    return np.asarray(apply(name, image, value, Canvas(**canvas))).astype(int)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("name", "value", "reference"),
    [
        ("brightness", 1.4, lambda im: ImageEnhance.Brightness(im).enhance(1.4)),
        ("contrast", 0.3, lambda im: ImageEnhance.Contrast(im).enhance(0.3)),
        ("sharpness", 1.9, lambda im: ImageEnhance.Sharpness(im).enhance(1.9)),
        ("color", 0.2, lambda im: ImageEnhance.Color(im).enhance(0.2)),
        ("posterize", 3, lambda im: ImageOps.posterize(im, 3)),
        ("solarize", 99.5, lambda im: ImageOps.solarize(im, 100)),
        ("invert", 0, ImageOps.invert),
        ("equalize", 0, ImageOps.equalize),
        ("auto_contrast", 0, ImageOps.autocontrast),
        ("rotate", 23.0, lambda im: im.rotate(23.0, fillcolor=(128,) * len(im.getbands()))),
        ("identity", 0, lambda im: im),
    ],
)
def test_an_operation_is_pillows(image, mode, name, value, reference):
    image = image.convert(mode)
    if mode == "L" and name == "rotate":
        reference = lambda im: im.rotate(23.0, fillcolor=128)  # noqa: E731
    assert np.array_equal(run(name, image, value), np.asarray(reference(image)).astype(int))


@pytest.mark.parametrize(
    ("name", "value", "matrix"),
    [
        ("shear_x", 0.3, ((1, 0.3), (0, 1), (0, 0))),
        ("shear_y", -0.7, ((1, 0), (-0.7, 1), (0, 0))),
        ("translate_x", 3, ((1, 0), (0, 1), (3, 0))),
        ("translate_y", -2, ((1, 0), (0, 1), (0, -2))),
    ],
)
def test_moved_pixels_are_those_of_a_loop(image, name, value, matrix):
    (a, b), (d, e), (c, f) = matrix
    x = np.asarray(image).astype(int)
    expected = np.full_like(x, 128)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            # Pillow asks for the centre of a pixel.
            at = a * (column + 0.5) + b * (row + 0.5) + c, d * (column + 0.5) + e * (row + 0.5) + f
            if 0 <= at[0] < x.shape[1] and 0 <= at[1] < x.shape[0]:
                expected[row, column] = x[int(at[1]), int(at[0])]
    assert np.array_equal(run(name, image, value), expected)
    assert (run(name, image, value, fill=3) == 3).all(axis=-1).sum() >= 9
    assert not np.array_equal(run(name, image, value * 0.9, interpolation="bilinear"), expected)


def test_point_operations_are_their_formulas(image):
    x = np.asarray(image).astype(int)
    assert np.array_equal(run("posterize", image, 3), x // 32 * 32)
    assert np.array_equal(run("solarize", image, 100), np.where(x < 100, x, 255 - x))
    assert np.array_equal(run("invert", image, 0), 255 - x)
    assert np.abs(run("brightness", image, 0.5) - x * 0.5).max() <= 1
    low, high = x.min(axis=(0, 1)), x.max(axis=(0, 1))
    stretched = (x - low) * 255.0 / (high - low)
    assert np.abs(run("auto_contrast", image, 0) - stretched).max() <= 1


def test_colours_leave_grey_images_alone():
    grey = Image.fromarray(pixels(9, 12))
    assert np.array_equal(run("color", grey, 0.1), np.asarray(grey))
    assert turned_hue(grey, 0.3) is grey
    x = pixels(20, 8, 8, 1)
    only = ColorJitter(brightness=0, contrast=0, saturation=0.9, hue=0.5)
    assert np.array_equal(only(x, generator()), x)
    # And grey pixels of a colour image have no hue either.
    assert np.array_equal(
        turned_hue(grey.convert("RGB"), 0.3), np.repeat(np.asarray(grey)[..., None], 3, axis=-1)
    )


def test_a_turned_hue_goes_round():
    red = Image.new("RGB", (1, 1), (255, 0, 0))
    assert np.argmax(turned_hue(red, 1 / 3).getpixel((0, 0))) == 1
    assert np.argmax(turned_hue(red, -1 / 3).getpixel((0, 0))) == 2


@pytest.mark.parametrize(
    ("name", "strength", "standard", "wide"),
    [
        ("shear_x", 1, 0.3, 0.99),
        ("shear_y", 0.5, 0.15, 0.495),
        ("translate_x", 1, 66 * 150 / 331, 32),
        ("translate_y", 1, 33 * 150 / 331, 32),
        ("rotate", 1, 30, 135),
        ("brightness", 1, 1.9, 1.99),
        ("contrast", 0, 1, 1),
        ("posterize", 1, 4, 2),
        ("posterize", 0, 8, 8),
        ("posterize", 9 / 30, 7, 6),
        ("solarize", 1, 0, 0),
        ("solarize", 0.2, 204, 204),
        ("equalize", 1, 0, 0),
    ],
)
def test_values_of_a_strength(name, strength, standard, wide):
    for ranges, value in ((STANDARD, standard), (WIDE, wide)):
        assert value_of(name, strength, False, ranges, (66, 33)) == pytest.approx(value)
    negative = value_of(name, strength, True, STANDARD, (66, 33))
    if name in ("brightness", "contrast"):
        assert negative == pytest.approx(2 - standard)
    elif STANDARD[name].signed:
        assert negative == pytest.approx(-standard)
    else:
        assert negative == pytest.approx(standard)


def noted(monkeypatch, module):
    """What a policy applies from now on, as (image's place is not known) name and value."""
    seen = []

    def note(name, image, value, canvas):
        seen.append((name, value))
        return image

    monkeypatch.setattr(module, "apply", note)
    return seen


def chi_square(counts, shares):
    expected = np.asarray(shares) * np.sum(counts)
    return float((((np.asarray(counts) - expected) ** 2) / expected).sum())


# The 99.9 % points of chi-square with 13 and 24 degrees of freedom.
LIMITS = {13: 34.53, 24: 51.18}


def test_rand_augment_draws_its_operations_alike(monkeypatch):
    seen = noted(monkeypatch, rand_augment)
    RandAugment(operations=2, magnitude=15)(np.zeros((4000, 1, 1, 3), np.uint8), generator())
    assert len(seen) == 8000
    names = [name for name, _ in seen]
    assert chi_square([names.count(n) for n in FOURTEEN], np.full(14, 1 / 14)) < LIMITS[13]
    turns = [value for name, value in seen if name == "rotate"]
    assert set(turns) == {-15.0, 15.0}
    assert abs(np.mean(np.array(turns) > 0) - 0.5) < 0.08


def test_rand_augments_probability_and_spread(monkeypatch):
    seen = noted(monkeypatch, rand_augment)
    x = np.zeros((4000, 1, 1, 3), np.uint8)
    RandAugment(operations=3, probability=0.3)(x, generator())
    assert abs(len(seen) / 12_000 - 0.3) < 0.02
    seen.clear()
    RandAugment(operations=3, magnitude=20, magnitude_std=3)(x, generator())
    turns = np.abs([value for name, value in seen if name == "rotate"])
    assert abs(turns.mean() - 20) < 0.5
    assert abs(turns.std() - 3) < 0.3
    assert turns.max() <= 30


def test_trivial_augment_draws_operations_and_strengths_alike(monkeypatch):
    seen = noted(monkeypatch, trivial_augment)
    TrivialAugment()(np.zeros((12_000, 1, 1, 3), np.uint8), generator())
    names = [name for name, _ in seen]
    assert chi_square([names.count(n) for n in FOURTEEN], np.full(14, 1 / 14)) < LIMITS[13]
    turns = np.array([value for name, value in seen if name == "rotate"])
    steps, counts = np.unique(np.rint(np.abs(turns) / 135 * 30).astype(int), return_counts=True)
    assert np.allclose(np.abs(turns) / 135 * 30, np.rint(np.abs(turns) / 135 * 30))
    assert steps.tolist() == list(range(31))
    assert counts.min() > 10
    assert abs(np.mean(turns > 0) - 0.5) < 0.07
    seen.clear()
    TrivialAugment(probability=0.25)(np.zeros((4000, 1, 1, 3), np.uint8), generator())
    assert abs(len(seen) / 4000 - 0.25) < 0.03


def test_auto_augment_draws_its_pairs_alike_and_heeds_their_chances(monkeypatch):
    seen = noted(monkeypatch, auto_augment)
    x = np.zeros((20_000, 1, 1, 3), np.uint8)
    AutoAugment("imagenet")(x, generator())
    names = [name for name, _ in seen]
    expected = {}
    for step in (step for pair in POLICIES["imagenet"] for step in pair):
        expected[step.name] = expected.get(step.name, 0) + step.probability / 25
    for name, share in expected.items():
        assert abs(names.count(name) / len(x) - share) < 4.5 * np.sqrt(share / len(x)), name
    assert set(names) == set(expected)
    # Rotations of magnitude 8 or 9, 3: degrees of 30 * l / 9.
    turns = {round(abs(value) * 9 / 30) for name, value in seen if name == "rotate"}
    assert turns == {3, 8, 9}


def test_the_published_policies():
    for name, policy in POLICIES.items():
        assert len(policy) == 25, name
        assert all(step.name in OPERATIONS for pair in policy for step in pair)
        assert all(0 <= step.probability <= 1 for pair in policy for step in pair)
    cifar, imagenet, svhn = (POLICIES[name] for name in ("cifar10", "imagenet", "svhn"))
    # Sub-policies 0, 11 and 24 of tables 7 to 9.
    assert cifar[0] == (("invert", 0.1, 0), ("contrast", 0.2, 6 / 9))
    assert cifar[24] == (("translate_y", 0.7, 1), ("auto_contrast", 0.9, 0))
    assert imagenet[11] == (("rotate", 0.4, 1), ("equalize", 0.6, 0))
    assert svhn[24] == (("shear_x", 0.7, 2 / 9), ("invert", 0.1, 0))
    # Sums over the tables: a slip of one digit shows.
    sums = {
        name: (
            round(sum(s.probability for pair in policy for s in pair), 6),
            round(sum(s.strength * 9 for pair in policy for s in pair)),
        )
        for name, policy in POLICIES.items()
    }
    assert sums == {"cifar10": SUMS[0], "imagenet": SUMS[1], "svhn": SUMS[2]}


SUMS = ((26.5, 187), (31.0, 159), (32.9, 143))


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_pure_of_its_seed_and_per_image(augment):
    x = pixels(40, 16, 16, 3)
    before = x.copy()
    first = augment(x, generator(3))
    assert np.array_equal(x, before)
    assert first.shape == x.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, augment(x, generator(3)))
    assert not np.array_equal(first, augment(x, generator(4)))
    same = np.repeat(x[:1], 40, axis=0)
    assert len({image.tobytes() for image in augment(same, generator())}) > 5


@pytest.mark.parametrize("augment", EVERY, ids=repr)
@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 9, 3), (40, 24, 3), (2, 2, 1)])
def test_any_size_grey_and_rgb(augment, shape):
    x = pixels(30, *shape)
    out = augment(x, generator())
    assert out.shape == x.shape
    assert out.dtype == x.dtype


@pytest.mark.parametrize("augment", PILLOWS, ids=repr)
def test_what_pillow_cannot_take_is_refused(augment):
    for wrong in (np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 8, 8, 4), np.uint8)):
        with pytest.raises(ValueError, match=r"takes uint8 images.*Received: images of shape"):
            augment(wrong, generator())


def test_color_jitters_factors(monkeypatch):
    # A grey level of 100 under brightness alone becomes 100 times the factor.
    x = np.full((4000, 1, 1, 1), 100, np.uint8)
    only = ColorJitter(brightness=0.4, contrast=0, saturation=0)
    factors = only(x, generator()).reshape(-1) / 100
    assert factors.min() >= 0.59
    assert factors.max() <= 1.41
    assert abs(factors.mean() - 1) < 0.015
    assert abs(factors.std() - 0.8 / np.sqrt(12)) < 0.01
    strong = ColorJitter(brightness=3, contrast=0, saturation=0, probability=0.5)
    changed = strong(x, generator()).reshape(-1)
    assert abs(np.mean(changed == 100) - 0.5) < 0.04
    assert changed.min() >= 0


def test_color_jitter_in_every_order():
    # Brightness before contrast or after it: two results with the factors held.
    x = np.repeat(pixels(1, 6, 6, 3), 400, axis=0)
    out = ColorJitter(0.9, 0.9, 0.9, 0.3)(x, generator())
    assert len({image.tobytes() for image in out}) > 390


def test_random_erasing_by_its_law():
    x = np.full((3000, 40, 60, 3), 9, np.uint8)
    out = RandomErasing(fill=200)(x, generator())
    holes = (out == 200).all(axis=-1)
    erased = holes.any(axis=(1, 2))
    assert abs(erased.mean() - 0.5) < 0.04
    share = holes[erased].mean(axis=(1, 2))
    assert share.min() > 0.015
    assert share.max() < 0.42
    assert abs(share.mean() - 0.2) < 0.03  # uniform from 0.02 to 0.4, less what does not fit
    tall = holes.any(axis=2).sum(axis=1)[erased]
    wide = holes.any(axis=1).sum(axis=1)[erased]
    assert np.array_equal(tall * wide, holes[erased].sum(axis=(1, 2)))  # rectangles, all inside
    assert (tall / wide).min() > 0.25
    assert (tall / wide).max() < 4
    corners = holes[erased].argmax(axis=2).max(axis=1)
    assert corners.min() == 0
    noise = RandomErasing(probability=1)(x, generator())
    changed = noise[(noise != 9).any(axis=-1)]
    assert abs(changed.mean() - 127.5) < 1
    assert len(np.unique(changed)) == 256


def test_random_erasing_of_floats_needs_a_number():
    x = np.ones((20, 8, 8, 2), np.float32)
    with pytest.raises(ValueError, match="fill='noise' for float32"):
        RandomErasing()(x, generator())
    assert (RandomErasing(1.0, fill=-1.5)(x, generator()) == -1.5).any(axis=(1, 2, 3)).mean() > 0.9


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: RandAugment(operations=0), "operations=0"),
        (lambda: RandAugment(magnitude=31), "magnitude=31"),
        (lambda: RandAugment(fill=256), "fill=256"),
        (lambda: RandAugment(interpolation="cubic"), "interpolation='cubic'"),
        (lambda: TrivialAugment(probability=1.5), "probability=1.5"),
        (lambda: AutoAugment("cifar"), r"did you mean 'cifar10'\?.*policy='cifar'"),
        (lambda: ColorJitter(hue=0.6), "hue=0.6"),
        (lambda: ColorJitter(brightness=-1), "brightness=-1"),
        (lambda: RandomErasing(min_area=0.5), "max_area=0.4"),
        (lambda: RandomErasing(fill="black"), "fill='black'"),
    ],
)
def test_options_out_of_range(make, match):
    with pytest.raises(ValueError, match=match):
        make()
