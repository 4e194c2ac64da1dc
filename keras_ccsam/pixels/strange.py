"""Whether images look like those that a model was trained on, and like images at all."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ccsam.pixels.seen import PixelRecord, looked_at, red_minus_blue


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
    seen = looked_at(images)
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


def _colour(seen: np.ndarray, trained_on: PixelRecord) -> Iterator[Finding]:
    """Whether red and blue look exchanged: the difference of their means turned its sign around.

    The difference must be one that training images of the right order would not show by chance
    (five standard errors), and be nearer to the exchanged one than to half of it.
    """
    found = red_minus_blue(seen)
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
