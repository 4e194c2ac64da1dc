"""Image files of any kind as uint8 pixels in 0..255.

    JPEG, PNG, WebP, TIFF, BMP, GIF (first frame) and PNM; no other format is tried
    grey, palette, two-tone, CMYK, YCbCr, Lab    as RGB, or as grey
    alpha                                        over white
    16 bits, grey                                value / 257, so that 65535 is 255
    16 bits, in colour                           the upper byte, which is all that Pillow reads
    EXIF orientation                             upright
    colour profiles                              left alone, as torchvision and tf.data do

A file is data from outside: what a decoder says of a broken one becomes `UnreadableImage`. The
header is read first, and an image of more than `MAX_PIXELS` pixels is not decoded.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from keras_ccsam.data.images.unreadable import UnreadableImage

File: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""Pillow's names of what is tried; a file of another format is refused unseen."""

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""Endings of file names, in lower case, of each format."""

MAX_PIXELS = 89_478_485
"""Width times height: Pillow's own limit, 256 MiB of RGB."""

ORIENTATION = 0x0112
"""EXIF's number of what says which side is up."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
# What decoders say of a file that ends too early.
_CUT_SHORT = ("truncated", "premature end", "unexpected end", "not enough", "incomplete")


def decode(
    file: File, *, channels: int = 3, at_least: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """The pixels of a whole image file, upright.

    Args:
        file: a path, the file's bytes, or an open binary file.
        channels: 3 for RGB, 1 for grey.
        at_least: (height, width): a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is
            quicker, as long as it stays this large.

    Returns:
        (h, w, channels), uint8 in 0..255.

    Raises:
        UnreadableImage: a missing, empty, truncated or broken file, one of another format, or an
            image of more than `MAX_PIXELS` pixels.
    """
    with opened(file, channels) as image:
        if at_least is not None:
            reduce(image, at_least, channels)
        return pixels(upright(image), channels)


@contextmanager
def opened(file: File, channels: int = 3, name: str | None = None) -> Iterator[Image.Image]:
    """A file's image, of which only the header has been read.

    Args:
        file: see `decode`.
        channels: see `decode`.
        name: what a message calls the file, if not by its own name.

    Raises:
        UnreadableImage: see `decode`; also for what fails within the block.
        ValueError: for other `channels`.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 3 (RGB) or 1 (grey). Received: channels={channels!r}")
    name = name_of(file) if name is None else name
    if isinstance(file, bytes):
        file = io.BytesIO(file)
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableImage(
                    name,
                    "too large",
                    f"it says that it has {width} x {height} pixels, and at most {MAX_PIXELS:,} "
                    "are decoded",
                )
            yield image
    except UnreadableImage:
        raise
    except Exception as error:
        # A decoder that is fed a broken file raises whatever it likes: OSError, SyntaxError,
        # struct.error, KeyError, ... None of them is a mistake in a program.
        raise _unreadable(name, file, error) from error


def upright(image: Image.Image) -> Image.Image:
    """The image as it is meant to be seen; the same object where nothing is to be turned."""
    turn = _TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) once upright."""
    if image.format == "TIFF":
        image.load()  # Pillow turns a TIFF by itself, and then only is its size what it will be
    width, height = image.size
    return (height, width) if orientation(image) in _SIDEWAYS else (width, height)


def orientation(image: Image.Image) -> int:
    """EXIF's number from 1 to 8; 1 where it says nothing, or nonsense, and of a TIFF."""
    # Reading EXIF of a file without any would make Pillow search through all of it.
    if "exif" not in image.info or image.format == "TIFF":
        return 1
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF is full of nonsense, and it is no part of the pixels
        return 1
    return found if found in _TURNS else 1


def reduce(image: Image.Image, at_least: tuple[int, int], channels: int) -> None:
    """Has a JPEG decoded at 1/2, 1/4 or 1/8 where it stays at least (height, width), upright."""
    height, width = at_least
    if orientation(image) in _SIDEWAYS:
        height, width = width, height
    image.draft("L" if channels == 1 else "RGB", (max(1, width), max(1, height)))


def pixels(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """(h, w, channels) of an image, decoded now if it is not yet."""
    found = np.asarray(as_mode(image, channels))
    return found[..., np.newaxis] if found.ndim == 2 else found


def as_mode(image: Image.Image, channels: int) -> Image.Image:
    """The image in 8 bits, RGB or grey: see the head of this file."""
    mode = "RGB" if channels == 3 else "L"
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode in ("F", "I") or image.mode.startswith("I;"):
        image = _eight_bits(image)
    elif image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits in 8."""
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise ValueError(
            "its pixels are floats or have more than 16 bits, and what is white is not known; "
            "save it with 8 or 16 bits"
        )
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def name_of(file: File) -> str:
    """What a message calls a file."""
    if isinstance(file, str | os.PathLike):
        return os.fspath(file)
    if isinstance(file, bytes):
        return f"{len(file)} bytes"
    return str(getattr(file, "name", "an open file"))


def _unreadable(name: str, file: Any, error: Exception) -> UnreadableImage:
    """What an error of a decoder means."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UnreadableImage(name, "missing", "there is no such file")
    if isinstance(error, IsADirectoryError):
        return UnreadableImage(name, "foreign", "it is a folder")
    if isinstance(error, PermissionError):
        return UnreadableImage(name, "missing", "it may not be read")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        reason = f"it says that it has more than {MAX_PIXELS:,} pixels"
        return UnreadableImage(name, "too large", reason)
    if _size(file) == 0:
        return UnreadableImage(name, "empty", "it has zero bytes")
    if isinstance(error, UnidentifiedImageError):
        known = ", ".join(FORMATS)
        return UnreadableImage(name, "foreign", f"it is none of {known}, or broken at its start")
    words = str(error) or type(error).__name__
    cut = isinstance(error, EOFError) or any(hint in words.lower() for hint in _CUT_SHORT)
    words = words.partition(" Received:")[0].rstrip(".")
    return UnreadableImage(name, "truncated" if cut else "corrupt", words)


def _size(file: Any) -> int | None:
    """Bytes of a file; None where that cannot be told."""
    try:
        if isinstance(file, str | os.PathLike):
            return os.stat(file).st_size
        return int(file.seek(0, io.SEEK_END))
    except (OSError, ValueError, AttributeError):
        return None


# The header is checked here, with an error of ours; Pillow would warn of it besides.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning, module=__name__)
