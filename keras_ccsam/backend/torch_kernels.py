"""The layers' kernels on torch, on images whose channels lie side by side in memory.

So do those of (B, height, width, channels), Keras' usual order; torch calls it the channels-last
memory format, and it is the fastest one for convolutions. Keras 3.15 copies such images into the
other format and back around every convolution and pooling, and computes BatchNorm as a chain of
elementwise operations, each with its own pass forward and back.
"""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from keras_ccsam.backend.padding import same_padding
from keras_ccsam.typing import Tensor

LARGE_KERNEL = 65536
"""Numbers from which on a kernel is turned as a matrix, of which torch has a fast way; it has none
for four axes, and the matrix takes more operations."""


def batch_normalization(
    x: Tensor,
    scale: Tensor | None,
    offset: Tensor | None,
    statistics: tuple[Tensor, Tensor] | None,
    axis: int,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """The normalised x, and the mean and variance that normalise it, in one fused kernel."""
    images = torch.movedim(x, axis, 1)
    count = images.numel() // max(images.shape[1], 1)
    if x.device.type == "meta" or (statistics is None and count < 2):
        return None  # torch refuses to take the variance of a single value
    # In half precision the kernel computes, and keeps the statistics, in single.
    kind = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
    scale = None if scale is None else scale.to(kind)
    offset = None if offset is None else offset.to(kind)
    if statistics is not None:
        mean, variance = (each.to(kind) for each in statistics)
        outputs = functional.batch_norm(images, mean, variance, scale, offset, eps=epsilon)
        return torch.movedim(outputs, 1, axis), mean, variance
    mean, variance = torch.zeros((2, images.shape[1]), dtype=kind, device=x.device)
    # With a momentum of 1 the buffers become the batch's statistics, the variance without bias.
    outputs = functional.batch_norm(
        images, mean, variance, scale, offset, training=True, momentum=1.0, eps=epsilon
    )
    return torch.movedim(outputs, 1, axis), mean, variance * ((count - 1) / count)


def group_normalization(x: Tensor, groups: int, epsilon: float) -> Tensor | None:
    """The normalised x, by the moments of each sample's groups of channels, in one fused kernel."""
    outputs = functional.group_norm(torch.movedim(x, -1, 1), groups, eps=epsilon)
    return torch.movedim(outputs, 1, -1)


def convolution(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilation: Sequence[int],
) -> Tensor:
    """A convolution with a kernel (height, width, input channels of a group, filters)."""
    height, width, inputs, filters = kernel.shape
    if math.prod(kernel.shape) < LARGE_KERNEL:
        kernel = torch.permute(kernel, (3, 2, 0, 1))
    else:
        turned = torch.reshape(kernel, (-1, filters)).t().contiguous()
        kernel = turned.view(filters, height, width, inputs).permute(0, 3, 1, 2)
    return _convolution(x, kernel, strides, padding, data_format, dilation)


def depthwise_convolution(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilation: Sequence[int],
) -> Tensor:
    """A convolution with a kernel (height, width, channels, multiplier)."""
    height, width = kernel.shape[:2]
    kernel = torch.permute(kernel, (2, 3, 0, 1)).reshape(-1, 1, height, width)
    return _convolution(x, kernel, strides, padding, data_format, dilation)


def _convolution(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilation: Sequence[int],
) -> Tensor:
    channels_last = data_format == "channels_last"
    images = torch.permute(x, (0, 3, 1, 2)) if channels_last else x
    # The kernel's layout decides. Images in another one, the first of a network whose channels come
    # first, are converted, and what follows stays as the convolution leaves it.
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    around: Sequence[int] = (0, 0)
    if padding == "same":
        sides = [
            same_padding(size, width, stride, rate)
            for size, width, stride, rate in zip(
                images.shape[2:], kernel.shape[2:], strides, dilation, strict=True
            )
        ]
        if all(before == after for before, after in sides):
            around = [before for before, _ in sides]
        else:
            images = functional.pad(images, [*sides[1], *sides[0]])
    groups = images.shape[1] // kernel.shape[1]
    outputs = functional.conv2d(images, kernel, None, strides, around, dilation, groups)
    return torch.permute(outputs, (0, 2, 3, 1)) if channels_last else outputs


def max_pool(x: Tensor, size: Sequence[int], strides: Sequence[int]) -> Tensor:
    """The largest of each window that lies inside the image."""
    images = torch.permute(x, (0, 3, 1, 2))
    return torch.permute(functional.max_pool2d(images, size, strides), (0, 2, 3, 1))


def average_pool(x: Tensor, size: Sequence[int], strides: Sequence[int]) -> Tensor:
    """The mean of each window that lies inside the image."""
    images = torch.permute(x, (0, 3, 1, 2))
    return torch.permute(functional.avg_pool2d(images, size, strides), (0, 2, 3, 1))
