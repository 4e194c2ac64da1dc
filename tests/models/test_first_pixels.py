"""What the first convolution of a network of keras.applications is given, from pixels in 0..255."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ccsam import models
from keras_ccsam.models.weights import inner_network

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# What these families scale inside the network; their own `preprocess_input` does nothing.
INSIDE = {
    "ConvNeXtTiny": lambda x: (x / 255 - MEAN) / DEVIATION,
    "EfficientNetB0": lambda x: x / 255,  # then by statistics that come with trained weights
    "EfficientNetV2B0": lambda x: (x / 255 - MEAN) / DEVIATION,
    "MobileNetV3Small": lambda x: x / 127.5 - 1,
}
OUTSIDE = {
    "DenseNet121": "densenet",
    "InceptionV3": "inception_v3",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "ResNet50": "resnet",
    "ResNet50V2": "resnet_v2",
    "VGG16": "vgg16",
    "Xception": "xception",
}


def entering(model, x):
    """What enters the first convolution of a model from `build`."""
    network = inner_network(model)
    for operation in model.operations[1:] if network is not model else ():
        if operation is network:
            break
        x = operation(x)
    # ConvNeXt's first convolution begins a Sequential, its stem.
    first = next(
        o for o in network.operations if isinstance(o, keras.layers.Conv2D | keras.Sequential)
    )
    # No model: it would track weights that have no values.
    before = keras.Function(network.input, first.input)
    # Some networks pad by themselves: the borders are zeros.
    found = ops.convert_to_numpy(before(ops.convert_to_tensor(x)))
    extra = found.shape[1] - x.shape[1]
    start = extra // 2
    return found[:, start : start + x.shape[1], start : start + x.shape[2]]


@pytest.mark.any_backend
@pytest.mark.parametrize("name", sorted({**INSIDE, **OUTSIDE}))
def test_it_is_what_the_family_was_trained_on(name):
    size = 75 if name in ("InceptionV3", "Xception") else 32
    with keras.StatelessScope(initialize_variables=False):  # no weight is read
        model = models.build(name, (size, size, 3))
    x = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype("float32")
    if name in OUTSIDE:
        module = getattr(keras.applications, OUTSIDE[name])
        expected = module.preprocess_input(x.copy())
        assert not np.array_equal(expected, x)
    else:
        expected = INSIDE[name](x)
    np.testing.assert_allclose(entering(model, x), expected, rtol=1e-4, atol=1e-3)
