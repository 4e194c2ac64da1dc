"""The data sets that can be loaded by name."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from keras_ccsam.data.long_tailed import LongTailedData
from keras_ccsam.data.outline import Outline
from keras_ccsam.data.sources import cifar, digits
from keras_ccsam.data.tails.cut import cut
from keras_ccsam.data.tails.profiles import fitting_maximum, profile_counts
from keras_ccsam.data.tails.subset import held_out
from keras_ccsam.data.tails.tail import Profile, Protocol, Tail
from keras_ccsam.declare import find
from keras_ccsam.hints import did_you_mean


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is loaded.

    Attributes:
        description: one line.
        num_classes: number of classes.
        image_shape: height, width and channels.
        available: images of each class there are for training, class 0 first.
        test_images: size of the balanced test set.
        licence: terms of the images, and whom to cite.
        download: whether the images are fetched from the network unless a path is given.
        roughly_balanced: its classes differ in size, so that the profile begins where the smallest
            allows.
    """

    description: str
    num_classes: int
    image_shape: tuple[int, int, int]
    available: tuple[int, ...]
    test_images: int
    licence: str
    download: bool
    roughly_balanced: bool = False

    @property
    def largest_class(self) -> int:
        """Images of the largest class, the first; the largest imbalance ratio that works."""
        return self.available[0]


DATASETS: Mapping[str, DatasetInfo] = MappingProxyType(
    {
        "digits-lt": DatasetInfo(
            description="scikit-learn's handwritten digits, 8 x 8 grey; embedded",
            num_classes=10,
            image_shape=(8, 8, 1),
            available=digits.AVAILABLE,
            test_images=500,
            licence=digits.LICENCE,
            download=False,
            roughly_balanced=True,
        ),
        "cifar10-lt": DatasetInfo(
            description="CIFAR-10, 32 x 32 colour; Keras' download or a local path",
            num_classes=10,
            image_shape=(32, 32, 3),
            available=(5000,) * 10,
            test_images=10_000,
            licence=cifar.LICENCE,
            download=True,
        ),
        "cifar100-lt": DatasetInfo(
            description="CIFAR-100, 32 x 32 colour; Keras' download or a local path",
            num_classes=100,
            image_shape=(32, 32, 3),
            available=(500,) * 100,
            test_images=10_000,
            licence=cifar.LICENCE,
            download=True,
        ),
    }
)


def load(
    name: str,
    *,
    imbalance_ratio: float | None = Tail.imbalance_ratio,
    profile: Profile = Tail.profile,
    protocol: Protocol = Tail.protocol,
    seed: int = Tail.seed,
    path: str | os.PathLike[str] | None = None,
    validation_fraction: float = Tail.validation_fraction,
) -> LongTailedData:
    """Loads a data set by name and makes its training part long-tailed.

    Args:
        name: a key of `DATASETS`.
        imbalance_ratio: largest class count over the smallest, at least 1; `None` keeps every
            training image of the source.
        profile: `"exponential"` or `"step"` (`profiles.profile_counts`).
        protocol: which images are kept: `"ldam"`, `"ccsam"`, `"seeded"` or `"first_n"`
            (`subset.draw_subset`).
        seed: of the protocol `"seeded"` and of the validation split; at least 0.
        path: where CIFAR lies (`cifar.load_cifar` lists the formats); `None` downloads it. An npz
            may itself be a long-tailed draw with its `train_indices`: `"ldam"` then keeps the first
            images of each class, because the draws are nested.
        validation_fraction: share of each class cut from train for validation, in [0, 1).

    Returns:
        The data; the test set stays balanced and whole.

    Raises:
        ValueError: if an argument is not valid, or the images cannot be read or downloaded.
    """
    tail = Tail(imbalance_ratio, profile, protocol, seed, validation_fraction)
    # Bad arguments are named before anything is downloaded.
    info = _checked(name, tail, path)
    return cut(find("data", name).build({}, path=path), tail, fit_head=info.roughly_balanced)


def outline(name: str, *, path: str | os.PathLike[str] | None = None, **options: Any) -> Outline:
    """What `load` would give, as far as it is known before an image is read or downloaded.

    Args:
        name: a key of `DATASETS`.
        path: as in `load`. What it holds is taken for the whole set.
        **options: the other arguments of `load`: imbalance_ratio, profile, protocol, seed,
            validation_fraction.

    Raises:
        ValueError: as `load`, where it can be known.
    """
    tail = Tail(**options)
    info = _checked(name, tail, path)
    if path is not None:
        cifar.check_path(name, path)
    counts = info.available
    if (ratio := tail.imbalance_ratio) is not None:
        fits = info.roughly_balanced
        largest = fitting_maximum(counts, ratio, tail.profile) if fits else max(counts)
        counts = profile_counts(largest, len(counts), ratio, tail.profile)
    held = tuple(held_out(count, tail.validation_fraction) for count in counts)
    return Outline(
        name=name,
        class_names=tuple(map(str, range(10))) if name == "digits-lt" else cifar.class_names(name),
        class_counts=tuple(n - v for n, v in zip(counts, held, strict=True)),
        validation_counts=held,
        test_counts=(info.test_images // info.num_classes,) * info.num_classes,
        image_shape=info.image_shape,
        source=info.description,
        licence=info.licence,
        settings=tail.settings,
    )


def _checked(name: str, tail: Tail, path: str | os.PathLike[str] | None) -> DatasetInfo:
    """The set's entry; a `ValueError` for an argument of `load` that is not valid."""
    info = DATASETS.get(name)
    if info is None:
        hint = did_you_mean(name, DATASETS)
        raise ValueError(f"The data sets are {', '.join(DATASETS)}{hint}. Received: name={name!r}")
    tail.check(info.largest_class)
    if path is not None and not info.download:
        raise ValueError(
            f"{name} comes with scikit-learn and takes no path. Received: path={str(path)!r}"
        )
    return info
