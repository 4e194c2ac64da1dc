"""The first batch of data whose labels are seen only as it is read.

A generator, a torch `DataLoader` and a `tf.data` data set are stood in for by one of the same type
that looks at the labels of the first batch as it passes, and at whether there is one. Nothing is
read twice, no random generator moves, what the user gave is not changed, and the compiled step is
the same.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from types import GeneratorType
from typing import Any

import keras

from keras_ccsam.training.no_samples import nothing


class FirstLabels:
    """Looks at the labels of one batch, the first that it is shown.

    Args:
        check: raises ValueError for labels that cannot be.

    Attributes:
        refused: what was raised of them.
    """

    def __init__(self, check: Callable[[Any], object]) -> None:
        self._check = check
        self._seen = self._any = False
        self.refused: ValueError | None = None

    def look(self, labels: Any) -> None:
        """Checks the labels, if they are the first.

        Raises:
            ValueError: as `check`.
        """
        if self._seen:
            return
        self._seen = True
        try:
            self._check(labels)
        except ValueError as error:
            self.refused = error
            raise

    def batches(self, batches: Iterable[Any]) -> Generator[Any]:
        """The same batches, looked at.

        Raises:
            ValueError: as `check`, and where there never was a batch.
        """
        for batch in batches:
            self._any = True
            if isinstance(batch, list | tuple) and len(batch) > 1:
                self.look(keras.tree.map_structure(_on_host, batch[1]))
            yield batch
        if not self._any:
            self.refused = nothing("x without a batch")
            raise self.refused


@contextmanager
def first_batch_checked(data: Any, check: Callable[[Any], object]) -> Iterator[Any]:
    """What to give to Keras in place of `data`, for the time of this block.

    Args:
        data: `x` of `keras.Model.fit`. What is none of the three kinds is given on as it is.
        check: raises ValueError for labels that cannot be.

    Raises:
        ValueError: as `check`, also where a framework has made another error of it; and of data
            without a batch.
    """
    labels = FirstLabels(check)
    if isinstance(data, GeneratorType):
        data = labels.batches(data)
    elif _descends(data, "DataLoader", "torch.utils.data"):
        data = _loader(data, labels)
    elif _descends(data, "DatasetV2", "tensorflow."):
        # Whoever has such data has TensorFlow.
        from keras_ccsam.backend.tensorflow_data import is_empty, shown

        if is_empty(data):
            raise nothing("x without a batch")
        data = shown(data, labels.look)
    try:
        yield data
    except Exception:
        if labels.refused is not None:
            raise labels.refused from None
        raise


def _loader(loader: Any, labels: FirstLabels) -> Any:
    """A loader of the same type and with the same state, workers included."""
    kind = type(loader)

    def read(self: Any) -> Iterator[Any]:
        return labels.batches(kind.__iter__(self))

    twin: Any = object.__new__(type(kind.__name__, (kind,), {"__iter__": read}))
    object.__setattr__(twin, "__dict__", vars(loader))
    return twin


def _descends(data: object, name: str, module: str) -> bool:
    """Whether data is of a framework's class, without importing the framework."""
    return any(
        base.__name__ == name and base.__module__.startswith(module) for base in type(data).__mro__
    )


def _on_host(labels: Any) -> Any:
    """A torch tensor where numpy can read it, whatever the backend."""
    if type(labels).__module__.startswith("torch"):
        return labels.detach().cpu().numpy()
    return labels
