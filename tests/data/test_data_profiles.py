"""Class counts against the published lists, and what a bad ratio says."""

import math

import pytest

from keras_ccsam.data.tails.profiles import fitting_maximum, profile_counts

pytestmark = pytest.mark.any_backend

# fmt: off
CIFAR10 = {
    10: (5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500),
    50: (5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100),
    100: (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50),
    200: (5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25),
}

CIFAR100 = {
    10: (
        500, 488, 477, 466, 455, 445, 434, 424, 415, 405, 396, 387, 378, 369, 361, 352, 344, 336,
        328, 321, 314, 306, 299, 292, 286, 279, 273, 266, 260, 254, 248, 243, 237, 232, 226, 221,
        216, 211, 206, 201, 197, 192, 188, 183, 179, 175, 171, 167, 163, 159, 156, 152, 149, 145,
        142, 139, 135, 132, 129, 126, 123, 121, 118, 115, 112, 110, 107, 105, 102, 100, 98, 95, 93,
        91, 89, 87, 85, 83, 81, 79, 77, 75, 74, 72, 70, 69, 67, 66, 64, 63, 61, 60, 58, 57, 56, 54,
        53, 52, 51, 50,
    ),
    50: (
        500, 480, 462, 444, 426, 410, 394, 379, 364, 350, 336, 323, 311, 299, 287, 276, 265, 255,
        245, 235, 226, 218, 209, 201, 193, 186, 178, 172, 165, 158, 152, 146, 141, 135, 130, 125,
        120, 115, 111, 107, 102, 98, 95, 91, 87, 84, 81, 78, 75, 72, 69, 66, 64, 61, 59, 56, 54, 52,
        50, 48, 46, 44, 43, 41, 39, 38, 36, 35, 34, 32, 31, 30, 29, 27, 26, 25, 24, 23, 22, 22, 21,
        20, 19, 18, 18, 17, 16, 16, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 10,
    ),
    100: (
        500, 477, 455, 434, 415, 396, 378, 361, 344, 328, 314, 299, 286, 273, 260, 248, 237, 226,
        216, 206, 197, 188, 179, 171, 163, 156, 149, 142, 135, 129, 123, 118, 112, 107, 102, 98, 93,
        89, 85, 81, 77, 74, 70, 67, 64, 61, 58, 56, 53, 51, 48, 46, 44, 42, 40, 38, 36, 35, 33, 32,
        30, 29, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 15, 14, 13, 13, 12, 12, 11, 11,
        10, 10, 9, 9, 8, 8, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5,
    ),
    200: (
        500, 473, 449, 425, 403, 382, 362, 343, 325, 308, 292, 277, 263, 249, 236, 224, 212, 201,
        190, 180, 171, 162, 154, 146, 138, 131, 124, 117, 111, 105, 100, 95, 90, 85, 81, 76, 72, 69,
        65, 62, 58, 55, 52, 50, 47, 44, 42, 40, 38, 36, 34, 32, 30, 29, 27, 26, 24, 23, 22, 21, 20,
        19, 18, 17, 16, 15, 14, 13, 13, 12, 11, 11, 10, 10, 9, 9, 8, 8, 7, 7, 6, 6, 6, 5, 5, 5, 5,
        4, 4, 4, 4, 3, 3, 3, 3, 3, 2, 2, 2, 2,
    ),
}
# fmt: on


@pytest.mark.parametrize("ratio", CIFAR10)
def test_cifar10_lists(ratio):
    assert profile_counts(5000, 10, ratio) == CIFAR10[ratio]


@pytest.mark.parametrize("ratio", CIFAR100)
def test_cifar100_lists(ratio):
    assert profile_counts(500, 100, ratio) == CIFAR100[ratio]


def test_cifar100_ratio_500():
    counts = profile_counts(500, 100, 500)
    assert sum(counts) == 8155
    assert counts[:5] == (500, 469, 441, 414, 388)
    assert counts[-5:] == (1, 1, 1, 1, 1)
    assert counts.count(1) == 12


@pytest.mark.parametrize(
    ("n_max", "classes", "totals"),
    [
        (5000, 10, {10: 20431, 50: 13996, 100: 12406, 200: 11203}),
        (500, 100, {10: 19573, 50: 12608, 100: 10847, 200: 9502}),
    ],
)
def test_published_totals(n_max, classes, totals):
    assert {ratio: sum(profile_counts(n_max, classes, ratio)) for ratio in totals} == totals


def test_formula_away_from_the_published_settings():
    for n_max, classes, ratio in [(1280, 1000, 256), (700, 7, 33.3), (129, 10, 20), (90, 2, 4)]:
        literal = [int(n_max * ratio ** (-c / (classes - 1))) for c in range(classes)]
        assert list(profile_counts(n_max, classes, ratio)) == literal


def test_rounding_noise_costs_no_image():
    # 49 * 49**-1 is 0.9999999999999999 in floating point: the class would be empty.
    assert int(49 * 49.0**-1) == 0
    for n_max in range(2, 300):
        assert profile_counts(n_max, 5, n_max)[-1] == 1
    # The last class is exactly a tenth and an eighth: 512 ** (-c / 9) = 2 ** -c.
    assert profile_counts(512, 10, 512) == tuple(2 ** (9 - c) for c in range(10))


def test_step_profile():
    assert profile_counts(5000, 10, 100, "step") == (5000,) * 5 + (50,) * 5
    assert profile_counts(500, 100, 30, "step") == (500,) * 50 + (16,) * 50
    assert profile_counts(9, 3, 3, "step") == (9, 3, 3)


def test_balanced_and_single_class():
    assert profile_counts(7, 3, 1) == (7, 7, 7)
    assert profile_counts(7, 1, 5) == (7,)


@pytest.mark.parametrize(
    "ratio", [-3, 0, 0.99, math.nan, math.inf, True, None, "100"], ids=lambda r: repr(r)
)
@pytest.mark.parametrize("profile", ["exponential", "step"])
def test_bad_ratio_names_value_and_limit(ratio, profile):
    with pytest.raises(ValueError, match="5000") as error:
        profile_counts(5000, 10, ratio, profile)
    assert str(error.value).endswith(f"Received: imbalance_ratio={ratio!r}")


def test_an_imbalance_factor_is_recognised():
    with pytest.raises(ValueError, match="imbalance_ratio=100"):
        profile_counts(5000, 10, 0.01)


@pytest.mark.parametrize("profile", ["exponential", "step"])
def test_ratio_that_empties_a_class_names_the_largest_that_works(profile):
    assert min(profile_counts(500, 100, 500, profile)) == 1
    with pytest.raises(ValueError, match="largest ratio that works is 500") as error:
        profile_counts(500, 100, 501, profile)
    assert "imbalance_ratio=501" in str(error.value)


def test_unknown_profile():
    with pytest.raises(ValueError, match="profile='linear'"):
        profile_counts(10, 2, 2, "linear")


def test_fitting_maximum_is_the_largest_head_that_fits():
    available = [128, 132, 127, 40, 131]
    for ratio in (1, 2, 8, 50, 100):
        n_max = fitting_maximum(available, ratio)
        counts = [int(n_max * ratio ** (-c / 4) + 1e-9) for c in range(5)]
        assert all(n <= a for n, a in zip(counts, available, strict=True))
        above = [int((n_max + 1) * ratio ** (-c / 4) + 1e-9) for c in range(5)]
        assert any(n > a for n, a in zip(above, available, strict=True))
    assert fitting_maximum(available, 1) == 40
    assert fitting_maximum(available, 100) == 128
