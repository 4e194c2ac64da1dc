"""Convolutions with a kernel for each image on a GPU: one with a group of channels for each image.

A GPU is busy only with all images at once. How these lie in memory follows what is larger. Of wide
images with few channels, the channels lie side by side; where the kernels are larger, they stay as
they are, and the images come one after the other. The functions are those of `torch_runs`.
"""

from collections.abc import Sequence

import torch

from keras_ccsam.typing import Tensor

Options = Sequence[int]


def own_outputs(
    x: Tensor, weight: Tensor, rows: Tensor, lengths: Tensor, slots: Tensor, *options: Options
) -> Tensor:
    """Of images (B, C, height, width) and kernels (F, C, kh, kw)."""
    layout = _Layout(x, weight)
    own = layout.grouped(_kernels(x, weight, rows, lengths, slots))
    wide = torch.conv2d(layout.side_by_side(x), own, None, *options, len(x))
    return layout.apart(wide, len(x))


def own_images(
    out: Tensor,
    x: Tensor,
    weight: Tensor,
    rows: Tensor,
    lengths: Tensor,
    slots: Tensor,
    *options: Options,
) -> Tensor:
    """The gradients of images, of those of their outputs. What the images are plays no part."""
    layout = _Layout(x, weight)
    own = layout.grouped(_kernels(x, weight, rows, lengths, slots))
    wide = _backward(layout.side_by_side(out), layout.side_by_side(x), own, options, len(x), 0)
    return layout.apart(wide, len(x))


def own_kernels(
    out: Tensor, x: Tensor, weight: Tensor, slots: Tensor, height: int, *options: Options
) -> Tensor:
    """The gradients of `height` kernels, each the sum of its own images'."""
    layout = _Layout(x, weight)
    # What the kernels are plays no part.
    any_own = layout.grouped(weight.new_empty((len(x), *weight.shape)))
    wide = _backward(layout.side_by_side(out), layout.side_by_side(x), any_own, options, len(x), 1)
    each = wide.reshape(len(x), -1, *wide.shape[1:])
    return each.new_zeros((height, *each.shape[1:])).index_add_(0, slots, each)


def _kernels(x: Tensor, weight: Tensor, rows: Tensor, lengths: Tensor, slots: Tensor) -> Tensor:
    steps = lengths.index_select(0, slots).view(-1, 1, 1, 1, 1)
    return (weight + steps * rows.index_select(0, slots)).to(x.dtype)


def _backward(
    out: Tensor, x: Tensor, kernel: Tensor, options: Sequence[Options], groups: int, which: int
) -> Tensor:
    """The gradient of the images (0) or of the kernels (1)."""
    strides, around, dilation = options
    wanted = [which == 0, which == 1, False]
    found: Tensor = torch.ops.aten.convolution_backward(
        out, x, kernel, None, strides, around, dilation, False, [0, 0], groups, wanted
    )[which]
    return found


class _Layout:
    """How the images of a grouped convolution, and their kernels, lie in memory."""

    def __init__(self, x: Tensor, weight: Tensor) -> None:
        self.beside = x[0].numel() >= weight.numel()

    def side_by_side(self, images: Tensor) -> Tensor:
        """(B, C, height, width) as one image (1, B x C, height, width)."""
        count, channels, height, width = images.shape
        if self.beside:
            wide = images.permute(2, 3, 0, 1).reshape(1, height, width, count * channels)
            return wide.permute(0, 3, 1, 2)
        return images.reshape(1, count * channels, height, width)

    def apart(self, wide: Tensor, count: int) -> Tensor:
        """And back."""
        height, width = wide.shape[2:]
        if self.beside:
            images = wide.permute(0, 2, 3, 1).reshape(height, width, count, -1)
            return images.permute(2, 3, 0, 1)
        return wide.reshape(count, -1, height, width)

    def grouped(self, own: Tensor) -> Tensor:
        """(B, F, C, kh, kw) as (B x F, C, kh, kw)."""
        flat = own.reshape(-1, *own.shape[2:])
        kind = torch.channels_last if self.beside else torch.contiguous_format
        return flat.contiguous(memory_format=kind)
