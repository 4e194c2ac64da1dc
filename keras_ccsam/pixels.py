"""The pixels that a model was trained on, and whether others look like them.

A network takes pixels 0..1 for almost black images of 0..255, and says so of none of them: it
answers, and is wrong. So a model keeps what its first training images were like, and whoever asks
it later compares. What cannot be meant is an error; what is merely strange is a warning. Ordinary
images that are dark, grey, saturated or few are neither.
"""

import warnings
from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True)
class Finding:
    """What is wrong with images.

    Attributes:
        kind: "nan", "range", "layout", "colour" or "constant".
        text: a sentence for people, with what would be right.
        fatal: whether it cannot be meant.
    """

    kind: str
    text: str
    fatal: bool


def record(images: Any) -> PixelRecord | None:
    """What a set of images (N, H, W, C) is like; None where it is none."""
    seen = _looked_at(images)
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
        red_minus_blue=_red_minus_blue(seen),
        resize=getattr(images, "resize", None) if hasattr(images, "paths") else None,
    )


def findings(
    images: Any,
    trained_on: PixelRecord | None = None,
    expects_bytes: bool = False,
    channels_last: bool = False,
) -> Iterator[Finding]:
    """What is wrong with images.

    Args:
        images: (N, H, W, C), an array or what is read by rows.
        trained_on: what the model was trained on, if that is known.
        expects_bytes: where it is not, whether the network begins by scaling 0..255 down.
        channels_last: where it is not, whether other layouts cannot be meant, as in a data set.
            A network of one's own may have its channels first.
    """
    seen = _looked_at(images)
    if seen is None:
        return
    if seen.dtype.kind == "f" and not np.isfinite(seen).all():
        yield Finding("nan", "The images hold NaN or infinity.", True)
        return
    yield from _layout(seen, trained_on, channels_last)
    if trained_on is not None:
        yield from _range(seen, trained_on)
        if trained_on.channels == seen.shape[-1]:
            yield from _colour(seen, trained_on)
    elif expects_bytes and _are_fractions(seen):
        yield Finding(
            "range",
            f"The images are floats from {seen.min():.3g} to {seen.max():.3g}, and the network "
            "begins by scaling pixels of 0..255 down: multiply them by 255.",
            False,
        )
    flat = seen.reshape(len(seen), -1)
    constant = np.flatnonzero(flat.max(axis=1) == flat.min(axis=1))
    if len(constant) and flat.shape[1] > 1:
        yield Finding(
            "constant",
            f"{len(constant)} of {len(seen)} images that were looked at have one value in all of "
            f"their pixels ({flat[constant[0], 0]:g} in the first of them): nothing can be seen "
            "in them.",
            False,
        )


def check(
    images: Any,
    trained_on: PixelRecord | None = None,
    *,
    expects_bytes: bool = False,
    channels_last: bool = False,
    name: str = "images",
    warn_only: bool = False,
    stacklevel: int = 3,
) -> None:
    """Refuse images that cannot be meant, and warn of strange ones.

    Args:
        images, trained_on, expects_bytes, channels_last: see `findings`.
        name: what the message calls them.
        warn_only: warn of all but NaN, which nobody can mean.
        stacklevel: of the warnings, as `warnings.warn` has it.

    Raises:
        ValueError: what is wrong, and what would be right.
    """
    if getattr(images, "decodes", False):  # to bytes, red first, channels last
        return
    for found in findings(images, trained_on, expects_bytes, channels_last):
        shape = tuple(getattr(images, "shape", ()))
        text = f"{found.text} Received: {name} of shape {shape} and type {images.dtype}"
        if found.fatal and not (warn_only and found.kind != "nan"):
            raise ValueError(text)
        warnings.warn(text, stacklevel=stacklevel)


def warn(text: str, stacklevel: int = 3) -> None:
    """Say what is strange about images."""
    warnings.warn(text, stacklevel=stacklevel)


def _are(values: Any, kinds: tuple[type, ...], count: int | None = None) -> bool:
    """Whether values are a tuple of finite numbers of these kinds."""
    if not isinstance(values, tuple) or count not in (None, len(values)):
        return False
    real: list[Any] = [v for v in values if isinstance(v, kinds) and not isinstance(v, bool)]
    return sum(abs(v) < 1e300 for v in real) == len(values)


def _looked_at(images: Any) -> np.ndarray | None:
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


