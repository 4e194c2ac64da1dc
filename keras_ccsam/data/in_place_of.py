"""Other images in place of those of an outline: black ones, or a few."""

from typing import TypeAlias

import numpy as np

from keras_ccsam.data.long_tailed import LongTailedData
from keras_ccsam.data.outline import Outline
from keras_ccsam.data.sources.source import Images, Labels

Part: TypeAlias = tuple[Images, Labels]


def in_place_of(
    outline: Outline, train: Part, validation: Part | None = None, test: Part | None = None
) -> LongTailedData:
    """Data of an outline's name, classes and settings, with these images.

    Args:
        outline: of the data that is meant.
        train: images (N, H, W, C) and classes (N,).
        validation: likewise; None without.
        test: likewise; None without.
    """
    x_validation, y_validation = validation or (None, None)
    x_test, y_test = test or (None, None)
    return LongTailedData(
        **outline.about,
        x_train=train[0],
        y_train=train[1],
        x_validation=x_validation,
        y_validation=y_validation,
        x_test=x_test,
        y_test=y_test,
        train_indices=np.arange(len(train[1]), dtype="int64"),
        validation_indices=np.arange(0, dtype="int64"),
    )
