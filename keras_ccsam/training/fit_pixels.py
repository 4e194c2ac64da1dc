"""What a model remembers of the images that it was trained on, and asks of others.

The first `fit` writes the record (`pixels.PixelRecord`), and the model's saved config keeps it. A
data set read batch by batch (a generator, `tf.data`, a `DataLoader`) leaves none: it would have to
be read to know.
"""

from typing import Any

import keras
import numpy as np

from keras_ccsam import pixels
from keras_ccsam.layers.walk import all_layers


def record_of_fit(model: keras.Model, x: Any) -> pixels.PixelRecord | None:
    """The record that a model has after a `fit` on `x`; a first one, or the one that it had.

    Warns where the pixels are not what the model was trained on before, or not what its first layer
    scales down.
    """
    images = _images(x)
    if images is None:
        return getattr(model, "pixels", None)
    known: pixels.PixelRecord | None = getattr(model, "pixels", None)
    expects = known is None and expects_bytes(model)
    pixels.check(images, known, expects_bytes=expects, name="x", warn_only=True, stacklevel=5)
    return pixels.record(images) if known is None else known


def check_pixels(model: Any, images: Any, name: str = "x", stacklevel: int = 4) -> None:
    """Refuse images that cannot be what a model was trained on, and warn of strange ones.

    Raises:
        ValueError: what is wrong, and what would be right.
    """
    known = getattr(model, "pixels", None)
    if not isinstance(known, pixels.PixelRecord):
        known = None
    expects = known is None and expects_bytes(model)
    pixels.check(images, known, expects_bytes=expects, name=name, stacklevel=stacklevel)


def expects_bytes(model: Any) -> bool:
    """Whether a network begins by dividing pixels by about 255, as those of this package do."""
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Rescaling):
            scale = np.abs(keras.ops.convert_to_numpy(layer.scale))
            return bool((scale > 0).all() and (scale < 1 / 30).all())
    return False


def _images(x: Any) -> Any:
    """Images that need not be read to be looked at: arrays, or those of a `BatchSequence`."""
    if hasattr(x, "arrays"):
        return x.arrays()[0]
    return x if len(getattr(x, "shape", ())) == 4 else None
