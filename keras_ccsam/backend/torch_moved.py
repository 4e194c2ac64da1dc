"""Convolutions with a kernel for each image, on PyTorch.

Of one pixel they are products. Else they go class by class on a CPU, and all at once on a GPU.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from keras_ccsam.backend import torch_grouped, torch_products
from keras_ccsam.backend import torch_runs as torch_runs  # it defines operations
from keras_ccsam.backend.padding import same_padding
from keras_ccsam.typing import Tensor


def moved_convolution(
    x: Tensor,
    kernel: Tensor,
    rows: Tensor,
    lengths: Tensor | None,
    slots: Tensor,
    strides: Sequence[int],
    padding: str,
    dilation: Sequence[int],
    known: Tensor | None = None,
) -> Tensor:
    """The convolution of each image with its own kernel; see `keras_ccsam.backend`."""
    around = [0, 0]
    if padding == "same":
        sizes = zip(x.shape[1:3], kernel.shape[:2], strides, dilation, strict=True)
        sides = [same_padding(*size) for size in sizes]
        if all(before == after for before, after in sides):
            around = [before for before, _ in sides]
        else:
            x = functional.pad(x, [0, 0, *sides[1], *sides[0]])
    options = (list(strides), around, list(dilation))
    result: Tensor = _Moved.apply(x, kernel, rows, lengths, slots, options, known)
    return result


class _Moved(torch.autograd.Function):
    """Of x (B, height, width, C), kernel (kh, kw, C, F), rows (R, kh, kw, C, F), slots (B,)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        kernel: Tensor,
        rows: Tensor,
        lengths: Tensor | None,
        slots: Tensor,
        options: Any,
        known: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(x, kernel, rows, lengths, slots)
        ctx.options = options
        images, weight = _channels_first(x), _turned(kernel)
        if known is not None:
            return known.view_as(known)
        if lengths is None:
            out = functional.conv2d(images, weight.to(x.dtype), None, *options)
        else:
            moved = (weight, _rows_turned(rows), lengths, slots)
            out = _own(x, weight, options).own_outputs(images, *moved, *options)
        return out.permute(0, 2, 3, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        x, kernel, rows, lengths, slots = ctx.saved_tensors
        of_x, of_kernel, of_rows = ctx.needs_input_grad[:3]
        images, out, weight = _channels_first(x), _channels_first(gradients[0]), _turned(kernel)
        common, options = weight.to(x.dtype), ctx.options
        found_x = found_kernel = found_rows = None
        together = of_x and lengths is None
        if together or of_kernel:
            strides, around, dilation = options
            found_x, found_kernel, _ = torch.ops.aten.convolution_backward(
                out,
                images,
                common,
                None,
                strides,
                around,
                dilation,
                False,
                [0, 0],
                1,
                [together, of_kernel, False],
            )
        if of_x and not together:
            moved = (weight, _rows_turned(rows), lengths, slots)
            found_x = _own(x, weight, options).own_images(out, images, *moved, *options)
        if of_rows and lengths is None:
            found = _own(x, weight, options).own_kernels(
                out, images, common, slots, len(rows), *options
            )
            found_rows = found.permute(0, 3, 4, 2, 1).to(rows.dtype)
        if found_x is not None:
            found_x = found_x.permute(0, 2, 3, 1)
        if found_kernel is not None:
            found_kernel = found_kernel.permute(2, 3, 1, 0).to(kernel.dtype)
        return found_x, found_kernel, found_rows, None, None, None, None


def _own(x: Tensor, weight: Tensor, options: Any) -> Any:
    """The functions for images and kernels like these."""
    if weight.shape[2:] == (1, 1) and options[:2] == ([1, 1], [0, 0]):
        return torch_products
    return torch.ops.keras_ccsam if x.device.type == "cpu" else torch_grouped


def _channels_first(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2)


def _turned(kernel: Tensor) -> Tensor:
    """(F, C, kh, kw), each filter's channels side by side in memory."""
    return kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def _rows_turned(rows: Tensor) -> Tensor:
    return rows.permute(0, 4, 3, 1, 2)
