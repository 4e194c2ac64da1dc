"""What images are like: the record that a model keeps of those that it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LOOKED_AT = 256
"""Images of a set that are looked at, spread evenly over it."""


@dataclass(frozen=True)
class PixelRecord:
    """What images are like.

    Attributes:
        dtype: of their pixels.
        minimum, maximum: over the images that were looked at.
        channels: how many.
        size: (height, width).
        means: per channel.
        red_minus_blue: mean and standard deviation over the images, where there are three channels.
        layout: always "channels_last".
        resize: pixels that the shorter side of image files was resized to; None where as few as
            would do, or where they were arrays.
    """

    dtype: str
    minimum: float
    maximum: float
    channels: int
    size: tuple[int, int]
    means: tuple[float, ...] = ()
    red_minus_blue: tuple[float, float] | None = None
    layout: str = "channels_last"
    resize: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The attributes as JSON types."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, content: Any) -> "PixelRecord | None":
        """From what `to_dict` gave; None where it is something else, such as of an older run."""
        needed = {"dtype", "minimum", "maximum", "channels", "size"}
        if not isinstance(content, Mapping) or not needed <= content.keys():
            return None
        known: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v
            for k, v in content.items()
            if k in cls.__dataclass_fields__
        }
        whole, turned, side = (int,), known.get("red_minus_blue"), known.get("resize")
        sound = (
            isinstance(known["dtype"], str)
            and all(_are((known[name],), (int, float)) for name in ("minimum", "maximum"))
            and _are((known["channels"],), whole)
            and _are(known["size"], whole, 2)
            and _are(known.get("means", ()), (int, float))
            and (turned is None or _are(turned, (int, float), 2))
            and (side is None or _are((side,), whole))
        )
        return cls(**known) if sound else None


def record(images: Any) -> PixelRecord | None:
    """What a set of images (N, H, W, C) is like; None where it is none."""
    seen = looked_at(images)
    if seen is None:
        return None
    lowest, highest = float(seen.min()), float(seen.max())
    if not np.isfinite([lowest, highest]).all():
        return None
    return PixelRecord(
        dtype=str(seen.dtype),
        minimum=lowest,
        maximum=highest,
        channels=int(seen.shape[-1]),
        size=(int(seen.shape[1]), int(seen.shape[2])),
        means=tuple(round(float(mean), 4) for mean in seen.mean(axis=(0, 1, 2), dtype="float64")),
        red_minus_blue=red_minus_blue(seen),
        resize=getattr(images, "resize", None) if hasattr(images, "paths") else None,
    )


def looked_at(images: Any) -> np.ndarray | None:
    """Some images (N, H, W, C), evenly spread; None where they are none."""
    shape = getattr(images, "shape", None)
    if shape is None or len(shape) != 4 or 0 in shape or not hasattr(images, "dtype"):
        return None
    try:
        if np.dtype(images.dtype).kind not in "iuf":
            return None
    except TypeError:  # a tensor of another framework
        return None
    count = int(shape[0])
    if count <= LOOKED_AT:
        return np.asarray(images[:])
    return np.asarray(images[np.linspace(0, count - 1, LOOKED_AT).astype("int64")])


def red_minus_blue(seen: np.ndarray) -> tuple[float, float] | None:
    """Mean and standard deviation over images of an image's mean red minus its mean blue."""
    if seen.shape[-1] != 3:
        return None
    means = seen.mean(axis=(1, 2), dtype="float64")
    difference = means[:, 0] - means[:, 2]
    return round(float(difference.mean()), 6), round(float(difference.std()), 6)


def _are(values: Any, kinds: tuple[type, ...], count: int | None = None) -> bool:
    """Whether values are a tuple of finite numbers of these kinds."""
    if not isinstance(values, tuple) or count not in (None, len(values)):
        return False
    real: list[Any] = [v for v in values if isinstance(v, kinds) and not isinstance(v, bool)]
    return sum(abs(v) < 1e300 for v in real) == len(values)
