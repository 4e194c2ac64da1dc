"""Convolutions with a kernel for each image on a CPU: images in a row with one kernel are a batch.

So a batch whose images lie class by class takes one of oneDNN's own convolutions for each class.
Images that lie otherwise make shorter runs, and the same numbers. A class's kernel is made when it
is needed, and is still in the processor's cache when it is read.

Where the runs end is read from the slots, which a program that records operations could not follow.
So each of these functions is one operation, and such a program has it whole.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch

from keras_ccsam.typing import Tensor

Options = Sequence[int]


def own_outputs(
    x: Tensor, weight: Tensor, rows: Tensor, lengths: Tensor, slots: Tensor, *options: Options
) -> Tensor:
    """Of images (B, C, height, width) and kernels (F, C, kh, kw), channels last in memory."""
    sizes, named = _runs(slots)
    kernels = _kernels(x, weight, rows, lengths, named)
    parts = zip(x.split(sizes), kernels, strict=True)
    return _joined([torch.conv2d(images, kernel, None, *options) for images, kernel in parts])


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
    sizes, named = _runs(slots)
    kernels = _kernels(x, weight, rows, lengths, named)
    parts = zip(out.split(sizes), x.split(sizes), kernels, strict=True)
    return _joined([_backward(*part, options, 0) for part in parts])


def own_kernels(
    out: Tensor, x: Tensor, weight: Tensor, slots: Tensor, height: int, *options: Options
) -> Tensor:
    """The gradients of `height` kernels, each the sum of its own images'."""
    filters, channels, *window = weight.shape
    found = weight.new_empty((height, filters, *window, channels)).movedim(-1, 2)
    each, absent = found.unbind(0), set(range(height))
    sizes, named = _runs(slots)
    for one, images, slot in zip(out.split(sizes), x.split(sizes), named, strict=True):
        part = _backward(one, images, weight, options, 1)
        if slot in absent:
            each[slot].copy_(part)
            absent.remove(slot)
        else:
            each[slot].add_(part)
    for slot in absent:
        each[slot].zero_()
    return found


def _runs(slots: Tensor) -> tuple[list[int], list[int]]:
    """The sizes of the runs of images with one slot, and these slots."""
    runs = [(slot, len(list(images))) for slot, images in groupby(slots.tolist())]
    return [size for _, size in runs], [slot for slot, _ in runs]


def _kernels(
    x: Tensor, weight: Tensor, rows: Tensor, lengths: Tensor, named: Sequence[int]
) -> Iterator[Tensor]:
    """Of these slots, in the type of the images. Each is gone when the next one is made."""
    each, steps = rows.unbind(0), lengths.tolist()
    kernel = torch.empty_like(weight)
    for slot in named:
        torch.add(weight, each[slot], alpha=steps[slot], out=kernel)
        yield kernel.to(x.dtype)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _backward(
    out: Tensor, x: Tensor, kernel: Tensor, options: Sequence[Options], which: int
) -> Tensor:
    """The gradient of the images (0) or of the kernel (1)."""
    strides, around, dilation = options
    wanted = [which == 0, which == 1, False]
    found: Tensor = torch.ops.aten.convolution_backward(
        out, x, kernel, None, strides, around, dilation, False, [0, 0], 1, wanted
    )[which]
    return found


_OPERATIONS = torch.library.Library("keras_ccsam", "DEF")
_OPTIONS = "int[] strides, int[] around, int[] dilation"
_KERNELS = "Tensor weight, Tensor rows, Tensor lengths, Tensor slots"
for _fn, _arguments in (
    (own_outputs, f"Tensor x, {_KERNELS}"),
    (own_images, f"Tensor out, Tensor x, {_KERNELS}"),
    (own_kernels, "Tensor out, Tensor x, Tensor weight, Tensor slots, int height"),
):
    _OPERATIONS.define(f"{_fn.__name__}({_arguments}, {_OPTIONS}) -> Tensor")
    _OPERATIONS.impl(_fn.__name__, _fn, "CPU")
