"""`ImageFiles`: a list of image files as uint8 images of one size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.images.pack_index import stamp
from keras_ccsam.data.images.store import ImageStore, Rows, View, row_numbers
from keras_ccsam.data.images.view import Centre, seen


class ImageFiles(ImageStore):
    """Image files, decoded each time they are asked for.

    What is shown is chosen file by file, so files of any size and kind (see `images.decode`) make
    up one set. Nothing is read, nor looked for, before the first image is asked for.

    Args:
        paths: one per image; text.
        root: the folder that they are below. A path that leaves it is refused.
        size: pixels of the square that the network sees, or (height, width).
        channels: 3 for RGB, 1 for grey.
        resize: for evaluation, pixels that the shorter side is resized to before the centre is cut
            out; `None` keeps as much of the image as the square can hold. The field evaluates
            ImageNet at 256 and 224.

    Raises:
        ValueError: no path, a path that leaves the root, or a size that cannot be.
    """

    decodes = True

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        root: str | os.PathLike[str] | None = None,
        *,
        size: int | tuple[int, int],
        channels: int = 3,
        resize: int | None = None,
    ) -> None:
        if isinstance(paths, str | os.PathLike) or len(paths) == 0:
            raise ValueError(f"paths must name at least one image. Received: paths={paths!r}")
        if channels not in (1, 3):
            raise ValueError(
                f"channels must be 3 (RGB) or 1 (grey). Received: channels={channels!r}"
            )
        self.size = checked_size(size, resize)
        self.channels, self.resize = channels, resize
        self.root = None if root is None else os.fspath(root)
        self._paths: list[str] = [os.fspath(path) for path in paths]
        self._rows = np.arange(len(self._paths), dtype=np.int64)
        self._centre = Centre(self.size, resize)
        if self.root is not None:
            for row, path in enumerate(self._paths):
                if leaves(path):
                    raise ValueError(
                        f"paths must stay below the folder {self.root}. "
                        f"Received: paths[{row}]={path!r}"
                    )

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        return (len(self._rows), *self.size, self.channels)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def paths(self) -> list[str]:
        """The images' paths as they were given, in the order of the rows."""
        return [self._paths[row] for row in self._rows]

    def names(self) -> list[str]:
        """The same."""
        return self.paths

    def file_sizes(self) -> list[int]:
        """Bytes of each file, asked for now."""
        return [stamp(self.path(row))[0] for row in range(len(self))]

    def path(self, row: int) -> str:
        """Where an image lies."""
        path = self._paths[self._rows[row]]
        return path if self.root is None else os.path.join(self.root, path)

    def read(self, rows: Rows, views: Sequence[View] | None = None) -> NDArray[np.uint8]:
        """The images of these rows, decoded now.

        Raises:
            UnreadableImage: the first file that cannot be read.
        """
        found = np.empty((len(rows), *self.size, self.channels), np.uint8)
        for i, row in enumerate(rows):
            view = self._centre if views is None else views[i]
            seen(self.path(int(row)), view, self.size, self.channels, found[i])
        return found

    def take(self, rows: Any) -> ImageFiles:
        """The store of these rows alone; the list of paths is shared."""
        part: ImageFiles = object.__new__(type(self))
        vars(part).update(vars(self))
        part._rows = self._rows[row_numbers(rows, len(self))]
        return part

    def __repr__(self) -> str:
        return f"ImageFiles({len(self)} images, root={self.root!r}, shape={self.shape[1:]})"


def leaves(path: str) -> bool:
    """Whether a path may lead out of the folder that it is relative to."""
    steps = path.replace("\\", "/").split("/")
    return os.path.isabs(path) or path.startswith(("/", "\\")) or ".." in steps


def checked_size(size: int | tuple[int, int], resize: int | None = None) -> tuple[int, int]:
    """(height, width) of a size.

    Raises:
        ValueError: what is no size, or a resized side that is shorter than it.
    """
    pair = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2 or not all(_is_whole(side) and side >= 1 for side in pair):
        raise ValueError(
            "size must be a whole number of pixels of at least 1, or (height, width). "
            f"Received: size={size!r}"
        )
    if resize is not None and not (_is_whole(resize) and resize >= max(pair)):
        raise ValueError(
            f"resize is of the shorter side before {pair[0]} x {pair[1]} pixels are cut out, so "
            f"it must be at least {max(pair)}. Received: resize={resize!r}"
        )
    return int(pair[0]), int(pair[1])


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
