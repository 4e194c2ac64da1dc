"""`BatchSequence`: the batches of a data set as a `keras.utils.PyDataset`."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_ccsam import backend
from keras_ccsam.data.batches.assembly import Batch, Samples, assembled, share_of
from keras_ccsam.data.batches.augment import Augmentation, check_augmentations, resolve
from keras_ccsam.data.batches.batch_options import BatchOptions
from keras_ccsam.data.batches.framing import default_augment
from keras_ccsam.data.batches.labelled_parts import LabelledParts, Split
from keras_ccsam.data.batches.prefetch import Prefetcher
from keras_ccsam.data.batches.resident import (
    DeviceCopy,
    ResidentImages,
    check_resident,
    fits,
)
from keras_ccsam.data.batches.samplers import Sampler, epoch_plan
from keras_ccsam.data.batches.weights import SampleWeights, sample_weights
from keras_ccsam.data.batches.workers import thread_count
from keras_ccsam.data.sources.source import Images, Labels


class BatchSequence(keras.utils.PyDataset):
    """Batches of one part of a data set.

    A batch is ``(x, y)``: images (B, H, W, C), uint8 in 0..255 unless the user's own are floats,
    and classes (B,) int32. With mixup or CutMix the labels are a dictionary (`mixup.MixedLabels`),
    and with mixup the images are float32. With class weights, or where the data set weighs its
    images, a batch is ``(x, y, weights)``, as Keras takes it. The batch of a step is a pure
    function of (seed, epoch, step), and of the levels of a `Curriculum`: it depends neither on
    threads nor on what was read before.

    Of a training in several processes, each is handed its share of the same batch: as many steps,
    no sample twice, and the same batch however many there are (`assembly.share_of`).

    The epoch is set by `set_epoch`; the trainer of this package does so. Under a plain Keras `fit`
    it advances by itself each time all batches were read.

    `LongTailedData.train`, `.validation`, `.test` and `.batches` make these.

    Args:
        data: the data set.
        split: `"train"`, `"validation"` or `"test"`.
        options: how batches are made.

    Attributes:
        resident: the set on the device of which a step makes its batch (`data_on`); None where
            batches hold their images.

    Raises:
        ValueError: if the part does not exist, an option is not valid, or no batch is left.
    """

    def __init__(
        self,
        data: LabelledParts,
        split: Split = "train",
        options: BatchOptions | None = None,
    ) -> None:
        # One Keras worker, always: the threads are our own (see `prefetch`).
        super().__init__(workers=1, use_multiprocessing=False)
        options = BatchOptions() if options is None else options
        self.data = data
        self.split = split
        self.options = options
        self._x, self._y = data.split_arrays(split)
        training = split == "train"
        self._default_sampler: Sampler = "instance" if training else "sequential"
        self._augment = resolve(options.augment, default_augment(self._x) if training else ())
        check_augmentations(self._augment, tuple(self._x.shape[1:]), self._x.dtype)
        self.resident = self._on_device()
        self._weights = sample_weights(data, split, self._y, options.class_weight)
        self._epoch = 0
        self._plan: tuple[int, NDArray[np.int64]] | None = None
        self._lock = threading.Lock()
        self._running = self._finished = False
        self._passed_over = (-1, 0)
        self._stand_in: Batch | None = None
        if len(self) == 0:
            raise ValueError(
                f"No batch is left: the {split} part has {len(self._y)} images. Received: "
                f"batch_size={options.batch_size}, drop_remainder={options.drop_remainder}"
            )
        self._prefetcher: Prefetcher[Batch] | None = None
        threads = thread_count(options.workers, self._x)
        if threads > 1:
            self._prefetcher = Prefetcher(self._batch, threads)

    @property
    def batch_size(self) -> int:
        """Images of a full batch, of all processes together."""
        return self.options.batch_size

    @property
    def is_shared(self) -> bool:
        """Whether it hands out a share of each batch, of which other processes have the rest."""
        return self.options.process is None and backend.process_count() > 1

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Images of each class in the *training* part, whatever the split.

        They define the groups (many, medium, few) that a test set is judged by.
        """
        return self.data.class_counts

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.data.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class."""
        return self.data.class_names

    @property
    def augmented(self) -> bool:
        """Whether images are changed before they are used."""
        return bool(self._augment)

    @property
    def augmentations(self) -> tuple[Augmentation, ...]:
        """What is done to the images, in order."""
        return self._augment

    @property
    def num_images(self) -> int:
        """Images of this part."""
        return len(self._y)

    @property
    def epoch(self) -> int:
        """The epoch whose batches are handed out, counted from 0."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch; call it before the epoch's first batch.

        Args:
            epoch: counted from 0.

        Raises:
            ValueError: if it is negative.
        """
        if epoch < 0:
            raise ValueError(f"epoch must be at least 0. Received: epoch={epoch}")
        with self._lock:
            self._epoch = int(epoch)
            self._finished = False

    def pass_over(self, epoch: int, steps: int) -> None:
        """Let the epoch's first batch stand for its first `steps`: they are not trained on.

        A training that goes on within an epoch reads them, and need not wait for them.
        """
        with self._lock:
            self._passed_over, self._stand_in = (epoch, steps), None

    def drop_prepared(self) -> None:
        """Drop the batches that threads have prepared: what they are made with has changed."""
        if self._prefetcher is not None:
            self._prefetcher.drop()

    def with_options(self, **changes: Any) -> BatchSequence:
        """The same part of the same data with other options, at epoch 0.

        Args:
            **changes: any argument of `LongTailedData.batches` but `split`.

        Raises:
            ValueError: if an option is unknown or not valid.
        """
        known = [field.name for field in dataclasses.fields(BatchOptions)]
        for name in changes:
            if name not in known:
                raise ValueError(f"Options are {', '.join(known)}. Received: {name}=")
        augment = changes.get("augment", self.options.augment)
        if not isinstance(augment, str):
            # What is not changed is shared: an augmentation may have a state.
            changes["augment"] = tuple(changes.get("augment", self._augment))
        other = BatchSequence(self.data, self.split, dataclasses.replace(self.options, **changes))
        if self.resident is not None and other.resident is not None:
            other.resident.copy = self.resident.copy  # one on the device is enough
        return other

    def rows(self, step: int) -> NDArray[np.int64]:
        """The rows of `arrays()` that step `step` of the current epoch draws, this process's."""
        rows = self._batch_rows(self._epoch, step)
        return rows[share_of(len(rows), self.options.process)]

    def weights(self, rows: NDArray[np.int64]) -> SampleWeights | None:
        """What the images of some rows of `arrays()` weigh; None where all count the same."""
        return None if self._weights is None else self._weights[rows]

    def on_host(self) -> BatchSequence:
        """The same batches with their images in them, whatever `data_on` is."""
        if self.resident is None:
            return self
        other = self.with_options(data_on="host")
        other.set_epoch(self._epoch)
        return other

    def arrays(self) -> tuple[Images, Labels]:
        """All images and labels of the part: unaugmented, in order, not copied."""
        return self._x, self._y

    def __len__(self) -> int:
        """Batches of an epoch; the same number in each of several processes."""
        size = self.options.batch_size
        return len(self._y) // size if self.options.drop_remainder else -(-len(self._y) // size)

    def __getitem__(self, index: int) -> Batch:
        """The batch of step `index` of the current epoch."""
        steps = len(self)
        step = index + steps if index < 0 else index
        if not 0 <= step < steps:
            raise IndexError(f"There are {steps} batches. Received: index={index}")
        with self._lock:
            epoch = self._epoch
            self._finished |= step == steps - 1
            passed_over, until = self._passed_over
        if epoch == passed_over and step < until:
            if self._stand_in is None:
                self._stand_in = self._batch(epoch, 0)
            return self._stand_in
        if self._prefetcher is None:
            return self._batch(epoch, step)
        return self._prefetcher.get(epoch, step, steps)

    def on_epoch_begin(self) -> None:
        """Called by Keras before an epoch."""
        with self._lock:
            self._running = True

    def on_epoch_end(self) -> None:
        """Called by Keras after an epoch: moves on if it was read to its end.

        Keras also calls this after reading a batch or two to learn their shapes, and once more
        before a later `fit`; these do not count.
        """
        with self._lock:
            if self._running and self._finished:
                self._epoch += 1
            self._running = self._finished = False

    def _on_device(self) -> ResidentImages | None:
        choice, options = self.options.data_on, self.options
        if choice == "host":
            return None
        reason = check_resident(self._x, self._augment, options)
        if self.split != "train":
            reason = "only a training step makes its batches there"
        if reason and choice == "device":
            raise ValueError(
                f"This set cannot lie on the device: {reason}. "
                "data_on='host' or 'auto' takes it from the host. Received: data_on='device'"
            )
        if reason:
            return None
        images = np.asarray(self._x)  # an array, or there would be a reason
        if choice == "auto" and not fits(images):
            return None
        return ResidentImages(DeviceCopy(images), self._augment, options)

    def _batch(self, epoch: int, step: int) -> Batch:
        rows = self._batch_rows(epoch, step)
        samples = Samples(self._x, self._y, self._weights)
        rng = np.random.default_rng(np.random.SeedSequence((self.options.seed, epoch, step)))
        if self.resident is not None:
            return self.resident.batch(samples, rows, rng)
        share = share_of(len(rows), self.options.process)
        return assembled(samples, rows, share, self._augment, self.options, rng)

    def _batch_rows(self, epoch: int, step: int) -> NDArray[np.int64]:
        """The rows of a whole batch."""
        first = step * self.options.batch_size
        return self._rows(epoch)[first : first + self.options.batch_size]

    def _rows(self, epoch: int) -> NDArray[np.int64]:
        plan = self._plan  # read once: another thread may replace it
        if plan is None or plan[0] != epoch:
            rows = epoch_plan(
                self.options.sampler_at(epoch, self._default_sampler),
                self._y,
                seed=self.options.seed,
                epoch=epoch,
                epochs=self.options.epochs,
                images_per_class=self.options.images_per_class,
            )
            plan = (epoch, rows)
            self._plan = plan
        return plan[1]

    def __repr__(self) -> str:
        sampler = self.options.sampler_at(self._epoch, self._default_sampler)
        return (
            f"BatchSequence({self.data.name!r}, {self.split!r}, batches={len(self)}, "
            f"batch_size={self.batch_size}, sampler={sampler!r}, epoch={self._epoch})"
        )
