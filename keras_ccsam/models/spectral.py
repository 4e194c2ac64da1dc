"""A backbone in which every convolution and dense layer is spectrally normalised.

The appendix of CC-SAM (C.2) does not say which layers; these are the ones of Miyato et al.
(ICLR 2018). Where BatchNorm follows a layer, the network's output does not depend on the kernel's
length, and the normalisation acts on the step size alone.
"""

from typing import Any

import keras
from keras import layers

from keras_ccsam.layers.cloning import clone_network
from keras_ccsam.layers.cloning import plain_backbone as plain_backbone
from keras_ccsam.layers.spectral_normalization import PowerIterations, SpectralNormalization
from keras_ccsam.options import options

_NORMALIZED = (
    layers.Dense,
    layers.EinsumDense,
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
)
# The default stands once, on the wrapper.
_WRAPPER = options(SpectralNormalization)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)


def spectrally_normalize(
    backbone: keras.Model,
    power_iterations: PowerIterations = _WRAPPER["power_iterations"].default,
) -> keras.Model:
    """A copy of a network with each convolution and dense layer in `layers.SpectralNormalization`.

    Layers keep their names and raw weights. Recurrent and attention layers stay as they are.

    Args:
        backbone: functional or sequential, built. It is not changed.
        power_iterations: of the wrapper.

    Returns:
        The copy; `plain_backbone` makes stock layers of it again.

    Raises:
        ValueError: if the network is neither functional nor sequential, has a separable
            convolution (which has two kernels), or no layer to normalise.
    """
    wrapped = 0

    def replace(layer: Any) -> Any:
        nonlocal wrapped
        if isinstance(layer, _SEPARABLE):
            raise ValueError(
                "A separable convolution has two kernels; use a depthwise and a 1x1 convolution. "
                f"Received: layer={layer.name!r} of {type(layer).__name__}"
            )
        if not isinstance(layer, _NORMALIZED):
            return None
        wrapped += 1
        config = layer.get_config()
        activity = config.pop("activity_regularizer", None)
        wrapper = SpectralNormalization(
            type(layer).from_config(config),
            power_iterations,
            name=layer.name,
            activity_regularizer=keras.regularizers.get(activity),
        )
        wrapper.build(layer.get_build_config()["input_shape"])
        wrapper.layer.set_weights(layer.get_weights())
        wrapper.trainable = layer.trainable
        return wrapper

    network = clone_network(backbone, replace)
    if not wrapped:
        raise ValueError(
            "There is no convolution and no dense layer to normalise. "
            f"Received: backbone={backbone.name!r}"
        )
    return network
