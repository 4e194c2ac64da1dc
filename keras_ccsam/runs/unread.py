"""Data as a plan has it: a built-in set by its classes, counts and shapes, with black images."""

from collections.abc import Sequence

import numpy as np

from keras_ccsam.data import DATASETS, LongTailedData, Outline
from keras_ccsam.data.in_place_of import Part, in_place_of
from keras_ccsam.recipes.schema import Data
from keras_ccsam.runs import parts


def known_data(choice: Data) -> LongTailedData:
    """Return what is known of a recipe's data before an image is read or downloaded.

    A dataset from outside does not tell: it is loaded.

    Raises:
        ValueError: as `parts.load_data`, where it can be known.
    """
    known = choice.name in DATASETS
    return unread(parts.outline_data(choice)) if known else parts.load_data(choice)


def unread(outline: Outline) -> LongTailedData:
    """The set without reading an image or allocating one.

    Batches, callbacks and stages are made of it as of the set itself, and refuse what they would.

    Args:
        outline: of a set of uint8 images.
    """

    def part(counts: Sequence[int]) -> Part:
        labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return np.broadcast_to(np.uint8(0), (len(labels), *outline.image_shape)), labels

    def part_if_any(counts: Sequence[int]) -> Part | None:
        return part(counts) if sum(counts) else None

    return in_place_of(
        outline,
        part(outline.class_counts),
        part_if_any(outline.validation_counts),
        part_if_any(outline.test_counts),
    )
