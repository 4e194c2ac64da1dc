"""The pictures of a run, which take as long as the training of a toy.

They are left out of the tests' runs, but where one looks at them.
"""

import contextlib
from collections.abc import Iterator

from keras_ccsam.runs import experiment

_draw = experiment._plot


def leave_out() -> None:
    """From now on a run draws nothing."""
    experiment._plot = lambda *_: None


@contextlib.contextmanager
def drawn() -> Iterator[None]:
    """Runs draw their pictures, as users' runs do."""
    left_out, experiment._plot = experiment._plot, _draw
    try:
        yield
    finally:
        experiment._plot = left_out
