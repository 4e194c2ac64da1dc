"""From a whole source to long-tailed data: profile, draw, validation split."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.images.store import taken
from keras_ccsam.data.long_tailed import LongTailedData
from keras_ccsam.data.sources.array_checks import check_all_present
from keras_ccsam.data.sources.source import Labels, Source
from keras_ccsam.data.tails.grouped import grouped_split
from keras_ccsam.data.tails.profiles import fitting_maximum, profile_counts
from keras_ccsam.data.tails.subset import Rows, draw_subset, stratified_split
from keras_ccsam.data.tails.tail import Profile, Protocol, Tail

_VALIDATION_STREAM = 2


def cut(source: Source, tail: Tail, *, fit_head: bool = False) -> LongTailedData:
    """Cuts a source to a long-tailed profile and splits validation off.

    Args:
        source: all images.
        tail: how.
        fit_head: take the largest head that every class can fill, for roughly balanced sources.
            Otherwise the head is the source's largest class, as the published profiles have it.

    Raises:
        ValueError: if an argument is not valid or a class has too few images.
    """
    tail.check()
    check_all_present(source.y_train, source.class_names)
    available = source.available
    rows = np.arange(len(source.y_train), dtype=np.int64)
    if (ratio := tail.imbalance_ratio) is not None:
        n_max = fitting_maximum(available, ratio, tail.profile) if fit_head else max(available)
        counts = profile_counts(n_max, len(available), ratio, tail.profile)
        _check_enough(source, counts, ratio)
        # A file that already is such a draw lists it in order, and the draws are nested.
        order: Protocol = "first_n" if source.drawn and tail.protocol == "ldam" else tail.protocol
        rows = draw_subset(source.y_train, counts, order, tail.seed)
    labels = source.y_train[rows]
    own_validation = source.x_validation is not None
    kept, held = _split(source, rows, tail)
    weights = None if source.weights is None else source.weights[rows[kept]]
    _check_weights(weights, labels[kept], source)
    as_it_is = tail.imbalance_ratio is None and not len(held)  # then no second copy is made
    cut_off = tail.validation_fraction > 0 and not own_validation
    x_held = taken(source.x_train, rows[held]) if cut_off else None
    return LongTailedData(
        name=source.name,
        x_train=source.x_train if as_it_is else taken(source.x_train, rows[kept]),
        y_train=labels[kept],
        x_validation=source.x_validation if own_validation else x_held,
        y_validation=source.y_validation if own_validation else (labels[held] if cut_off else None),
        x_test=source.x_test,
        y_test=source.y_test,
        class_names=source.class_names,
        train_indices=source.positions[rows[kept]],
        validation_indices=source.positions[rows[held]],
        weights=weights,
        source=source.origin,
        licence=source.licence,
        settings=tail.settings,
        notes=(*source.notes, *_notes(source, tail)),
        skipped=source.skipped,
    )


def from_source(
    source: Source,
    *,
    imbalance_ratio: float | None = None,
    profile: Profile = Tail.profile,
    protocol: Protocol = Tail.protocol,
    seed: int = Tail.seed,
    validation_fraction: float = Tail.validation_fraction,
) -> LongTailedData:
    """What is trained on, of the source of a path or of one made by `data.source`.

    Args:
        source: as `data.open_path` gives it; weights and groups of a table stay with its images.
        imbalance_ratio: `None` keeps all images; a number cuts the classes to `profile`, with the
            largest head that every class can fill.
        profile, protocol, validation_fraction: as in `load`.
        seed: of the validation split and of the protocol `"seeded"`.

    Raises:
        ValueError: if an argument is not valid, or a class has too few images.
    """
    tail = Tail(imbalance_ratio, profile, protocol, seed, validation_fraction)
    return cut(source, tail, fit_head=True)


def _split(source: Source, rows: Rows, tail: Tail) -> tuple[Rows, Rows]:
    """What is trained on and what validates, of the rows that are kept; groups stay together."""
    # A set that has its own validation images keeps its training images whole.
    fraction = 0.0 if source.x_validation is not None else tail.validation_fraction
    labels = source.y_train[rows]
    if source.groups is None or not fraction:
        return stratified_split(labels, fraction, tail.seed, _VALIDATION_STREAM)
    kept, held = grouped_split(labels, source.groups[rows], fraction, tail.seed, _VALIDATION_STREAM)
    if not len(held):
        raise ValueError(
            "no group can be held out for validation without leaving a class without images to "
            f"train on. Received: validation_fraction={fraction}"
        )
    return kept, held


def _check_weights(weights: NDArray[np.float32] | None, labels: Labels, source: Source) -> None:
    """Refuses a class of which nothing that is trained on weighs anything."""
    if weights is None:
        return
    sums = np.bincount(labels, weights, minlength=source.num_classes)
    if not sums.all():
        label = int(np.argmin(sums))
        raise ValueError(
            "each class needs an image to train on that weighs more than 0, and all of class "
            f"{label} ({source.class_names[label]}) weigh 0. Received: {source.origin}"
        )


def _notes(source: Source, tail: Tail) -> tuple[str, ...]:
    found = []
    if source.x_validation is not None and tail.validation_fraction:
        found.append(
            "the set has its own validation part, so validation_fraction "
            f"{tail.validation_fraction:g} cuts nothing from the training part"
        )
    if source.drawn and tail.imbalance_ratio is not None and tail.protocol == "ccsam":
        found.append(
            "the file holds a part of the training set that was drawn before, so protocol 'ccsam' "
            "draws from that part: these are not the images of CC-SAM's code, which needs the "
            "whole set"
        )
    return tuple(found)


def _check_enough(source: Source, counts: Sequence[int], imbalance_ratio: float) -> None:
    for label, (has, wants) in enumerate(zip(source.available, counts, strict=True)):
        if has < wants:
            raise ValueError(
                f"Class {label} ({source.class_names[label]}) of {source.origin} has {has} images "
                f"and the profile wants {wants}: give the full training set, or a larger ratio. "
                f"Received: imbalance_ratio={imbalance_ratio}"
            )
