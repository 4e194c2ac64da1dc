"""Low-rank adaptation of a network's own layers (Hu et al., ICLR 2022), by Keras' `enable_lora`.

    kernel = W + (alpha / rank) A B        W is frozen; A (in, rank) and B (rank, out) are trained

B starts at zero, so the network begins as it was. Keras writes the sum W + ... into a file and
forgets A and B; `LoraFactors` keeps them beside it, so that a saved model trains on as it was.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ccsam.layers.walk import all_layers

# Keras adapts an Embedding too; those of an image encoder are positions.
_ADAPTABLE = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)
_FACTORS = ("lora_kernel_a", "lora_kernel_b")
# The sums in a file less the product are the frozen kernels to rounding only.
_KEPT = ("_kernel", *_FACTORS)


def lora_candidates(network: keras.Layer) -> list[Any]:
    """The built layers of a network that Keras can adapt, each once, in a fixed order."""
    return [
        layer
        for layer in all_layers(network)
        if isinstance(layer, _ADAPTABLE) and hasattr(layer, "lora_enabled") and layer.built
    ]


def enable_lora(layer: Any, rank: int, alpha: float) -> None:
    """Adapts one layer: its kernel and its bias are frozen, its factors are trained.

    Args:
        layer: built; one that is adapted already keeps its factors.
        rank: of the factors.
        alpha: the sum is scaled by alpha / rank.
    """
    if not layer.lora_enabled:
        layer.enable_lora(rank, lora_alpha=alpha)
    # A layer that Keras makes again from its configuration forgets alpha.
    layer.lora_alpha = alpha
    layer.trainable = True
    for variable in layer.variables:
        variable.trainable = variable.name in _FACTORS


def adapted(network: keras.Layer) -> list[tuple[int, int, float]]:
    """Index among `lora_candidates`, rank and alpha of each adapted layer."""
    return [
        (index, int(layer.lora_rank), float(layer.lora_alpha))
        for index, layer in enumerate(lora_candidates(network))
        if layer.lora_enabled
    ]


def adapt_again(network: keras.Layer, found: Iterable[Sequence[Any]]) -> None:
    """Adapts a network that was made again, as `adapted` has told.

    Raises:
        ValueError: if it has other layers than then.
    """
    layers = lora_candidates(network)
    for index, rank, alpha in found:
        if index >= len(layers):
            raise ValueError(
                "the saved model adapts a layer that its network does not have: it was made by "
                f"another version. Received: layer {index} of {len(layers)}"
            )
        enable_lora(layers[int(index)], int(rank), float(alpha))


def merged(network: keras.Model) -> keras.Model:
    """A copy of a network in which each adapted kernel is the sum, and nothing is adapted.

    Args:
        network: anything that Keras can make again from its configuration.
    """
    config = _without_lora(keras.saving.serialize_keras_object(network))
    copy: keras.Model = keras.saving.deserialize_keras_object(config)
    # Keras' own files have the sums.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "merged.weights.h5")
        network.save_weights(file)
        copy.load_weights(file)
    return copy


class LoraFactors(keras.layers.Layer):
    """Writes the factors of a network's adapted layers into a model's file, and reads them.

    It has to be an attribute of the model whose name comes after the network's: Keras loads the
    attributes in the order of their names, and the layers themselves have to be loaded first.

    Args:
        network: whose adapted layers they are.
    """

    def __init__(self, network: keras.Layer) -> None:
        super().__init__(name="lora_factors")
        # A function: Keras would track the layers of a list as its own.
        self._adapted: Callable[[], Iterator[Any]] = lambda: (
            layer for layer in lora_candidates(network) if layer.lora_enabled
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The inputs as they are."""
        return inputs

    def save_own_variables(self, store: Any) -> None:
        """The factors, and the frozen kernels without them, to the last bit."""
        for index, layer in enumerate(self._adapted()):
            for name in _KEPT:
                store[f"{index}_{name}"] = keras.ops.convert_to_numpy(getattr(layer, name))

    def load_own_variables(self, store: Any) -> None:
        """What was saved; a file without factors leaves its sums as the kernels."""
        for index, layer in enumerate(self._adapted()):
            for name in _KEPT:
                key = f"{index}_{name}"
                if key in store:
                    getattr(layer, name).assign(np.asarray(store[key]))


def _without_lora(config: Any) -> Any:
    """A configuration whose layers are not adapted."""
    if isinstance(config, dict):
        return {k: _without_lora(v) for k, v in config.items() if not k.startswith("lora_")}
    if isinstance(config, list | tuple):
        return type(config)(_without_lora(item) for item in config)
    return config
