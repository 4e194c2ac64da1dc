"""Augmentations that go by the class of an image: they are told the classes before they draw."""

import abc
from collections.abc import Sequence

import numpy as np

from keras_ccsam.data.batches.augment import Augmentation, PerImage
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.data.sources.source import Labels


class OfClasses(abc.ABC):
    """An augmentation that does to each image what is meant for its class.

    A `BatchSequence` tells it the classes of a batch. It is computed on the host.
    """

    @abc.abstractmethod
    def of(self, labels: Labels) -> PerImage:
        """What is done to images of these classes (B,), in this order."""

    def __call__(self, x: Pixels, rng: np.random.Generator) -> Pixels:
        """Refuses images whose classes it has not been told."""
        raise ValueError(
            f"{type(self).__name__} goes by the classes of the images, which batches of a data set "
            f"tell it; elsewhere ask of(labels). Received: images of shape {x.shape} alone"
        )


def told(augment: Sequence[Augmentation], labels: Labels) -> tuple[Augmentation, ...]:
    """The augmentations of images of these classes.

    Args:
        augment: in order.
        labels: (B,) of the images, in their order.
    """
    return tuple(each.of(labels) if isinstance(each, OfClasses) else each for each in augment)
