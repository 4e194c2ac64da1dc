"""What a batch shows of each of its images: several rows in place of one.

    rows of image i:  (i, 0), (i, 1), ..., (i, V - 1)        B images, B V rows, in this order
    L = sum_v w_v mean_i l(row (i, v))

The rows of an image stand together, so that a part of the batch has whole images. All of them pass
the network in one batch: BatchNorm takes the statistics of all rows.
"""

import abc
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.batches.augment import Augmentation
from keras_ccsam.data.batches.mixup import MixedLabels
from keras_ccsam.data.batches.weights import SampleWeights, mixed_weights
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.data.sources.source import Labels

Rows = NDArray[np.int64]


class Album(Protocol):
    """The images that a batch is made of, as views take from them."""

    @property
    def y(self) -> Labels:
        """Classes (N,) of all images of the part."""
        ...

    @property
    def weights(self) -> SampleWeights | None:
        """What each weighs (N,); None where all count the same."""
        ...

    def pixels(self, rows: Rows, augment: Sequence[Augmentation] | None = None) -> Pixels:
        """Images (B, H, W, C), augmented afresh: as the batch says, or by `augment`."""
        ...


class View(NamedTuple):
    """One row of each image.

    Attributes:
        pixels: (B, H, W, C).
        rows: the image of each row's label (B,).
        partners: the image of its second label (B,).
        mix: the share of the first label, one for the batch.
        weight: w_v, of the view in the loss.
    """

    pixels: Pixels
    rows: Rows
    partners: Rows
    mix: float
    weight: float


class Views(abc.ABC):
    """How the rows of a batch are made of its images. The base of every part of this folder."""

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """V, the rows of each image."""

    @abc.abstractmethod
    def views(self, album: Album, rows: Rows, rng: np.random.Generator) -> Sequence[View]:
        """The V views of a batch.

        Args:
            album: of the part of the data set.
            rows: of the batch (B,).
            rng: of the batch; what a plain batch draws is drawn first.
        """

    def stacked(
        self, album: Album, rows: Rows, rng: np.random.Generator
    ) -> tuple[Pixels, MixedLabels, SampleWeights]:
        """The batch: pixels (B V, H, W, C), labels and weights (B V,), image by image."""
        found = self.views(album, rows, rng)
        kind = np.result_type(*(view.pixels.dtype for view in found))
        x = np.stack([view.pixels.astype(kind, copy=False) for view in found], axis=1)
        labels, weights = zip(*(_labelled(album, view) for view in found), strict=True)
        targets = MixedLabels(
            labels=_together([each["labels"] for each in labels]),
            second_labels=_together([each["second_labels"] for each in labels]),
            mix=_together([each["mix"] for each in labels]),
        )
        return x.reshape(-1, *x.shape[2:]), targets, _together(list(weights)) * len(found)


def _labelled(album: Album, view: View) -> tuple[MixedLabels, SampleWeights]:
    """Labels and weights (B,) of one view, before the mean over the rows."""
    mix = np.full(len(view.rows), view.mix, np.float32)
    labels = MixedLabels(labels=album.y[view.rows], second_labels=album.y[view.partners], mix=mix)
    weights = np.full(len(view.rows), view.weight, np.float32)
    if album.weights is None:
        return labels, weights
    labels, own = mixed_weights(labels, album.weights[view.rows], album.weights[view.partners])
    return labels, weights * own


def _together(each: Sequence[NDArray]) -> NDArray:  # type: ignore[type-arg]
    return np.stack(each, axis=1).reshape(-1)
