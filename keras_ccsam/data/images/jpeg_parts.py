"""The part of a JPEG file that a view shows, without Pillow: see `accelerated`.

Whatever is out of the ordinary is left to Pillow: a photograph that EXIF turns, grey or CMYK, more
pixels than are decoded, and every file that a decoder finds fault with. So the same files can be
read, and the same are refused, whether or not the extras are installed.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_ccsam.data.images import turbojpeg
from keras_ccsam.data.images.accelerated import around, fitted, module
from keras_ccsam.data.images.decode import MAX_PIXELS, ORIENTATION
from keras_ccsam.data.images.store import View

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_SCAN, _APP1 = 0xDA, 0xE1
_SCALES = (8, 4, 2, 1)


def shown(data: bytes, view: View, out: NDArray[np.uint8]) -> bool:
    """Writes what a view shows of a JPEG.

    Args:
        data: the file.
        view: which part of the image.
        out: (H, W, 3), written to.

    Returns:
        Whether it was done; else it is Pillow's.
    """
    parts = turbojpeg.decoder()
    if not _upright(data):
        return False
    header = _header(data) if parts is None else parts.header(data)
    if header is None or header.width * header.height > MAX_PIXELS:
        return False
    width, height, rows, columns = header.width, header.height, *out.shape[:2]
    box = left, top, right, bottom = view.box(width, height)
    # As Pillow's `draft` does it: so large that the box still has as many pixels as the result.
    enough = math.ceil(height * rows / (bottom - top)), math.ceil(width * columns / (right - left))
    most = min(width // max(1, enough[1]), height // max(1, enough[0]))
    scale = next((scale for scale in _SCALES if scale <= most), 1)
    if parts is None:
        if scale > 1 or (pixels := _whole(data)) is None:
            return False
        fitted(pixels, box, out)
        return True
    size = -(-width // scale), -(-height // scale)
    if scale > 1:
        across, down = size[0] / width, size[1] / height
        box = (left * across, top * down, right * across, bottom * down)
    # A file without its end may lack what is shown: decoded whole, it is refused if it does.
    ends = data.endswith(_END)
    part = around(box, size[::-1], (rows, columns)) if ends else (0, 0, *size)
    found = parts.part(data, header, part, scale)
    if found is None:
        return False
    x, y = part[:2]
    fitted(found, (box[0] - x, box[1] - y, box[2] - x, box[3] - y), out)
    return True


def is_jpeg(start: bytes) -> bool:
    """Whether a file's first three bytes are those of a JPEG, and there is something to read it."""
    return start[:3] == _START and (
        turbojpeg.library() is not None or module("simplejpeg") is not None
    )


def _upright(data: bytes) -> bool:
    """Whether an image is shown as it is stored; False also where that is not easily said."""
    position, turned = 2, None
    while data[position : position + 1] == b"\xff":
        marker = data[position + 1 : position + 2]
        if marker == b"\xff":  # any number of them may stand before a marker
            position += 1
            continue
        if not marker or marker[0] == _SCAN:
            return bool(marker) and turned in (None, False)
        start, length = position + 4, int.from_bytes(data[position + 2 : position + 4], "big")
        if length < 2:
            return False
        if marker[0] == _APP1:
            # XMP may turn an image, too, and two pieces of EXIF belong together.
            if turned is not None or data[start : start + 6] != b"Exif\0\0":
                return False
            turned = _turned(data[start : position + 2 + length])
        position += 2 + length
    return False


def _turned(exif: bytes) -> bool:
    """Whether EXIF says anything but that the image is upright."""
    found = Image.Exif()
    try:
        found.load(exif)
        return bool(found.get(ORIENTATION, 1) != 1)
    except Exception:  # nonsense: Pillow is asked again, and knows what to do with it
        return True


def _header(data: bytes) -> turbojpeg.Header | None:
    """The header of a colour JPEG by simplejpeg."""
    library = module("simplejpeg")
    try:
        height, width, colours, _ = library.decode_jpeg_header(data)  # type: ignore[union-attr]
    except ValueError:
        return None
    return turbojpeg.Header(width, height, 1) if colours in ("YCbCr", "RGB") else None


def _whole(data: bytes) -> NDArray[np.uint8] | None:
    """All pixels by simplejpeg."""
    library = module("simplejpeg")
    try:
        found: NDArray[np.uint8] = library.decode_jpeg(data, "RGB")  # type: ignore[union-attr]
    except ValueError:
        return None
    return found
