"""The CIFAR ResNets of He et al. (arXiv:1512.03385, section 4.2), without the classifier.

Depth 6n + 2: a 3x3 convolution, three stages of n basic blocks with 16, 32 and 64 channels, and
global average pooling, so D = 64. With `width="wide"` they have 64, 128 and 256 channels, and
D = 256: the networks of GLMC and SURE, which those papers call by the same names. The details
follow the torch networks that long-tail papers train (LDAM-DRW and its successors), where Keras'
defaults differ:

* stride-2 convolutions see one row of zeros on *each* side (`padding="same"` would put it at the
  bottom and right only);
* the shortcut between stages has no parameters ("option A"): every second pixel, and as many zero
  channels in front as behind;
* BatchNorm: momentum 0.9, epsilon 1e-5; convolutions: He-normal, no bias.

With `normalization_layers="group"` GroupNorm (8 groups) stands in each BatchNorm's place. No sample
then sees another one, and CC-SAM of all weights costs two passes.

The layers are those of `keras_ccsam.layers` where it has a faster twin of Keras' own;
`models.plain_backbone` gives a copy in stock layers, which loads without this package.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeAlias

import keras
from keras import layers, ops
from pydantic import Field

from keras_ccsam.declare import part
from keras_ccsam.layers import BatchNormalization, Conv2D
from keras_ccsam.models.normalization import Normalization, normalization_layer
from keras_ccsam.typing import Tensor

WIDTHS = {"narrow": (16, 32, 64), "wide": (64, 128, 256)}
GROUPS = 8
Width: TypeAlias = Literal["narrow", "wide"]
WidthOption: TypeAlias = Annotated[
    Width | None,
    Field(
        description="channels: narrow 16/32/64 (LDAM, BALMS, ProCo), wide 64/128/256 (GLMC, "
        "SURE); absent: narrow"
    ),
]
BlocksOption: TypeAlias = Annotated[
    Sequence[Annotated[int, Field(ge=1)]] | None,
    Field(
        description="basic blocks of each of the three stages; absent: the same number in each "
        "(CC-SAM's code has 5, 5, 4 and calls it ResNet-32)"
    ),
]
NormalizationLayers = Literal["batch", "group"]
PixelOption: TypeAlias = Annotated[
    Normalization, Field(description="of pixels: cifar, unit, none, or [mean, deviation] in 0..1")
]
LayersOption: TypeAlias = Annotated[
    NormalizationLayers, Field(description="what follows each convolution (paper: batch)")
]


def resnet_cifar(
    depth: int,
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    normalization: Normalization = "cifar",
    name: str | None = None,
    normalization_layers: NormalizationLayers = "batch",
    width: Width | None = None,
    blocks: Sequence[int] | None = None,
) -> keras.Model:
    """Builds a CIFAR ResNet from images (B, height, width, channels) to features (B, D).

    Args:
        depth: 6n + 2 for n >= 1: 8, 14, 20, 32, 44, 56, 110, ...
        input_shape: Height, width and channels of the images, channels last.
        normalization: What the first layer does with pixels in 0..255: `"cifar"`,
            `"unit"`, a pair `(mean, std)` in units of 0..1, or None; see
            `keras_ccsam.models.normalization`.
        name: Name of the model, `resnet<depth>` by default.
        normalization_layers: `"batch"` or `"group"`: what follows each convolution.
        width: `"narrow"`, 16, 32 and 64 channels and D = 64, the default; or `"wide"`, four times
            as many: papers call both ResNet-32.
        blocks: of each of the three stages; n of each by default.

    Returns:
        A functional `keras.Model`; its layers are named `stem_*`, `stage1_block1_*`, ...

    Raises:
        ValueError: A depth that is not 6n + 2, an input shape that is not (height, width,
            channels), unknown `normalization_layers` or `width`, or other than three `blocks` of at
            least 1.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(
            f"`depth` must be 6n + 2, such as 20, 32, 44 or 56. Received: depth={depth}"
        )
    if normalization_layers not in ("batch", "group"):
        raise ValueError(
            "`normalization_layers` must be 'batch' or 'group'. "
            f"Received: normalization_layers={normalization_layers!r}"
        )
    if width not in (None, *WIDTHS):
        raise ValueError(
            "`width` must be 'narrow' (16, 32 and 64 channels) or 'wide' (64, 128 and 256). "
            f"Received: width={width!r}"
        )
    depths = [(depth - 2) // 6] * 3 if blocks is None else list(blocks)
    if len(depths) != 3 or min(depths) < 1:
        raise ValueError(
            "`blocks` must be three numbers of at least 1, one for each stage, such as (5, 5, 4). "
            f"Received: blocks={blocks!r}"
        )
    widths = WIDTHS[width or "narrow"]
    shape = tuple(input_shape)
    if len(shape) != 3 or shape[2] is None:
        raise ValueError(
            "`input_shape` must be (height, width, channels). "
            f"Received: input_shape={tuple(input_shape)}"
        )
    images = keras.Input(shape, name="images")
    normalize = normalization_layer(normalization, shape[2])
    x = images if normalize is None else normalize(images)
    x = _convolution(x, widths[0], 1, "stem_conv")
    norm = _batch_norm if normalization_layers == "batch" else _group_norm
    x = layers.ReLU(name="stem_relu")(norm(x, "stem", ""))
    for stage, channels in enumerate(widths, start=1):
        for block in range(1, depths[stage - 1] + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _basic_block(x, channels, stride, norm, f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(data_format="channels_last", name="features")(x)
    own = f"resnet{depth}_wide" if width == "wide" else f"resnet{depth}"
    return keras.Model(images, x, name=name or own)


def _basic_block(
    x: Tensor, width: int, stride: int, norm: Callable[[Tensor, str, str], Tensor], name: str
) -> Tensor:
    """Two 3x3 convolutions and the shortcut around them."""
    shortcut = x if stride == 1 else _option_a(x, width)
    x = _convolution(x, width, stride, f"{name}_conv1")
    x = layers.ReLU(name=f"{name}_relu1")(norm(x, name, "1"))
    x = norm(_convolution(x, width, 1, f"{name}_conv2"), name, "2")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)


def _option_a(x: Tensor, width: int) -> Tensor:
    """Every second pixel; new channels are zeros, half before and half after the old ones."""
    # Slicing is about six times as fast on a CPU as the equivalent pooling of size 1 and stride 2.
    missing = width - x.shape[-1]
    before = missing // 2
    return ops.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (before, missing - before)))


