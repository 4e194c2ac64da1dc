"""A convolutional network of 56 thousand parameters, for 8x8 digits and quick runs."""

from typing import Annotated

import keras
from keras import layers
from pydantic import Field

from keras_ccsam.declare import part
from keras_ccsam.layers import BatchNormalization, Conv2D
from keras_ccsam.models.normalization import Normalization, normalization_layer
from keras_ccsam.options import checked


@part("backbone", "small_cnn")
def SmallCNN(
    input_shape: tuple[int | None, int | None, int] = (8, 8, 1),
    normalization: Annotated[
        Normalization,
        Field(description="unit (pixels over 255), cifar, none, or [mean, deviation]"),
    ] = "unit",
    width: Annotated[
        int, Field(ge=1, le=65_536, description="channels of the first convolution")
    ] = 32,
    features: Annotated[int, Field(ge=1, le=65_536, description="D, size of the features")] = 64,
    name: str | None = None,
) -> keras.Model:
    """Three 3x3 convolutions with BatchNorm and ReLU, then global average pooling.

    Args:
        input_shape: Height, width and channels of the images, channels last. Large images work,
            but the network looks at 9x9 pixels at a time.
        normalization: What the first layer does with pixels in 0..255; see
            `keras_ccsam.models.normalization`. Default `"unit"` (divide by 255).
        width: Channels of the first convolution; the second, of stride 2, has twice as many.
        features: Size D of the features.
        name: Name of the model.

    Returns:
        A functional `keras.Model` from images to features (B, D).

    Raises:
        ValueError: An input shape that is not (height, width, channels), or a size outside
            [1, 65536].
    """
    shape = tuple(input_shape)
    if len(shape) != 3 or shape[2] is None:
        raise ValueError(
            "`input_shape` must be (height, width, channels). "
            f"Received: input_shape={tuple(input_shape)}"
        )
    checked(SmallCNN, {"width": width, "features": features})
    images = keras.Input(shape, name="images")
    normalize = normalization_layer(normalization, shape[2])
    x = images if normalize is None else normalize(images)
    for index, (filters, stride) in enumerate([(width, 1), (2 * width, 2), (features, 1)], start=1):
        x = Conv2D(
            filters,
            3,
            strides=stride,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv{index}",
        )(x)
        x = BatchNormalization(axis=-1, momentum=0.9, epsilon=1e-5, name=f"bn{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_last", name="features")(x)
    return keras.Model(images, x, name=name or "small_cnn")
