"""A dataset that Hugging Face's `datasets` has saved in a folder (`save_to_disk`)."""

import importlib.util
import os
from typing import Annotated, TypeAlias

from pydantic import Field

from keras_ccsam.data.sources import own_images as own
from keras_ccsam.data.sources.external import Options
from keras_ccsam.data.sources.from_dataset import dataset_source
from keras_ccsam.data.sources.source import Source
from keras_ccsam.declare import part

ImageColumn: TypeAlias = Annotated[
    str, Field(description="column of the images; empty: the one that holds images")
]
LabelColumn: TypeAlias = Annotated[
    str, Field(description="column of the classes; empty: the one that holds classes")
]


@part("data", "huggingface")
def load_saved(
    path: str | os.PathLike[str] | None = None,
    image_column: ImageColumn = "",
    label_column: LabelColumn = "",
    size: own.Size = "auto",
    channels: own.Channels = 3,
    test_fraction: own.TestFraction = 0.2,
    *,
    seed: int = 0,
) -> Source:
    """A dataset that Hugging Face's `datasets` has saved (`save_to_disk`).

    Args:
        path: its folder.
        image_column, label_column: the columns' names.
        size, channels, test_fraction: as `own_images` explains them.
        seed: of the test images that are held out.

    Raises:
        ValueError: `datasets` is not installed, or the folder is none of its datasets.
    """
    where = own.given(path)
    if importlib.util.find_spec("datasets") is None:
        raise ValueError(
            "a dataset of Hugging Face is read with the package datasets, which is not installed: "
            f"pip install datasets. Received: path={str(where)!r}"
        )
    import datasets

    try:
        found = datasets.load_from_disk(str(where))
    except Exception as error:  # of its many files, any may be missing or broken
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"the folder is no dataset that Hugging Face's datasets has saved: {reason[:160]}. "
            f"Received: path={str(where)!r}"
        ) from None
    options = Options(image_column, label_column, size, channels)
    made = dataset_source(
        found, None, None, options, test_fraction=test_fraction, seed=seed, name=where.name
    )
    return Source(**{**vars(made), "origin": f"the dataset {where}"})
