"""The head's first weights: the means of its classes, or embeddings of their names.

With mu_c the mean feature of class c in inference mode, or the embedding of its name,

    W_c = mu_c / ||mu_c||,   b_c = 0

so that training begins at the nearest class mean (LIFT: Shi et al., "Long-tail learning with
foundation model: heavy fine-tuning hurts", ICML 2024). Meant for a backbone that is pre-trained and
frozen or adapted, and for a cosine head.
"""

from pathlib import Path
from typing import Annotated

import keras
import numpy as np
from pydantic import Field

from keras_ccsam.data import BatchSequence
from keras_ccsam.data.npz import UNREADABLE, open_npz
from keras_ccsam.declare import part
from keras_ccsam.second_stage.nearest_class_mean import check_nearest, nearest_class_mean


@part("callback", "head_initialization")
class HeadInitialization(keras.callbacks.Callback):
    """Sets the head before the first step: to class means, or to embeddings from a file.

    A model that has been trained is left alone, so that a training that is continued goes on.

    Args:
        train: the training data, of which the class means are.
        embeddings: an npz file with an array `embeddings` (K, D), one row per class, such as a text
            encoder gives of the classes' names. With an array `class_names` (K,) too, rows belong
            to the classes of these names; without, they are in the classes' order.

    Raises:
        ValueError: if the file cannot be read or does not fit the classes; when training begins,
            for a head that cannot hold the vectors.
    """

    def __init__(
        self,
        train: BatchSequence,
        embeddings: Annotated[
            str, Field(description="npz of one vector per class; empty: the class means")
        ] = "",
    ) -> None:
        super().__init__()
        self.train = train
        self.embeddings = embeddings
        names = train.class_names
        self._vectors = read_embeddings(embeddings, names) if embeddings else None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Sets the head, where nothing has been trained yet."""
        model = self.model
        head = check_nearest(model, "cosine", False)
        if int(model.optimizer.iterations) > 0:
            return
        if self._vectors is None:
            nearest_class_mean(model, self.train)
            return
        vectors = self._vectors
        if (vectors.shape[1], vectors.shape[0]) != tuple(head.kernel.shape):
            raise ValueError(
                f"the embeddings must be as long as the features, {head.kernel.shape[0]}, for "
                f"{head.kernel.shape[1]} classes: use the encoder whose text they are of. "
                f"Received: embeddings={self.embeddings!r} of shape {vectors.shape}"
            )
        head.kernel.assign((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T)
        if getattr(head, "use_bias", False):
            head.bias.assign(np.zeros(len(vectors)))


def read_embeddings(path: str, class_names: tuple[str, ...]) -> np.ndarray:
    """(K, D) float64 vectors in the order of the classes.

    Raises:
        ValueError: if the file cannot be read, lacks a class, or holds what is no vector.
    """
    file = Path(path)
    try:
        with open_npz(file) as archive:
            found = np.asarray(archive["embeddings"], "float64")
            names = archive["class_names"].astype(str) if "class_names" in archive else None
    except UNREADABLE as error:
        said = getattr(error, "strerror", None) or error
        raise ValueError(
            f"the embeddings must be an npz file with an array 'embeddings': {said}. "
            f"Received: embeddings={path!r}"
        ) from None
    if found.ndim != 2 or not np.isfinite(found).all():
        raise ValueError(
            "the embeddings must be finite numbers, one row per class. "
            f"Received: embeddings={path!r} of shape {found.shape}"
        )
    if names is not None:
        rows = {str(name): row for row, name in enumerate(names)}
        missing = [name for name in class_names if name not in rows]
        if len(names) != len(found) or missing:
            raise ValueError(
                f"the embeddings must name every class: {len(missing)} are missing"
                f"{f', such as {missing[0]!r}' if missing else ''}. "
                f"Received: embeddings={path!r} with {len(names)} names, {len(found)} vectors"
            )
        found = found[[rows[name] for name in class_names]]
    if len(found) != len(class_names):
        raise ValueError(
            f"the embeddings must be of the {len(class_names)} classes, in their order. "
            f"Received: embeddings={path!r} of {len(found)} vectors"
        )
    if not np.linalg.norm(found, axis=1).all():
        raise ValueError(f"an embedding of zeros has no direction. Received: embeddings={path!r}")
    return found
