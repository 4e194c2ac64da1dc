"""The first layer of a backbone: pixels 0..255 to what the network was designed for.

Normalising is part of the model, not of the input pipeline, so an exported model takes plain
images. The pipeline therefore pads its random crops while the pixels are still uint8: the border
is black, as in torchvision (`RandomCrop` before `ToTensor` and `Normalize`).
"""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import keras
import numpy as np
from pydantic import Field

Normalization: TypeAlias = (
    Literal["cifar", "imagenet", "unit", "none"]
    # A TOML file has lists only.
    | Annotated[tuple[float | Sequence[float], float | Sequence[float]], Field(strict=False)]
    | None
)
"""A name, a pair (mean, standard deviation) in units of 0..1, or None or `"none"`."""

CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR_STD = (0.2023, 0.1994, 0.2010)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_STATISTICS = {"cifar": (CIFAR_MEAN, CIFAR_STD), "imagenet": (IMAGENET_MEAN, IMAGENET_STD)}


def normalization_layer(normalization: Normalization, channels: int) -> keras.Layer | None:
    """The stock Keras layer that computes `(pixels / 255 - mean) / std`.

    Args:
        normalization: `"cifar"` takes the CIFAR-10 statistics, which the long-tail codebases use
            for CIFAR-100 too, `"imagenet"` those that the field uses for ImageNet and Places; for
            images without exactly three channels, their average over the channels. `"unit"`
            divides by 255. A pair `(mean, std)`, in units of 0..1, numbers or one number per
            channel. None and `"none"` leave the pixels alone.
        channels: Number of image channels.

    Returns:
        A `keras.layers.Rescaling`, or None when there is nothing to do.

    Raises:
        ValueError: Unknown name, wrong number of values, or a standard deviation that is not
            positive.
    """
    if normalization is None or normalization == "none":
        return None
    if isinstance(normalization, str):
        if normalization == "unit":
            return keras.layers.Rescaling(1.0 / 255.0, name="normalization")
        if normalization not in _STATISTICS:
            raise ValueError(
                '`normalization` must be "cifar", "imagenet", "unit", a pair (mean, std) or None. '
                f"Received: normalization={normalization!r}"
            )
        mean_of, std_of = _STATISTICS[normalization]
        if channels == 3:
            normalization = (mean_of, std_of)
        else:
            normalization = (float(np.mean(mean_of)), float(np.mean(std_of)))
    if len(normalization) != 2:
        raise ValueError(
            "`normalization` must be a pair (mean, std) in units of 0..1. "
            f"Received: normalization={normalization!r}"
        )
    mean, std = (np.asarray(part, dtype="float64") for part in normalization)
    for part in (mean, std):
        if part.shape not in ((), (1,), (channels,)):
            raise ValueError(
                f"`normalization` must hold one number or {channels} (one per channel) for the "
                "mean and for the standard deviation. "
                f"Received: normalization={normalization!r}"
            )
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ValueError(
            "`normalization` needs a finite mean and a positive standard deviation. "
            f"Received: normalization={normalization!r}"
        )
    return affine_layer(1.0 / (255.0 * std), -mean / std, channels)


def affine_layer(
    scale: float | np.ndarray, offset: float | np.ndarray, channels: int
) -> keras.Layer:
    """`pixels * scale + offset` with one value per channel, channels last.

    The values are stored with shape (1, 1, channels): `Rescaling` would reshape a plain list when
    the global image data format is channels first, and these models are always channels last.
    """

    def per_channel(values: float | np.ndarray) -> list[list[list[float]]]:
        listed: list[float] = np.broadcast_to(values, (channels,)).astype("float64").tolist()
        return [[listed]]

    return keras.layers.Rescaling(per_channel(scale), per_channel(offset), name="normalization")
