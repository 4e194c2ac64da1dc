"""Augmentations of a batch of images, vectorised in NumPy.

Each is a small frozen object, called with a batch (B, H, W, C) and a random generator; it returns a
batch of the same shape and type and leaves its input alone. Everything random is drawn per image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from keras_ccsam.data.images.accelerated import mirror
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.declare import part, parts
from keras_ccsam.hints import did_you_mean
from keras_ccsam.options import checked

Augmentation = Callable[[Pixels, np.random.Generator], Pixels]


@part("augmentation", "crop")
@dataclass(frozen=True)
class Crop:
    """Pads with zeros on all sides and cuts the original size out at a random place.

    Attributes:
        padding: pixels on each side; `None` is an eighth of the height, at least 1 (4 for 32 x 32,
            the recipe of He et al. 2016).
    """

    padding: Annotated[
        int | None, Field(ge=0, description="pixels on each side; absent: an eighth of the height")
    ] = None

    def __post_init__(self) -> None:
        checked(Crop, {"padding": self.padding})

    def __call__(self, x: Pixels, rng: np.random.Generator) -> Pixels:
        """Returns one crop of each image."""
        batch, height, width, channels = x.shape
        pad = max(1, height // 8) if self.padding is None else self.padding
        padded = np.zeros((batch, height + 2 * pad, width + 2 * pad, channels), dtype=x.dtype)
        padded[:, pad : pad + height, pad : pad + width] = x
        # With a row's pixels and channels in one axis, a crop is `height` contiguous pieces.
        rows = padded.reshape(batch, height + 2 * pad, -1)
        windows = sliding_window_view(rows, (height, width * channels), axis=(1, 2))
        top, left = rng.integers(0, 2 * pad + 1, size=(2, batch))
        cropped: Pixels = windows[np.arange(batch), top, left * channels]
        return cropped.reshape(x.shape)


@part("augmentation", "flip")
@dataclass(frozen=True)
class Flip:
    """Mirrors each image left to right with probability 1/2."""

    def __call__(self, x: Pixels, rng: np.random.Generator) -> Pixels:
        """Returns the images, about half of them mirrored."""
        return self.in_place(x.copy(), rng)

    def in_place(self, x: Pixels, rng: np.random.Generator) -> Pixels:
        """The same of images that nobody else holds: a batch that was just read."""
        mirror(x, rng.random(len(x)) < 0.5)
        return x


@part("augmentation", "cutout")
@dataclass(frozen=True)
class Cutout:
    """Blanks a square around a random pixel; it may stick out (DeVries and Taylor 2017).

    Attributes:
        size: side of the square in pixels; `None` is half the height (16 for 32 x 32).
        fill: value put there. 0 is black, as in the long-tailed codebases that cut before they
            normalise.
    """

    size: Annotated[
        int | None, Field(ge=1, description="side in pixels; absent: half the height")
    ] = None
    fill: Annotated[float, Field(description="value of the hole (code: 0, black)")] = 0

    def __post_init__(self) -> None:
        checked(Cutout, {"size": self.size, "fill": self.fill})

    def __call__(self, x: Pixels, rng: np.random.Generator) -> Pixels:
        """Returns the images, each with a hole."""
        batch, height, width, _ = x.shape
        size = max(1, height // 2) if self.size is None else self.size
        in_rows = _span(rng.integers(0, height, size=(batch, 1)), size, height)
        in_columns = _span(rng.integers(0, width, size=(batch, 1)), size, width)
        x = x.copy()
        x[in_rows[:, :, np.newaxis] & in_columns[:, np.newaxis, :]] = self.fill
        return x


def _span(centre: NDArray[np.int64], size: int, extent: int) -> NDArray[np.bool_]:
    """Which of `extent` positions lie in [centre - size // 2, centre - size // 2 + size)."""
    first = centre - size // 2
    position = np.arange(extent)
    return (position >= first) & (position < first + size)


def for_a_fresh_batch(augment: Augmentation) -> Augmentation:
    """What changes a batch that nobody else holds: `in_place`, where the augmentation has one.

    A subclass with a `__call__` of its own does what that says, and not what its parent does in
    place.
    """
    for kind in type(augment).__mro__:
        if "in_place" in vars(kind):
            found: Augmentation = augment.in_place  # type: ignore[attr-defined]
            return found
        if "__call__" in vars(kind):
            break
    return augment


def resolve(
    augment: str | Sequence[str | Augmentation], default: Sequence[str]
) -> tuple[Augmentation, ...]:
    """Turns names into augmentations.

    Args:
        augment: `"default"`, or a sequence of names and augmentations.
        default: the names that `"default"` stands for.

    Raises:
        ValueError: if a name is unknown.
    """
    known = parts("augmentation")
    if isinstance(augment, str):
        if augment != "default":
            raise ValueError(
                f"augment must be 'default' or a sequence of names from {tuple(known)}. "
                f"Received: augment={augment!r}"
            )
        augment = default
    resolved = []
    for entry in augment:
        if isinstance(entry, str) and entry in known:
            entry = known[entry].make()
        if isinstance(entry, str) or not callable(entry):
            raise ValueError(
                f"An augmentation is one of {tuple(known)} or a callable (images, generator) -> "
                f"images{did_you_mean(entry, known)}. Received: augment={entry!r}"
            )
        resolved.append(entry)
    return tuple(resolved)


def check_augmentations(
    augment: Sequence[Augmentation], shape: tuple[int, ...], dtype: Any
) -> None:
    """Lets each augmentation that has a `check` refuse images that it cannot take.

    Args:
        augment: what `resolve` returned.
        shape: (H, W, C) of an image.
        dtype: of the pixels.

    Raises:
        ValueError: by the augmentation.
    """
    for each in augment:
        check = getattr(each, "check", None)
        if check is not None:
            check(shape, np.dtype(dtype))
