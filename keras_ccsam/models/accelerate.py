"""A network of the user's own, on the fastest kernels that its backend has."""

from keras_ccsam.layers.fast import FAST, L, switch


def accelerate(model: L) -> L:
    """Switches the layers of a model to their twins in `keras_ccsam.layers`, in place.

    Convolutions, poolings and BatchNorm then compute the same with kernels that are faster on
    torch; on a CPU so do BatchNorm on TensorFlow, and convolutions, attention, LayerNorm and dense
    layers of tokens on JAX. Elsewhere the twins are Keras' own layers, so a model may be switched
    whatever the backend. Variables, names, config, compiled state and optimizer stay what they are,
    and so do the layers as objects: whoever shares them gets the faster ones too. Subclasses of
    Keras' layers are left alone, and so is a Dense of inputs (B, D), as a classifier is.

    What is saved afterwards names the twins, and loads where this package can be imported;
    `SharpnessAwareModel.export_plain` and `models.plain_backbone` give Keras' own layers again. The
    networks of `keras_ccsam.models` come switched.

    Args:
        model: any `keras.Model` or layer: functional, sequential or of your own class.

    Returns:
        The same object.

    Example:
        >>> network = cc.models.accelerate(keras.applications.MobileNetV2(weights=None))
    """
    return switch(model, FAST)
