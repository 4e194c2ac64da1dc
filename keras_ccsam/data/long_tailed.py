"""`LongTailedData`: a long-tailed training set with its validation and test parts."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.batches.augment import Augmentation
from keras_ccsam.data.batches.batch_options import BatchOptions, DataOn
from keras_ccsam.data.batches.labelled_parts import Split
from keras_ccsam.data.batches.samplers import Sampler
from keras_ccsam.data.batches.sequence import BatchSequence
from keras_ccsam.data.batches.views import Views
from keras_ccsam.data.batches.workers import Workers
from keras_ccsam.data.images.store import ImageStore
from keras_ccsam.data.outline import About, Outline
from keras_ccsam.data.sources.source import Images, Labels, Skipped
from keras_ccsam.data.tails.indices import (
    SavedIndices,
    index_digest,
    name_digest,
    save,
    size_digest,
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LongTailedData(About):
    """Images and labels of a long-tailed data set.

    Attributes:
        name, class_names, source, licence, settings, notes: see `outline.About`.
        x_train: training images (N, H, W, C), uint8 0..255 (or the user's float32).
        y_train: training classes (N,), int32.
        x_validation, y_validation: the part cut from train, or `None`.
        x_test, y_test: the test set, or `None`.
        train_indices: position of each training image in the source's own order (N,), int64.
        validation_indices: the same for the validation images cut from train; empty without any.
        weights: of the training images (N,), float32; `None`: all count the same.
        skipped: image files that were left out of the set, because they cannot be read.
    """

    x_train: Images
    y_train: Labels
    x_validation: Images | None
    y_validation: Labels | None
    x_test: Images | None
    y_test: Labels | None
    train_indices: NDArray[np.int64]
    validation_indices: NDArray[np.int64]
    weights: NDArray[np.float32] | None = None
    skipped: tuple[Skipped, ...] = ()

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels."""
        return tuple(self.x_train.shape[1:])

    @cached_property
    def class_counts(self) -> tuple[int, ...]:
        """Training images of each class, without those of the validation part."""
        return self._counted(self.y_train)

    @cached_property
    def index_sha256(self) -> str:
        """SHA-256 over `train_indices` as little-endian 64-bit integers."""
        return index_digest(self.train_indices)

    @cached_property
    def names_sha256(self) -> str:
        """SHA-256 over the names of the training images' files; empty where they are no files."""
        names = self.x_train.names() if isinstance(self.x_train, ImageStore) else None
        return "" if names is None else name_digest(names)

    @cached_property
    def sizes_sha256(self) -> str:
        """SHA-256 over the lengths of all parts' image files; empty where they are no files.

        The length tells nearly every other image, and a copy of a set has the same ones.
        """
        parts = (self.x_train, self.x_validation, self.x_test)
        found = [part.file_sizes() for part in parts if isinstance(part, ImageStore)]
        sizes = [size for part in found if part is not None for size in part]
        return size_digest(sizes) if sizes else ""

    @property
    def outline(self) -> Outline:
        """The same without the images."""
        return Outline(
            **self.about,
            class_counts=self.class_counts,
            validation_counts=self._counted(self.y_validation),
            test_counts=self._counted(self.y_test),
            image_shape=self.image_shape,
        )

    @property
    def train(self) -> BatchSequence:
        """Training batches with the defaults of `batches`; a new object each time."""
        return self.batches("train")

    @property
    def validation(self) -> BatchSequence | None:
        """Validation batches in order, or `None` if no validation part was cut."""
        return None if self.x_validation is None else self.batches("validation")

    @property
    def test(self) -> BatchSequence | None:
        """Test batches in order, or `None` if there is no test set."""
        return None if self.x_test is None else self.batches("test")

    def batches(
        self,
        split: Split = "train",
        *,
        batch_size: int = BatchOptions.batch_size,
        sampler: Sampler | Literal["default"] = "default",
        augment: Literal["default"] | Sequence[str | Augmentation] = "default",
        mixup: float = 0.0,
        seed: int = 0,
        drop_remainder: bool = False,
        workers: Workers = "auto",
        epochs: int | None = None,
        images_per_class: int = 1,
        process: tuple[int, int] | None = None,
        deferred_sampler: Sampler | None = None,
        deferred_from: int = 0,
        cutmix: float = 0.0,
        cutmix_share: float = 0.5,
        mix_probability: float = 1.0,
        class_weight: Literal["auto"] | Mapping[int, float] | Sequence[float] | None = None,
        views: Views | None = None,
        data_on: DataOn = "host",
        sample_index: bool = False,
    ) -> BatchSequence:
        """Batches of one part, ready for `fit`, `evaluate` or a loop of one's own.

        Args:
            split: `"train"`, `"validation"` or `"test"`.
            batch_size: images per batch.
            sampler: a name of `samplers.SAMPLERS`; `"default"` is `"instance"` for train and
                `"sequential"` for the other parts.
            augment: names (`"crop"`, `"rand_augment"`, ...) or augmentations
                (`data.RandAugment(magnitude=5)`), applied in order; `"default"` is for training on
                colour images: crop and flip where they have 32 x 32 pixels; where they are read
                from files, random-resized crop and flip. Else it is nothing.
            mixup: alpha of the Beta(alpha, alpha) that a batch's mixing weight is drawn from; 0 is
                no mixup.
            seed: of the sampler, the augmentations and mixup; at least 0.
            drop_remainder: drop the last batch if it is not full.
            workers: with 2 or more, that many threads prepare the next batches, at most twice as
                many as there are threads; the batches stay the same. `"auto"` is one per core, 16
                at most, for images that are read from files, and none for arrays.
            epochs: planned number of epochs; only `"progressively_balanced"` needs it.
            images_per_class: images that `"class_balanced"` takes each time it visits a class.
            process: of several processes that train together, which one, counted from 0, of how
                many. Each is handed its share of every batch of `batch_size` images, and all shares
                together are the batch of one process. `None`: the process that runs.
            deferred_sampler: the sampler from epoch `deferred_from` on (deferred re-sampling, and
                M2m's `"inverse_frequency"`); `None`, the default, keeps `sampler` throughout. A
                batch stays a function of (seed, epoch, step).
            deferred_from: the first epoch of `deferred_sampler`, counted from 0.
            cutmix: alpha of CutMix; 0 is no CutMix.
            cutmix_share: with both mixup and CutMix, the share of the mixed batches that is cut.
            mix_probability: the share of the batches that is mixed (CutMix paper: 0.5 on CIFAR, 1
                on ImageNet).
            class_weight: weights by class number, with which batches are (x, y, weights); `"auto"`
                is `balanced_class_weight(class_counts)`.
            views: what a batch shows of each image, as `data.views.RegMixup()`: batches of
                `batch_size` images then have several rows for each, next to each other.
            data_on: `"device"` keeps the training images on the device, as the bytes that they are:
                the training step of a `SharpnessAwareModel` gathers, crops, mirrors, cuts and mixes
                them, and the host sends some numbers per image. The samples are the same, bit for
                bit; with mixup to the last bit but one. `"auto"` does so on an accelerator of which
                the set takes a quarter of the memory at most. Not for files, for augmentations that
                the host computes, or in several processes.
            sample_index: labels are a dictionary, as with mixup, whose `index` has the row of
                `arrays()` that each row of the batch comes from.

        Raises:
            ValueError: if the part does not exist or an option is not valid.
        """
        options = BatchOptions(
            batch_size=batch_size,
            sampler=sampler,
            augment=augment if isinstance(augment, str) else tuple(augment),
            mixup=mixup,
            seed=seed,
            drop_remainder=drop_remainder,
            workers=workers,
            epochs=epochs,
            images_per_class=images_per_class,
            process=process,
            deferred_sampler=deferred_sampler,
            deferred_from=deferred_from,
            cutmix=cutmix,
            cutmix_share=cutmix_share,
            mix_probability=mix_probability,
            class_weight=class_weight,
            views=views,
            data_on=data_on,
            sample_index=sample_index,
        )
        return BatchSequence(self, split, options)

    def split_arrays(self, split: Split) -> tuple[Images, Labels]:
        """Images and labels of one part.

        Raises:
            ValueError: if the part does not exist.
        """
        parts: dict[str, tuple[Images | None, Labels | None]] = {
            "train": (self.x_train, self.y_train),
            "validation": (self.x_validation, self.y_validation),
            "test": (self.x_test, self.y_test),
        }
        if split not in parts:
            raise ValueError(f"split must be one of {tuple(parts)}. Received: split={split!r}")
        x, y = parts[split]
        if x is None or y is None:
            how = "validation_fraction" if split == "validation" else "x_test or test_fraction"
            raise ValueError(
                f"{self.name} was made without a {split} part (give {how}). "
                f"Received: split={split!r}"
            )
        return x, y

    def describe(self) -> dict[str, Any]:
        """Facts about the data as plain Python values.

        Returns:
            those of `Outline.describe`, and index_sha256.
        """
        return self.outline.describe() | {"index_sha256": self.index_sha256}

    def save_indices(self, path: str | os.PathLike[str]) -> None:
        """Writes which images were used, with their SHA-256; `data.load_indices` reads it.

        Args:
            path: the npz file to write; its folder must exist. Written whole or not at all.
        """
        saved = SavedIndices(
            name=self.name,
            train_indices=self.train_indices,
            validation_indices=self.validation_indices,
            class_counts=self.class_counts,
            index_sha256=self.index_sha256,
            names_sha256=self.names_sha256,
            sizes_sha256=self.sizes_sha256,
        )
        save(path, saved)

    def _counted(self, labels: Labels | None) -> tuple[int, ...]:
        if labels is None:
            return (0,) * self.num_classes
        return tuple(np.bincount(labels, minlength=self.num_classes).tolist())

    def __repr__(self) -> str:
        return (
            f"LongTailedData({self.name!r}, classes={self.num_classes}, "
            f"image_shape={self.image_shape}, train={len(self.y_train)}, "
            f"validation={sum(self._counted(self.y_validation))}, "
            f"test={sum(self._counted(self.y_test))}, "
            f"counts={max(self.class_counts)}..{min(self.class_counts)})"
        )