def _are_fractions(seen: np.ndarray) -> bool:
    """Whether these are floats of about 1, as pixels divided by 255 or normalised are."""
    if seen.dtype.kind != "f" or np.abs(seen).max() > 10:
        return False
    whole = bool((seen == np.rint(seen)).all())
    return not whole and bool(seen.max() <= 1.0 or seen.min() < 0)


def _layout(
    seen: np.ndarray, trained_on: PixelRecord | None, channels_last: bool
) -> Iterator[Finding]:
    first, last = seen.shape[1], seen.shape[-1]
    if trained_on is not None:
        swapped, clear = first == trained_on.channels != last, True
    else:
        swapped = first in (1, 3) and last >= 8 and seen.shape[2] >= 8
        # A signal of many channels may lie in images of height 1.
        clear = channels_last and (first == 3 or seen.shape[2] == last)
    meant = (
        ""
        if trained_on is not None or not clear
        else (
            f" If they are {first} pixels high and have {last} channels, put the width first: "
            "numpy.swapaxes(x, 1, 2)."
        )
    )
    if swapped:
        yield Finding(
            "layout",
            f"The images look as if their {first} channels came first; here channels come last, "
            f"(N, height, width, channels): numpy.moveaxis(x, 1, -1) puts them there.{meant}",
            clear,
        )


def _range(seen: np.ndarray, trained_on: PixelRecord) -> Iterator[Finding]:
    low, high = float(seen.min()), float(seen.max())
    was = f"{trained_on.minimum:.4g} to {trained_on.maximum:.4g}"
    are = f"are from {low:.4g} to {high:.4g}, and the model was trained on pixels from {was}"
    if trained_on.maximum > 2 and trained_on.minimum >= 0:
        if low < 0 and high <= 10:
            wanted = "pass plain pixels: normalising them is the network's part"
            yield Finding("range", f"The images {are}: {wanted}.", True)
        elif low < 0:
            yield Finding("range", f"The images {are}: pixels are not negative.", False)
        elif seen.dtype.kind == "f" and high <= 1 and not _whole(seen):
            wanted = "multiply them by 255" if trained_on.maximum > 100 else "scale them alike"
            yield Finding("range", f"The images {are}: {wanted}.", True)
        elif seen.dtype.kind == "f" and high == 1 and low == 0:
            text = "if they are black and white, multiply them by 255"
            yield Finding("range", f"The images {are}: {text}.", False)
        elif high > 255 >= trained_on.maximum:
            wanted = "16 bits become 8 by a division by 257"
            yield Finding("range", f"The images {are}: {wanted}.", True)
        elif trained_on.dtype.startswith("float") and high > 4 * trained_on.maximum < 100:
            yield Finding("range", f"The images {are}: scale them alike.", True)
    elif high > max(2.0, 4 * trained_on.maximum):
        wanted = "divide them by 255" if trained_on.minimum >= 0 else "scale them alike"
        yield Finding("range", f"The images {are}: {wanted}.", True)


def _whole(seen: np.ndarray) -> bool:
    return bool((seen == np.rint(seen)).all())


def _red_minus_blue(seen: np.ndarray) -> tuple[float, float] | None:
    """Mean and standard deviation over images of an image's mean red minus its mean blue."""
    if seen.shape[-1] != 3:
        return None
    means = seen.mean(axis=(1, 2), dtype="float64")
    difference = means[:, 0] - means[:, 2]
    return round(float(difference.mean()), 6), round(float(difference.std()), 6)


def _colour(seen: np.ndarray, trained_on: PixelRecord) -> Iterator[Finding]:
    """Whether red and blue look exchanged: the difference of their means turned its sign around.

    The difference must be one that training images of the right order would not show by chance
    (five standard errors), and be nearer to the exchanged one than to half of it.
    """
    found = _red_minus_blue(seen)
    if found is None or trained_on.red_minus_blue is None:
        return
    usual, spread = trained_on.red_minus_blue
    error = max(spread, 1e-9) / np.sqrt(len(seen))
    span = trained_on.maximum - trained_on.minimum
    clear = abs(usual) > 0.01 * span and abs(found[0] - usual) > 5 * error
    if clear and found[0] * usual < 0 and abs(found[0] + usual) < abs(usual) / 2:
        yield Finding(
            "colour",
            f"Red and blue look exchanged: red minus blue is {found[0]:+.3g} on average, and "
            f"{usual:+.3g} in the training images. OpenCV reads images as BGR: x[..., ::-1] is "
            "RGB.",
            False,
        )
