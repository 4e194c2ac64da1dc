"""A process's share of a batch: read, augmented and mixed as in the whole batch.

What is drawn at random belongs to the place of a sample in the whole batch. It is drawn for all of
them, and used for the share and for its partners in mixing, which may lie in another share. So the
batch is the same to the last bit, however many processes share it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_ccsam import backend
from keras_ccsam.data.batches.augment import Augmentation, draws_apart, for_a_fresh_batch
from keras_ccsam.data.batches.batch_options import BatchOptions
from keras_ccsam.data.batches.framing import Framing
from keras_ccsam.data.batches.mixing import draw_way, mixed_targets
from keras_ccsam.data.batches.mixup import MixedLabels
from keras_ccsam.data.batches.of_classes import told
from keras_ccsam.data.batches.weights import SampleWeights
from keras_ccsam.data.images.store import ImageStore, Pixels
from keras_ccsam.data.sources.source import Images, Labels

Batch = tuple[Any, Labels | MixedLabels] | tuple[Any, Labels | MixedLabels, SampleWeights]
Places = NDArray[np.int64]


class Samples(NamedTuple):
    """The samples of a part of a data set.

    Attributes:
        x: images (N, H, W, C), an array or a store.
        y: classes (N,).
        weights: (N,), or None where all count the same.
    """

    x: Images
    y: Labels
    weights: SampleWeights | None

    def labels_at(self, rows: NDArray[np.int64]) -> tuple[Labels, SampleWeights | None]:
        """Classes and weights of some rows."""
        return self.y[rows], None if self.weights is None else self.weights[rows]


def share_of(length: int, process: tuple[int, int] | None) -> Places:
    """The places of a batch that one of several processes takes.

    The shares follow each other in the order of the processes, cover the batch, and differ by one
    sample at most, the longer ones first. Of a batch with fewer samples than there are processes,
    the last shares are empty.

    Args:
        length: of the batch.
        process: which one, counted from 0, of how many; None is the one that runs, whose share may
            be what its backend asks for (`backend.batch_rows`).
    """
    if process is None:
        return backend.batch_rows(length)
    index, count = process
    each, longer = divmod(length, count)
    first = index * each + min(index, longer)
    return np.arange(first, first + each + (index < longer))


def assembled(
    samples: Samples,
    rows: NDArray[np.int64],
    share: Places,
    augment: Sequence[Augmentation],
    options: BatchOptions,
    rng: np.random.Generator,
) -> Batch:
    """The share of a batch.

    Args:
        samples: what it is taken from.
        rows: of the whole batch (B,).
        share: the places of the batch that are asked for, one perhaps more than once.
        augment: what is done to the images, in order.
        options: of which those of mixing count here.
        rng: of the whole batch.
    """
    if options.views is not None:
        # Whole, since a view may mix any two of its images; the share is that of the images.
        whole_batch = options.views.stacked(Album(samples, augment, rng), rows, rng)
        batch: Batch = _rows_of(whole_batch, share, options.views.count)
    else:
        batch = _images(samples, rows, share, augment, options, rng)
    if not options.sample_index:
        return batch
    x, y = batch[0], batch[1]
    if not isinstance(y, dict):
        y, _ = mixed_targets(None, y, None)
    each = 1 if options.views is None else options.views.count
    index = np.repeat(rows[share], each).astype(np.int32)
    return _batch(x, MixedLabels(**y, index=index), batch[2] if len(batch) > 2 else None)


def _images(
    samples: Samples,
    rows: NDArray[np.int64],
    share: Places,
    augment: Sequence[Augmentation],
    options: BatchOptions,
    rng: np.random.Generator,
) -> Batch:
    """A batch of one row for each image."""
    if not augment and not options.mixes:
        return _batch(samples.x[rows[share]], *samples.labels_at(rows[share]))
    augment = told(augment, samples.y[rows])
    shape = tuple(samples.x.shape[1:])
    every: Places = np.arange(len(rows))
    whole = np.array_equal(share, every)
    if whole or not all(map(draws_apart, augment)):
        x = _augmented(samples.x, rows, augment, rng)
        way = draw_way(options, len(rows), shape, rng) if options.mixes else None
        places = every
    else:
        drawn = [each.draws(len(rows), shape, rng) for each in augment]  # type: ignore[attr-defined]
        way = draw_way(options, len(rows), shape, rng) if options.mixes else None
        places = np.unique(share if way is None else np.concatenate([share, way.order[share]]))
        x = _with_draws(samples.x, rows[places], augment, [_at(each, places) for each in drawn])
    mine = x if np.array_equal(share, places) else x[np.searchsorted(places, share)]
    y, weights = samples.labels_at(rows)
    if not options.mixes:
        return _batch(mine, y[share], None if weights is None else weights[share])
    if way is not None:
        mine = way.pixels(mine, x, np.searchsorted(places, way.order[share]))
    if options.mixup:
        mine = mine.astype(np.float32, copy=False)
    return _batch(mine, *mixed_targets(way, y, weights, share))


class Album(NamedTuple):
    """Samples, and what is done to their images. See `views.Album`."""

    samples: Samples
    augment: Sequence[Augmentation]
    rng: np.random.Generator

    @property
    def y(self) -> Labels:
        """See `views.Album`."""
        return self.samples.y

    @property
    def weights(self) -> SampleWeights | None:
        """See `views.Album`."""
        return self.samples.weights

    def pixels(self, rows: Places, augment: Sequence[Augmentation] | None = None) -> Pixels:
        """See `views.Album`."""
        how = self.augment if augment is None else augment
        return _augmented(self.samples.x, rows, told(how, self.y[rows]), self.rng)


def _rows_of(
    batch: tuple[Pixels, MixedLabels, SampleWeights], share: Places, views: int
) -> tuple[Pixels, MixedLabels, SampleWeights]:
    """Of a batch with several rows for each image those of some images."""
    x, y, weights = batch
    at = (share[:, np.newaxis] * views + np.arange(views)).reshape(-1)
    mine = MixedLabels(
        labels=y["labels"][at], second_labels=y["second_labels"][at], mix=y["mix"][at]
    )
    return x[at], mine, weights[at]


def _augmented(
    images: Images,
    rows: NDArray[np.int64],
    augment: Sequence[Augmentation],
    rng: np.random.Generator,
) -> Pixels:
    """Images, augmented as they are read; of a store only what a framing first of all will show."""
    if isinstance(images, ImageStore) and augment and isinstance(augment[0], Framing):
        x, augment = images.read(rows, augment[0].views(len(rows), rng)), augment[1:]
    else:
        x = images[rows]
    for each in augment:
        x = for_a_fresh_batch(each)(x, rng)
    return x


def _with_draws(
    images: Images,
    rows: NDArray[np.int64],
    augment: Sequence[Any],
    drawn: Sequence[tuple[Any, ...]],
) -> Pixels:
    """The same, where everything has been drawn."""
    steps = list(zip(augment, drawn, strict=True))
    if isinstance(images, ImageStore) and augment and isinstance(augment[0], Framing):
        x, steps = images.read(rows, *steps[0][1]), steps[1:]
    else:
        x = images[rows]
    for each, own in steps:
        x = each.apply(x, *own)
    return x


def _at(drawn: tuple[Any, ...], places: Places) -> tuple[Any, ...]:
    """What was drawn for some places."""
    return tuple(
        each[places] if isinstance(each, np.ndarray) else [each[i] for i in places]
        for each in drawn
    )


def _batch(x: Pixels, y: Labels | MixedLabels, weights: SampleWeights | None) -> Batch:
    return (x, y) if weights is None else (x, y, weights)
