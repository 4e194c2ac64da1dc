"""The pictures of a run, which take as long as the training of a toy.

They are left out of the tests' runs, but where one looks at them.
"""

import contextlib
from collections.abc import Iterator

from keras_ccsam.runs import pictures

_draw = pictures.draw


def leave_out() -> None:
    """From now on a run draws nothing."""
    pictures.draw = lambda *_: None


@contextlib.contextmanager
def drawn() -> Iterator[None]:
    """Runs draw their pictures, as users' runs do."""
    left_out, pictures.draw = pictures.draw, _draw
    try:
        yield
    finally:
        pictures.draw = left_out
