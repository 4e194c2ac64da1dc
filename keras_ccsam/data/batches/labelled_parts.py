"""What batches are made of."""

from typing import Literal, Protocol

from keras_ccsam.data.sources.source import Images, Labels

Split = Literal["train", "validation", "test"]


class LabelledParts(Protocol):
    """What batches are made of: a data set of several parts, such as `LongTailedData`."""

    @property
    def name(self) -> str:
        """Of the data set."""
        ...

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Images of each class in the training part."""
        ...

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class."""
        ...

    def split_arrays(self, split: Split) -> tuple[Images, Labels]:
        """Images and labels of a part."""
        ...
