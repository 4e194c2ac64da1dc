"""The size that a set's images are brought to where nobody says one."""

from collections.abc import Sequence

import numpy as np

from keras_ccsam.data.images.decode import File, opened, upright_size
from keras_ccsam.data.sources.listing import Listing

LARGEST = 224
_SAMPLED = 128
_STEP = 32


def fitting_size(listing: Listing) -> int:
    """Height and width that most images of a set have, at most 224 pixels.

    The headers of up to 128 training images, spread evenly over the classes, are read.

    Raises:
        ValueError: none of them can be read.
    """
    rows = listing.train
    count = min(len(rows), _SAMPLED)
    chosen = np.unique(np.linspace(0, len(rows) - 1, count).astype(np.int64))
    sides: list[int] = []
    problem = ""
    for row in chosen.tolist():
        try:
            sides.append(side_of(listing.root / rows.paths[row]))
        except ValueError as error:
            problem = problem or str(error)
    if not sides:
        raise ValueError(problem)
    return of_sides(sides)


def side_of(file: File) -> int:
    """The shorter side of an image file, from its header.

    Raises:
        ValueError: it cannot be read.
    """
    with opened(file) as image:
        return min(upright_size(image))


def of_sides(sides: Sequence[int]) -> int:
    """The median of shorter sides; above 32 rounded down to a multiple of 32, and at most 224."""
    side = int(np.median(sides))
    if side <= _STEP:
        return max(4, side)
    return min(LARGEST, side // _STEP * _STEP)
