"""Class counts of a long-tailed training set.

Exponential profile (Cui et al. 2019; Cao et al. 2019, LDAM-DRW):

    n_c = int(n_max * IR ** (-c / (C - 1))),    c = 0 ... C - 1

Step profile (Buda et al. 2018): the first ``C // 2`` classes keep ``n_max`` images and the others
get ``int(n_max / IR)``. Class 0 is the head and class ``C - 1`` the tail; nothing is permuted.
"""

from collections.abc import Sequence

from keras_ccsam.data.tails.tail import Profile, Tail, check_option, check_ratio

# A count that is an integer in exact arithmetic may come out a few units in the last place below it
# (49 * 49**-1 is 0.9999999999999999): truncation must not cost such a class an image.
_ROUNDING = 1e-9


def profile_counts(
    n_max: int,
    num_classes: int,
    imbalance_ratio: float,
    profile: Profile = Tail.profile,
) -> tuple[int, ...]:
    """The number of training images of each class.

    Args:
        n_max: images of the largest class (class 0); at least 1.
        num_classes: number of classes C; at least 1.
        imbalance_ratio: n_max / n_min, at least 1 (1 is balanced).
        profile: `"exponential"` or `"step"`.

    Returns:
        C integers, none of them 0, class 0 first.

    Raises:
        ValueError: if the ratio is below 1, not finite, or leaves a class without images; the
            message names the largest ratio that works.
    """
    if n_max < 1 or num_classes < 1:
        raise ValueError(
            "A profile needs at least one class and one image. "
            f"Received: n_max={n_max}, num_classes={num_classes}"
        )
    check_option("profile", profile)
    check_ratio(imbalance_ratio, n_max)
    if num_classes == 1:
        return (n_max,)
    counts = tuple(
        _truncate(n_max * share) for share in _shares(num_classes, imbalance_ratio, profile)
    )
    if min(counts) < 1:
        raise ValueError(
            f"This imbalance_ratio leaves class {counts.index(0)} without images: the largest "
            f"class has {n_max}, so the largest ratio that works is {n_max}. "
            f"Received: imbalance_ratio={imbalance_ratio}"
        )
    return counts


def ratio_note(class_counts: Sequence[int], requested: float | None) -> str | None:
    """Says where whole images cannot have the ratio that was asked for.

    Args:
        class_counts: images of each class, those of a validation split included.
        requested: the imbalance ratio asked for; `None` asked for none.

    Returns:
        One sentence, or `None` where the ratio is met within one percent.
    """
    largest, smallest = max(class_counts), min(class_counts)
    ratio = largest / smallest
    if requested is None or abs(ratio - requested) <= 0.01 * requested:
        return None
    return (
        f"the imbalance ratio is {largest} / {smallest} = {ratio:.4g} in place of {requested:g}: "
        "a class has a whole number of images"
    )


def fitting_maximum(
    available: Sequence[int], imbalance_ratio: float, profile: Profile = Tail.profile
) -> int:
    """The largest ``n_max`` whose profile every class can fill.

    For sources whose classes are only roughly balanced.

    Args:
        available: images at hand of each class.
        imbalance_ratio: n_max / n_min, at least 1.
        profile: `"exponential"` or `"step"`.

    Returns:
        The largest class count, at most `available[0]`.

    Raises:
        ValueError: if the ratio or the profile is not valid.
    """
    check_option("profile", profile)
    check_ratio(imbalance_ratio, max(available))
    shares = _shares(len(available), imbalance_ratio, profile)
    low, high = 0, int(available[0])
    while low < high:  # bisection: counts grow with n_max
        middle = (low + high + 1) // 2
        fits = all(_truncate(middle * s) <= n for s, n in zip(shares, available, strict=True))
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _shares(num_classes: int, imbalance_ratio: float, profile: str) -> list[float]:
    """n_c / n_max of each class before truncation."""
    if num_classes == 1:
        return [1.0]
    if profile == "step":
        head = num_classes // 2
        return [1.0] * head + [1.0 / imbalance_ratio] * (num_classes - head)
    return [float(imbalance_ratio ** (-c / (num_classes - 1))) for c in range(num_classes)]


def _truncate(value: float) -> int:
    nearest = round(value)
    if abs(value - nearest) <= _ROUNDING * max(1, nearest):
        return nearest
    return int(value)