def _convolution(x: Tensor, width: int, stride: int, name: str) -> Tensor:
    """A 3x3 convolution with torch's `padding=1`."""
    if stride != 1:
        x = layers.ZeroPadding2D(1, data_format="channels_last", name=f"{name}_pad")(x)
    return Conv2D(
        width,
        3,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        data_format="channels_last",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def _batch_norm(x: Tensor, part: str, number: str) -> Tensor:
    name = f"{part}_bn{number}"
    return BatchNormalization(axis=-1, momentum=0.9, epsilon=1e-5, name=name)(x)


def _group_norm(x: Tensor, part: str, number: str) -> Tensor:
    return layers.GroupNormalization(GROUPS, axis=-1, epsilon=1e-5, name=f"{part}_gn{number}")(x)


@part("backbone", "resnet8")
def ResNet8(
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    normalization: PixelOption = "cifar",
    name: str | None = None,
    normalization_layers: LayersOption = "batch",
    width: WidthOption = None,
    blocks: BlocksOption = None,
) -> keras.Model:
    """ResNet-8, one block per stage: for tests and small images. See `resnet_cifar`."""
    return resnet_cifar(8, input_shape, normalization, name, normalization_layers, width, blocks)


@part("backbone", "resnet14")
def ResNet14(
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    normalization: PixelOption = "cifar",
    name: str | None = None,
    normalization_layers: LayersOption = "batch",
    width: WidthOption = None,
    blocks: BlocksOption = None,
) -> keras.Model:
    """ResNet-14, two blocks per stage. See `resnet_cifar`."""
    return resnet_cifar(14, input_shape, normalization, name, normalization_layers, width, blocks)


@part("backbone", "resnet20")
def ResNet20(
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    normalization: PixelOption = "cifar",
    name: str | None = None,
    normalization_layers: LayersOption = "batch",
    width: WidthOption = None,
    blocks: BlocksOption = None,
) -> keras.Model:
    """ResNet-20, three blocks per stage, 269,072 parameters. See `resnet_cifar`."""
    return resnet_cifar(20, input_shape, normalization, name, normalization_layers, width, blocks)


@part("backbone", "resnet32")
def ResNet32(
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    normalization: PixelOption = "cifar",
    name: str | None = None,
    normalization_layers: LayersOption = "batch",
    width: WidthOption = None,
    blocks: BlocksOption = None,
) -> keras.Model:
    """ResNet-32, five blocks per stage: the network of CIFAR-LT papers. See `resnet_cifar`."""
    return resnet_cifar(32, input_shape, normalization, name, normalization_layers, width, blocks)


@part("backbone", "resnet44")
def ResNet44(
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    normalization: PixelOption = "cifar",
    name: str | None = None,
    normalization_layers: LayersOption = "batch",
    width: WidthOption = None,
    blocks: BlocksOption = None,
) -> keras.Model:
    """ResNet-44, seven blocks per stage. See `resnet_cifar`."""
    return resnet_cifar(44, input_shape, normalization, name, normalization_layers, width, blocks)


@part("backbone", "resnet56")
def ResNet56(
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    normalization: PixelOption = "cifar",
    name: str | None = None,
    normalization_layers: LayersOption = "batch",
    width: WidthOption = None,
    blocks: BlocksOption = None,
) -> keras.Model:
    """ResNet-56, nine blocks per stage. See `resnet_cifar`."""
    return resnet_cifar(56, input_shape, normalization, name, normalization_layers, width, blocks)
