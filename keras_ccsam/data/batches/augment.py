"""Augmentations of a batch of images, vectorised in NumPy.

Each is a small frozen object, called with a batch (B, H, W, C) and a random generator; it returns a
batch of the same shape and type and leaves its input alone. Everything random is drawn per image,
and before anything is changed: so a process can draw for a whole batch and change its own share.
"""

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from keras import ops
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from keras_ccsam.data.images.accelerated import mirror
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.declare import part, parts
from keras_ccsam.hints import did_you_mean
from keras_ccsam.options import checked
from keras_ccsam.typing import Tensor

Augmentation = Callable[[Pixels, np.random.Generator], Pixels]

Draws = tuple[Sequence[Any] | NDArray[Any], ...]
"""What an augmentation draws; of each entry, the first axis counts the images."""


class PerImage(abc.ABC):
    """An augmentation that draws for each image by itself, and then changes it."""

    @abc.abstractmethod
    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """What is drawn for `count` images of `shape` (H, W, C)."""

    @abc.abstractmethod
    def apply(self, x: Pixels, *drawn: Any) -> Pixels:
        """The images (B, H, W, C), changed as was drawn for them."""

    def in_step(self, x: Tensor, *drawn: Tensor) -> Tensor:
        """`apply` on the device, in a training step; the same bits.

        Not every augmentation has it: see `runs_in_step`.
        """
        raise NotImplementedError(f"{type(self).__name__} is computed on the host")

    def __call__(self, x: Pixels, rng: np.random.Generator) -> Pixels:
        """The images (B, H, W, C), changed at random."""
        return self.apply(x, *self.draws(len(x), x.shape[1:], rng))


def draws_apart(augment: Augmentation) -> bool:
    """Whether what it draws can be had before the images are: no function, no `__call__` anew."""
    return isinstance(augment, PerImage) and type(augment).__call__ is PerImage.__call__


def runs_in_step(augment: Augmentation) -> bool:
    """Whether it can be computed on the device.

    A subclass with an `apply` or a `__call__` of its own does what that says, and not what its
    parent does in a step.
    """
    for kind in type(augment).__mro__:
        if kind is PerImage:
            break
        if "in_step" in vars(kind):
            return True
        if "__call__" in vars(kind) or "apply" in vars(kind):
            break
    return False


@part("augmentation", "crop")
@dataclass(frozen=True)
class Crop(PerImage):
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

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """Rows and columns at which the crops begin, in the padded images."""
        top, left = rng.integers(0, 2 * self._pad(shape[0]) + 1, size=(2, count))
        return top, left

    def apply(self, x: Pixels, top: Any, left: Any) -> Pixels:
        """Returns one crop of each image."""
        batch, height, width, channels = x.shape
        pad = self._pad(height)
        padded = np.zeros((batch, height + 2 * pad, width + 2 * pad, channels), dtype=x.dtype)
        padded[:, pad : pad + height, pad : pad + width] = x
        # With a row's pixels and channels in one axis, a crop is `height` contiguous pieces.
        rows = padded.reshape(batch, height + 2 * pad, -1)
        windows = sliding_window_view(rows, (height, width * channels), axis=(1, 2))
        cropped: Pixels = windows[np.arange(batch), top, left * channels]
        return cropped.reshape(x.shape)

    def in_step(self, x: Tensor, *drawn: Tensor) -> Tensor:
        """The crops, gathered pixel by pixel from the padded images."""
        top, left = drawn
        height, width, channels = x.shape[1:]
        pad = self._pad(height)
        padded = ops.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        wide, image = width + 2 * pad, (height + 2 * pad) * (width + 2 * pad)
        first = image * ops.arange(ops.shape(x)[0], dtype="int32") + wide * top + left
        pixel = wide * ops.arange(height, dtype="int32")[:, None]
        pixel = pixel + ops.arange(width, dtype="int32")
        where = first[:, None] + ops.reshape(pixel, (1, -1))
        cropped = ops.take(ops.reshape(padded, (-1, channels)), where, axis=0)
        return ops.reshape(cropped, (-1, height, width, channels))

    def _pad(self, height: int) -> int:
        return max(1, height // 8) if self.padding is None else self.padding


@part("augmentation", "flip")
@dataclass(frozen=True)
class Flip(PerImage):
    """Mirrors each image left to right with probability 1/2."""

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """Which images are mirrored."""
        return (rng.random(count) < 0.5,)

    def apply(self, x: Pixels, mirrored: Any) -> Pixels:
        """Returns the images, some of them mirrored."""
        x = x.copy()
        mirror(x, mirrored)
        return x

    def in_step(self, x: Tensor, *drawn: Tensor) -> Tensor:
        """The images, some of them mirrored."""
        (mirrored,) = drawn
        return ops.where(mirrored[:, None, None, None], ops.flip(x, axis=2), x)

    def in_place(self, x: Pixels, rng: np.random.Generator) -> Pixels:
        """The same of images that nobody else holds: a batch that was just read."""
        (mirrored,) = self.draws(len(x), x.shape[1:], rng)
        mirror(x, np.asarray(mirrored))
        return x


@part("augmentation", "cutout")
@dataclass(frozen=True)
class Cutout(PerImage):
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

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """Row and column of each hole's centre."""
        height, width, _ = shape
        row = rng.integers(0, height, size=(count, 1))
        return row, rng.integers(0, width, size=(count, 1))

    def apply(self, x: Pixels, row: Any, column: Any) -> Pixels:
        """Returns the images, each with a hole."""
        height, width = x.shape[1:3]
        size = self._side(height)
        in_rows, in_columns = (
            _span(row, size, np.arange(height)),
            _span(column, size, np.arange(width)),
        )
        x = x.copy()
        x[in_rows[:, :, np.newaxis] & in_columns[:, np.newaxis, :]] = self.fill
        return x

    def in_step(self, x: Tensor, *drawn: Tensor) -> Tensor:
        """The images, each with a hole."""
        row, column = drawn
        height, width = x.shape[1:3]
        size = self._side(height)
        rows = _span(row, size, ops.arange(height, dtype="int32"))
        columns = _span(column, size, ops.arange(width, dtype="int32"))
        hole = ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])
        return ops.where(hole, ops.cast(self.fill, x.dtype), x)

    def _side(self, height: int) -> int:
        return max(1, height // 2) if self.size is None else self.size


def _span(centre: Any, size: int, position: Any) -> Any:
    """Which positions lie in [centre - size // 2, centre - size // 2 + size); arrays or tensors."""
    first = centre - size // 2
    return (position >= first) & (position < first + size)


def for_a_fresh_batch(augment: Augmentation) -> Augmentation:
    """What changes a batch that nobody else holds: `in_place`, where the augmentation has one.

    A subclass with a `__call__` or `apply` of its own does what that says, and not what its parent
    does in place.
    """
    for kind in type(augment).__mro__:
        if "in_place" in vars(kind):
            found: Augmentation = augment.in_place  # type: ignore[attr-defined]
            return found
        if "__call__" in vars(kind) or "apply" in vars(kind):
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
