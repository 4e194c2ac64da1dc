"""What of a backbone is frozen or adapted, told to a model that is made again from a file.

Keras saves the flag of a layer with its configuration, but a layer that makes others inside itself,
as those of keras-hub do, saves none of theirs.
"""

from typing import Any

import keras

from keras_ccsam.layers.lora import adapt_again, adapted
from keras_ccsam.layers.walk import all_layers


def held_config(backbone: keras.Layer) -> dict[str, Any]:
    """What a saved model holds of it; empty where nothing is frozen."""
    layers = list(all_layers(backbone))
    frozen = [index for index, layer in enumerate(layers) if not layer.trainable]
    if not frozen:
        return {}
    config: dict[str, Any] = {"layers": len(layers), "frozen": frozen}
    low_rank = adapted(backbone)
    if low_rank:
        config["low_rank"] = [list(found) for found in low_rank]
    return {"held": config}


def hold_again(backbone: keras.Layer, config: dict[str, Any]) -> None:
    """Freezes and adapts a backbone that was made again, as `held_config` has told.

    Raises:
        ValueError: if a layer is to be adapted that is not there.
    """
    layers = list(all_layers(backbone))
    # One that makes its layers when it is built has none yet: its own flag was saved by itself.
    if len(layers) == config["layers"]:
        frozen = set(config["frozen"])
        for index, layer in enumerate(layers):
            layer.trainable = index not in frozen
    adapt_again(backbone, config.get("low_rank", ()))
