"""Convolutions of one pixel with a kernel for each image, on PyTorch: one batch of products.

The functions are those of `torch_runs`. Strides are 1, and there are no zeros around the images.
"""

from collections.abc import Sequence

import torch

from keras_ccsam.typing import Tensor

Options = Sequence[int]


def own_outputs(
    x: Tensor, weight: Tensor, rows: Tensor, lengths: Tensor, slots: Tensor, *options: Options
) -> Tensor:
    """Of images (B, C, height, width) and kernels (F, C, 1, 1)."""
    own = _kernels(x, weight, rows, lengths, slots)
    return _images(torch.bmm(_flat(x), own.transpose(1, 2)), x)


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
    return _images(torch.bmm(_flat(out), _kernels(x, weight, rows, lengths, slots)), x)


def own_kernels(
    out: Tensor, x: Tensor, weight: Tensor, slots: Tensor, height: int, *options: Options
) -> Tensor:
    """The gradients of `height` kernels, each the sum of its own images'."""
    each = torch.bmm(_flat(out).transpose(1, 2), _flat(x))
    total = each.new_zeros((height, *each.shape[1:])).index_add_(0, slots, each)
    return total.view(height, *weight.shape)


def _kernels(x: Tensor, weight: Tensor, rows: Tensor, lengths: Tensor, slots: Tensor) -> Tensor:
    """(B, F, C), in the type of the images."""
    steps = lengths.index_select(0, slots).view(-1, 1, 1)
    own = rows.index_select(0, slots).flatten(2)
    return torch.addcmul(weight.flatten(1), steps, own).to(x.dtype)


def _flat(images: Tensor) -> Tensor:
    """(B, places, channels)."""
    return images.permute(0, 2, 3, 1).flatten(1, 2)


def _images(flat: Tensor, like: Tensor) -> Tensor:
    return flat.view(len(flat), *like.shape[2:], -1).permute(0, 3, 1, 2)
