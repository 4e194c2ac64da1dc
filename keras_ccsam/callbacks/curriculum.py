"""Curriculum: judges, before each epoch, how strongly the images of each class are augmented.

A class is judged at each level up to its own, on images that are drawn with replacement from its
training images and augmented as in training, but that all of them get the operations of the level.
The network is in inference mode. See `data.Curriculum` for the formula.

References:
    Ahn, Ko and Yun, CUDA: Curriculum of Data Augmentation for Long-Tailed Recognition, ICLR 2023.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from keras_ccsam.data import BatchSequence
from keras_ccsam.data import Curriculum as Augmentation
from keras_ccsam.data.batches.assembly import Album, Samples
from keras_ccsam.data.batches.augmentations.curriculum import MOST
from keras_ccsam.data.batches.prefetch import computed
from keras_ccsam.data.batches.reading import batch_size_for, in_order, predicted
from keras_ccsam.data.batches.samplers import RowsByClass
from keras_ccsam.data.batches.workers import thread_count
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.declare import part
from keras_ccsam.heads import puts_out_logits
from keras_ccsam.options import checked
from keras_ccsam.second_stage.fitting_checks import check_split
from keras_ccsam.training import SharpnessAwareModel

_PIECE = 256
_KEY = 1  # its random numbers are none of a batch's

Whole = NDArray[np.int64]


class _Trials(NamedTuple):
    """Images (N,) that the network is judged by.

    Attributes:
        rows: of the training set.
        levels: that each is augmented by.
        pairs: the pair of class and level that each belongs to.
        owners: (P,) the class of each pair, numbered through those that have images.
    """

    rows: Whole
    levels: Whole
    pairs: Whole
    owners: Whole


@part("callback", "curriculum")
class Curriculum(keras.callbacks.Callback):
    """Moves the levels of a `data.Curriculum` by what the network knows of each class.

    A class goes up by one level if the network is right often enough at each level from 0 to its
    own, else down by one. The levels are kept with the state of a run, and gone on with; the
    images that they are judged by follow from seed, epoch and levels. Each epoch logs the mean of
    the levels that it was trained with, as `mean_level`.

    Args:
        train: the training data, a `data.BatchSequence` with a `data.Curriculum` among its
            augmentations.
        accept: gamma, the accuracy that a class must exceed.
        samples: T, images of a class at level 0; l + 1 times as many at level l.
        most: the highest level.
        every: epochs from one judgement to the next.

    Raises:
        ValueError: at construction, for an option outside its range, a `train` without a
            `data.Curriculum` or with several, one of another part of the data, or levels that
            start above `most`; when `fit` begins, for a model that is not a `SharpnessAwareModel`
            or has another number of classes, for other batches than `train`, or for two of these
            callbacks.

    Example:
        >>> batches = data.batches("train", augment=["crop", "flip", cc.data.Curriculum()])
        >>> model.fit(batches, epochs=200, callbacks=[cc.callbacks.Curriculum(batches)])
    """

    def __init__(
        self,
        train: BatchSequence,
        accept: Annotated[
            float, Field(ge=0, le=1, description="gamma, the accuracy to exceed (code: 0.6)")
        ] = 0.6,
        samples: Annotated[
            int, Field(ge=1, description="T, images of a class at level 0 (code: 10)")
        ] = 10,
        most: Annotated[int, Field(ge=1, le=MOST, description="highest level (code: 10)")] = MOST,
        every: Annotated[
            int, Field(ge=1, description="epochs from one judgement to the next (code: 1)")
        ] = 1,
    ) -> None:
        super().__init__()
        given = {"accept": accept, "samples": samples, "most": most, "every": every}
        checked(Curriculum, given)
        self.accept, self.samples, self.most, self.every = accept, samples, most, every
        self.train = train
        self._augmentation = _only(train)
        check_split(train, "train", reason="classes are judged by their training images.")
        if self._augmentation.start > most:
            raise ValueError(
                f"the levels must start at `most`={most} or below. "
                f"Received: start={self._augmentation.start} of the augmentation"
            )
        self._by_class = RowsByClass(train.arrays()[1])
        self._due = False
        self._fed: Any = train

    @property
    def levels(self) -> Whole:
        """(K,) the level of each class."""
        found = self._augmentation.levels
        if found is None:
            return np.full(self.train.num_classes, self._augmentation.start)
        return found

    def check_fit(self, callbacks: Sequence[Any], arguments: Mapping[str, Any]) -> None:
        """Refuses batches that the levels do not change, and levels that two callbacks move."""
        x = arguments.get("x")
        # Those of class weights are a copy, with the same augmentations.
        if not any(each is self._augmentation for each in getattr(x, "augmentations", ())):
            raise ValueError(
                "the callback `curriculum` moves the levels of the batches that it was given, "
                "and these are not what is trained on: give fit and the callback the same object, "
                "the batches themselves and no PyDataset or generator that wraps them; "
                "a second stage has batches of its own, and takes no such callback. "
                f"Received: train={self.train!r}, fit on {x!r}"
            )
        several = [each for each in callbacks if isinstance(each, Curriculum)]
        if len(several) > 1:
            raise ValueError(
                "one callback `curriculum` moves the levels before an epoch; of several, each "
                f"would: leave out all but one. Received: callbacks with {len(several)} of them"
            )
        self._fed = x

    def on_train_begin(self, logs: Any = None) -> None:
        """All classes begin at their first level."""
        model, classes = self.model, self.train.num_classes
        if not isinstance(model, SharpnessAwareModel) or model.num_classes != classes:
            raise ValueError(
                f"Curriculum needs a SharpnessAwareModel (CCSAM is one) with {classes} classes. "
                f"Received: model={model!r}"
            )
        self._set(None)
        self._due = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Judges before the first epoch. A training that goes on has its levels."""
        if self._due:
            self._judge(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Judges for the next epoch; here, so that the levels are state before it begins."""
        if logs is not None:
            logs["mean_level"] = float(self.levels.mean())
        following = epoch + 1
        if following < int(self.params["epochs"]) and following % self.every == 0:
            self._judge(following)

    def get_state(self) -> dict[str, Any]:
        """What a training that goes on needs."""
        return {"levels": self._augmentation.levels, "due": self._due}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the levels of the training that is gone on with."""
        self._set(state["levels"])
        self._due = bool(state["due"])

    def _set(self, levels: Whole | None) -> None:
        self._augmentation.set_levels(levels)
        self._fed.drop_prepared()

    def _judge(self, epoch: int) -> None:
        """Moves each class by one level."""
        levels = self.levels
        trials = self._trials(levels, self._generator(epoch))
        right = np.concatenate(list(self._right(trials, epoch)))[: len(trials.rows)]
        accuracy = np.bincount(trials.pairs, right) / np.bincount(trials.pairs)
        failed = np.bincount(trials.owners, accuracy <= self.accept) > 0
        moved = levels.copy()
        moved[self._by_class.classes] += np.where(failed, -1, 1)
        self._set(np.clip(moved, 0, self.most))
        self._due = False

    def _generator(self, epoch: int, *piece: int) -> np.random.Generator:
        """Of the images that are judged before an epoch, or of the augmentation of a piece."""
        seed = (self.train.options.seed, epoch)
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_KEY, *piece)))

    def _trials(self, levels: Whole, rng: np.random.Generator) -> _Trials:
        """T (l + 1) images of each class at each level l up to its own."""
        own = levels[self._by_class.classes] + 1
        owners = np.repeat(np.arange(len(own)), own)
        level_of = np.arange(len(owners)) - np.repeat(np.cumsum(own) - own, own)
        pairs = np.repeat(np.arange(len(owners)), self.samples * (level_of + 1))
        rows = self._by_class.with_replacement(owners[pairs], rng)
        return _Trials(rows, level_of[pairs], pairs, owners)

    def _right(self, trials: _Trials, epoch: int) -> Iterator[NDArray[np.bool_]]:
        """Whether the network is right; in pieces of one size, so that one program passes all."""
        x, y = self.train.arrays()
        size = batch_size_for(x, _PIECE)
        pieces = in_order(len(trials.rows), size)

        def augmented(step: int) -> tuple[Whole, Pixels]:
            piece = pieces[step]
            places = np.concatenate([piece, np.repeat(piece[-1:], size - len(piece))])
            rows, forced = trials.rows[places], self._augmentation.at(trials.levels[places])
            augment = [
                forced if each is self._augmentation else each for each in self.train.augmentations
            ]
            album = Album(Samples(x, y, None), augment, self._generator(epoch, step))
            return rows, album.pixels(rows)

        threads = thread_count(self.train.options.workers, x)
        for rows, images in computed(augmented, len(pieces), threads):
            outputs = np.asarray(predicted(self.model, images, size))
            if outputs.shape[1] > 1:
                yield outputs.argmax(axis=1) == y[rows]
            else:  # it speaks of class 1 of two
                half = 0.0 if puts_out_logits(self.model.head) else 0.5
                yield (outputs[:, 0] > half) == y[rows]


def _only(train: object) -> Augmentation:
    """The curriculum among the augmentations.

    Raises:
        ValueError: there is none, or there are several.
    """
    named = train.augmentations if isinstance(train, BatchSequence) else ()
    found = [each for each in named if isinstance(each, Augmentation)]
    if len(found) != 1:
        names = ", ".join(type(each).__name__ for each in named) or "none"
        raise ValueError(
            "the levels are those of one `curriculum` among the augmentations of the training "
            'data: add it to them, in a recipe stage1.augment=["crop", "flip", "curriculum"]. '
            f"Received: train={type(train).__name__} with the augmentations {names}"
        )
    return found[0]
