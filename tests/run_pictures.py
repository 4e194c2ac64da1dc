"""The pictures of a run, which take as long as the training of a toy.

They are left out of the tests' runs, but where one looks at them.
"""

import contextlib
from collections.abc import Iterator

from keras_ccsam.runs import work

_draw = work._plot


def leave_out() -> None:
    """From now on a run draws nothing."""
    work._plot = lambda *_: None


@contextlib.contextmanager
def drawn() -> Iterator[None]:
    """Runs draw their pictures, as users' runs do."""
    left_out, work._plot = work._plot, _draw
    try:
        yield
    finally:
        work._plot = left_out
