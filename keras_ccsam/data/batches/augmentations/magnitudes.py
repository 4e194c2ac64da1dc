"""From a strength in [0, 1] to the value of an operation.

    value = low + strength (high - low)

with a random sign where the operation has two directions; the four blends are 1 +- that. The ranges
of AutoAugment (arXiv:1805.09501, table 6), which RandAugment keeps, and the wide ones of
TrivialAugment (arXiv:2103.10158, table 5). A translation there is of 331 pixels, here a share.
CUDA's code has others: its blends begin at 0.1, and it moves by pixels, whatever the image's size.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

_BLENDS = ("brightness", "color", "contrast", "sharpness")


@dataclass(frozen=True)
class Range:
    """The values of one operation.

    Attributes:
        low, high: at strength 0 and 1.
        signed: whether the value may be negative as well.
        of_side: whether it is a share of the image's width, or of its height.
    """

    low: float = 0.0
    high: float = 0.0
    signed: bool = False
    of_side: bool = False


Ranges = Mapping[str, Range]

_VALUELESS = {name: Range() for name in ("auto_contrast", "equalize", "invert", "identity")}
STANDARD: Ranges = {
    "shear_x": Range(0, 0.3, signed=True),
    "shear_y": Range(0, 0.3, signed=True),
    "translate_x": Range(0, 150 / 331, signed=True, of_side=True),
    "translate_y": Range(0, 150 / 331, signed=True, of_side=True),
    "rotate": Range(0, 30, signed=True),
    **{name: Range(0, 0.9, signed=True) for name in _BLENDS},
    "posterize": Range(8, 4),
    "solarize": Range(255, 0),
    **_VALUELESS,
}
WIDE: Ranges = {
    **STANDARD,
    "shear_x": Range(0, 0.99, signed=True),
    "shear_y": Range(0, 0.99, signed=True),
    "translate_x": Range(0, 32, signed=True),
    "translate_y": Range(0, 32, signed=True),
    "rotate": Range(0, 135, signed=True),
    **{name: Range(0, 0.99, signed=True) for name in _BLENDS},
    "posterize": Range(8, 2),
}
# The 22 of CUDA (sumyeongahn/CUDA_LTR, 2d62a49). Up to its level 10 posterize keeps one bit.
CURRICULUM: Ranges = {
    **{name: Range() for name in ("flip", "mirror", "edge_enhance", "detail", "smooth")},
    **{name: Range() for name in ("auto_contrast", "equalize", "invert")},
    **{name: Range(-0.9, 0.9) for name in _BLENDS},
    "blur": Range(0, 2),
    "zoom": Range(1, 1.5),
    "rotate": Range(0, 30, signed=True),
    "posterize": Range(1, 1),
    "solarize": Range(0, 256),
    "solarize_add": Range(0, 110),
    "shear_x": Range(0, 0.3, signed=True),
    "shear_y": Range(0, 0.3, signed=True),
    "translate_x": Range(0, 100, signed=True),
    "translate_y": Range(0, 100, signed=True),
}
# RandAugment's and TrivialAugment's, in the order of their papers.
FOURTEEN = (
    *("identity", "auto_contrast", "equalize", "rotate", "solarize", "color", "posterize"),
    *("contrast", "brightness", "sharpness", "shear_x", "shear_y", "translate_x", "translate_y"),
)


def value_of(
    name: str, strength: float, negative: bool, ranges: Ranges, size: tuple[int, int]
) -> float:
    """The value of an operation, as `operations.apply` takes it.

    Args:
        name: of the operation.
        strength: in [0, 1].
        negative: the sign, where there are two.
        ranges: `STANDARD` or `WIDE`.
        size: (width, height) of the image in pixels.
    """
    of = ranges[name]
    value = of.low + strength * (of.high - of.low)
    if of.of_side:
        value *= size[0] if name == "translate_x" else size[1]
    if of.signed and negative:
        value = -value
    if name in _BLENDS:
        return 1.0 + value
    return math.floor(value + 0.5) if name == "posterize" else value
