"""ResNets for photographs: ResNet-18, 34 and 50 (He et al. 2015), ResNeXt-50 (Xie et al. 2017).

A 7x7 convolution of stride 2 and a maximum over 3x3 of stride 2, four stages, and global average
pooling. The details are those of torchvision, with which the long-tail papers train:

* the stride of a stage is in its first 3x3 convolution;
* where channels or size change, the shortcut is a 1x1 convolution with BatchNorm;
* BatchNorm: momentum 0.9, epsilon 1e-5; convolutions: He-normal by fan-out, no bias;
* padding is symmetric.

ResNet-18 and 34 also begin as codes for CIFAR let them (`stem="cifar"`): one 3x3 convolution of
stride 1 and no maximum. With it ResNet-34 is the network of LTR-weight-balancing and ImbSAM.

ResNeXt-50 has blocks of 1x1, 3x3 in 32 groups of 4 channels, and 1x1 (32 x 4d): 22,979,904
parameters without the classifier. `keras.applications` has ResNet-50, 101 and 152, in the form
that their pre-trained weights want (the stride in the first 1x1 convolution, biases, pixels as
Caffe has them), and no ResNeXt.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import keras
from keras import layers
from pydantic import Field

from keras_ccsam.declare import part
from keras_ccsam.layers import BatchNormalization, Conv2D
from keras_ccsam.models.normalization import Normalization, normalization_layer
from keras_ccsam.models.resnet_cifar import ResNet20
from keras_ccsam.models.small_cnn import SmallCNN
from keras_ccsam.options import checked
from keras_ccsam.typing import Tensor

Shape: TypeAlias = tuple[int | None, int | None, int]
WidthOption: TypeAlias = Annotated[
    int, Field(ge=1, description="channels of the first stage (published: 64)")
]
PixelOption: TypeAlias = Annotated[
    Normalization,
    Field(description="of pixels: imagenet, unit, cifar, none, or [mean, deviation] in 0..1"),
]

StemOption: TypeAlias = Annotated[
    Literal["imagenet", "cifar"],
    Field(
        description="imagenet: 7x7 of stride 2, then a maximum; cifar: 3x3 of stride 1 (ImbSAM, "
        "LTR-weight-balancing)"
    ),
]


@part("backbone", "resnet18")
def ResNet18(
    input_shape: Shape = (224, 224, 3),
    normalization: PixelOption = "imagenet",
    width: WidthOption = 64,
    name: str | None = None,
    stem: StemOption = "imagenet",
) -> keras.Model:
    """ResNet-18, two basic blocks per stage: 11,176,512 parameters, D = 512.

    Args:
        input_shape: Height, width and channels of the images, channels last.
        normalization: What the first layer does with pixels in 0..255; see
            `keras_ccsam.models.normalization`.
        width: Channels of the first stage.
        name: Name of the model.
        stem: `"imagenet"`, or `"cifar"` for images of 32 pixels or so.

    Raises:
        ValueError: An input shape that is not (height, width, channels), a width below 1, or an
            unknown stem.
    """
    checked(ResNet18, {"width": width, "stem": stem})
    blocks = (2, 2, 2, 2)
    return _network(input_shape, normalization, width, blocks, None, name or "resnet18", stem)


@part("backbone", "resnet34")
def ResNet34(
    input_shape: Shape = (224, 224, 3),
    normalization: PixelOption = "imagenet",
    width: WidthOption = 64,
    name: str | None = None,
    stem: StemOption = "imagenet",
) -> keras.Model:
    """ResNet-34, 3, 4, 6 and 3 basic blocks: 21,284,672 parameters, D = 512.

    Args:
        input_shape, normalization, width, name, stem: see `ResNet18`.

    Raises:
        ValueError: as `ResNet18`.
    """
    checked(ResNet34, {"width": width, "stem": stem})
    blocks = (3, 4, 6, 3)
    return _network(input_shape, normalization, width, blocks, None, name or "resnet34", stem)


@part("backbone", "torch_resnet50")
def TorchResNet50(
    input_shape: Shape = (224, 224, 3),
    normalization: PixelOption = "imagenet",
    width: WidthOption = 64,
    name: str | None = None,
) -> keras.Model:
    """ResNet-50 as torchvision has it: 23,508,032 parameters, D = 2048.

    Args:
        input_shape: Height, width and channels of the images, channels last.
        normalization: What the first layer does with pixels in 0..255.
        width: Channels of the first stage, before its blocks multiply them by four.
        name: Name of the model.

    Raises:
        ValueError: An input shape that is not (height, width, channels), or a width below 1.
    """
    checked(TorchResNet50, {"width": width})
    return _network(input_shape, normalization, width, (3, 4, 6, 3), 1, name or "torch_resnet50")


@part("backbone", "resnext50")
def ResNeXt50(
    input_shape: Shape = (224, 224, 3),
    normalization: PixelOption = "imagenet",
    width: WidthOption = 64,
    groups: Annotated[
        int, Field(ge=1, description="of the 3x3 convolutions (published: 32 of 4 channels)")
    ] = 32,
    name: str | None = None,
) -> keras.Model:
    """ResNeXt-50 (32 x 4d): 22,979,904 parameters, D = 2048.

    Args:
        input_shape: Height, width and channels of the images, channels last.
        normalization: What the first layer does with pixels in 0..255.
        width: Channels of the first stage, before its blocks multiply them by four; the grouped
            convolutions have twice as many, which must be a multiple of `groups`.
        groups: Of the grouped convolutions.
        name: Name of the model.

    Raises:
        ValueError: An input shape that is not (height, width, channels), or a width that the groups
            do not divide.
    """
    checked(ResNeXt50, {"width": width, "groups": groups})
    if 2 * width % groups:
        raise ValueError(
            "the grouped convolutions have 2 * width channels, which `groups` must divide. "
            f"Received: width={width}, groups={groups}"
        )
    return _network(input_shape, normalization, width, (3, 4, 6, 3), groups, name or "resnext50")


@part("backbone", "fitting")
def FittingNetwork(input_shape: Shape = (224, 224, 3), name: str | None = None) -> keras.Model:
    """The network that fits the images' size: for images of one's own.

    `small_cnn` for images of up to 16 pixels, `resnet20` of up to 48, `resnet18` above.

    Args:
        input_shape: Height, width and channels of the images, channels last.
        name: Name of the model; by default the network's own.
    """
    side = min(side for side in (*input_shape[:2], 4096) if side is not None)
    if side <= 16:
        return SmallCNN(input_shape, name=name)
    return ResNet20(input_shape, name=name) if side <= 48 else ResNet18(input_shape, name=name)


def _network(
    input_shape: Sequence[int | None],
    normalization: Normalization,
    width: int,
    blocks: Sequence[int],
    groups: int | None,
    name: str,
    stem: Literal["imagenet", "cifar"] = "imagenet",
) -> keras.Model:
    """The network; of basic blocks without `groups`, else of bottlenecks, wider ones of several."""
    shape = tuple(input_shape)
    if len(shape) != 3 or shape[2] is None:
        raise ValueError(
            f"`input_shape` must be (height, width, channels). Received: input_shape={shape}"
        )
    images = keras.Input(shape, name="images")
    normalize = normalization_layer(normalization, shape[2])
    x = images if normalize is None else normalize(images)
    size, stride = (7, 2) if stem == "imagenet" else (3, 1)
    x = _normalized(_convolution(x, width, size, stride, "stem_conv"), "stem_bn")
    x = layers.ReLU(name="stem_relu")(x)
    if stem == "imagenet":
        x = layers.ZeroPadding2D(1, data_format="channels_last", name="stem_pool_pad")(x)
        # After ReLU zeros are no larger than any pixel.
        x = layers.MaxPooling2D(3, 2, data_format="channels_last", name="stem_pool")(x)
    for stage, count in enumerate(blocks, start=1):
        for block in range(1, count + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            here = f"stage{stage}_block{block}"
            inner = width * 2 ** (stage - 1)
            if groups is None:
                x = _basic(x, inner, stride, here)
            else:
                wide = inner if groups == 1 else 2 * inner
                x = _bottleneck(x, wide, 4 * inner, stride, groups, here)
    x = layers.GlobalAveragePooling2D(data_format="channels_last", name="features")(x)
    return keras.Model(images, x, name=name)


def _basic(x: Tensor, width: int, stride: int, name: str) -> Tensor:
    """Two 3x3 convolutions and the shortcut around them."""
    shortcut = _shortcut(x, width, stride, name)
    x = _normalized(_convolution(x, width, 3, stride, f"{name}_conv1"), f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = _normalized(_convolution(x, width, 3, 1, f"{name}_conv2"), f"{name}_bn2")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)


def _bottleneck(x: Tensor, inner: int, width: int, stride: int, groups: int, name: str) -> Tensor:
    """1x1, grouped 3x3 and 1x1 convolutions, and the shortcut around them."""
    shortcut = _shortcut(x, width, stride, name)
    x = _normalized(_convolution(x, inner, 1, 1, f"{name}_conv1"), f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = _convolution(x, inner, 3, stride, f"{name}_conv2", groups)
    x = layers.ReLU(name=f"{name}_relu2")(_normalized(x, f"{name}_bn2"))
    x = _normalized(_convolution(x, width, 1, 1, f"{name}_conv3"), f"{name}_bn3")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu3")(x)


def _shortcut(x: Tensor, width: int, stride: int, name: str) -> Tensor:
    if stride == 1 and x.shape[-1] == width:
        return x
    x = _convolution(x, width, 1, stride, f"{name}_shortcut_conv")
    return _normalized(x, f"{name}_shortcut_bn")


def _convolution(
    x: Tensor, width: int, kernel: int, stride: int, name: str, groups: int = 1
) -> Tensor:
    """A convolution padded by half its size on each side, as torch's."""
    if stride != 1 and kernel != 1:
        pad = layers.ZeroPadding2D(kernel // 2, data_format="channels_last", name=f"{name}_pad")
        x = pad(x)
    return Conv2D(
        width,
        kernel,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        data_format="channels_last",
        groups=groups,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=name,
    )(x)


def _normalized(x: Tensor, name: str) -> Tensor:
    return BatchNormalization(axis=-1, momentum=0.9, epsilon=1e-5, name=name)(x)
