"""Part of a JPEG file by the library TurboJPEG 3, where there is one.

The entropy code of a JPEG must be read from the start to the last row of a part. Everything else,
the cosine transforms, the enlarged colours and their conversion, is done for the part alone, and
what lies below it is not read at all. The pixels are those of the whole image, to the last bit.

The library is the one of the package `turbojpeg` (the extra `crops`), or one that the system or
conda has. It is called as it is: nothing of the package is imported. Calls leave Python's lock.
"""

import ctypes
import functools
import importlib.metadata
import os
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# The names of turbojpeg.h, and what they stand for there.
_DECOMPRESS = 1
_SUBSAMPLING, _WIDTH, _HEIGHT, _PRECISION, _COLOURS = 4, 5, 6, 7, 8
_RGB_PIXELS = 0
_OF_THREE_COLOURS = (0, 1)  # RGB and YCbCr; not grey, CMYK and YCCK
_BLOCKS = {0: 8, 1: 16, 2: 16, 4: 8, 5: 32, 6: 8}  # pixels across that are coded together

_FILES = re.compile(r"(libturbojpeg[^/]*\.(so[.\d]*|dylib)|(lib)?turbojpeg[^/]*\.dll)$")
_NAMES = {
    "linux": ("libturbojpeg.so.0",),
    "darwin": ("libturbojpeg.0.dylib", "libturbojpeg.dylib"),
    "win32": ("turbojpeg.dll", "libturbojpeg.dll"),
}


class Header(NamedTuple):
    """What the header of a JPEG says: pixels across, down, and across what is coded together."""

    width: int
    height: int
    block: int


class _Region(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("x", "y", "width", "height")]


class _Scale(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("numerator", "denominator")]


class PartDecoder:
    """Decodes parts of one file after the other. For one thread.

    Args:
        library: what `library()` returned.
    """

    def __init__(self, library: tuple[Any, Any]) -> None:
        self._quick, self._slow = library
        self._handle: int | None = self._quick.tj3Init(_DECOMPRESS)
        if not self._handle:
            raise MemoryError("TurboJPEG could not be started")
        self._pixels: NDArray[np.uint8] = np.empty(0, np.uint8)

    def header(self, data: bytes) -> Header | None:
        """What the file says; None where it is no JPEG of three colours with 8 bits each."""
        if self._quick.tj3DecompressHeader(self._handle, data, len(data)):
            return None
        ask, handle = self._quick.tj3Get, self._handle
        block = _BLOCKS.get(ask(handle, _SUBSAMPLING))
        if block is None or ask(handle, _PRECISION) != 8:
            return None
        if ask(handle, _COLOURS) not in _OF_THREE_COLOURS:
            return None
        return Header(ask(handle, _WIDTH), ask(handle, _HEIGHT), block)

    def part(
        self, data: bytes, header: Header, box: tuple[int, int, int, int], scale: int = 1
    ) -> NDArray[np.uint8] | None:
        """Pixels of the file of which the header was read last.

        Args:
            data: the file.
            header: its header.
            box: left, top, right and bottom, in pixels of the image at its scale.
            scale: 1, 2, 4 or 8: the image is decoded at 1/scale of its size, rounded up.

        Returns:
            (bottom - top, right - left, 3), RGB, valid until this decoder's next part; None where
            the library finds anything to complain of.
        """
        left, top, right, bottom = box
        whole = -(-header.width // scale)
        block = max(1, header.block // scale)
        # Colours of half the width are interpolated: the neighbours on either side are needed, too.
        first, end = max(0, left - 1) // block * block, min(whole, right + 1)
        width, height = end - first, bottom - top
        if self._pixels.size < 3 * width * height:
            self._pixels = np.empty(3 * width * height, np.uint8)
        handle = self._handle
        failed = (
            self._quick.tj3SetScalingFactor(handle, _Scale(1, scale))
            or self._quick.tj3SetCroppingRegion(handle, _Region(first, top, width, height))
            or self._slow.tj3Decompress8(
                handle, data, len(data), self._pixels.ctypes.data, 3 * width, _RGB_PIXELS
            )
        )
        if failed:
            return None
        found = self._pixels[: 3 * width * height].reshape(height, width, 3)
        return found[:, left - first : right - first]

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._quick.tj3Destroy(self._handle)
            self._handle = None


_here = threading.local()


def decoder() -> PartDecoder | None:
    """This thread's decoder; None without the library."""
    found: PartDecoder | None = getattr(_here, "decoder", None)
    if found is None and (loaded := library()) is not None:
        found = _here.decoder = PartDecoder(loaded)
    return found


@functools.cache
def library() -> tuple[Any, Any] | None:
    """TurboJPEG 3 twice, for calls that keep Python's lock and that leave it; None without it."""
    for path in _places():
        try:
            quick, slow = ctypes.PyDLL(path), ctypes.CDLL(path)
            _declare(quick)
            _declare(slow)
        except (OSError, AttributeError):  # not there, or of an earlier version
            continue
        return quick, slow
    return None


def _places() -> Iterator[str]:
    """Where the library may be, the package's own first."""
    try:
        files = importlib.metadata.distribution("turbojpeg").files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if _FILES.search(file.as_posix()):
            yield str(file.locate())
    names = _NAMES.get(sys.platform, ())
    for name in names:
        beside = os.path.join(sys.prefix, "lib", name)
        if os.path.isfile(beside):
            yield beside
    yield from names


def _declare(library: Any) -> None:
    """Arguments and results. Raises AttributeError for a version without parts."""
    handle, number, data, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t
    library.tj3Init.argtypes, library.tj3Init.restype = [number], handle
    library.tj3Destroy.argtypes, library.tj3Destroy.restype = [handle], None
    library.tj3Get.argtypes = [handle, number]
    library.tj3DecompressHeader.argtypes = [handle, data, size]
    library.tj3SetScalingFactor.argtypes = [handle, _Scale]
    library.tj3SetCroppingRegion.argtypes = [handle, _Region]
    library.tj3Decompress8.argtypes = [handle, data, size, ctypes.c_void_p, number, number]
