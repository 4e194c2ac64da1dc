"""The operations of AutoAugment and its successors on an image, by name, each with one value.

    shear_x, shear_y            value v: x' = x + v y, or y' = y + v x, from the upper left corner
    translate_x, translate_y    pixels
    rotate                      degrees, counter-clockwise
    brightness, color,
    contrast, sharpness         a blend: 0 is black, grey, flat, blurred; 1 the image; above, more
    posterize                   bits kept of each channel
    solarize                    pixels from this value on are inverted
    solarize_add                added to each pixel; those from 128 on are then inverted
    blur                        radius of a Gaussian in pixels
    zoom                        enlarged so many times, of which the middle is seen
    auto_contrast, equalize,
    invert, identity, flip,
    mirror, edge_enhance,
    detail, smooth              no value; flip turns an image upside down, mirror left to right

They are Pillow's own, as in the published code. On a grey image `color` changes nothing: it blends
an image with its grey self.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from pydantic import Field

Interpolation: TypeAlias = Annotated[
    Literal["nearest", "bilinear"],
    Field(description="of turned and sheared pixels (code: nearest)"),
]
Fill: TypeAlias = Annotated[
    int, Field(ge=0, le=255, description="of corners that come into view (code: 128, grey)")
]
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
}


@dataclass(frozen=True)
class Canvas:
    """How pixels that an operation moves are read.

    Attributes:
        interpolation: between pixels.
        fill: what lies outside the image.
    """

    interpolation: Literal["nearest", "bilinear"] = "nearest"
    fill: int = 128

    def affine(self, image: Image.Image, *matrix: float) -> Image.Image:
        """The image seen through (a, b, c, d, e, f): pixel (x, y) is that of (ax+by+c, dx+ey+f)."""
        resample = _RESAMPLING[self.interpolation]
        affine = Image.Transform.AFFINE
        fill = self._colour(image)
        return image.transform(image.size, affine, matrix, resample=resample, fillcolor=fill)

    def rotate(self, image: Image.Image, degrees: float) -> Image.Image:
        """The image, turned about its centre."""
        resample = _RESAMPLING[self.interpolation]
        return image.rotate(degrees, resample=resample, fillcolor=self._colour(image))

    def _colour(self, image: Image.Image) -> int | tuple[int, ...]:
        bands = len(image.getbands())
        return self.fill if bands == 1 else (self.fill,) * bands


def apply(name: str, image: Image.Image, value: float, canvas: Canvas) -> Image.Image:
    """The image after an operation.

    Args:
        name: of `OPERATIONS`.
        image: grey or RGB.
        value: see above.
        canvas: for those that move pixels.
    """
    return OPERATIONS[name](image, value, canvas)


def color(image: Image.Image, value: float) -> Image.Image:
    """The image with its colours weaker (below 1) or stronger; a grey one as it is."""
    return image if image.mode == "L" else ImageEnhance.Color(image).enhance(value)


@functools.lru_cache(maxsize=1024)
def _posterized(bits: int, bands: int) -> list[int]:
    return [level & ~(2 ** (8 - bits) - 1) for level in range(256)] * bands


@functools.lru_cache(maxsize=1024)
def _solarized(threshold: float, bands: int) -> list[int]:
    return [level if level < threshold else 255 - level for level in range(256)] * bands


def _posterize(image: Image.Image, value: float) -> Image.Image:
    return image.point(_posterized(int(value), len(image.getbands())))


def _solarize(image: Image.Image, value: float) -> Image.Image:
    return image.point(_solarized(value, len(image.getbands())))


@functools.lru_cache(maxsize=1024)
def _solarized_sum(addition: float, bands: int) -> list[int]:
    sums = [min(int(level + addition), 255) for level in range(256)]
    return [level if level < 128 else 255 - level for level in sums] * bands


def _solarize_add(image: Image.Image, value: float) -> Image.Image:
    return image.point(_solarized_sum(value, len(image.getbands())))


def _zoom(image: Image.Image, value: float) -> Image.Image:
    width, height = image.size
    wide, high = int(width * value), int(height * value)
    left, top = wide // 2 - width // 2, high // 2 - height // 2
    larger = image.resize((wide, high), Image.Resampling.LANCZOS)
    return larger.crop((left, top, left + width, top + height))


OPERATIONS: dict[str, Callable[[Image.Image, float, Canvas], Image.Image]] = {
    "identity": lambda image, value, canvas: image,
    "shear_x": lambda image, value, canvas: canvas.affine(image, 1, value, 0, 0, 1, 0),
    "shear_y": lambda image, value, canvas: canvas.affine(image, 1, 0, 0, value, 1, 0),
    "translate_x": lambda image, value, canvas: canvas.affine(image, 1, 0, value, 0, 1, 0),
    "translate_y": lambda image, value, canvas: canvas.affine(image, 1, 0, 0, 0, 1, value),
    "rotate": lambda image, value, canvas: canvas.rotate(image, value),
    "brightness": lambda image, value, canvas: ImageEnhance.Brightness(image).enhance(value),
    "color": lambda image, value, canvas: color(image, value),
    "contrast": lambda image, value, canvas: ImageEnhance.Contrast(image).enhance(value),
    "sharpness": lambda image, value, canvas: ImageEnhance.Sharpness(image).enhance(value),
    "posterize": lambda image, value, canvas: _posterize(image, value),
    "solarize": lambda image, value, canvas: _solarize(image, value),
    "auto_contrast": lambda image, value, canvas: ImageOps.autocontrast(image),
    "equalize": lambda image, value, canvas: ImageOps.equalize(image),
    "invert": lambda image, value, canvas: _solarize(image, 0),
    "flip": lambda image, value, canvas: ImageOps.flip(image),
    "mirror": lambda image, value, canvas: ImageOps.mirror(image),
    "edge_enhance": lambda image, value, canvas: image.filter(ImageFilter.EDGE_ENHANCE),
    "detail": lambda image, value, canvas: image.filter(ImageFilter.DETAIL),
    "smooth": lambda image, value, canvas: image.filter(ImageFilter.SMOOTH),
    "blur": lambda image, value, canvas: image.filter(ImageFilter.GaussianBlur(value)),
    "zoom": lambda image, value, canvas: _zoom(image, value),
    "solarize_add": lambda image, value, canvas: _solarize_add(image, value),
}
